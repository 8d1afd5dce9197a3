"""What may be exchanged under the null: orders of rows, and signs. All are drawn beforehand, as arrays.

A permutation test is valid only where its rearrangements leave the distribution of the data as it is when there
is nothing to find. Which ones do depends on how the data came about, so that is a choice of its own:

| under the null | rearrangements |
|---|---|
| rows are exchangeable | `shuffles(n, draws)` |
| rows are exchangeable within a subject, session or run | `shuffles(n, draws, within=labels)` |
| only whole blocks are exchangeable (rows of a block hang together) | `block_shuffles(blocks, draws)` |
| the row is a tick of a stationary series | `shifts(n, draws, at_least)` (of `resample`) |
| the sign of a difference is as likely + as - | `sign_flips(n, draws)` |

Source: Winkler, Ridgway, Webster, Smith, Nichols (2014), NeuroImage 92, 381; Good (2005).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from neuropil.stats.score import Score


def shuffles(
    n: int, draws: int, *, within: Sequence | np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Random orders (draw, n) of n rows. `within`: a label a row; rows then change places only with rows of the
    same label, so that what a label's rows have in common (a subject's mean) stays under the null.

    >>> order = shuffles(6, 20, within=[0, 0, 0, 1, 1, 1])
    >>> order.shape, bool((order[:, :3] < 3).all())
    ((20, 6), True)

    Raises ValueError for labels of another length, and where no two rows may change places.
    """
    labels = np.zeros(n, int) if within is None else _labels(within, n, "within")
    if len(labels) == len(np.unique(labels)):
        raise ValueError(
            "no two rows share a label, so nothing may change places: give labels of groups, or None"
        )
    rng = np.random.default_rng(seed)
    by_label = np.argsort(labels, kind="stable")
    out = np.empty((draws, n), int)
    # a random number a row, sorted first by label: each label's rows come in a random order
    for order in out:
        order[by_label] = np.lexsort((rng.random(n), labels))
    return out


def block_shuffles(blocks: Sequence | np.ndarray, draws: int, *, seed: int = 0) -> np.ndarray:
    """Random orders (draw, n) in which whole blocks change places; the rows of a block keep their order, and so
    what hangs together within it. Blocks change places only with blocks of the same number of rows.

    >>> block_shuffles([0, 0, 1, 1], 50).tolist()[:1] in ([[0, 1, 2, 3]], [[2, 3, 0, 1]])
    True

    Raises ValueError where no two blocks are equally long.
    """
    blocks = np.asarray(blocks)
    labels = _labels(blocks, len(blocks), "blocks")
    rows = [np.flatnonzero(labels == k) for k in range(labels.max() + 1)]
    sizes = np.array([len(r) for r in rows])
    if len(np.unique(sizes)) == len(sizes):
        raise ValueError(
            f"no two of the {len(sizes)} blocks are equally long, so none may change places: cut them to one "
            "length"
        )
    rng = np.random.default_rng(seed)
    out = np.empty((draws, len(blocks)), int)
    for order in out:
        for size in np.unique(sizes):
            alike = np.flatnonzero(sizes == size)
            for to, source in zip(alike, rng.permutation(alike), strict=True):
                order[rows[to]] = rows[source]
    return out


def sign_flips(
    n: int, draws: int, *, together: Sequence | np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Signs (draw, n) of +1 and -1. `together`: a label a row; rows of one label (sessions of a subject) flip
    as one. Where there are no more than `draws` ways to flip, all of them but the identity are given, once
    each: the p value is then exact and the number of rows of the result smaller than `draws`.

    >>> sign_flips(2, 100).tolist()
    [[1, -1], [-1, 1], [-1, -1]]
    """
    labels = np.arange(n) if together is None else _labels(together, n, "together")
    units = int(labels.max()) + 1
    if units < 30 and 2**units - 1 <= draws:
        signs = np.array(list(itertools.product((1, -1), repeat=units)))[1:]
    else:
        signs = 2 * np.random.default_rng(seed).integers(0, 2, (draws, units)) - 1
    return signs[:, labels]


def sign_flip(
    x: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray | float] | None = None,
    *,
    draws: int = 1000,
    together: Sequence | np.ndarray | None = None,
    tail: str = "two-sided",
    name: str = "mean",
    seed: int = 0,
) -> Score:
    r"""Is the mean of x zero? x is (row,) or (row, target): differences of a pair, accuracy above chance, ...

    Under the null each row (each label of `together`) is as likely to be -x as x: symmetry about zero, not
    normality. `statistic(x)` is the mean over rows by default. The draws are shared by all targets, so that
    `family_wise` may correct over them.

    >>> sign_flip(np.array([0.3, 0.5, 0.2, 0.4, 0.6, 0.1])).p  # all positive: 2 of 2^6 sign patterns
    0.03125

    Raises ValueError for NaN and fewer than 2 rows.
    """
    x = np.asarray(x, float)
    if x.ndim not in (1, 2) or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"x {x.shape} must be (row,) or (row, target), 2 rows or more and all finite: leave rows out"
        )
    signs = sign_flips(len(x), draws, together=together, seed=seed)
    if statistic is None:
        value, null = x.mean(0), signs @ x / len(x)
    else:
        flip = signs if x.ndim == 1 else signs[:, :, None]
        value, null = statistic(x), np.array([statistic(s * x) for s in flip], float)
    value = float(value) if np.ndim(value) == 0 else np.asarray(value)
    return Score(value, null=null, name=name, n=len(x), tail=tail)


def _labels(given, n: int, what: str) -> np.ndarray:
    """Labels as numbers from 0."""
    given = np.asarray(given)
    if given.shape != (n,):
        raise ValueError(f"{what} has shape {given.shape}: give one label for each of {n} rows")
    return np.unique(given, return_inverse=True)[1]
