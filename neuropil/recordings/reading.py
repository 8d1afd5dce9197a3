"""`read(path)`: a recording from a file, by its suffix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import checks
from .recording import Recording

_DIMS = {"trial", "time", "unit"}


def read(path: str | Path, **options: Any) -> Recording:
    """The recording in a file; the suffix says which reader is used (see `READERS`).

    `.npz`: written by `Recording.save`; `.nc`: netCDF 3 with one variable (trial, time, unit) or
    (time, unit), attributes `rate` (Hz) and `units`; `.mat`: MatClust spikes, `rate=` bins per
    second (100); `.h5`, `.hdf5`: spike trials in the form of SHD, `rate=` as before;
    event cameras (`.bin`, `.dat`, `.raw`, `.aedat`, `.aedat4`, `.es`): `rate=` (1000) and the options of
    `neuropil.recordings.events.read_events`.
    FileNotFoundError or ValueError in one line.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path.name} has the suffix {path.suffix or '(none)'!r}, which no reader knows: known "
            f"are {', '.join(sorted(READERS))}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    return reader(path, **options)


def _npz(path: Path) -> Recording:
    from .files import open_npz

    return open_npz(path)


def _netcdf(path: Path) -> Recording:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="scipy") as opened:
            data = opened.load()
    except Exception as err:  # scipy raises TypeError, ValueError, IndexError on broken files
        raise ValueError(
            f"{path} is not a sound netCDF 3 file ({type(err).__name__}): save it anew."
        ) from err
    fits = [n for n, v in data.data_vars.items() if {"time", "unit"} <= set(v.dims) <= _DIMS]
    if len(fits) != 1:
        raise ValueError(
            f"{path} has {len(fits)} variables with the axes (trial, time, unit): there must be one."
        )
    found = data[fits[0]]
    if "trial" not in found.dims:
        found = found.expand_dims("trial")
    found = found.transpose("trial", "time", "unit")
    rate = found.attrs.get("rate", data.attrs.get("rate"))
    if rate is None:
        raise ValueError(f"{path} does not give the sampling rate: write it as attribute 'rate'.")
    columns = {c: found[c].values for c in found.coords if found[c].dims == ("trial",)}
    return Recording.from_array(
        found.values,
        rate=checks.rate(float(rate)),
        unit=str(found.attrs.get("units", "unknown")),
        labels=found["unit"].values if "unit" in found.coords else None,
        time=found["time"].values if "time" in found.coords else None,
        trials=columns,
        about={k: str(v) for k, v in data.attrs.items() if k in ("source", "licence", "citation")},
    )


def _matclust(path: Path, rate: float | int = 100.0) -> Recording:
    from .matclust import read_spikes

    spikes = read_spikes(path)
    low = min(spikes.span[0], spikes.times.min())
    high = max(spikes.span[1], spikes.times.max())
    return Recording.from_spikes(
        spikes.times,
        spikes.units,
        rate=rate,
        start=float(low),
        stop=float(high),
        about={"source": path.name},
    )


def _speech(path: Path, rate: float | int = 100.0) -> Recording:
    from .events import open_trials

    return open_trials(path).recording(rate)


def _events(path: Path, rate: float | int = 1000.0, **options: Any) -> Recording:
    from .events import read_events

    return read_events(path, **options).recording(rate)


READERS: dict[str, Callable[..., Recording]] = {
    ".npz": _npz,
    ".nc": _netcdf,
    ".mat": _matclust,
    ".h5": _speech,
    ".hdf5": _speech,
    **dict.fromkeys((".bin", ".dat", ".raw", ".aedat", ".aedat4", ".es"), _events),
}
"""Suffix -> reader(path, **options). A new format is a function here, or an entry from elsewhere."""
