"""Noise ceilings: how well a perfect model could do on data that do not agree with themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def spearman_brown(r: float | np.ndarray, factor: float = 2.0) -> float | np.ndarray:
    """Reliability of `factor` times as much data, factor r / (1 + (factor - 1) r).

    >>> round(spearman_brown(0.5), 4)
    0.6667
    """
    return factor * r / (1 + (factor - 1) * r)


def split(repeats: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random halves of the repeats (repeat, sample, target) of every sample, NaN-padded.

    Missing repeats are NaN; each sample is split by the repeats it has, and an odd one out is left
    out. Targets of one sample share the split, so noise they share stays shared.
    """
    order = rng.random(repeats.shape[:2])
    order[np.isnan(repeats).any(2)] = np.inf
    each = np.isfinite(order).sum(0) // 2
    if each.min() < 1:
        raise ValueError(
            f"sample {int(each.argmin())} has fewer than 2 complete repeats, so no half to compare"
        )
    mixed = np.take_along_axis(repeats, order.argsort(0)[:, :, None], 0)
    at = np.arange(each.max())[:, None]
    second = np.take_along_axis(mixed, (at + each[None, :])[:, :, None], 0)
    kept = (at < each[None, :])[:, :, None]
    return np.where(kept, mixed[: each.max()], np.nan), np.where(kept, second, np.nan)


def halves(repeats: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Means (sample, target) of two random halves of the repeats (see `split`)."""
    one, other = split(repeats, rng)
    return np.nanmean(one, axis=0), np.nanmean(other, axis=0)


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of matching columns (NaN where one is constant)."""
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, (a * b).sum(0) / norm, np.nan)


def reliability(
    repeats: np.ndarray,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray] = correlate,
    splits: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """Reliability of the mean over repeats: the correlation of random halves, averaged over
    `splits` splits and raised to all repeats by the Spearman-Brown formula.

    It estimates the share of the variance of the mean response that is signal, so it bounds R2;
    its root bounds the correlation of any model with the mean response. `repeats` is (repeat,
    sample, target) with NaN where a repeat is missing; `statistic` may be any agreement of two
    halves (sample, target), such as the correlation of their RDMs.

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(1, 400, 1))
    >>> noisy = signal + 2 * rng.normal(size=(8, 400, 1))   # reliability 1 / (1 + 4 / 8) = 2 / 3
    >>> reliability(noisy).round(2).tolist()
    [0.65]
    """
    repeats = np.asarray(repeats, float)
    if repeats.ndim != 3:
        raise ValueError(f"repeats must have shape (repeat, sample, target), not {repeats.shape}")
    rng = np.random.default_rng(seed)
    r = np.mean([statistic(*halves(repeats, rng)) for _ in range(splits)], axis=0)
    return spearman_brown(r)


def ceiling(repeats: np.ndarray, splits: int = 100, seed: int = 0) -> np.ndarray:
    """Highest correlation that a model can reach with the mean response of each target, the root
    of its `reliability` (0 where that is negative).
    """
    return np.sqrt(np.maximum(reliability(repeats, splits=splits, seed=seed), 0))
