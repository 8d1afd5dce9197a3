"""Is it the same, is it no worse? Not finding a difference does not show that there is none; these can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from neuropil.stats.score import Score


@dataclass(frozen=True)
class Judged:
    """A difference judged against a margin: `score` (the mean difference with its interval), the `p` value
    of the test, and the `margin` (low, high) within which nothing of importance happens."""

    score: Score
    p: float
    margin: tuple[float, float]
    level: float = 0.95

    @property
    def holds(self) -> bool:
        """Whether the test says so at 1 - level: p <= 0.05 by default."""
        return self.p <= 1 - self.level


def equivalence(
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    margin: float | int | tuple[float, float],
    level: float = 0.95,
) -> Judged:
    r"""Two one-sided t tests (TOST): the mean difference lies within the margin.

    $$p = \max\big(P(\Delta \le \text{low}),\; P(\Delta \ge \text{high})\big)$$

    `x` are differences of pairs (seeds, subjects), or with `y` two independent groups (Welch). `margin`: (low,
    high), or one number for both sides; it must come from what matters, before the data. The interval given is
    the one that corresponds to the test: 90 % for level 0.95; equivalent where it lies wholly within the
    margin.

    >>> d = np.array([0.01, -0.02, 0.015, 0.0, -0.005, 0.01])
    >>> equivalence(d, margin=0.05).holds, equivalence(d, margin=0.005).holds
    (True, False)

    Raises ValueError for a margin that is empty, NaN, fewer than 2 values.

    Source: Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657; Lakens (2017).
    """
    low, high = (-margin, margin) if np.ndim(margin) == 0 else margin
    if not low < high:
        raise ValueError(
            f"margin ({low}, {high}) is empty: give low < high, or one positive number"
        )
    above, _ = _test(x, y, float(low), "greater")
    below, score = _test(x, y, float(high), "less")
    return Judged(_with_interval(score, x, y, 2 * level - 1), max(above, below), (low, high), level)


def non_inferiority(
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    margin: float | int,
    level: float = 0.95,
) -> Judged:
    """One-sided t test: the mean difference is larger than -margin, so x is no worse than y by more than that.

    Arguments as in `equivalence`; the interval given is (1 - 2 (1 - level)), 90 % for 0.95: no worse where its
    lower end lies above -margin.

    >>> non_inferiority(np.array([0.0, 0.02, -0.01, 0.01]), margin=0.05).holds
    True

    Raises ValueError for a negative margin, NaN, fewer than 2 values.
    """
    if not margin >= 0:
        raise ValueError(f"margin = {margin} must not be negative: how much worse would still do?")
    p, score = _test(x, y, -float(margin), "greater")
    scored = _with_interval(score, x, y, 2 * level - 1)
    return Judged(scored, p, (-float(margin), float("inf")), level)


def _test(x, y, against: float, tail: str):
    x = _values(x, "x")
    if y is None:
        result = stats.ttest_1samp(x, against, alternative=tail)
        mean = x.mean()
    else:
        y = _values(y, "y")
        result = stats.ttest_ind(x - against, y, equal_var=False, alternative=tail)
        mean = x.mean() - y.mean()
    p = float(result.pvalue)
    if np.isnan(p):  # no spread at all: the mean itself says it
        p = 0.0 if (mean > against if tail == "greater" else mean < against) else 1.0
    return p, Score(float(mean), name="mean difference", n=len(x))


def _with_interval(score: Score, x, y, level: float) -> Score:
    x = _values(x, "x")
    if y is None:
        result = stats.ttest_1samp(x, 0.0)
    else:
        result = stats.ttest_ind(x, _values(y, "y"), equal_var=False)
    low, high = result.confidence_interval(level)
    if np.isnan(low):
        low = high = score.value
    return Score(score.value, (float(low), float(high)), name=score.name, level=level, n=score.n)


def _values(x, what: str) -> np.ndarray:
    x = np.asarray(x, float)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"{what} {x.shape} must be a list of 2 numbers or more, all finite")
    return x
