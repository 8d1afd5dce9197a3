"""Images, recordings and a planted brain of brain_model_convergence.py."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core.random import fold
from neuropil.papers.compare._convergence_net import fresh, tokens, trained
from neuropil.stats import reliability
from neuropil.worlds import datasets
from neuropil.worlds.views import phase_scrambled, resized

STORED, SIDE = 64, 48  # pixels of a training image, and of what a network sees
TIMES = np.arange(0, 300, 20)  # ms
DELAY, WIDTH = (
    40.0,
    25.0,
)  # of an area's answer after that of the one before it, and its deviation (ms)
FIRST = 60.0


@dataclass(frozen=True)
class Planted:
    """A brain with known hierarchy: area a reads level a of a network, FIRST + a DELAY ms late.

    `voxels` (image, voxel) of `area` (voxel,), whose number is its distance from the first; `sensors` (image,
    sensor * time), each a sum over areas.
    """

    voxels: np.ndarray
    area: np.ndarray
    sensors: np.ndarray


@dataclass(frozen=True)
class Data:
    """Training images by kind (image, STORED, STORED), stimuli (image, SIDE, SIDE), recordings of them.

    `levels` of the network that the planted brain is made of (image, feature);
    `v4` (repeat, image, neuron) and `reliable` (neuron,); `objects` (92, SIDE, SIDE), `human` (session,
    subject, pair) and `monkey` (pair,) of IT. None where the recordings are not at hand.
    """

    train: dict[str, np.ndarray]
    stimuli: np.ndarray
    levels: list[np.ndarray]
    v4: np.ndarray | None = None
    reliable: np.ndarray | None = None
    objects: np.ndarray | None = None
    human: np.ndarray | None = None
    monkey: np.ndarray | None = None


def grey(images: np.ndarray, side: int) -> np.ndarray:
    """Luminance about 0, at another size: (image, row, column[, rgb]) of 0..255."""
    images = np.asarray(images, np.float32)
    if images.ndim == 4:
        images = images @ np.array([0.299, 0.587, 0.114], np.float32)
    small = [
        np.asarray(resized(jnp.asarray(part), side))
        for part in np.array_split(images, 1 + len(images) // 256)
    ]
    return (np.concatenate(small) - 127.5) / 64.0


def kinds(natural: np.ndarray, fashion: np.ndarray) -> dict[str, np.ndarray]:
    """The same number of natural images, of those without their content, and of clothes."""
    scrambled = phase_scrambled(natural, np.random.default_rng(0)).astype(np.float32)
    return {"natural": natural, "scrambled": scrambled, "fashion": fashion[: len(natural)]}


def plant(levels: list[np.ndarray], settings: dict, seed: int) -> Planted:
    """Voxels and sensors over the levels (image, component) of a network; `noise` is a deviation, signal 1."""
    s, rng = settings, np.random.default_rng([seed, 1])

    def mixed(x, count):
        x = x @ rng.normal(size=(x.shape[1], count))
        return x / x.std(0)

    area = np.repeat(np.arange(len(levels)), s["voxels"])
    seen = np.concatenate([mixed(x, s["voxels"]) for x in levels], 1)
    bump = lambda a: np.exp(-((TIMES - FIRST - DELAY * a) ** 2) / (2 * WIDTH**2))
    felt = sum(mixed(x, s["sensors"])[:, :, None] * bump(a) for a, x in enumerate(levels))
    felt = felt.reshape(len(seen), -1)
    blur = lambda x: (x + s["noise"] * rng.normal(size=x.shape)).astype(np.float32)
    return Planted(blur(seen), area, blur(felt))


def load(settings: dict) -> Data:
    """Recordings where they are (images of one session to train on, of the other to test), else digits."""
    s = settings
    if s["data"] == "digits":
        digits = datasets.load("digits")
        natural = grey(digits.train_x, STORED)[: s["images"]]
        train = kinds(natural, grey(digits.train_x[::-1], STORED))
        stimuli = grey(digits.test_x, SIDE)[: s["stimuli"]]
        return Data(train, stimuli, _brain(s, natural, stimuli))
    sessions = datasets.load("macaque-v4", progress=False)
    test, rdms = sessions["210325"], datasets.load("rdm-92images", progress=False)
    natural = grey(sessions["190923"].images, STORED)[: s["images"]]
    clothes = datasets.load("fashion-mnist", progress=False)
    train = kinds(natural, grey(clothes.train_x[: s["images"]], STORED))
    stimuli = grey(test.images, SIDE)[: s["stimuli"]]
    repeats = np.moveaxis(test.repeats, 0, -1).swapaxes(0, 1)[:, : s["stimuli"]]
    pair = np.triu_indices(92, 1)
    human = rdms.human_it[:, :, *pair].swapaxes(0, 1)
    return Data(
        train, stimuli, _brain(s, natural, stimuli), repeats, np.maximum(reliability(repeats), 0),
        grey(rdms.images, SIDE), human, rdms.monkey_it[pair],
    )  # fmt: skip


def _brain(s: dict, natural: np.ndarray, stimuli: np.ndarray) -> list[np.ndarray]:
    """Levels of a network of its own weights and batches, trained on the natural images."""
    key = fold(jr.key(0), "the planted brain")
    carry, trainer = fresh(s, s["width"], key)
    carry = trained(trainer, carry, natural, 0, s["steps"][-1], s["batch"])
    return [flat(x) for x in tokens(trainer.model(carry).network, stimuli)]


def components(x: np.ndarray, count: int) -> np.ndarray:
    """The first principal components of features (image, feature), each of variance 1.

    A planted voxel mixes them alike; mixing the features themselves would read the few largest directions,
    which all levels of a network with a residual stream share.
    """
    u, _, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return u[:, :count] * np.sqrt(len(x))


def flat(x: np.ndarray) -> np.ndarray:
    """Patches of a level (image, 1 + patch, width) as one row an image; the class token is left out."""
    return x[:, 1:].reshape(len(x), -1)


def class_token(x: np.ndarray) -> np.ndarray:
    """The class token of a level (image, width)."""
    return x[:, 0]
