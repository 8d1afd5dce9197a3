"""Macaque V4: spike counts to natural images (Cowley et al. 2023)."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from neuropil.recordings import Recording

SESSIONS = {"210325": "PE", "190923": "WE"}


@dataclass(frozen=True)
class V4Session:
    """One session: the images and the counts of spikes in 100 ms for each.

    `mean`: average over repeats; `repeats`: the single presentations, NaN where an image had fewer
    (None where only averages are at hand).
    """

    name: str
    animal: str
    images: UInt8[np.ndarray, "image 112 112 3"]
    mean: Float[np.ndarray, "unit image"]
    repeats: Float[np.ndarray, "unit image repeat"] | None
    about: dict[str, str]

    def recording(self) -> Recording:
        """One trial per presentation (or per image, for averages), one bin of 100 ms; the trials
        have the columns `stimulus` (number of the image) and `repeat`; rate 10 Hz, so time 0 is the
        beginning of the bin."""
        if self.repeats is None:
            n = self.mean.shape[1]
            data, columns = self.mean.T, {"stimulus": np.arange(n)}
            unit = "mean spikes"
        else:
            # (image, repeat, unit); a presentation either has all units or none
            each = np.moveaxis(self.repeats, 0, -1)
            image, repeat = np.nonzero(~np.isnan(each).all(-1))
            data, columns = each[image, repeat], {"stimulus": image, "repeat": repeat}
            unit = "spikes"
        valid = ~np.isnan(data)[:, None]
        return Recording.from_array(
            data[:, None],
            rate=10.0,
            unit=unit,
            mask=None if valid.all() else valid,
            trials=columns,
            about=self.about,
        )

    def __repr__(self) -> str:
        units, images = self.mean.shape
        return f"V4Session({self.name}, animal {self.animal}: {units} units, {images} images)"


def load_v4(paths: dict[str, Path], about: dict[str, str]) -> dict[str, V4Session]:
    """Both sessions by name."""
    out = {}
    for name, animal in SESSIONS.items():
        images = read_images(paths[f"images_{name}.zip"])
        mean = _array(paths[f"responses_avg_{name}.npy"])
        raw = paths.get(f"responses_raw_{name}")
        repeats = _array(raw) if raw else None
        if len(images) != mean.shape[1] or (
            repeats is not None and repeats.shape[:2] != mean.shape
        ):
            raise ValueError(
                f"V4 session {name} has {len(images)} images but responses of shape {mean.shape}: "
                "run verify('macaque-v4')."
            )
        out[name] = V4Session(name, animal, images, mean, repeats, about)
    return out


def read_images(path: Path) -> UInt8[np.ndarray, "image 112 112 3"]:
    """All JPEGs of a zip in the order of their names."""
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        return np.stack(
            [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names]
        )


def _array(path: Path) -> np.ndarray:
    array = np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        array = array["responses"]
    return array.astype(np.float64)
