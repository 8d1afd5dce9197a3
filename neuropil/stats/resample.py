"""Bootstrap intervals and permutation nulls for any statistic of arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from neuropil.stats.score import Score


def percentile_interval(draws: np.ndarray, level: float = 0.95) -> tuple:
    """Percentile interval of bootstrap draws (draw, ...); NaN draws are left out."""
    tails = [50 - 50 * level, 50 + 50 * level]
    low, high = np.nanpercentile(draws, tails, axis=0)
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)


def bca_interval(
    value: float, draws: np.ndarray, jackknife: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987) of one number.

    `draws` are bootstrap values and `jackknife` the values with each sample left out. It corrects
    the median bias and the skew that make percentile intervals of small samples too short.
    """
    share = (np.sum(draws < value) + 0.5 * np.sum(draws == value)) / len(draws)
    bias = ndtri(np.clip(share, 1 / (len(draws) + 1), 1 - 1 / (len(draws) + 1)))
    lean = jackknife.mean() - jackknife
    spread = (lean**2).sum() ** 1.5
    acceleration = 0.0 if spread == 0 else (lean**3).sum() / (6 * spread)
    z = bias + ndtri(np.array([0.5 - level / 2, 0.5 + level / 2]))
    quantiles = ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(draws, quantiles)
    return float(low), float(high)


def bootstrap(
    statistic: Callable[..., float],
    *samples: np.ndarray,
    resamples: int = 2000,
    level: float = 0.95,
    method: str = "bca",
    name: str = "statistic",
    seed: int = 0,
) -> Score:
    """Score of `statistic(*samples)` with a bootstrap interval over the first axis, along which
    all arrays are resampled together.

    >>> rng = np.random.default_rng(0)
    >>> bootstrap(np.mean, rng.normal(size=50), resamples=200, name="mean")
    Score(mean = 0.129 [-0.115, 0.425])

    Raises ValueError for arrays of unequal length and fewer than 3 samples.
    """
    arrays = [np.asarray(s) for s in samples]
    n = len(arrays[0])
    if any(len(a) != n for a in arrays):
        raise ValueError(f"samples must be equally long, not {[len(a) for a in arrays]}")
    if n < 3:
        raise ValueError(f"a bootstrap of {n} samples says nothing: give at least 3")
    if method not in ("bca", "percentile"):
        raise ValueError(f"method must be 'bca' or 'percentile', not {method!r}")
    rng = np.random.default_rng(seed)
    value = float(statistic(*arrays))
    picks = rng.integers(0, n, (resamples, n))
    draws = np.array([statistic(*(a[pick] for a in arrays)) for pick in picks], float)
    if method == "percentile":
        interval = percentile_interval(draws, level)
    else:
        left = np.array([statistic(*(np.delete(a, i, 0) for a in arrays)) for i in range(n)], float)
        interval = bca_interval(value, draws, left, level)
    return Score(value, interval, draws=draws, name=name, level=level, n=n)


def permutation(
    statistic: Callable[[np.ndarray, np.ndarray], float | np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    *,
    orders: np.ndarray | None = None,
    draws: int = 1000,
    tail: str = "greater",
    name: str = "statistic",
    seed: int = 0,
) -> Score:
    """Score of `statistic(x, y)` with the null of no relation: the rows of x are shuffled.

    `orders` (draw, row) says how, where rows are not exchangeable under the null: `shuffles` within
    groups, `block_shuffles`, or `shifts` in a circle for samples of a slow signal. `statistic` gives
    a number, or one per target, for `family_wise`.

    >>> x = np.arange(20.0)
    >>> score = permutation(lambda a, b: np.corrcoef(a, b)[0, 1], x, x, draws=99, name="r")
    >>> score.p
    0.01
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y):
        raise ValueError(f"x and y must be equally long, not {len(x)} and {len(y)}")
    if orders is None:
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(x)) for _ in range(draws)]
    elif np.ndim(orders) != 2 or np.shape(orders)[1] != len(x):
        raise ValueError(f"orders {np.shape(orders)} must be (draw, {len(x)}), as from shuffles")
    value = np.asarray(statistic(x, y), float)
    null = np.array([statistic(x[order], y) for order in orders], float)
    value = float(value) if value.ndim == 0 else value
    return Score(value, null=null, name=name, n=len(x), tail=tail)


def shifts(n: int, draws: int, at_least: int, seed: int = 0) -> np.ndarray:
    """Row orders (draw, n) that turn a time series in a circle by at least `at_least` samples: nulls which keep
    autocorrelation.

    Take `at_least=1` for a test. Leaving the short shifts out compares the value at lag 0 with a sample that
    lacks its neighbours, and slow series are then called related too often (page on calibration,
    `series-shift-far`).
    """
    if 2 * at_least >= n:
        raise ValueError(f"a shift of at least {at_least} needs more than {2 * at_least} samples")
    by = np.random.default_rng(seed).integers(at_least, n - at_least + 1, draws)
    return (np.arange(n)[None, :] + by[:, None]) % n
