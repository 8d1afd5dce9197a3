"""What a recording must be, checked once at the door, each fault with its cure."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from .lazy import DIMS

EVENTS = ("onset", "duration", "label", "trial")


def rate(value) -> float:
    """Samples per second as a float above 0."""
    if not np.isscalar(value) or not np.isfinite(value) or value <= 0:
        raise ValueError(
            f"The sampling rate is {value} Hz: give the samples per second, a number above 0."
        )
    return float(value)


def shape(data) -> None:
    """Three axes, none empty, real numbers."""
    if np.ndim(data) != 3:
        raise ValueError(
            f"A recording has the axes (trial, time, unit) but the data have shape "
            f"{np.shape(data)}: add the missing axis, as in data[None] for a single trial."
        )
    for name, n in zip(DIMS, np.shape(data), strict=True):
        if n == 0:
            raise ValueError(f"The recording has no {name}s: its shape is {np.shape(data)}.")
    if np.dtype(data.dtype).kind not in "biuf":
        raise TypeError(
            f"The data are of type {data.dtype}: give real numbers, counts or booleans."
        )


def labels(values, n: int) -> np.ndarray:
    """One unlike label per unit; 0..n-1 where none are given."""
    out = np.arange(n) if values is None else np.asarray(values)
    if out.shape != (n,):
        raise ValueError(
            f"There are {n} units but {out.size} labels: give one label for each unit."
        )
    unlike, counts = np.unique(out, return_counts=True)
    if len(unlike) < n:
        twice = unlike[counts > 1][0]
        raise ValueError(f"Unit label {twice!s} is given {counts.max()} times: labels must differ.")
    return out


def columns(of: str, given: Mapping | None, n: int) -> dict[str, np.ndarray]:
    """Named columns with one value for each trial or unit."""
    out = {name: np.asarray(values) for name, values in (given or {}).items()}
    for name, values in out.items():
        if values.shape != (n,):
            raise ValueError(
                f"The {of}s' column {name!r} has shape {values.shape}: give one value for "
                f"each of the {n} {of}s."
            )
    return out


def time(values, n: int, hz: float, start: float) -> np.ndarray:
    """Sample times in seconds, rising, in step with the sampling rate."""
    if values is None:
        out = np.arange(n, dtype=float)  # in place: a long recording has as many times as samples
        out /= hz
        out += start
        return out
    out = np.asarray(values, float)
    if out.shape != (n,):
        raise ValueError(f"There are {n} samples but {out.size} times: give one time for each.")
    if not np.isfinite(out).all():
        raise ValueError("A sample time is NaN or infinite: give every time in seconds.")
    steps = np.diff(out)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        raise ValueError(
            f"The times do not rise: {out[at + 1]:g} s follows {out[at]:g} s at sample {at + 1}; "
            "sort the samples by time."
        )
    if n > 1 and abs(np.median(steps) * hz - 1) > 0.01:
        raise ValueError(
            f"The times step by {np.median(steps):g} s, which is {1 / np.median(steps):g} Hz, but "
            f"the sampling rate is given as {hz:g} Hz: correct one of them."
        )
    return out


def mask(values, of: tuple[int, int, int]) -> xr.DataArray | None:
    """True where a value is valid; (trial, time) or (trial, time, unit), axes of length 1 stretch."""
    if values is None:
        return None
    out = np.asarray(values)
    if out.dtype != bool:
        raise TypeError(
            f"The mask is of type {out.dtype}: give booleans, True where data are valid."
        )
    full = out[..., None] if out.ndim == 2 else out
    if full.ndim != 3 or any(m not in (1, n) for m, n in zip(full.shape, of, strict=True)):
        raise ValueError(
            f"The mask has shape {out.shape} and the data {of}: give (trial, time) or "
            "(trial, time, unit)."
        )
    stretched = tuple(i for i, m in enumerate(full.shape) if m < of[i])
    kept = tuple(d for i, d in enumerate(DIMS) if i not in stretched)
    return xr.DataArray(full.squeeze(stretched), dims=kept)


def finite(values: np.ndarray, valid, where: str = "The recording") -> None:
    """No NaN and no infinity among the valid values."""
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    if valid is not None:
        bad &= valid
    if bad.any():
        first = ", ".join(f"{d} {i}" for d, i in zip(DIMS, np.argwhere(bad)[0], strict=True))
        raise ValueError(
            f"{where} holds {bad.sum()} NaN or infinite of {bad.size} values (first at {first}): "
            "mark them by mask=~np.isnan(data), or repair them."
        )


def positions(values, n: int) -> np.ndarray | None:
    """(unit, 2 or 3) coordinates."""
    if values is None:
        return None
    out = np.asarray(values, float)
    if out.ndim != 2 or out.shape[0] != n or out.shape[1] not in (2, 3):
        raise ValueError(f"Positions have shape {out.shape}: give ({n}, 2) or ({n}, 3).")
    return out


def events(table, trials: np.ndarray) -> pd.DataFrame:
    """A table of onset (s), duration (s), label, trial; sorted by trial and onset."""
    if table is None:
        return pd.DataFrame({c: pd.Series(dtype=float) for c in EVENTS})
    out = pd.DataFrame(table)
    missing = [c for c in EVENTS if c not in out and c in ("onset", "label")]
    if missing:
        raise ValueError(
            f"The events have no column {missing[0]!r}: give onset (s), duration (s), label, trial."
        )
    out = out.assign(**{c: 0 for c in ("duration", "trial") if c not in out})
    onset, duration = out["onset"].to_numpy(float), out["duration"].to_numpy(float)
    if not np.isfinite(onset).all() or not (duration >= 0).all():
        raise ValueError("An event has no finite onset or a negative duration: repair the table.")
    strange = ~np.isin(out["trial"], trials)
    if strange.any():
        raise ValueError(
            f"An event belongs to trial {out['trial'].to_numpy()[strange][0]}, which is not in the "
            "recording: use the trial numbers of the recording."
        )
    return out.sort_values(["trial", "onset"], kind="stable").reset_index(drop=True)
