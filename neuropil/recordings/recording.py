"""`Recording`: labelled activity of a brain or of a model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import xarray as xr

from . import checks
from .lazy import DIMS, Lazy, is_lazy, wrap
from .provenance import Split, Step, step
from .spikes import SpikeTimes, grid


@final
@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Activity with the axes (trial, time, unit), and all that is needed to read it rightly.

    `data`: DataArray, coordinates `time` in seconds, `unit` labels, `trial` numbers (and what else
    is known of each trial or unit); `rate` in Hz; `unit` is the unit of measure ("spikes" are counts
    per sample; "uV", "Hz", ...; "mixed" where the units' column `measure` says it); `mask` is True
    where a value is valid (None: everywhere); `positions` (unit, 2 or 3) in `positions_unit`;
    `events` a table of onset (s), duration (s), label, trial; `about` says source, licence,
    citation; `history` what was done since; `split` which part of a split it is (None: of none), so
    that learning from a test part is refused; `spikes` the exact spike times behind counts. Values
    may be lazy: `select` and `bin` read nothing, `to_numpy`, `mean` and `load` read what was
    selected. Never changed in place.

    >>> import numpy as np
    >>> rec = Recording.from_array(np.ones((2, 50, 3)), rate=100.0, unit="uV")
    >>> rec.select(time=(0.1, 0.2), units=[0, 2]).shape
    (2, 10, 2)
    """

    data: xr.DataArray
    rate: float
    unit: str
    mask: xr.DataArray | None = None
    positions: np.ndarray | None = None
    positions_unit: str = "um"
    events: pd.DataFrame = field(default_factory=lambda: checks.events(None, np.arange(0)))
    about: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Step, ...] = ()
    split: Split | None = None
    spikes: SpikeTimes | None = None

    @classmethod
    def from_array(
        cls,
        data: Any,
        *,
        rate: float | int,
        unit: str,
        labels: Any = None,
        time: Any = None,
        start: float | int = 0.0,
        mask: Any = None,
        trials: Mapping[str, Any] | None = None,
        columns: Mapping[str, Any] | None = None,
        positions: Any = None,
        positions_unit: str = "um",
        events: Any = None,
        about: Mapping[str, str] | None = None,
    ) -> "Recording":
        """A recording of `data` (trial, time, unit): an array, a memory map, or a `Lazy`.

        `time`: sample times in seconds (else `start` + n / rate); `trials`: columns with one value
        per trial, such as {"stimulus": [...]}; `columns`: the same per unit, such as {"area": [...]}.
        ValueError or TypeError names what is wrong; NaN
        is accepted only where `mask` is False (for lazy data this is checked on reading).
        """
        hz = checks.rate(rate)
        array = data if hasattr(data, "dtype") else np.asarray(data)
        checks.shape(array)
        wrapped = wrap(array)
        n_trial, n_time, n_unit = wrapped.shape
        of_trials = checks.columns("trial", trials, n_trial)
        numbers = of_trials.pop("trial", np.arange(n_trial))
        wrapped = wrapped.assign_coords(
            trial=numbers,
            time=checks.time(time, n_time, hz, start),
            unit=checks.labels(labels, n_unit),
            **{name: ("trial", values) for name, values in of_trials.items()},
            **{n: ("unit", v) for n, v in checks.columns("unit", columns, n_unit).items()},
        )
        valid = checks.mask(mask, wrapped.shape)
        if not is_lazy(wrapped):
            checks.finite(wrapped.values, _stretch(valid, wrapped))
        return cls(
            data=wrapped,
            rate=hz,
            unit=unit,
            mask=valid,
            positions=checks.positions(positions, n_unit),
            positions_unit=positions_unit,
            events=checks.events(events, numbers),
            about=dict(about or {}),
        )

    @classmethod
    def from_spikes(
        cls,
        times: Any,
        units: Any,
        *,
        rate: float | int,
        start: float | int = 0.0,
        stop: Any = None,
        trial: Any = None,
        labels: Any = None,
        **more: Any,
    ) -> "Recording":
        """Spike counts in bins of 1 / rate seconds from spike times (s) and the unit of each.

        The spikes are kept as they are; a block of bins is counted when it is read. `trial`: the
        trial 0, 1, ... of each spike (times then count within the trial). `stop`: end in seconds,
        or one end per trial (bins beyond it are masked). `labels`: all units, also silent ones.
        ValueError: spikes of a unit out of order, spikes outside start..stop, unknown unit.
        """
        hz = checks.rate(rate)
        counts, names, mask = grid(times, units, trial, labels, hz, start, stop)
        out = cls.from_array(
            counts, rate=hz, unit="spikes", labels=names, start=start, mask=mask, **more
        )
        return replace(out, spikes=SpikeTimes.of(times, units, trial))

    @classmethod
    def from_trials(
        cls, trials: Iterable[Any], /, *, rate: float | int, unit: str, **more: Any
    ) -> "Recording":
        """A recording of trials of unlike length, each (time, unit); the missing ends are masked
        (and zero). ValueError: an empty trial, or trials with unlike numbers of units."""
        arrays = [np.asarray(t) for t in trials]
        if not arrays:
            raise ValueError("There are no trials: give at least one array of shape (time, unit).")
        for i, a in enumerate(arrays):
            if a.ndim != 2 or a.shape[1] != arrays[0].shape[-1]:
                raise ValueError(
                    f"Trial {i} has shape {a.shape} and trial 0 {arrays[0].shape}: give "
                    "(time, unit) with the same units in every trial."
                )
            if a.shape[0] == 0:
                raise ValueError(f"Trial {i} is empty: leave it out.")
        lengths = np.array([len(a) for a in arrays])
        full = np.zeros((len(arrays), lengths.max(), arrays[0].shape[1]), np.result_type(*arrays))
        for row, a in zip(full, arrays, strict=True):
            row[: len(a)] = a
        ragged = np.arange(lengths.max()) < lengths[:, None]
        mask = None if ragged.all() else ragged
        return cls.from_array(full, rate=rate, unit=unit, mask=mask, **more)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(trials, samples, units)."""
        return self.data.shape

    def select(
        self, *, time: Sequence[float | int] | None = None, units: Any = None, trials: Any = None
    ) -> "Recording":
        """The part with start <= time < stop (seconds), these unit labels and these trial numbers
        (or boolean arrays); events that overlap it go with it. Reads nothing. ValueError if nothing
        is left."""
        pick: dict[str, Any] = {}
        events = self.events
        if time is not None:
            t = self.data["time"].values
            # a hundredth of a sample forgives rounding
            low, high = np.searchsorted(t, np.asarray(time, float) - 0.01 / self.rate)
            pick["time"] = slice(int(low), int(high))
            ends = events["onset"] + events["duration"]
            events = events[(ends >= time[0]) & (events["onset"] < time[1])]
        for dim, wanted in (("unit", units), ("trial", trials)):
            if wanted is not None:
                pick[dim] = _where(dim, self.data[dim].values, wanted)
        data = self.data.isel(pick)
        if 0 in data.shape:
            empty = DIMS[data.shape.index(0)]
            raise ValueError(f"No {empty} is left by this selection: widen it.")
        if "trial" in pick:
            events = events[events["trial"].isin(data["trial"].values)]
        mask = self.mask
        if mask is not None:
            mask = mask.isel({d: i for d, i in pick.items() if d in mask.dims})
        positions = self.positions
        if positions is not None and "unit" in pick:
            positions = positions[pick["unit"]]
        return replace(
            self,
            data=data,
            mask=mask,
            positions=positions,
            events=events.reset_index(drop=True),
            spikes=self._spikes_in(data),
        )

    def _spikes_in(self, data: xr.DataArray) -> SpikeTimes | None:
        if self.spikes is None:
            return None
        t = data["time"].values
        last = t[-1] + 1 / self.rate
        whole = (
            last > self.data["time"].values[-1]
        )  # a spike at the very end belongs to the last bin
        high = np.nextafter(last, np.inf) if whole else last
        return self.spikes.select(t[0], high, data["unit"].values, data["trial"].values)

    def bin(self, width: float | int) -> "Recording":
        """Samples gathered in bins of `width` seconds: counts ("spikes") are summed, other units
        averaged. A bin with a masked sample is masked; a last short bin is dropped. ValueError
        where `width` is no multiple of the sample step."""
        k = round(width * self.rate)
        if k < 1 or abs(k - width * self.rate) > 1e-6 * k:
            raise ValueError(
                f"A bin of {width:g} s is {width * self.rate:g} samples at {self.rate:g} Hz: use a "
                f"multiple of {1 / self.rate:g} s."
            )
        n = self.shape[1] // k
        if n == 0:
            raise ValueError(f"A bin of {width:g} s is longer than the recording: use less.")
        counts = self.unit == "spikes"
        source = self.data
        whole = np.int32 if source.dtype.kind in "biu" else source.dtype
        dtype = whole if counts else np.result_type(source.dtype, np.float32)

        def read(trials: slice, times: slice, units: slice) -> np.ndarray:
            values = source[trials, slice(times.start * k, times.stop * k), units].values
            values = values.reshape(values.shape[0], -1, k, values.shape[2])
            return values.sum(2, dtype=dtype) if counts else values.mean(2, dtype=dtype)

        shape = (self.shape[0], n, self.shape[2])
        binned = Lazy(shape, dtype, read).dataarray()
        coords = {c: v for c, v in source.coords.items() if c != "time"}
        binned = binned.assign_coords(coords).assign_coords(time=source["time"].values[: n * k : k])
        mask = self.mask
        if mask is not None and "time" in mask.dims:
            mask = mask[{"time": slice(n * k)}].coarsen(time=k).all()
        done = (*self.history, step("bin", width=float(width)))
        out = replace(self, data=binned, rate=self.rate / k, mask=mask, history=done)
        return out if is_lazy(source) else out.load()

    def to_numpy(self, fill: float | int = np.nan) -> np.ndarray:
        """The values (trial, time, unit). Where something is masked it reads `fill`, and NaN makes
        integers floats. ValueError if lazy data hold NaN that no mask explains."""
        values = self.data.values
        valid = _stretch(self.mask, self.data)
        if is_lazy(self.data):
            checks.finite(values, valid)
        if valid is None or valid.all():
            return values
        return np.where(valid, values, np.asarray(fill, np.result_type(values, fill)))

    def mean(self, over: str | tuple[str, ...]) -> xr.DataArray:
        """Mean of the valid values over "trial", "time", "unit" or several; NaN where there is
        none."""
        data = self.data.copy(data=self.to_numpy(0))
        if self.mask is None:
            return data.mean(over)
        valid = self.data.copy(data=_stretch(self.mask, self.data))
        n = valid.sum(over)
        return (data.sum(over) / n.where(n > 0)).rename(None)

    def load(self) -> "Recording":
        """The same recording with its values in memory and checked."""
        values = self.data.values
        checks.finite(values, _stretch(self.mask, self.data))
        return replace(self, data=self.data.copy(data=values))

    def save(self, path: str | Path) -> Path:
        """Write to a `.npz` file (no pickle, uncompressed so that `read` can map it), whole or not
        at all, block by block; back by `neuropil.recordings.read`."""
        from .files import save

        return save(self, Path(path))

    def __repr__(self) -> str:
        trials, samples, units = self.shape
        t = self.data["time"].values
        about = self.about.get("source", "")
        parts = [
            f"{trials} trial{'s' * (trials != 1)} x {samples} samples x {units} unit{'s' * (units != 1)}",
            f"{self.unit} at {self.rate:g} Hz, {t[0]:g}..{t[-1] + 1 / self.rate:g} s",
            f"{len(self.events)} events" if len(self.events) else "",
            "masked" if self.mask is not None else "",
            self.split.part if self.split else "",
            "lazy" if is_lazy(self.data) else "",
            about if len(about) < 60 else about[:57] + "...",
        ]
        return f"Recording({'; '.join(p for p in parts if p)})"


def _stretch(mask: xr.DataArray | None, data: xr.DataArray) -> np.ndarray | None:
    """The mask in the full shape of the data, as a view."""
    if mask is None:
        return None
    axes = tuple(slice(None) if d in mask.dims else None for d in DIMS)
    return np.broadcast_to(mask.values[axes], data.shape)


def _where(dim: str, have: np.ndarray, wanted) -> np.ndarray:
    """Positions of the wanted labels, in the order asked for."""
    wanted = np.atleast_1d(np.asarray(wanted))
    if wanted.dtype == bool:
        if wanted.shape != have.shape:
            raise ValueError(
                f"A choice of {wanted.size} for {have.size} {dim}s: give one for each."
            )
        return np.flatnonzero(wanted)
    place = {label: i for i, label in enumerate(have.tolist())}
    strange = [w for w in wanted.tolist() if w not in place]
    if strange:
        raise ValueError(f"There is no {dim} {strange[0]!r}: choose among {_few(have)}.")
    return np.array([place[w] for w in wanted.tolist()], int)


def _few(values: np.ndarray) -> str:
    shown = [repr(v) for v in values[:6].tolist()]
    return ", ".join(shown) + (", ..." if len(values) > 6 else "")
