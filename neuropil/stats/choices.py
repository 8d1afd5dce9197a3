"""Scores of classifiers: balanced accuracy and information transfer rate, with interval and null."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from neuropil.stats.information import information_transfer_rate
from neuropil.stats.resample import permutation
from neuropil.stats.score import Score


def wilson_interval(
    hits: float | int | np.ndarray, n: float | int | np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share, hits of n: it stays within 0 and 1, and has a width at both ends.

    >>> [round(float(x), 3) for x in wilson_interval(10, 10)]
    [0.722, 1.0]
    """
    z2 = ndtri(0.5 + level / 2) ** 2
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    middle = (hits + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (hits * (n - hits) / n + z2 / 4)) / (n + z2)
    low, high = np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)
    return np.asarray(low), np.asarray(high)


def balanced_accuracy(
    truth: np.ndarray,
    said: np.ndarray,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Mean over classes of the share of their trials that were named right: chance is 1 / classes however
    unlike their sizes.

    The interval joins the classes' Wilson intervals by their squared distances from the shares (Zou, Donner
    2008, Stat. Med. 27:1693); the null permutes what was said, so trials must be exchangeable.

    >>> score = balanced_accuracy(np.repeat([0, 1], [90, 10]), np.zeros(100), draws=99)
    >>> score.value, score.p
    (0.5, 1.0)

    Raises ValueError for labels of unlike number, and fewer than 2 classes in the truth.
    """
    truth, said = _labels(truth, said)
    classes, index = np.unique(truth, return_inverse=True)
    sizes = np.bincount(index)

    def recall(said):
        return np.bincount(index, weights=said == truth) / sizes

    score = permutation(
        lambda a, _: recall(a).mean(), said, truth, draws=draws, name="balanced accuracy", seed=seed
    )
    shares = recall(said)
    low, high = wilson_interval(shares * sizes, sizes, level)
    far = lambda end: float(np.sqrt(((shares - end) ** 2).sum()) / len(classes))
    return replace(score, interval=(score.value - far(low), score.value + far(high)), level=level)


def transfer_rate(
    truth: np.ndarray,
    said: np.ndarray,
    seconds: float | int,
    *,
    classes: int | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Information transfer rate in bits a minute (`information_transfer_rate`) of choices of `seconds` each.

    `classes`: how many there were to choose from (None: those in the truth). The interval is Wilson's of the
    accuracy, through the formula, which rises with it; the null permutes what was said.

    >>> truth = np.tile(np.arange(4), 10)
    >>> transfer_rate(truth, truth, 2.0, draws=99)
    Score(information transfer rate, bits/min = 60.000 [42.979, 60.000], null 0.321 sd 0.615, p = 0.01)

    Raises ValueError as `balanced_accuracy`, for fewer classes than the truth has, and no time.
    """
    truth, said = _labels(truth, said)
    found = len(np.unique(truth))
    classes = found if classes is None else classes
    if classes < found:
        raise ValueError(f"classes = {classes}, but the truth has {found}")
    rate = lambda p: information_transfer_rate(p, classes, seconds)
    score = permutation(
        lambda a, b: rate(float((a == b).mean())),
        said,
        truth,
        draws=draws,
        name="information transfer rate, bits/min",
        seed=seed,
    )
    low, high = wilson_interval(int((said == truth).sum()), len(truth), level)
    return replace(score, interval=(rate(float(low)), rate(float(high))), level=level)


def _labels(truth, said):
    truth, said = np.asarray(truth), np.asarray(said)
    if truth.ndim != 1 or truth.shape != said.shape:
        raise ValueError(
            f"truth and what was said must be (trial,) alike, not {truth.shape}, {said.shape}"
        )
    if len(np.unique(truth)) < 2:
        raise ValueError("the truth needs at least 2 classes")
    return truth, said
