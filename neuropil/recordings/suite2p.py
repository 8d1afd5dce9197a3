"""suite2p's output folder: traces of ROIs, neuropil, deconvolved events, which are cells."""

from pathlib import Path

import numpy as np

from .lazy import Lazy
from .recording import Recording

_FILES = {"F": "F.npy", "neuropil": "Fneu.npy", "spks": "spks.npy", "dff": "F.npy"}


def is_folder(path: Path) -> bool:
    """Whether F.npy lies here or in plane0."""
    return (path / "F.npy").is_file() or (path / "plane0" / "F.npy").is_file()


def open_folder(
    path: Path,
    of: str = "F",
    *,
    rate: float | int | None = None,
    cells: bool = True,
    share: float | int = 0.7,
    window: float | int = 60.0,
    percentile: float | int = 8.0,
) -> Recording:
    """A recording (1, frame, ROI) of "F" (raw fluorescence), "neuropil", "spks" (deconvolved) or "dff":
    (G - G0) / G0 with G = F - share x neuropil, and G0 its running `percentile` over `window` s.

    `cells`: only ROIs that suite2p calls cells (iscell.npy); labels are suite2p's ROI numbers, the column
    `probability` its classifier's. Frames stay on disk but for "dff". suite2p keeps its frame rate and ROI
    centres in pickled files, which neuropil does not open, as a pickle can run anything: give `rate=` (frames
    per second). ValueError: files of unlike size, no cell, a baseline that is not positive.
    """
    path = Path(path)
    folder = path if (path / "F.npy").is_file() else path / "plane0"
    if of not in _FILES:
        raise ValueError(f"of={of!r}: choose among {', '.join(_FILES)}.")
    if rate is None:
        raise ValueError(
            "suite2p keeps the frame rate in ops.npy, a pickle, which is not opened here: give rate= "
            "(frames per second of a plane)."
        )
    traces = _load(folder / _FILES[of])
    raw = _load(folder / "F.npy")
    if traces.shape != raw.shape:
        raise ValueError(
            f"{_FILES[of]} has the shape {traces.shape} and F.npy {raw.shape}: one of them is cut short."
        )
    keep, columns = np.arange(len(raw)), {}
    if (folder / "iscell.npy").is_file():
        table = np.atleast_2d(_load(folder / "iscell.npy"))
        if len(table) != len(raw):
            raise ValueError(
                f"iscell.npy has {len(table)} rows for {len(raw)} ROIs: run suite2p again."
            )
        if cells:
            keep = np.flatnonzero(table[:, 0] > 0)
        columns = {"cell": table[keep, 0] > 0, "probability": table[keep, 1]}
    if not len(keep):
        raise ValueError(f"{path.name} has no ROI that suite2p calls a cell: give cells=False.")
    about = {"source": f"suite2p {path.name}, {of}"}
    more = {"rate": float(rate), "labels": keep, "columns": columns, "about": about}
    if of == "dff":
        other = _load(folder / "Fneu.npy")
        corrected = (raw[keep] - share * other[keep]).T.astype(float)
        about["baseline"] = f"percentile {percentile} over {window} s of F - {share} neuropil"
        return Recording.from_array(
            dff(corrected, rate, window, percentile)[None], unit="dF/F", **more
        )

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        return traces[keep[units], times].T[None]

    shape = (1, traces.shape[1], len(keep))
    return Recording.from_array(Lazy(shape, traces.dtype, read), unit="fluorescence", **more)


def dff(
    traces: np.ndarray, rate: float | int, window: float | int = 60.0, percentile: float | int = 8.0
) -> np.ndarray:
    """(f - f0) / f0 of traces (time, unit), f0 the running percentile over `window` s (mirrored at the ends).

    ValueError where f0 is not above 0: the ratio would mean nothing.
    """
    from scipy.ndimage import percentile_filter

    n = max(1, round(window * rate))
    base = percentile_filter(traces, percentile, size=(n, 1), mode="reflect")
    if not (base > 0).all():
        unit = int(np.argwhere(base <= 0)[0][1])
        raise ValueError(
            f"The baseline of unit {unit} falls to {base[:, unit].min():.3g}: subtract less neuropil or add an "
            "offset, as F / F0 means nothing there."
        )
    return (traces - base) / base


def _load(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path.name} in {path.parent.name}: is it a suite2p folder?"
        )
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as err:
        raise ValueError(
            f"{path.name} is not a sound array file ({err}): run suite2p again."
        ) from err
