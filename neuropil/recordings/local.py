"""Functions of a stretch of time and its margins, applied trial by trial, lazily where the data are lazy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .lazy import Lazy, is_lazy
from .provenance import Step
from .recording import Recording


def lengths(recording: Recording, what: str) -> np.ndarray:
    """Valid samples of each trial, where the mask only cuts the ends off. ValueError: a hole in a trial."""
    n = recording.shape[1]
    mask = recording.mask
    if mask is None or "time" not in mask.dims:
        return np.full(recording.shape[0], n)
    valid = mask.all("unit") if "unit" in mask.dims else mask
    some = mask.any("unit") if "unit" in mask.dims else mask
    valid = (
        valid.broadcast_like(recording.data.isel(unit=0, drop=True))
        .transpose("trial", "time")
        .values
    )
    some = (
        some.broadcast_like(recording.data.isel(unit=0, drop=True))
        .transpose("trial", "time")
        .values
    )
    last = valid.sum(1)
    whole = (np.arange(n) < last[:, None]) == valid
    if not (whole.all() and (some == valid).all()):
        at = int(np.argmax(~(whole & (some == valid)).all(1)))
        raise ValueError(
            f"Trial {at} has masked samples in the middle, over which {what} would smear: cut it into blocks() "
            "or epochs() of valid samples first."
        )
    if last.min() == 0:
        raise ValueError(f"Trial {int(last.argmin())} has no valid sample: leave it out.")
    return last


def padded(
    read: Callable[[int, int], np.ndarray], low: int, high: int, before: int, after: int, n: int
) -> np.ndarray:
    """Samples low - before .. high + after of a signal of n samples; beyond its ends it is mirrored through its
    last point, 2 x(0) - x(k), and 0 where even that ends (MNE's "reflect_limited")."""
    first, last = low - before, high + after
    parts = []
    if first < 0:
        k = np.arange(-first, 0, -1)  # distances beyond the start
        head = read(0, min(n, int(k[0]) + 1))
        inside = k < n
        mirrored = 2 * head[0] - head[np.where(inside, k, 0)]
        parts.append(np.where(inside[:, None], mirrored, 0))
    parts.append(read(max(first, 0), min(last, n)))
    if last > n:
        k = np.arange(1, last - n + 1)
        tail = read(max(0, n - 1 - int(k[-1])), n)
        inside = k < n
        mirrored = 2 * tail[-1] - tail[np.where(inside, len(tail) - 1 - k, 0)]
        parts.append(np.where(inside[:, None], mirrored, 0))
    return np.concatenate(parts)


def mapped(
    recording: Recording,
    function: Callable[[np.ndarray], np.ndarray],
    done: Step,
    *,
    before: int = 0,
    after: int = 0,
    unit: str | None = None,
) -> Recording:
    """`function` of (before + block + after, all units) gives the block; run on whole trials where the data are
    in memory, on the block that is asked for where they are lazy."""
    source = recording.data
    last = lengths(recording, done.name)
    width = recording.shape[2]

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        out = np.zeros((trials.stop - trials.start, times.stop - times.start, width))
        for row, t in zip(out, range(trials.start, trials.stop), strict=True):
            end = min(times.stop, int(last[t]))
            if end <= times.start:
                continue
            get = lambda a, b, t=t: np.asarray(source[t, a:b].values, float)
            block = padded(get, times.start, end, before, after, int(last[t]))
            row[: end - times.start] = function(block)
        return out[:, :, units]

    lazy = Lazy(source.shape, float, read)
    data = (
        lazy.dataarray()
        if is_lazy(source)
        else source.copy(data=read(*(slice(0, n) for n in source.shape)))
    )
    return replace(
        recording,
        data=data.assign_coords(source.coords),
        unit=unit or recording.unit,
        history=(*recording.history, done),
        spikes=None,
    )
