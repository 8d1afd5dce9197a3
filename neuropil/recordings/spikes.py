"""Spike times as they were found, and counts in bins without ever holding the bins that nobody reads."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int, Shaped

from . import checks
from .lazy import Lazy


@final
@dataclass(frozen=True, eq=False)
class SpikeTimes:
    """The exact time (s) of each spike, the label of its unit and the number of its trial, in order of time
    within each trial: what `Recording.from_spikes` was given, kept beside the counts."""

    times: Float[np.ndarray, " spike"]
    units: Shaped[np.ndarray, " spike"]
    trials: Int[np.ndarray, " spike"]

    @classmethod
    def of(cls, times, units, trial) -> "SpikeTimes":
        times, units = np.asarray(times, float), np.asarray(units)
        trial = np.zeros(len(times), int) if trial is None else np.asarray(trial, int)
        order = np.lexsort((times, trial))
        return cls(times[order], units[order], trial[order])

    def select(self, low=None, high=None, units=None, trials=None) -> "SpikeTimes":
        """Spikes with low <= t < high of these units and trials."""
        keep = np.ones(len(self.times), bool)
        if low is not None:
            keep &= (self.times >= low) & (self.times < high)
        if units is not None:
            keep &= np.isin(self.units, units)
        if trials is not None:
            keep &= np.isin(self.trials, trials)
        return SpikeTimes(self.times[keep], self.units[keep], self.trials[keep])

    def train(self, unit, trial: int = 0) -> np.ndarray:
        """The times of one unit in one trial."""
        return self.times[(self.units == unit) & (self.trials == trial)]


def grid(
    times, units, trial, labels, hz: float, start: float, stop
) -> tuple[Lazy, np.ndarray, np.ndarray | None]:
    """Counts (trial, time, unit) that are made when read, unit labels, mask (trial, time) or None.

    The arguments are those of `Recording.from_spikes`; every fault is a ValueError that names it.
    """
    times, units = np.asarray(times, float), np.asarray(units)
    trial = np.zeros(len(times), int) if trial is None else np.asarray(trial, int)
    if not (times.ndim == 1 and times.shape == units.shape == trial.shape):
        raise ValueError(
            f"There are {times.size} spike times, {units.size} units and {trial.size} trials: "
            "give one unit (and trial) for each spike."
        )
    names = np.unique(units) if labels is None else checks.labels(labels, len(labels))
    if names.size == 0:
        raise ValueError("There are no spikes and no labels: name the units by labels=.")
    column = _column(units, names)
    _in_order(times, column, trial)
    if stop is None:
        stop = (times.max() if times.size else start) + 1 / hz
    given = np.atleast_1d(np.asarray(stop, float))
    n_trial = int(trial.max(initial=0)) + 1
    if trial.min(initial=0) < 0 or (given.size > 1 and n_trial > given.size):
        raise ValueError(
            f"The spikes name trials {trial.min()}..{trial.max()} but there are {given.size} ends: "
            "count trials from 0 and give one stop for each."
        )
    stops = given if given.size > 1 else np.repeat(given, n_trial)
    outside = (times < start) | (times > stops[trial])
    if outside.any():
        raise ValueError(
            f"{outside.sum()} spikes (first at {times[outside][0]:g} s) lie outside "
            f"{start:g}..{stops.max():g} s: widen start and stop or leave them out."
        )
    # 1e-6 of a bin forgives the rounding of times that lie on an edge
    ends = np.ceil((stops - start) * hz - 1e-6).astype(int)
    if ends.min() < 1:
        at = int(ends.argmin())
        raise ValueError(f"Trial {at} is empty: it stops at {stops[at]:g} s, give a later stop.")
    bins = np.floor((times - start) * hz + 1e-6).astype(int)
    bins = np.minimum(bins, ends[trial] - 1)  # a spike at the very end belongs to the last bin
    mask = np.arange(ends.max()) < ends[:, None] if ends.min() < ends.max() else None
    shape = (len(stops), int(ends.max()), len(names))
    return _counts(trial, bins, column, shape), names, mask


def _counts(trial, bins, column, shape: tuple[int, int, int]) -> Lazy:
    n_time = shape[1]
    flat = trial.astype(np.int64) * n_time + bins
    order = np.argsort(flat, kind="stable")
    flat, column = flat[order], column[order]

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros([s.stop - s.start for s in (trials, times, units)], np.int32)
        for row, t in enumerate(range(trials.start, trials.stop)):
            ends = np.array([times.start, times.stop]) + t * n_time
            low, high = np.searchsorted(flat, ends)
            unit = column[low:high]
            keep = (unit >= units.start) & (unit < units.stop)
            at = flat[low:high][keep] - ends[0]
            np.add.at(out[row], (at, unit[keep] - units.start), 1)
        return out

    return Lazy(shape, np.int32, read)


def _in_order(times: np.ndarray, column: np.ndarray, trial: np.ndarray) -> None:
    if not np.isfinite(times).all():
        raise ValueError("A spike time is NaN or infinite: leave that spike out.")
    order = np.lexsort((column, trial))  # stable: keeps the order of time within a unit
    same = (np.diff(column[order]) == 0) & (np.diff(trial[order]) == 0)
    back = same & (np.diff(times[order]) < 0)
    if back.any():
        at = int(np.argmax(back))
        before, after = times[order][at : at + 2]
        raise ValueError(
            f"The spike times are not in order: {after:g} s follows {before:g} s in one unit; "
            "sort them by time first."
        )


def _column(units: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Where each spike's unit stands among the labels."""
    order = np.argsort(names)
    column = order[np.searchsorted(names[order], units).clip(0, len(names) - 1)]
    strange = names[column] != units
    if strange.any():
        raise ValueError(
            f"A spike belongs to unit {units[strange][0]!s}, which is not among the labels: name "
            "every unit."
        )
    return column
