"""Two streams stamped by two clocks: how one clock reads on the other, and whether that can be trusted."""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from .provenance import step
from .recording import Recording


@final
@dataclass(frozen=True)
class Clock:
    """time there = offset + rate x time here. `residual`: the largest distance (s) of a shared pulse from that
    line; `ppm`: drift in parts per million; `n`: how many pulses were shared."""

    offset: float
    rate: float
    residual: float
    n: int

    @property
    def ppm(self) -> float:
        """How much faster (+) the other clock runs, in parts per million."""
        return (self.rate - 1) * 1e6

    def __call__(self, seconds: Any) -> Any:
        """Times here as times there."""
        return self.offset + self.rate * np.asarray(seconds, float)

    def apply(self, recording: Recording) -> Recording:
        """The recording on the other clock: its times, rate, events and spike times are moved, its values
        not.
        """
        data = recording.data.assign_coords(time=self(recording.data["time"].values))
        events = recording.events.assign(
            onset=self(recording.events["onset"]), duration=recording.events["duration"] * self.rate
        )
        spikes = recording.spikes
        if spikes is not None:
            spikes = replace(spikes, times=self(spikes.times))
        done = step("clock", offset=self.offset, ppm=self.ppm, residual=self.residual)
        return replace(
            recording,
            data=data,
            rate=recording.rate / self.rate,
            events=events,
            spikes=spikes,
            history=(*recording.history, done),
        )


def align(here: Any, there: Any, *, tolerance: float | int = 0.005) -> Clock:
    """The clock that takes pulses `here` (s) to the same pulses `there`, by least squares.

    Pulses are matched in order. ValueError: unlike numbers of pulses (which intervals do not fit is said),
    fewer than two, times that do not rise, or a pulse further than `tolerance` s from the line: a clock that
    jumped, or a pulse that was missed; nothing is guessed.

    >>> clock = align([0.0, 10.0, 20.0], [5.0, 15.001, 25.002])
    >>> round(clock.ppm), round(float(clock(30.0)), 3)
    (100, 35.003)
    """
    a, b = np.asarray(here, float), np.asarray(there, float)
    for name, x in (("here", a), ("there", b)):
        if not np.isfinite(x).all() or (np.diff(x) <= 0).any():
            raise ValueError(
                f"The pulses {name} do not rise, or one is no number: sort and check them."
            )
    if len(a) != len(b):
        short, long = sorted((a, b), key=len)
        gaps = np.diff(short)[: len(long) - 1]
        off = np.flatnonzero(np.abs(gaps - np.diff(long)[: len(gaps)]) > tolerance)
        at = (
            f"; the intervals part after pulse {int(off[0])}"
            if len(off)
            else "; the last ones are missing"
        )
        raise ValueError(
            f"There are {len(a)} pulses here and {len(b)} there{at}: leave out those that one stream missed."
        )
    if len(a) < 2:
        raise ValueError("A clock needs two shared pulses or more.")
    rate, offset = np.polyfit(a - a[0], b, 1)
    offset = offset - rate * a[0]
    away = np.abs(offset + rate * a - b)
    if away.max() > tolerance:
        at = int(away.argmax())
        raise ValueError(
            f"Pulse {at} lies {away.max() * 1e3:.1f} ms from a straight clock (drift "
            f"{(rate - 1) * 1e6:.0f} ppm): a clock jumped or a pulse is wrong. Align the stretches before and "
            "after it apart, or widen tolerance=."
        )
    return Clock(float(offset), float(rate), float(away.max()), len(a))
