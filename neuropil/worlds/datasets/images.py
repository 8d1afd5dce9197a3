"""Labelled image sets: MNIST, Fashion-MNIST and scikit-learn's embedded digits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from .idx import read_idx

_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}


@dataclass(frozen=True)
class Images:
    """Grey-level images 0..255 with labels, split in training and test part.

    `classes[label]` is the name of a label; `source` says where the data are from.

    >>> import numpy as np
    >>> x, y = np.zeros((4, 8, 8), np.uint8), np.zeros(4, np.uint8)
    >>> Images(x, y, x, y, name="toy", source="made up", classes=("none",)).shape
    (8, 8)
    """

    train_x: UInt8[np.ndarray, "train height width"]
    train_y: UInt8[np.ndarray, " train"]
    test_x: UInt8[np.ndarray, "test height width"]
    test_y: UInt8[np.ndarray, " test"]
    name: str
    source: str
    classes: tuple[str, ...]

    def __post_init__(self):
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
                raise ValueError(
                    f"The {part} part of {self.name} has images of shape {x.shape} and labels of "
                    f"shape {y.shape}: give (n, height, width) and (n,)."
                )
            if len(y) and y.max() >= len(self.classes):
                raise ValueError(
                    f"The {part} part of {self.name} has label {y.max()} but only "
                    f"{len(self.classes)} class names: name every class."
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        return self.train_x.shape[1:]

    def __repr__(self) -> str:
        h, w = self.shape
        return (
            f"Images({self.name}: {len(self.train_y)} training and {len(self.test_y)} test images "
            f"of {h} x {w}, {len(self.classes)} classes)"
        )


def load_idx_set(name: str, paths: dict[str, Path], source: str) -> Images:
    """An MNIST-like set from its four idx files."""
    arrays = [
        read_idx(paths[f"{part}-{kind}"], shape)
        for part, n in (("train", 60000), ("t10k", 10000))
        for kind, shape in (
            ("images-idx3-ubyte.gz", (n, 28, 28)),
            ("labels-idx1-ubyte.gz", (n,)),
        )
    ]
    return Images(*arrays, name=name, source=source, classes=_CLASSES[name])


def load_digits(source: str) -> Images:
    """scikit-learn's 1,797 digits of 8 x 8 pixels; grey levels 0..16 are stretched to 0..255.

    The split is fixed and needs no random numbers: of every class, in the order of the file, the
    images 0, 5, 10, ... are test images (364), the others training images (1,433).
    """
    from sklearn.datasets import load_digits as embedded

    bunch = embedded()
    x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    y = bunch.target.astype(np.uint8)
    rank = np.zeros(len(y), int)
    for label in range(10):
        of_class = np.flatnonzero(y == label)
        rank[of_class] = np.arange(len(of_class))
    test = rank % 5 == 0
    return Images(
        x[~test],
        y[~test],
        x[test],
        y[test],
        name="digits",
        source=source,
        classes=_CLASSES["mnist"],
    )
