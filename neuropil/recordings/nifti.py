"""fMRI volumes as a recording: a unit a voxel, positions in the scanner's or the atlas' millimetres."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .lazy import Lazy
from .recording import Recording

_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def open_nifti(path: Path, *, mask: Any = None, rate: float | int | None = None) -> Recording:
    """A 4-D NIfTI file, left on disk: (1, volume, voxel), labels "i,j,k", positions in mm by the affine.

    `mask`: a NIfTI file or an array of the volume's shape; voxels that are 0 in it are left out. `rate`:
    volumes per second, where the header has no repetition time. Scaling of the header is applied. The grid and
    its affine are in `about`, so that values of voxels become an image again (`compare.brainmaps`). ValueError:
    not 4-D, a mask of another shape, no repetition time.
    """
    try:
        import nibabel
    except ImportError as err:
        raise ImportError("NIfTI files need nibabel: pip install neuropil[recordings]") from err
    try:
        image = nibabel.load(path)
        shape = image.shape
    except Exception as err:  # nibabel has an error of its own for each way a file can be broken
        raise ValueError(f"{path.name} is not a sound NIfTI file ({err}): fetch it again.") from err
    if len(shape) != 4:
        raise ValueError(
            f"{path.name} has the shape {shape}: a recording needs four axes, time the last."
        )
    step = float(image.header.get_zooms()[3]) * _SECONDS.get(image.header.get_xyzt_units()[1], 1.0)
    if rate is None and not step > 0:
        raise ValueError(
            f"{path.name} does not say its repetition time: give rate= (volumes per second)."
        )
    inside = np.ones(shape[:3], bool)
    if mask is not None:
        given = (
            np.asarray(nibabel.load(mask).dataobj)
            if isinstance(mask, str | Path)
            else np.asarray(mask)
        )
        if given.shape != shape[:3]:
            raise ValueError(f"The mask has the shape {given.shape} and the volumes {shape[:3]}.")
        inside = given != 0
    voxels = np.argwhere(inside)

    def read(trials: slice, times: slice, units: slice) -> np.ndarray:
        try:
            block = np.asarray(image.dataobj[..., times])
        except Exception as err:  # gzip, zlib, OSError: a file cut in the middle shows only here
            raise ValueError(f"{path.name} is cut short ({err}): fetch it again.") from err
        i, j, k = voxels[units].T
        return block[i, j, k].T[None]

    return Recording.from_array(
        Lazy((1, shape[3], len(voxels)), np.float64, read),
        rate=1 / step if rate is None else rate,
        unit="BOLD",
        labels=[f"{i},{j},{k}" for i, j, k in voxels],
        positions=nibabel.affines.apply_affine(image.affine, voxels),
        positions_unit="mm",
        about={
            "source": path.name,
            "grid": json.dumps(list(shape[:3])),
            "affine": json.dumps(np.asarray(image.affine, float).tolist()),
        },
    )
