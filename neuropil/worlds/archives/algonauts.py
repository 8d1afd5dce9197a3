"""The folders of Algonauts 2023: written for data of one's own, test images, and the submission.

`open_algonauts` (beside this) reads the training responses. Source: Gifford et al. (2023), arXiv:2301.03198,
and the challenge's website; the organisers' code is for non-commercial use and nothing here is from it.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SUBJECTS = tuple(f"subj{i:02d}" for i in range(1, 9))
TRAIN = (9841, 9841, 9082, 8779, 9841, 9082, 9841, 8779)
TEST = (159, 159, 293, 395, 159, 293, 159, 395)
VERTICES = {
    "lh": (19_004,) * 5 + (18_978, 19_004, 18_981),
    "rh": (20_544,) * 5 + (20_220, 20_544, 20_530),
}


def write_subject(
    folder: str | Path,
    *,
    train: Mapping[str, np.ndarray],
    train_images: np.ndarray,
    test_images: np.ndarray,
    train_ids: np.ndarray,
    test_ids: np.ndarray,
    regions: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """A subject's folder ("subj01") in the challenge's form, as `open_algonauts` and `image_paths` read it.

    `train`: {"lh": (image, vertex), "rh": ...} responses; images (image, y, x, 3) in bytes; `*_ids`: their
    numbers in NSD, from 0; `regions`: {"lh.prf-visualrois": a number a vertex, ...}.

    Raises ValueError where images, ids and responses are not as many.
    """
    folder = Path(folder)
    for images, ids, what in (
        (train_images, train_ids, "training"),
        (test_images, test_ids, "test"),
    ):
        if len(images) != len(ids) or np.asarray(images).dtype != np.uint8:
            raise ValueError(
                f"There are {len(images)} {what} images in bytes and {len(ids)} numbers of NSD."
            )
    for side in ("lh", "rh"):
        if len(train[side]) != len(train_images):
            raise ValueError(
                f"{side} has responses to {len(train[side])} of {len(train_images)} images."
            )
    fmri = folder / "training_split/training_fmri"
    fmri.mkdir(parents=True, exist_ok=True)
    for side in ("lh", "rh"):
        np.save(fmri / f"{side}_training_fmri.npy", np.asarray(train[side], np.float32))
    _images(folder / "training_split/training_images", "train", train_images, train_ids)
    _images(folder / "test_split/test_images", "test", test_images, test_ids)
    for name, numbers in (regions or {}).items():
        masks = folder / "roi_masks"
        masks.mkdir(exist_ok=True)
        np.save(masks / f"{name}_challenge_space.npy", np.asarray(numbers, np.int32))
    return folder


def _images(folder: Path, what: str, images: np.ndarray, ids: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for i, (image, number) in enumerate(zip(images, ids, strict=True), 1):
        Image.fromarray(image).save(folder / f"{what}-{i:04d}_nsd-{int(number):05d}.png")


def image_paths(folder: str | Path, split: str = "test") -> list[Path]:
    """The images of a split ("training" or "test"), in the order of their names: that of the rows.

    Raises FileNotFoundError where there is none.
    """
    short = {"training": "train", "test": "test"}[split]
    found = sorted((Path(folder) / f"{split}_split/{split}_images").glob(f"{short}-*.png"))
    if not found:
        raise FileNotFoundError(f"There are no {split} images in {Path(folder).name}.")
    return found


def read_images(paths: list[Path]) -> np.ndarray:
    """Images (image, y, x, 3) in bytes. ValueError: images of unlike size."""
    from PIL import Image

    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    if len({a.shape for a in arrays}) != 1:
        raise ValueError("The images are of unlike size.")
    return np.stack(arrays)


def write_submission(
    path: str | Path,
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    root: str | Path | None = None,
) -> Path:
    """A submission (.zip): {"subj01": {"lh": (test image, vertex), "rh": ...}, ...}, float32.

    Each subject's folder holds `lh_pred_test.npy` and `rh_pred_test.npy`. `root`: the folder of the subjects,
    to check that there are as many rows as test images and as many columns as vertices.

    Raises ValueError: not all eight subjects, NaN, rows or columns that do not agree.
    """
    path = Path(path)
    missing = [s for s in SUBJECTS if s not in predictions]
    if missing:
        raise ValueError(f"The submission lacks {', '.join(missing)}.")
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for subject in SUBJECTS:
            for side in ("lh", "rh"):
                values = np.asarray(predictions[subject][side], np.float32)
                _agrees(subject, side, values, root)
                with file.open(f"{subject}/{side}_pred_test.npy", "w") as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)
    shutil.move(part, path)
    return path


def _agrees(subject, side, values, root):
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(
            f"{subject} {side}: {values.shape} must be (image, vertex), without NaN or infinity."
        )
    if root is None:
        return
    folder = Path(root) / subject
    seen = np.load(folder / f"training_split/training_fmri/{side}_training_fmri.npy", mmap_mode="r")
    want = (len(image_paths(folder)), seen.shape[1])
    if values.shape != want:
        raise ValueError(f"{subject} {side}: predictions are {values.shape} and must be {want}.")


def read_submission(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """What `write_submission` wrote. ValueError: a file that is missing in it."""
    out: dict[str, dict[str, np.ndarray]] = {}
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
        for subject in SUBJECTS:
            for side in ("lh", "rh"):
                name = f"{subject}/{side}_pred_test.npy"
                if name not in names:
                    raise ValueError(f"{Path(path).name} lacks {name}.")
                with file.open(name) as entry:
                    values = np.lib.format.read_array(entry, allow_pickle=False)
                out.setdefault(subject, {})[side] = values
    return out
