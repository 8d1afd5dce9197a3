"""Encoding: how well do features predict responses that were not fitted?

Ridge regression is fitted on all folds but one, with an alpha per target chosen inside them, and
predicts the fold left out; the predictions of all folds are then compared with the responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import clone

from neuropil.compare.ridge import ALPHAS, RidgeSearch, fold_labels
from neuropil.learn.ridge import decompose, left_out_errors, solve
from neuropil.stats import Score, percentile_interval, reliability, shifts


@dataclass(frozen=True, repr=False)
class Encoding:
    """Result of `encode`, one entry per target.

    - `correlation`, `r2`: Scores per target; `correlation.mean()` sums them up;
    - `predictions` (sample, target), each made by a model that did not see the sample;
    - `alphas` (fold, target).
    """

    correlation: Score
    r2: Score
    predictions: np.ndarray
    alphas: np.ndarray

    def __repr__(self):
        return f"Encoding({self.correlation.mean()!r}, {self.r2.mean()!r})"


def encode(
    x: np.ndarray,
    y: np.ndarray,
    *,
    folds: int | np.ndarray = 5,
    alphas: tuple[float, ...] | np.ndarray = ALPHAS,
    model: Any = None,
    select: str = "left-out",
    null: str = "shuffle",
    permutations: int = 200,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Encoding:
    """Predict responses `y` from features `x` (sample, feature) and score the predictions.

    - `y`: (sample, target), or (repeat, sample, target) with NaN where a repeat is missing: then
      the mean over repeats is predicted and the repeats give the noise ceiling, the root of the
      split-half reliability for the correlation and the reliability itself for R2;
    - `folds`: a number of contiguous folds, or a label per sample (groups: samples of one label
      are left out, and resampled for the interval, together);
    - `select`: alpha per target by the exact `left-out` error, or by `folds` inside the training
      set (for time series, whose neighbours betray each other);
    - `null`: refits everything on responses that are shuffled across samples (`shuffle`), or turned
      in a circle (`shift`, for time series).

    The interval resamples samples (bootstrap percentiles) and holds the fitted models fixed;
    `correlation.mean()` resamples targets too.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 4))
    >>> y = x[:, :1] + rng.normal(size=(60, 1))
    >>> encode(x, y, permutations=19).correlation[0].value > 0.5
    True

    Raises ValueError for NaN in the features, a target that never changes and folds of one label.
    """
    x, mean, repeats = _door(x, y, model is None)
    n = len(mean)
    labels = fold_labels(n, folds)
    if select not in ("left-out", "folds") or null not in ("shuffle", "shift"):
        raise ValueError("select is 'left-out' or 'folds', null is 'shuffle' or 'shift'")
    rng = np.random.default_rng(seed)
    if null == "shift" and permutations:
        orders = shifts(n, permutations, 1, seed)  # all of them: see `shifts`
    elif model is not None:
        orders = np.array([_within(labels, rng) for _ in range(permutations)], int).reshape(-1, n)
    else:
        orders = np.array([rng.permutation(n) for _ in range(permutations)], int).reshape(-1, n)
    orders = np.concatenate([np.arange(n)[None], orders])
    if model is not None:
        made, offset, chosen = cross_predict(model, x, mean, labels)
        predictions = np.broadcast_to(made, (len(orders), *made.shape))
        offsets = np.broadcast_to(offset, predictions.shape)
    else:
        predictions, offsets, chosen = _ridge(x, mean, labels, orders, alphas, select)

    # The mean of a training set is high where the fold left out is low; left in the predictions it
    # would pull every correlation below zero, so the correlation takes it out.
    moved = predictions - offsets
    pairs = list(enumerate(orders))[1:]
    r_null = np.array([_correlation(moved[i], mean[o])[0] for i, o in pairs])
    r2_null = np.array([_r2(predictions[i], mean[o])[0] for i, o in pairs])
    weights = _bootstrap_weights(labels, grouped=np.ndim(folds) > 0, draws=resamples, rng=rng)
    share = None if repeats is None else np.maximum(reliability(repeats, seed=seed), 0)

    def score(name, statistic, made, null_draws, top):
        draws = statistic(made, mean, weights)
        return Score(
            statistic(made, mean)[0],
            percentile_interval(draws, level),
            top,
            null_draws if permutations else None,
            draws,
            name,
            level,
            n,
        )

    return Encoding(
        score("r", _correlation, moved[0], r_null, None if share is None else np.sqrt(share)),
        score("R2", _r2, predictions[0], r2_null, share),
        predictions[0],
        chosen,
    )


def cross_predict(
    model: Any, x: np.ndarray, y: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions (sample, target) of every fold by a clone fitted on the other folds, the mean of the training
    set each came from (same shape), and the clones' `alpha_` (fold, target; NaN where they have none).

    Nothing of the fold left out reaches the clone before it predicts.
    """
    made, offset = np.zeros(y.shape), np.zeros(y.shape)
    chosen = []
    for fold in np.unique(labels):
        out = labels == fold
        fitted = clone(model).fit(x[~out], y[~out])
        made[out] = np.asarray(fitted.predict(x[out]), float).reshape(-1, y.shape[1])
        offset[out] = y[~out].mean(0)
        alpha = np.asarray(getattr(fitted, "alpha_", np.nan), float)
        chosen.append(np.broadcast_to(alpha, y.shape[1]))
    return made, offset, np.stack(chosen)


