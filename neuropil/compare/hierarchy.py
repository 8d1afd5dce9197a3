r"""Do the levels of a network follow the order of a brain: in space, in time, and how soon in training?

Every level of a network predicts every target (a voxel, a neuron, a sensor at a time) by ridge regression on
as many principal components, fitted and chosen inside the training folds. From the correlations (level, target)
come three scores of King's group (Raugel et al. 2025, arXiv 2508.18226): how well targets are predicted
(encoding); whether areas far from the first are predicted best by deeper levels (space); whether deeper levels
predict best later (time). And from scores during training the time at which half of the last score is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from neuropil.compare.ridge import blocks
from neuropil.learn.ridge import Decomposed, decompose, left_out_errors, solve
from neuropil.stats.ceiling import weighted_correlation

ALPHAS = tuple(10.0 ** np.arange(-7, 3))  # of features with a total variance of 1


@dataclass(frozen=True)
class LevelEncoding:
    """Predictions of every target from every level (level, sample, target) by models that never saw the sample.

    `moved` has the mean of its training set taken out of each fold's predictions, so that correlations are
    not pulled below zero; `left_out` (fold, level, target) is the exact leave-one-out error inside a training
    set over the target's variance there: what a level may be chosen by.
    """

    moved: np.ndarray
    left_out: np.ndarray
    labels: np.ndarray

    def correlation(self, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Pearson correlation (level, target) with responses y (sample, target); 0 where one is constant."""
        return np.stack([weighted_correlation(m, y, weights) for m in self.moved])

    def best(self, y: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None):
        """Correlation (target,) of the level that each group of targets chose inside the training folds.

        `groups` (target,) labels; the choice is made fold by fold, by the mean left-out error of the group.
        """
        chosen = np.zeros(self.moved.shape[1:])
        for group in np.unique(groups):
            mine = np.flatnonzero(groups == group)
            level = self.left_out[:, :, mine].mean(-1).argmin(1)
            for fold, k in zip(np.unique(self.labels), level, strict=True):
                rows = np.flatnonzero(self.labels == fold)
                chosen[np.ix_(rows, mine)] = self.moved[k][np.ix_(rows, mine)]
        return weighted_correlation(chosen, y, weights)


@jax.jit
def _level(train_x, train_y, test_x, alphas, keep):
    """Held-out predictions without their training mean, and left-out error over variance."""
    d = decompose(train_x)
    kept = jnp.argsort(jnp.argsort(-d.power)) < keep
    d = Decomposed(d.centre, d.scores * kept[None], d.power * kept, d.back * kept[None])
    errors = left_out_errors(d, train_y, alphas)
    weights, intercept = solve(d, train_y, alphas[jnp.argmin(errors, 0)])
    made = test_x @ weights + (intercept - train_y.mean(0))[None]
    return made, errors.min(0) / jnp.maximum(train_y.var(0), 1e-12)


def level_encoding(
    levels: list[np.ndarray],
    y: Float[np.ndarray, "sample target"],
    *,
    folds: int | np.ndarray = 5,
    components: int = 256,
    alphas: tuple[float, ...] = ALPHAS,
) -> LevelEncoding:
    """Predict responses from every level's features (sample, feature) on as many principal components.

    Features are scaled to a total variance of 1, so that one set of alphas serves all levels
    (times the number of samples: an alpha is on the scale of a component's variance); components,
    weights and the alpha of each target come from the training folds alone. Levels of one shape share one
    compiled program.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 100, 5))
    >>> found = level_encoding([a, b], b @ rng.normal(size=(5, 2)))
    >>> found.correlation(b @ rng.normal(size=(5, 2))).shape
    (2, 2)

    Raises ValueError for levels whose samples are not those of the responses, and for NaN.
    """
    y = np.asarray(y)
    labels = blocks(len(y), folds) if np.ndim(folds) == 0 else np.asarray(folds)
    tried = jnp.asarray(alphas, float) * len(y)
    moved = np.zeros((len(levels), *y.shape))
    left_out = np.zeros((len(np.unique(labels)), len(levels), y.shape[1]))
    for k, x in enumerate(levels):
        if len(x) != len(y) or not np.isfinite(x).all():
            raise ValueError(
                f"level_encoding: level {k} has shape {np.shape(x)} for {len(y)} samples, or holds NaN"
            )
        x = np.asarray(x) / max(float(np.sqrt(np.mean(np.var(x, 0)) * x.shape[1])), 1e-12)
        for j, fold in enumerate(np.unique(labels)):
            out = labels == fold
            parts = (x[~out], y[~out], x[out])
            made, error = _level(*(jnp.asarray(p, float) for p in parts), tried, components)
            moved[k, out], left_out[j, k] = np.asarray(made), np.asarray(error)
    return LevelEncoding(moved, left_out, labels)


def order_score(levels: np.ndarray, position: np.ndarray) -> float:
    """Correlation of levels with positions; NaN where one of them does not vary (then there is no order).

    The spatial score: best level of each area, distance of the area from the first. The temporal score: number
    of each level, time at which it predicts best.

    >>> round(order_score(np.array([0, 1, 3]), np.array([0.0, 1.0, 2.0])), 3)
    0.982

    Raises ValueError for lengths that differ and fewer than three pairs.
    """
    levels, position = np.asarray(levels, float), np.asarray(position, float)
    if levels.shape != position.shape or levels.ndim != 1 or len(levels) < 3:
        raise ValueError(
            f"order_score: {levels.shape} levels and {position.shape} positions; give two rows of one length,"
            " 3 or more"
        )
    if np.ptp(levels) == 0 or np.ptp(position) == 0:
        return float("nan")
    return float(np.corrcoef(levels, position)[0, 1])


def order_p(levels: np.ndarray, position: np.ndarray) -> float:
    """Share of all orders of the positions with a score at least as high (exact, up to 8 pairs; one-sided).

    >>> order_p(np.arange(4), np.arange(4.0)) == 1 / 24
    True

    Raises ValueError for more than 8 pairs (40,320 orders).
    """
    if len(levels) > 8:
        raise ValueError(
            f"order_p: {len(levels)} pairs have too many orders to go through; use stats.permutation"
        )
    seen = order_score(levels, position)
    if np.isnan(seen):
        return float("nan")
    every = [order_score(levels, np.array(p)) for p in permutations(position)]
    return float(np.mean(np.array(every) >= seen - 1e-12))


def half_time(steps: np.ndarray, scores: np.ndarray) -> float:
    """First step at which a score reaches half of its last value; between checkpoints log(1 + step) counts.

    Half of the last value, not of the range: a score may begin below zero. NaN where the last value is not
    positive or a score is missing.

    >>> round(half_time(np.array([0, 1, 3, 7]), np.array([0.0, 0.25, 0.75, 1.0])), 2)
    1.83

    Raises ValueError for steps that do not rise.
    """
    steps, scores = np.asarray(steps, float), np.asarray(scores, float)
    if steps.shape != scores.shape or steps.ndim != 1 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"half_time: steps {steps.tolist()} must rise, one score each")
    if not np.isfinite(scores).all() or scores[-1] <= 0:
        return float("nan")
    half = scores[-1] / 2
    at = int(np.argmax(scores >= half))
    if at == 0:
        return float(steps[0])
    low, high = np.log1p(steps[at - 1 : at + 1])
    share = (half - scores[at - 1]) / (scores[at] - scores[at - 1])
    return float(np.expm1(low + share * (high - low)))
