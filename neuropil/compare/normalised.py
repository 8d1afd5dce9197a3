"""Scores beside what noise allows: signal-to-noise of single responses, and shares of a ceiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from neuropil.stats import Score


def noise_variance(
    repeats: Float[np.ndarray, "repeat sample target"],
) -> tuple[Float[np.ndarray, " target"], Float[np.ndarray, " target"]]:
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


def explainable(
    repeats: Float[np.ndarray, "repeat sample target"], averaged: float | int = 1
) -> Float[np.ndarray, " target"]:
    r"""Largest R2 a model can reach on the mean of so many presentations, $s^2 / (s^2 + n^2 / k)$.

    With the noise ceiling signal-to-noise ratio ncsnr = s / n this is ncsnr^2 / (ncsnr^2 + 1 / k), as the
    Natural Scenes Dataset writes it (Allen et al. 2022); its root bounds the correlation.
    """
    noise, signal = noise_variance(repeats)
    total = signal + noise / averaged
    return np.divide(signal, total, out=np.zeros_like(signal), where=total > 0)


def _share(score: Score, of, name: str) -> Score:
    """A score whose every number passes through `of`."""
    each = lambda x: None if x is None else of(np.asarray(x, float))
    interval = None if score.interval is None else tuple(each(side) for side in score.interval)
    value = each(score.value)
    return replace(
        score,
        value=float(value) if value.ndim == 0 else value,
        interval=interval,
        ceiling=None,
        null=each(score.null),
        draws=each(score.draws),
        name=name,
    )


def _top(score: Score) -> np.ndarray:
    if score.ceiling is None:
        raise ValueError(
            f"{score.name} has no ceiling: give repeats, as encode(x, y of (repeat, sample, target))"
        )
    top = score.ceiling[1] if isinstance(score.ceiling, tuple) else score.ceiling
    return np.where(np.asarray(top, float) > 0, top, np.nan)


def ceiling_normalised(score: Score) -> Score:
    """Value, interval, null and draws as shares of the ceiling (NaN where that is not above 0).

    >>> ceiling_normalised(Score(0.4, (0.3, 0.5), ceiling=0.8, name="r"))
    Score(r / ceiling = 0.500 [0.375, 0.625])
    """
    top = _top(score)
    return _share(score, lambda x: x / top, f"{score.name} / ceiling")


def noise_normalised(correlation: Score) -> Score:
    """min(max(r, 0)^2 / ceiling^2, 1): the share of explainable variance as Algonauts 2023 scores it.

    The ceiling is that of the correlation. NaN where it is not above 0.

    >>> noise_normalised(Score(0.4, (-0.1, 0.9), ceiling=0.8, name="r"))
    Score(r^2 / ceiling^2 = 0.250 [0.000, 1.000])
    """
    top = _top(correlation)
    of = lambda x: np.minimum((np.maximum(x, 0) / top) ** 2, 1)
    return _share(correlation, of, f"{correlation.name}^2 / ceiling^2")


def explained_of_explainable(
    prediction: Float[np.ndarray, "sample target"],
    repeats: Float[np.ndarray, "repeat sample target"],
) -> Float[np.ndarray, " target"]:
    """1 - (error - noise) / (variance - noise) of single presentations (Sahani and Linden 2003).

    Not bounded below; NaN where there is no signal.
    """
    noise, signal = noise_variance(repeats)
    error = np.nanmean((np.asarray(repeats, float) - prediction) ** 2, axis=(0, 1))
    return 1 - (error - noise) / np.where(signal > 0, signal, np.nan)
