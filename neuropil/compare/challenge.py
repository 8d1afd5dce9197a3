"""The score of Algonauts 2023: the share of explainable variance that is explained, over all vertices."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from neuropil.stats import Score, percentile_interval
from neuropil.stats.ceiling import weighted_correlation

FLOOR = 1e-14  # what a ceiling of 0 is set to by the challenge


def vertex_scores(correlation: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    r"""Score of each vertex in percent, $\min(100,\; 100 \max(R, 0)^2 / \mathrm{NC})$.

    The ceiling NC is a share of variance, 0 to 1 (`neuropil.stats.explainable`); where it is 0 it counts as
    1e-14, so that any positive correlation scores 100: on average 50 points for free, which is the challenge's
    rule.

    >>> vertex_scores(np.array([0.5, -0.5, 0.01]), np.array([0.5, 0.5, 0.0])).tolist()
    [50.0, 0.0, 100.0]
    """
    r2 = np.maximum(np.asarray(correlation, float), 0) ** 2
    return np.minimum(100 * r2 / np.maximum(np.asarray(ceiling, float), FLOOR), 100)


def challenge_score(
    predicted: np.ndarray | Sequence[np.ndarray],
    measured: np.ndarray | Sequence[np.ndarray],
    ceiling: np.ndarray | Sequence[np.ndarray],
    *,
    resamples: int = 200,
    permutations: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Mean score of the vertices of all subjects, pooled: a subject with more vertices counts more.

    **Arguments**: for each subject (or one) `predicted` and `measured` (image, vertex) and `ceiling` (vertex,).
    A prediction's scale and offset are free, as it is the correlation that counts; a prediction that does not
    vary correlates with nothing and scores 0, with a warning.

    Interval: test images of each subject are resampled (percentiles); null: its predictions are shuffled over
    images. Both speak of these subjects and vertices.

    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(300, 40))
    >>> score = challenge_score(signal, signal + rng.normal(size=signal.shape), np.full(40, 0.5))
    >>> bool(85 < score.value < 100), score.p < 0.01
    (True, True)

    Raises ValueError for shapes that do not agree and for NaN.

    Source: Gifford et al. (2023), arXiv:2301.03198.
    """
    subjects = [
        _door(*each)
        for each in zip(_many(predicted), _many(measured), _many(ceiling, 1), strict=True)
    ]
    rng = np.random.default_rng(seed)
    value, draws, null = [], [], []
    for p, y, top in subjects:
        n = len(p)
        flat = p.std(0) == 0
        if flat.any():
            warnings.warn(f"{int(flat.sum())} predictions do not vary, and score 0", stacklevel=2)
        value.append(vertex_scores(weighted_correlation(p, y), top))
        counts = rng.multinomial(n, np.full(n, 1 / n), resamples)
        draws.append(
            np.array([vertex_scores(weighted_correlation(p, y, w), top).sum() for w in counts])
        )
        orders = [rng.permutation(n) for _ in range(permutations)]
        null.append(
            np.array([vertex_scores(weighted_correlation(p[o], y), top).sum() for o in orders])
        )
    total = sum(len(v) for v in value)
    resampled, shuffled = sum(draws) / total, sum(null) / total
    return Score(
        float(sum(v.sum() for v in value) / total),
        percentile_interval(resampled, level) if resamples else None,
        100.0,
        shuffled if permutations else None,
        resampled if resamples else None,
        "challenge score",
        level,
        sum(len(p) for p, _, _ in subjects),
    )


def _many(x, axes: int = 2):
    return [x] if isinstance(x, np.ndarray) and x.ndim == axes else list(x)


def _door(predicted, measured, ceiling):
    p, y, top = (np.asarray(a, float) for a in (predicted, measured, ceiling))
    if p.shape != y.shape or p.ndim != 2 or top.shape != p.shape[1:]:
        raise ValueError(
            f"predicted {p.shape}, measured {y.shape} and ceiling {top.shape} do not agree: give (image, "
            "vertex) twice and (vertex,)"
        )
    if not (np.isfinite(p).all() and np.isfinite(y).all() and np.isfinite(top).all()):
        raise ValueError("predictions, responses or ceilings hold NaN or infinity")
    return p, y, top