def _within(labels, rng):
    """An order that shuffles samples inside their folds."""
    order = np.arange(len(labels))
    for fold in np.unique(labels):
        at = np.flatnonzero(labels == fold)
        order[at] = rng.permutation(at)
    return order


def _ridge(x, mean, labels, orders, alphas, select):
    """Predictions (order, sample, target) of every fold, the means they were trained on, alphas chosen."""
    n, targets = mean.shape
    tried = jnp.asarray(alphas, float)
    predictions = np.zeros((len(orders), n, targets), tried.dtype)
    offsets = np.zeros_like(predictions)
    chosen = []
    for fold in np.unique(labels):
        out = labels == fold
        train_x, test_x = jnp.asarray(x[~out], float), jnp.asarray(x[out], float)
        fixed = None
        if select == "folds":  # the null then reuses the alphas: an inner search a draw is too dear
            search = RidgeSearch(x[~out], alphas, min(5, int((~out).sum())))
            fixed = jnp.asarray(search.fit(mean[~out]).alpha)
        made, offset, alpha = _predict(
            train_x, test_x, jnp.asarray(mean, float), orders[:, ~out], tried, fixed
        )
        predictions[:, out], offsets[:, out] = made, np.asarray(offset)[:, None]
        chosen.append(np.asarray(alpha))
    return predictions, offsets, np.stack(chosen)


def _door(x, y, flat):
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim < 2 or (flat and x.ndim != 2) or y.ndim not in (2, 3):
        raise ValueError(
            "encode needs x (sample, feature) and y (sample, target) or (repeat, sample, target), "
            f"not {x.shape} and {y.shape}"
        )
    repeats = y if y.ndim == 3 else None
    if len(x) != y.shape[-2]:
        raise ValueError(f"x has {len(x)} samples but y has {y.shape[-2]}")
    if not np.all(np.isfinite(x)):
        raise ValueError(
            f"features hold NaN or infinity, first at sample {np.argwhere(~np.isfinite(x))[0][0]}"
        )
    if repeats is None:
        mean = y
    else:
        count = np.isfinite(y).sum(0)
        mean = np.where(count > 0, np.nansum(y, axis=0) / np.maximum(count, 1), np.nan)
    if not np.all(np.isfinite(mean)):
        sample, target = np.argwhere(~np.isfinite(mean))[0]
        raise ValueError(f"target {target} has no response to sample {sample}: drop one of them")
    still = np.flatnonzero(mean.std(0) == 0)
    if len(still):
        raise ValueError(f"target {still[0]} never changes, so it cannot be predicted: drop it")
    return x, mean, repeats


@jax.jit
def _predict(train_x, test_x, y, orders, alphas, fixed):
    """Predictions (draw, test sample, target) of y in every order, the means they were trained
    on and the alphas of the first; all draws share one decomposition of the features."""
    d = decompose(train_x)

    def one(order):
        train_y = y[order]
        alpha = (
            alphas[jnp.argmin(left_out_errors(d, train_y, alphas), 0)] if fixed is None else fixed
        )
        weights, intercept = solve(d, train_y, alpha)
        return test_x @ weights + intercept[None, :], train_y.mean(0), alpha

    made, offsets, alpha = jax.lax.map(one, orders)
    return made, offsets, alpha[0]


def _bootstrap_weights(labels, grouped, draws, rng):
    """How often each sample is drawn (draw, sample); samples of a group come together."""
    if not grouped:
        return rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), draws)
    kinds, at = np.unique(labels, return_inverse=True)
    return rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), draws)[:, at]


def _moments(p, y, weights):
    w = np.ones((1, len(p))) if weights is None else weights.astype(float)
    total = w.sum(1, keepdims=True)
    return w / total, y - y.mean(0), p - y.mean(0)


def _correlation(p, y, weights=None):
    """Weighted Pearson correlation of columns (draw, target): five matrix products."""
    w, y, p = _moments(p, y, weights)
    my, mp = w @ y, w @ p
    vy, vp = w @ y**2 - my**2, w @ p**2 - mp**2
    tiny = 1e-12 * (y**2).mean(0)
    good = (vp > tiny) & (vy > tiny)
    return np.where(good, (w @ (p * y) - mp * my) / np.sqrt(np.where(good, vp * vy, 1)), 0.0)


def _r2(p, y, weights=None):
    w, y, p = _moments(p, y, weights)
    spread = w @ y**2 - (w @ y) ** 2
    return 1 - (w @ (y - p) ** 2) / np.where(spread > 0, spread, np.nan)
