"""Scores drawn where they were measured: on a glass brain, or on a surface; by nilearn.

pip install neuropil[fmri]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from neuropil.recordings import Recording
from neuropil.stats import Score


def _plotting():
    try:
        from nilearn import plotting
    except ImportError as err:
        raise ImportError("maps of a brain need nilearn: pip install neuropil[fmri]") from err
    return plotting


def _values(score: Score | np.ndarray, units: int) -> np.ndarray:
    values = np.asarray(score.value if isinstance(score, Score) else score, float)
    if values.shape != (units,):
        raise ValueError(f"There are {values.shape} values for {units} units: give one for each")
    return values


def volume(score: Score | np.ndarray, recording: Recording, *, fill: float = np.nan) -> Any:
    """A NIfTI image of one value a voxel; voxels that were not recorded are `fill`.

    `recording` was read from a NIfTI file (it knows its grid) and has as many units as there are values.

    Raises ValueError for another number of values, and for recordings of no volume.
    """
    import nibabel

    values = _values(score, recording.shape[2])
    if "grid" not in recording.about or "affine" not in recording.about:
        raise ValueError(
            "The recording does not know its grid of voxels: read it from a NIfTI file"
        )
    data = np.full(tuple(json.loads(recording.about["grid"])), fill)
    at = np.array([str(name).split(",") for name in recording.data["unit"].values], int)
    data[tuple(at.T)] = values
    return nibabel.Nifti1Image(data, np.array(json.loads(recording.about["affine"])))


def glass_brain(
    score: Score | np.ndarray, recording: Recording, *, title: str = "", **options: Any
):
    """Figure of values of voxels in a transparent brain (largest along each line of sight).

    The outline is that of the MNI template, so positions must be in MNI space for it to mean anything.
    `options` go to nilearn's `plot_glass_brain`; the scale is symmetric about 0 unless they say otherwise.

    Raises as `volume` does; ImportError without nilearn.
    """
    import matplotlib.pyplot as plt

    plotting = _plotting()
    figure = plt.figure(figsize=(8, 3))
    settings = {"plot_abs": False, "colorbar": True, "threshold": None, "cmap": "RdBu_r"} | options
    image = volume(score, recording, fill=0.0)
    plotting.plot_glass_brain(image, figure=figure, title=title or _name(score), **settings)
    return figure


def surface_map(
    score: Score | np.ndarray,
    mesh: str | Path | tuple[np.ndarray, np.ndarray],
    *,
    vertices: np.ndarray | None = None,
    title: str = "",
    **options: Any,
):
    """Figure of values of vertices on a mesh: an inflated surface, or a flat one (a flat map).

    `mesh`: a .surf.gii file, or (coordinates, triangles); `vertices`: which vertex each value belongs to, where
    not all of them have one. `options` go to nilearn's `plot_surf` (hemi, view, bg_map, ...). A flat mesh is
    seen from above.

    Raises ValueError where there are not as many values as vertices; ImportError without nilearn.
    """
    import matplotlib.pyplot as plt

    from neuropil.recordings.gifti import read_surface

    plotting = _plotting()
    coordinates, triangles = read_surface(mesh) if isinstance(mesh, str | Path) else mesh
    coordinates = np.asarray(coordinates, float)
    values = np.full(len(coordinates), np.nan)
    at = np.arange(len(coordinates)) if vertices is None else np.asarray(vertices, int)
    values[at] = _values(score, len(at))
    if np.ptp(coordinates[:, 2]) == 0:  # flat: seen along its own axis
        options = {"view": (90, 270)} | options
    figure = plt.figure(figsize=(5, 4))
    axes = figure.add_subplot(projection="3d")
    settings = {"cmap": "RdBu_r", "colorbar": True} | options
    plotting.plot_surf(
        [coordinates, np.asarray(triangles)],
        values,
        figure=figure,
        axes=axes,
        title=title or _name(score),
        **settings,
    )
    return figure


def _name(score: Score | np.ndarray) -> str:
    return score.name if isinstance(score, Score) else ""
