"""Many tests at once: which of them still stand. Adjusted p values are compared with the level as they are."""

from __future__ import annotations

import numpy as np
from scipy import stats

from neuropil.stats.score import Score


def _checked(p) -> tuple[np.ndarray, np.ndarray]:
    p = np.asarray(p, float)
    there = np.isfinite(p)
    if not there.any():
        raise ValueError("there is no finite p value to correct")
    if np.any((p[there] < 0) | (p[there] > 1)):
        raise ValueError("a p value lies between 0 and 1")
    return p, there


def fdr(p: np.ndarray, *, dependent: bool = False) -> np.ndarray:
    """Adjusted p values by Benjamini and Hochberg: what is called significant at q holds on average no more
    than a share q of false findings. `dependent=True`: by Benjamini and Yekutieli, for tests that depend on
    each other in any way (the first holds for independent and positively dependent ones). NaN stay NaN and do
    not count as tests. scipy's `false_discovery_control` computes it.

    >>> fdr(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]

    Source: Benjamini, Hochberg (1995), J. R. Stat. Soc. B 57, 289; Benjamini, Yekutieli (2001), Ann. Stat. 29,
    1165.
    """
    p, there = _checked(p)
    out = np.full(p.shape, np.nan)
    out[there] = stats.false_discovery_control(p[there], method="by" if dependent else "bh")
    return out


def holm(p: np.ndarray) -> np.ndarray:
    r"""Adjusted p values by Holm: the chance of even one false finding is at most the level, however the tests
    depend on each other. Never less powerful than Bonferroni.

    $$\tilde p_{(i)} = \min\left(1, \max_{j \le i} (m - j + 1) p_{(j)}\right)$$

    NaN stay NaN and do not count as tests.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]

    Source: Holm (1979), Scand. J. Stat. 6, 65.
    """
    p, there = _checked(p)
    flat = p[there]
    order = np.argsort(flat)
    raised = np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1))
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(raised, 1)
    out = np.full(p.shape, np.nan)
    out[there] = adjusted
    return out


def family_wise(score: Score, *, step_down: bool = True) -> np.ndarray:
    """p values of a score of several targets, corrected over them by the largest value of each null draw.

    The chance of even one false finding is at most the level, and how the targets depend on each other is in
    the draws: correlated targets cost little. So the draws must rearrange all targets together, as
    `permutation`, `sign_flip` and `encode` do. What was searched over (layers, voxels, times) belongs into the
    targets. Values must be on one scale (correlations, t values): the largest wins. `step_down` (Westfall and
    Young): targets that were found are left out of the family of those that follow.

    >>> rng = np.random.default_rng(0)
    >>> score = Score(np.array([5.0, 2.0, 0.0]), null=rng.normal(size=(999, 3)))
    >>> family_wise(score).round(2).tolist(), np.round(score.p, 2).tolist()
    ([0.0, 0.04, 0.49], [0.0, 0.02, 0.49])

    Raises ValueError without a null, or for a score of one number.

    Source: Westfall, Young (1993); Nichols, Holmes (2002), Hum. Brain Mapp. 15, 1.
    """
    value = np.asarray(score.value, float)
    if score.null is None or value.ndim != 1:
        raise ValueError("family_wise needs a score of several targets (target,) with null draws")
    sign = {"greater": 1.0, "less": -1.0}.get(score.tail)
    seen, null = (
        (np.abs(value), np.abs(score.null))
        if sign is None
        else (sign * value, sign * np.asarray(score.null))
    )
    there = np.isfinite(seen)
    null = np.where(np.isfinite(null), null, -np.inf)[:, there]
    order = np.argsort(-seen[there])
    ranked = seen[there][order]
    # column i: the largest over the targets from i on (step down), or over all of them
    top = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    if not step_down:
        top = np.broadcast_to(top[:, :1], top.shape)
    slack = 1e-12 * np.maximum(1, np.abs(ranked))
    p = np.maximum.accumulate((1 + (top >= ranked - slack).sum(0)) / (1 + len(null)))
    back = np.empty(len(order))
    back[order] = p
    out = np.full(value.shape, np.nan)
    out[there] = back
    return out
