"""Noise ceilings: how well a perfect model could do on data that do not agree with themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def weighted_correlation(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Pearson correlation of columns, samples weighted (by how often each was drawn); 0 where one is
    constant.

    >>> x = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> weighted_correlation(x, np.array([[0.0], [1.0], [2.0]])).tolist()
    [1.0, 0.0]
    """
    w = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    x, y = x - w @ x, y - w @ y
    size = np.sqrt((w @ x**2) * (w @ y**2))
    return np.divide(w @ (x * y), size, out=np.zeros_like(size), where=size > 1e-12)


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


def between(repeats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (lower, upper) on the mean correlation of any model with single subjects, per target.

    `repeats` (subject, sample, target), each subject (or repeat) complete. Upper: every subject with the mean
    over all, which holds it too, after each is centred and scaled, so that no model can beat it; lower: with
    the mean over the others. The truth lies between, the closer the more subjects there are. Use them where a
    model is compared with each subject; where it is compared with the mean response, use `ceiling`.

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(1, 2000, 1))
    >>> low, high = between(signal + rng.normal(size=(10, 2000, 1)))    # truth: 1 / sqrt(2) = 0.707
    >>> bool(low[0] < 0.71 < high[0]), round(float(high[0] - low[0]), 2)
    (True, 0.07)

    Raises ValueError for fewer than 2 subjects and for NaN.

    Source: Nili et al. (2014), PLoS Comput. Biol. 10, e1003553.
    """
    repeats = np.asarray(repeats, float)
    if repeats.ndim != 3 or len(repeats) < 2 or not np.isfinite(repeats).all():
        raise ValueError(
            f"subjects {repeats.shape} must be (subject, sample, target), 2 or more and all complete"
        )
    x = repeats - repeats.mean(1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norm > 0, norm, np.nan)
    total = x.sum(0)
    lower = np.mean([correlate(one, total - one) for one in x], axis=0)
    upper = np.mean([correlate(one, total) for one in x], axis=0)
    return lower, upper


def noise_variance(
    repeats: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the noise and of the signal of one presentation, per target.

    Noise: over repeats of a sample, unbiased, averaged over samples by their degrees of freedom. Signal: the
    variance of sample means less the noise that is left in them; never below 0. NaN where a repeat is missing.

    >>> rng = np.random.default_rng(0)
    >>> noise, signal = noise_variance(3 * rng.normal(size=(1, 2000, 1)) + rng.normal(size=(4, 2000, 1)))
    >>> noise.round(1).tolist(), signal.round(0).tolist()
    ([1.0], [9.0])

    Raises ValueError where no sample was repeated.
    """
    repeats = np.asarray(repeats, float)
    if repeats.ndim != 3:
        raise ValueError(f"repeats must be (repeat, sample, target), not {repeats.shape}")
    there = np.isfinite(repeats)
    count = there.sum(0)
    if not (count > 1).any(0).all():
        raise ValueError("a target has no sample with 2 repeats or more, so its noise is unknown")
    mean = np.where(there, repeats, 0).sum(0) / np.maximum(count, 1)
    squares = (np.where(there, repeats - mean, 0) ** 2).sum((0, 1))
    noise = squares / np.maximum(count - 1, 0).sum(0)
    seen = count > 0
    total = np.array([mean[s, i].var(ddof=1) for i, s in enumerate(seen.T)])
    left = np.array([(1 / count[s, i]).mean() for i, s in enumerate(seen.T)])
    return noise, np.maximum(total - noise * left, 0)


def signal_to_noise(repeats: np.ndarray) -> np.ndarray:
    r"""Standard deviation of the signal over that of the noise of one repeat, per target: $\sqrt{\sigma_s^2 /
    \sigma_n^2}$, 0 where there is no more variance over samples than noise makes. `repeats` (repeat, sample,
    target), NaN where one is missing; samples with one repeat count for the signal only.

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(1, 4000, 1))
    >>> signal_to_noise(signal + 2 * rng.normal(size=(3, 4000, 1))).round(1).tolist()
    [0.5]

    Raises ValueError where no sample was seen twice.

    Source: Allen et al. (2022), Nat. Neurosci. 25, 116 (the Natural Scenes Dataset).
    """
    noise, signal = noise_variance(repeats)
    return np.sqrt(signal / np.where(noise > 0, noise, np.nan))


def explainable(ratio: float | np.ndarray, counts: Sequence | np.ndarray) -> float | np.ndarray:
    r"""Share of the variance of mean responses that is signal, from the signal-to-noise ratio s of one repeat:

    $$\mathrm{NC} = s^2 / (s^2 + m), \qquad m = \langle 1 / n_i \rangle$$

    with $n_i$ the repeats of sample i (`counts`). It bounds the squared correlation of any model with the mean
    responses; its root bounds the correlation.

    >>> explainable(1.0, [3, 3, 3]), explainable(1.0, [1, 1])
    (0.75, 0.5)

    Source: Allen et al. (2022); Gifford et al. (2023), arXiv:2301.03198.
    """
    counts = np.asarray(counts)
    if counts.size == 0 or counts.min() < 1:
        raise ValueError("counts says how often each sample was seen, once or more")
    square = np.asarray(ratio, float) ** 2
    out = square / (square + np.mean(1 / counts))
    return float(out) if out.ndim == 0 else out
