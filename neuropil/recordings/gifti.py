"""Data on a cortical surface (GIFTI) as a recording: a unit a vertex."""

from pathlib import Path
from typing import Any

import numpy as np

from .recording import Recording


def _load(path: Path):
    try:
        import nibabel
    except ImportError as err:
        raise ImportError("GIFTI files need nibabel: pip install neuropil[recordings]") from err
    try:
        image = nibabel.load(path)
        arrays = [np.asarray(d.data) for d in image.darrays]
    except (
        Exception
    ) as err:  # an XML parser has errors of its own for each way a file can be broken
        raise ValueError(f"{path.name} is not a sound GIFTI file ({err}): fetch it again.") from err
    if not arrays:
        raise ValueError(f"{path.name} holds no data.")
    return image, arrays


def open_gifti(
    path: Path, *, rate: float | int | None = None, surface: Any = None, mask: Any = None
) -> Recording:
    """Values of a surface over time (.func.gii, .shape.gii): (1, time, vertex), labels 0, 1, ...

    `rate`: samples per second, where the file does not say its TimeStep (one sample: 1); `surface`: a .surf.gii
    file, whose coordinates become the positions in mm; `mask`: an array or a .gii with a number for each
    vertex; vertices with 0 are left out. ValueError: a broken file, arrays of unlike length, no rate, a file of
    coordinates.
    """
    path = Path(path)
    image, arrays = _load(path)
    if any(d.intent == 1008 for d in image.darrays):
        raise ValueError(f"{path.name} holds coordinates of a surface: give it as surface=.")
    values = np.stack(arrays) if arrays[0].ndim == 1 else arrays[0].T
    if arrays[0].ndim == 1 and len({len(a) for a in arrays}) > 1:
        raise ValueError(f"The arrays of {path.name} are of unlike length.")
    step = dict(image.meta).get("TimeStep") or dict(image.darrays[0].meta).get("TimeStep")
    if rate is None and step is None and len(values) > 1:
        raise ValueError(f"{path.name} does not say its TimeStep: give rate= (samples per second).")
    if rate is None:
        rate = 1.0 if step is None else 1000 / float(step)
    labels, positions = np.arange(values.shape[1]), None
    if surface is not None:
        positions = read_surface(surface)[0]
        if len(positions) != values.shape[1]:
            raise ValueError(
                f"{path.name} has {values.shape[1]} vertices and the surface {len(positions)}."
            )
    if mask is not None:
        given = _load(Path(mask))[1][0] if isinstance(mask, str | Path) else np.asarray(mask)
        if given.shape != labels.shape:
            raise ValueError(f"The mask has {given.shape} values for {len(labels)} vertices.")
        inside = given != 0
        values, labels = values[:, inside], labels[inside]
        positions = None if positions is None else positions[inside]
    return Recording.from_array(
        values[None],
        rate=rate,
        unit="BOLD",
        labels=labels,
        positions=positions,
        positions_unit="mm",
        about={"source": path.name},
    )


def read_surface(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (vertex, 3) in mm and triangles (face, 3) of a .surf.gii file. ValueError: it holds none."""
    image, arrays = _load(Path(path))
    kinds = {d.intent: a for d, a in zip(image.darrays, arrays, strict=True)}
    if 1008 not in kinds or 1009 not in kinds:
        raise ValueError(f"{Path(path).name} holds no surface (coordinates and triangles).")
    return kinds[1008].astype(float), kinds[1009].astype(int)
