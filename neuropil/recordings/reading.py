"""`read(path)`: a recording from a file or folder, by its suffix and by what it holds."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import checks
from .quality import warn_of_scale
from .recording import Recording

_DIMS = {"trial", "time", "unit"}


def read(path: str | Path, **options: Any) -> Recording:
    """The recording in a file or folder; its suffix and what it holds say which reader is used.

    | suffix | what | options |
    |---|---|---|
    | `.npz` | `Recording.save`; arrays (`recordings.layouts`) | `data=`, `axes=`, `rate=`, `unit=` |
    | `.npy` | an array | `rate=`, `unit=`, `axes=` |
    | `.csv`, `.tsv`, `.csv.gz` | a table with a time column, or with `rate=` | `rate=`, `unit=`, `columns=` |
    | `.nc` | netCDF 3: one variable (trial, time, unit) or (time, unit), attributes `rate`, `units` | |
    | `.mat` | MatClust spikes (`rate=`: bins per second); arrays, MATLAB 4 to 7.3 | as `.npz` |
    | `.h5`, `.hdf5` | spike trials in the form of SHD (`rate=`), else arrays | as `.npz` |
    | `.edf .bdf .gdf .vhdr .set .fif(.gz) .sqd .con .cnt`, `.ds/ .mff/` | EEG and MEG, by MNE | MNE's |
    | `.nwb` | Neurodata Without Borders: `of=` "units" or the name of a series | `rate=` |
    | `.nii`, `.nii.gz` | fMRI, a unit a voxel | `mask=` (a file or an array), `rate=` |
    | a folder | suite2p (`of="F"`, "dff", "spks"), or BIDS (`subject=`, `task=`, ...) | |
    | `.bin .dat .raw .aedat .aedat4 .es` | event cameras | `rate=`, those of `events.read_events` |

    FileNotFoundError or ValueError in one line; ImportError names the extra that a format needs. A
    `ScaleWarning` says where EEG or MEG cannot be in its unit (volts that are microvolts).
    """
    path = Path(path)
    rec = _read(path, options)
    warn_of_scale(rec)
    return rec


def _read(path: Path, options: dict[str, Any]) -> Recording:
    if path.is_dir() and path.suffix.lower() not in READERS:
        return _folder(path, **options)
    suffix = suffix_of(path)
    reader = READERS.get(suffix)
    if reader is None:
        raise ValueError(
            f"{path.name} has the suffix {suffix or '(none)'!r}, which no reader knows: known "
            f"are {', '.join(sorted(READERS))}."
        )
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    return reader(path, **options)


def suffix_of(path: Path) -> str:
    """The suffix in small letters; of a gzipped file, both (".csv.gz")."""
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + suffix if suffix == ".gz" else suffix


def _folder(path: Path, **options: Any) -> Recording:
    from . import suite2p

    if suite2p.is_folder(path):
        return suite2p.open_folder(path, **options)
    if (path / "dataset_description.json").is_file():
        from .bids import open_bids

        return open_bids(path, **options)
    raise ValueError(
        f"The folder {path.name} is neither a suite2p folder (it has no F.npy) nor a BIDS data set (it has "
        "no dataset_description.json): name a file in it."
    )


def _npz(path: Path, **options: Any) -> Recording:
    from .files import is_saved, open_npz
    from .layouts import from_arrays

    if is_saved(path):
        return open_npz(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as err:
        raise ValueError(
            f"{path.name} is not a sound recording ({err}): it must be a .npz written by Recording.save, "
            "or hold arrays without pickle."
        ) from err
    return from_arrays(arrays, path, **options)


def _npy(path: Path, **options: Any) -> Recording:
    from .layouts import from_plain

    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise ValueError(f"{path.name} is not a sound array file ({err}): save it anew.") from err
    return from_plain(array, path, **options)


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


def _matlab(path: Path, **options: Any) -> Recording:
    from scipy.io import whosmat

    from .layouts import from_arrays

    try:
        variables = {name: kind for name, _, kind in whosmat(path)}
    except NotImplementedError:  # version 7.3 is HDF5
        return _hdf5(path, **options)
    except Exception as err:  # scipy raises a different kind for every way a file can be broken
        raise ValueError(f"{path.name} is not a sound MATLAB file ({err}): save it anew.") from err
    if variables.get("spikes") == "cell":
        return _matclust(path, **options)
    from scipy.io import loadmat

    return from_arrays(
        {n: loadmat(path, variable_names=[n])[n] for n in variables}, path, **options
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


def _hdf5(path: Path, **options: Any) -> Recording:
    from .events.speech import h5py_
    from .layouts import from_arrays

    h5py = h5py_()
    try:
        with h5py.File(path, "r") as file:
            if "spikes" in file and "times" in file["spikes"]:
                return _speech(path, **options)
            found: dict[str, Any] = {}
            file.visititems(lambda n, x: found.update({n: x}) if hasattr(x, "shape") else None)
            wanted = options.get("data")
            # MATLAB writes its columns first, so that its arrays come transposed
            turn = path.suffix.lower() == ".mat"
            arrays = {
                n: (x[()].T if turn else x[()])
                for n, x in found.items()
                if wanted in (None, n) and not n.startswith("#refs#")
            }
    except OSError as err:
        raise ValueError(f"{path.name} is not a sound HDF5 file ({err}): fetch it again.") from err
    return from_arrays(arrays, path, **options)


def _speech(path: Path, rate: float | int = 100.0) -> Recording:
    from .events import open_trials

    return open_trials(path).recording(rate)


def _events(path: Path, rate: float | int = 1000.0, **options: Any) -> Recording:
    from .events import read_events

    return read_events(path, **options).recording(rate)


def _table(path: Path, **options: Any) -> Recording:
    from .tables import open_table

    return open_table(path, **options)


def _mne(path: Path, **options: Any) -> Recording:
    from .bids import open_bids_file, root_of
    from .mnelib import open_raw

    return open_bids_file(path, **options) if root_of(path) else open_raw(path, **options)


def _nifti(path: Path, **options: Any) -> Recording:
    from .nifti import open_nifti

    return open_nifti(path, **options)


def _gifti(path: Path, **options: Any) -> Recording:
    from .gifti import open_gifti

    return open_gifti(path, **options)


def _nwb(path: Path, **options: Any) -> Recording:
    from .nwb import open_nwb

    return open_nwb(path, **options)


READERS: dict[str, Callable[..., Recording]] = {
    ".npz": _npz,
    ".nc": _netcdf,
    ".npy": _npy,
    ".mat": _matlab,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".nwb": _nwb,
    ".nii": _nifti,
    ".nii.gz": _nifti,
    ".gii": _gifti,
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), _table),
    **dict.fromkeys(
        (
            ".edf",
            ".bdf",
            ".gdf",
            ".vhdr",
            ".set",
            ".fif",
            ".fif.gz",
            ".sqd",
            ".con",
            ".cnt",
            ".ds",
            ".mff",
        ),
        _mne,
    ),
    **dict.fromkeys((".bin", ".dat", ".raw", ".aedat", ".aedat4", ".es"), _events),
}
"""Suffix -> reader(path, **options). A new format is a function here, or an entry from elsewhere."""
