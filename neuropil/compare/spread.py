r"""Standard errors of similarities for new stimuli, new subjects, or both, from draws of each.

A similarity of RDMs is a mean over pairs of stimuli and over subjects, so its variance has parts: of
subjects, $A / S$; of stimuli, $4 B / N$; of single pairs (noise of the measurement among it), $2 C / N^2$;
and what subjects share with stimuli or pairs. A bootstrap of both factors counts what they share twice
or more; the correction of Schuett et al. takes that off. A bootstrap of stimuli also counts the part of
single pairs three times, a jackknife twice (a pair's weight is a product of two counts, each with noise
of its own), so twice the jackknife less the bootstrap counts it once. With many stimuli that part is
small; with 16, a test at 5 % finds 1 % without it.

Sources: Schuett, Kipnis, Diedrichsen, Kriegeskorte (2023), eLife 12, e82566; Efron, Stein (1981), Ann. Stat.
9, 586 (what a jackknife counts twice).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def variance(draws: np.ndarray) -> np.ndarray:
    """Variance over draws (draw, repeat, value), less the variance that repeats of a cross-validation
    show. Draws without an answer are left out.

    >>> variance(np.array([[[1.0]], [[2.0]], [[3.0]]])).tolist()
    [1.0]
    """
    draws = draws[np.isfinite(draws).all((1, 2))]
    repeats = draws.shape[1]
    if len(draws) < 3:
        return np.full(draws.shape[2], np.nan)
    total = draws.mean(1).var(0, ddof=1)
    if repeats == 1:
        return total
    return (repeats * total - draws.var(0, ddof=1).mean(0)) / (repeats - 1)


def dual_variance(
    both: np.ndarray | float,
    subjects: np.ndarray | float,
    stimuli: np.ndarray | float,
    count: int,
    n: int,
) -> np.ndarray | float:
    r"""Variance for new subjects and new stimuli from bootstrap variances of drawing `both`, `subjects`
    alone (of `count` S) and `stimuli` alone (of `n` N):

    $$\frac{S}{S - 1} \sigma_S^2 + \frac{N}{N - 1} \sigma_N^2 - \frac{S N}{(S - 1)(N - 1)}
    \left(\sigma_{SN}^2 - \sigma_S^2 - \sigma_N^2\right)$$

    at least that of either alone and at most that of both.

    >>> round(float(dual_variance(2.5, 1.0, 1.0, 10, 20)), 3)
    1.579
    """
    people, things = count / (count - 1) * subjects, n / (n - 1) * stimuli
    shared = count * n / (count - 1) / (n - 1) * (both - subjects - stimuli)
    return np.minimum(_joined(people, things, shared), both)


class Spread(NamedTuple):
    """Standard errors and degrees of freedom, one of each a contrast."""

    error: np.ndarray
    freedom: np.ndarray


def standard_error(
    ways: dict[str, np.ndarray],
    over: str,
    count: int,
    n: int,
    contrast: Callable[[np.ndarray], np.ndarray],
) -> Spread:
    r"""Standard error (contrast,) of `contrast` (of the last axis) for new stimuli, subjects or both.

    `ways`: values (draw, repeat, value) for draws of "both", "stimuli", "subjects", as `over` needs them,
    and "left out" (subject + 1, stimulus, value), where that subject (none, in the first row) and that
    stimulus are left out; without it the plain formulas are used. Degrees of freedom are S - 1 or N - 1,
    for both factors by Satterthwaite, $\sigma^4 / (\sigma_S^4 / (S - 1) + \sigma_N^4 / (N - 1))$, and no fewer
    than the smaller of the two.
    """
    found = {way: variance(contrast(x)) for way, x in ways.items() if way != "left out"}
    if over == "subjects":
        return _spread(count / (count - 1) * found["subjects"], count - 1)
    things = n / (n - 1) * found["stimuli"]
    left = contrast(ways["left out"]) if "left out" in ways else None
    if left is not None:
        once = (n - 1) / n * ((left[0] - left[0].mean(0)) ** 2).sum(0)
        things = np.clip(2 * once - things, once / 2, once)
    if over == "stimuli":
        return _spread(things, n - 1)
    people = count / (count - 1) * found["subjects"]
    if left is None:
        total = dual_variance(found["both"], found["subjects"], found["stimuli"], count, n)
    else:
        each = left[1:]
        each = each - each.mean(0) - each.mean(1, keepdims=True) + each.mean((0, 1))
        once = (count - 1) * (n - 1) / (count * n) * (each**2).sum((0, 1))
        shared = found["both"] - found["subjects"] - found["stimuli"]
        shared = np.clip(2 * once - count * n / (count - 1) / (n - 1) * shared, once / 2, once)
        total = _joined(people, things, shared)
    parts = people**2 / (count - 1) + things**2 / (n - 1)
    freedom = np.where(parts > 0, total**2 / np.where(parts > 0, parts, 1), 0)
    return _spread(total, np.maximum(freedom, min(count, n) - 1))


def _spread(total, freedom):
    return Spread(np.sqrt(np.maximum(total, 0)), np.broadcast_to(freedom, np.shape(total)))


def _joined(people, things, shared):
    return np.maximum(np.maximum(people + things - shared, people), things)
