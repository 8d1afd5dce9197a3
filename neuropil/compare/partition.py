"""Variance partitioning: what bands of features explain alone, together, and in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float

from neuropil.compare.encoding import encode
from neuropil.stats import Score, percentile_interval


@dataclass(frozen=True)
class Partition:
    """R2 Scores per target: `total` of all bands, `alone` of each band by itself, `unique` of each beyond the
    others, and `common` of each set of bands: what every one of them could explain and no band outside. The
    entries of `common` (single bands included) sum to `total`; noise can make them negative."""

    total: Score
    alone: dict[str, Score]
    unique: dict[str, Score]
    common: dict[tuple[str, ...], Score]


def _sum(scores: list[tuple[float, Score]], name: str) -> Score:
    """A weighted sum of scores whose draws and nulls are paired."""
    add = lambda what: (
        None
        if getattr(scores[0][1], what) is None
        else sum(w * np.asarray(getattr(s, what)) for w, s in scores)
    )
    draws, first = add("draws"), scores[0][1]
    return replace(
        first,
        value=add("value"),
        interval=percentile_interval(draws, first.level),
        ceiling=None,
        null=add("null"),
        draws=draws,
        name=name,
    )


def variance_partition(
    bands: dict[str, Float[np.ndarray, "sample feature"]], y: np.ndarray, **options
) -> Partition:
    """Partition the R2 of an encoding model among bands of features, by fitting every set of bands.

    `options` go to `encode` (folds, alphas, model, permutations ...); all fits use the same folds, resamples
    and shuffles, so that intervals and nulls of differences are those of paired scores. 2^bands - 1 fits: 4
    bands at most. Each set of bands is fitted with a common penalty unless `model` says otherwise.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 100, 3))
    >>> y = a @ np.ones((3, 1)) + 0.5 * rng.normal(size=(100, 1))
    >>> parts = variance_partition({"a": a, "b": b}, y, permutations=0, resamples=50)
    >>> bool(parts.unique["a"].value[0] > 0.8 > 0.1 > abs(parts.unique["b"].value[0]))
    True

    Source: Borcard, Legendre and Drapeau (1992); Lescroart, Stansbury and Gallant (2015).
    Raises ValueError for fewer than 2 or more than 4 bands, or a name with no features.
    """
    names = tuple(bands)
    if not 2 <= len(names) <= 4:
        raise ValueError(f"variance_partition takes 2 to 4 bands, not {len(names)}")
    if any(np.ndim(x) != 2 or np.shape(x)[1] == 0 for x in bands.values()):
        raise ValueError("every band must be (sample, feature), with a feature at least")
    sets = [s for k in range(1, len(names) + 1) for s in combinations(names, k)]
    found = {
        s: encode(np.concatenate([np.asarray(bands[b]) for b in s], axis=1), y, **options).r2
        for s in sets
    }
    common = {}
    for s in sets:
        # inclusion and exclusion over what the sets of bands explain beyond those outside of s
        outside = tuple(b for b in names if b not in s)
        terms = []
        for k in range(len(s) + 1):
            for part in combinations(s, k):
                chosen = tuple(b for b in names if b in part or b in outside)
                if chosen:
                    terms.append(((-1.0) ** (k + 1), found[chosen]))
        common[s] = _sum(terms, f"R2 common to {' and '.join(s)}")
    return Partition(
        found[names],
        {b: found[(b,)] for b in names},
        {b: replace(common[(b,)], name=f"R2 of {b} alone") for b in names},
        common,
    )


def split_r2(
    y: Float[np.ndarray, "sample target"], parts: Float[np.ndarray, "band sample target"]
) -> Float[np.ndarray, "band target"]:
    r"""Shares of R2 of a prediction that is a sum of parts: $\sum \hat y_b (2 y - \hat y) / \sum y^2$, with $y$
    and parts centred. They sum to the R2 of the whole (the product measure).

    >>> y = np.array([[1.0], [-1.0]])
    >>> split_r2(y, np.stack([0.5 * y, 0.25 * y])).ravel().tolist()
    [0.625, 0.3125]
    """
    y, parts = np.asarray(y, float), np.asarray(parts, float)
    y, parts = y - y.mean(0), parts - parts.mean(1, keepdims=True)
    spread = (y**2).sum(0)
    return (parts * (2 * y - parts.sum(0))).sum(1) / np.where(spread > 0, spread, np.nan)
