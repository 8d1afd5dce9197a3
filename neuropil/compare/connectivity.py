"""How well a matrix of scores (post, pre) finds the edges of a known circuit, and their direction."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from neuropil.stats import Score, auroc


def edges(scores: np.ndarray, adjacency: np.ndarray, *, permutations: int = 999, seed: int = 0):
    """AUROC of true edges against all other ordered pairs, units with themselves left out.

    >>> a = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    >>> edges(a * 1.0, a, permutations=99).value
    1.0
    """
    scores, adjacency = _door(scores, adjacency)
    pairs = ~np.eye(len(scores), dtype=bool)
    return auroc(adjacency[pairs], scores[pairs], permutations=permutations, seed=seed)


def direction(scores: np.ndarray, adjacency: np.ndarray, level: float = 0.95) -> Score:
    """Share of true one-way edges j -> i whose score (i, j) is above (j, i); ties count one half.

    The interval is Clopper-Pearson's; the null flips a fair coin for each edge.

    >>> a = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    >>> direction(a.T * 1.0, a).value
    0.0
    """
    scores, adjacency = _door(scores, adjacency)
    one_way = adjacency & ~adjacency.T
    np.fill_diagonal(one_way, False)
    n = int(one_way.sum())
    if n == 0:
        raise ValueError("this circuit has no one-way edge, so no direction to find")
    ahead = scores[one_way] - scores.T[one_way]
    hits = float((ahead > 0).sum() + 0.5 * (ahead == 0).sum())
    tail = (1 - level) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    null = np.random.default_rng(0).binomial(n, 0.5, 999) / n
    return Score(hits / n, (low, high), 1.0, null, name="direction", level=level, n=n)


def _door(scores, adjacency):
    scores, adjacency = np.asarray(scores, float), np.asarray(adjacency).astype(bool)
    if scores.shape != adjacency.shape or scores.ndim != 2 or len(scores) != scores.shape[1]:
        raise ValueError(
            f"scores and adjacency must be the same square (post, pre), not {scores.shape} and "
            f"{adjacency.shape}"
        )
    off = ~np.eye(len(scores), dtype=bool)
    if not np.all(np.isfinite(scores[off])):
        raise ValueError("scores hold NaN or infinity off the diagonal")
    return scores, adjacency
