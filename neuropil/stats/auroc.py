"""Area under the ROC curve with DeLong's interval and a permutation null."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from neuropil.stats.score import Score


def midranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean rank, along the last axis.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    x = np.asarray(x)
    if x.ndim > 1:
        return np.stack([midranks(row) for row in x])
    ordered = np.sort(x)
    return 0.5 * (np.searchsorted(ordered, x) + np.searchsorted(ordered, x, side="right") + 1)


def auroc(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    level: float = 0.95,
    permutations: int = 999,
    seed: int = 0,
) -> Score:
    """Chance that a positive scores above a negative (ties count one half), as a `Score`.

    The interval is DeLong's (DeLong et al. 1988), taken on the logit scale so that it stays within
    0 and 1; where all positives lie above all negatives (or below) its variance vanishes, and the
    exact bound 1 - (alpha / 2) ** (1 / min(m, n)) for a run without failure is used. The null
    shuffles the labels.

    >>> auroc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), permutations=99).value
    0.75
    """
    labels, scores = np.asarray(labels).ravel().astype(bool), np.asarray(scores, float).ravel()
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels do not match {len(scores)} scores")
    if not np.all(np.isfinite(scores)):
        raise ValueError("scores hold NaN or infinity: leave those pairs out")
    m, n = int(labels.sum()), int((~labels).sum())
    if m == 0 or n == 0:
        raise ValueError(f"an AUROC needs positives and negatives; these labels have {m} and {n}")
    ranks = midranks(scores)

    def area(positive):
        return (ranks[positive].sum() - m * (m + 1) / 2) / (m * n)

    value = float(area(labels))
    # DeLong: how each positive (negative) stands among the negatives (positives)
    above = (ranks[labels] - midranks(scores[labels])) / n
    below = 1 - (ranks[~labels] - midranks(scores[~labels])) / m
    variance = (above.var(ddof=1) / m if m > 1 else 0.25) + (
        below.var(ddof=1) / n if n > 1 else 0.25
    )
    if variance > 0 and 0 < value < 1:
        half = -ndtri((1 - level) / 2) * np.sqrt(variance) / (value * (1 - value))
        logit = np.log(value / (1 - value))
        low, high = (float(1 / (1 + np.exp(-(logit + s * half)))) for s in (-1, 1))
    else:
        room = 1 - ((1 - level) / 2) ** (1 / min(m, n))
        low, high = (max(0.0, value - room), min(1.0, value + room))
    rng = np.random.default_rng(seed)
    null = np.array([area(rng.permutation(labels)) for _ in range(permutations)])
    return Score(
        value, (low, high), 1.0, null if permutations else None, name="AUROC", level=level, n=m + n
    )
