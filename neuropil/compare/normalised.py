"""Scores beside what noise allows: signal-to-noise of single responses, and shares of a ceiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from neuropil.stats import Score
from neuropil.stats.ceiling import noise_variance


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
