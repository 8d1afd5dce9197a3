r"""Banded (group) ridge: bands of features, each with a penalty of its own for every target.

$$w = \arg\min \|y - \sum_b X_b w_b\|^2 + \sum_b \alpha_b \|w_b\|^2, \qquad \alpha_b = \alpha / \gamma_b$$

Features scaled by $\sqrt{\gamma_b}$ turn it into plain ridge with one $\alpha$. Sources: Nunez-Elizalde, Huth
and Gallant (2019); Dupre la Tour, Eickenberg, Nunez-Elizalde and Gallant (2022), whose random search this is.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from neuropil.compare.ridge import (
    ALPHAS,
    ROOM,
    columns,
    fold_labels,
    held_parts,
    penalties,
    products,
    splits,
)
from neuropil.learn.ridge_search import Dual, Primal, fold_errors, plan


def band_labels(groups: Any, features: int) -> np.ndarray:
    """Band of each feature as 0, 1, ...; one band where `groups` is None."""
    labels = np.zeros(features, int) if groups is None else np.asarray(groups)
    if labels.shape != (features,):
        raise ValueError(
            f"groups must name the band of each of {features} features, not have shape {labels.shape}"
        )
    return np.unique(labels, return_inverse=True)[1]


def band_draws(bands: int, draws: int, seed: int = 0) -> np.ndarray:
    """Shares (draw, band) that sum to 1: equal ones first, then Dirichlet draws whose concentration is by
    turns 0.1 (most share in one band) and 1 (anywhere on the simplex).

    >>> band_draws(2, 3).round(2).tolist()
    [[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]]
    """
    rng = np.random.default_rng(seed)
    rows = [np.full(bands, 1 / bands)]
    rows += [rng.dirichlet(np.full(bands, (0.1, 1.0)[i % 2])) for i in range(draws - 1)]
    return np.maximum(np.array(rows), 1e-12)


@jax.jit
def _better(best, errors, alphas, draw):
    """Keep of each target the least error so far, its alpha and its draw."""
    at = jnp.argmin(errors, 0)
    error = jnp.take_along_axis(errors, at[None, :], 0)[0]
    won = error < best[0]
    new = (error, alphas[at], jnp.full(error.shape, draw))
    return tuple(jnp.where(won, a, b) for a, b in zip(new, best, strict=True))


class _Bands:
    """Features in bands: centred, in the form that suits their shape, with folds."""

    def __init__(self, x, labels, cv, intercept):
        self.labels, self.intercept = labels, intercept
        self.splits = splits(fold_labels(len(x), cv))
        least = min(len(train) for train, _ in self.splits)
        self.mean = x.mean(0, dtype=np.float64) if intercept else np.zeros(x.shape[1])
        self.x = np.subtract(x, self.mean, dtype=np.float64)
        if x.shape[1] <= least:
            self.form: Any = Primal(x, intercept, keep=True)
        else:
            parts = [self.x[:, labels == b] for b in range(labels.max() + 1)]
            self.form = Dual(np.stack([p @ p.T for p in parts]), intercept)
        self.dtype = np.dtype(jnp.result_type(float))
        self.parts = held_parts(self.form, self.splits, self.dtype)

    def scale(self, gamma):
        """What multiplies features (primal) or the features behind kernels (dual)."""
        root = np.sqrt(gamma)
        return root[self.labels] if isinstance(self.form, Primal) else root

    def centre(self, y):
        y = np.asarray(y, self.dtype)
        mean = y.mean(0) if self.intercept else np.zeros(y.shape[1], y.dtype)
        return mean, y - mean

    def search(self, y, alphas, gammas):
        """Of each target the least summed error, its alpha and its row of `gammas`."""
        count, held = y.shape[1], max(len(out) for _, out in self.splits)
        width = max(1, min(count, ROOM // (len(alphas) * held)))
        width = -(-count // -(-count // width))  # pieces of nearly equal width
        pieces = []
        for piece in columns(y, width):
            _, piece = self.centre(piece)
            piece = jnp.asarray(np.pad(piece, ((0, 0), (0, width - piece.shape[1]))))
            worst = jnp.full(width, jnp.inf, self.dtype)
            best = (worst, worst, jnp.zeros(width, int))
            pieces.append([piece, products(self.form, self.parts, self.splits, piece), best])
        tried = jnp.asarray(alphas, self.dtype)
        for draw, gamma in enumerate(gammas):
            errors = [0.0] * len(pieces)
            # LAPACK on one core while XLA's threads work on the products of the draw before
            with threadpool_limits(1, "blas"):
                folds = [self.form.fold(*each, self.scale(gamma)) for each in self.splits]
            made = [plan(f, alphas, count, self.intercept) for f in folds]
            jax.block_until_ready([piece[2] for piece in pieces])
            for i, (piece, (total, parts), _) in enumerate(pieces):
                for p, part in zip(made, parts, strict=True):
                    found = fold_errors(p, piece, total, part, self.intercept, False)
                    errors[i] = errors[i] + found
            for piece, error in zip(pieces, errors, strict=True):
                piece[2] = _better(piece[2], error, tried, draw)
        return [np.concatenate([np.asarray(p[2][i]) for p in pieces])[:count] for i in range(3)]

    def solve(self, y, alpha, draw, gammas):
        """Weights (feature, target) and intercepts: targets with one draw share an eigendecomposition."""
        mean, y = self.centre(y)
        x, primal = self.x.astype(self.dtype), isinstance(self.form, Primal)
        z = x.T @ y if primal else y
        weights = np.zeros((len(self.labels), y.shape[1]), self.dtype)
        for d in np.unique(draw):
            mine = np.flatnonzero(draw == d)
            power, axes = (a.astype(self.dtype) for a in self.form.axes(self.scale(gammas[d])))
            made = axes @ ((axes.T @ z[:, mine]) / (power[:, None] + alpha[mine]))
            if not primal:
                made = gammas[d][self.labels].astype(self.dtype)[:, None] * (x.T @ made)
            weights[:, mine] = made
        return weights, mean - self.mean.astype(self.dtype) @ weights


class BandedRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge with a penalty per band of features and target, chosen on folds; a scikit-learn estimator.

    - `groups`: the band of each feature (any labels, in sorted order); None: one band;
    - `alphas`: candidates for the common penalty; `cv`: a number of contiguous folds, or labels;
    - `draws`: how many shares of the bands are tried (`band_draws`), or the shares themselves (draw, band);
    - `steps`: so many steps of gradient descent on the logarithms of each target's penalties follow, on the
      same folds (`refine`); they cost a solve per target, fold and step, so 0 by default.

    After `fit`: `coef_` (target, feature), `intercept_`, `penalties_` (target, band) = alpha / share, and
    `error_`, the mean squared error on held-out samples, per target.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(80, 40))
    >>> y = x[:, :20] @ rng.normal(size=(20, 3)) + rng.normal(size=(80, 3))
    >>> model = BandedRidge(groups=[0] * 20 + [1] * 20, draws=5).fit(x, y)
    >>> bool((model.penalties_[:, 0] < model.penalties_[:, 1]).all())
    True

    Raises ValueError for NaN, fewer samples than folds, groups that do not match and shares that are not
    positive.
    """

    def __init__(
        self, groups=None, alphas=ALPHAS, cv=5, draws=20, steps=0, fit_intercept=True, seed=0
    ):
        self.groups = groups
        self.alphas = alphas
        self.cv = cv
        self.draws = draws
        self.steps = steps
        self.fit_intercept = fit_intercept
        self.seed = seed

    def fit(self, X, y):
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        if len(X) < 2:
            raise ValueError(f"ridge needs at least 2 samples, but n_samples = {len(X)}")
        labels, alphas = band_labels(self.groups, X.shape[1]), penalties(self.alphas)
        count = int(labels.max()) + 1
        cv = min(self.cv, len(X)) if np.ndim(self.cv) == 0 else self.cv
        if np.ndim(self.draws):
            gammas = np.asarray(self.draws, float)
        else:
            gammas = band_draws(count, self.draws if count > 1 else 1, self.seed)
        if gammas.ndim != 2 or gammas.shape[1] != count or not np.all(gammas > 0):
            raise ValueError(
                f"draws must be a number, or positive shares of {count} bands (draw, band)"
            )
        target = y.reshape(len(y), -1)
        bands = _Bands(X, labels, cv, self.fit_intercept)
        error, alpha, draw = bands.search(target, alphas, gammas)
        levels = alpha[:, None] / gammas[draw]
        weights, intercept = bands.solve(target, alpha, draw, gammas)
        if self.steps:
            levels, error = refine(X, target, labels, levels, bands, self.steps)
            weights, intercept = _each(bands, target, levels)
        flat = 0 if y.ndim == 1 else slice(None)
        self.coef_ = np.asarray(weights, X.dtype).T[flat]
        self.intercept_ = np.asarray(intercept, X.dtype)[flat]
        self.penalties_, self.error_ = levels[flat], (error / len(X))[flat]
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return X @ self.coef_.T + self.intercept_


def refine(
    x: np.ndarray,
    y: np.ndarray,
    labels: np.ndarray,
    start: np.ndarray,
    bands: _Bands,
    steps: int,
    rate: float = 0.3,
) -> tuple[np.ndarray, np.ndarray]:
    """Penalties (target, band) by Adam on their logarithms from `start`, and their summed errors on the folds.

    The error is a function of second moments alone, and its gradient goes through one Cholesky solve a fold and
    target. The best of all steps is kept, so that no target ends worse than it began.
    """
    folds = []
    _, centred = bands.centre(y)
    for train, out in bands.splits:
        own = lambda a, t=train: a - a[t].mean(0) if bands.intercept else a
        inside, held = own(bands.x)[train], own(bands.x)[out]
        yt, yo = own(centred)[train], own(centred)[out]
        folds.append((inside.T @ inside, held.T @ held, inside.T @ yt, held.T @ yo, (yo**2).sum(0)))
    ready = lambda i: jnp.asarray(np.stack([f[i] for f in folds]), bands.dtype)
    grams, helds = ready(0), ready(1)
    inner, outer, size = (jnp.moveaxis(ready(i), -1, 0) for i in (2, 3, 4))
    first = jnp.asarray(np.log(start), bands.dtype)
    levels, error = _descend(
        grams, helds, inner, outer, size, first, jnp.asarray(labels), rate, steps
    )
    return np.exp(np.asarray(levels)), np.asarray(error)


def _moment_error(grams, helds, inner, outer, size, level, labels):
    """Sum over folds of |y - Xw|^2 of held-out samples, from second moments."""

    def one(fold):
        gram, held, z, zo, yy = fold
        alpha = jnp.exp(level)[labels]
        w = jax.scipy.linalg.solve(gram + jnp.diag(alpha), z, assume_a="pos")
        return yy - 2 * w @ zo + w @ (held @ w)

    return jax.lax.map(one, (grams, helds, inner, outer, size)).sum()


def _descend(grams, helds, inner, outer, size, first, labels, rate, steps):
    tx = optax.adam(rate)

    @jax.jit
    def every(grams, helds, inner, outer, size, first):
        def target(each):
            z, zo, yy, begin = each

            def step(carry, _):
                level, state, best, least = carry
                error, grad = jax.value_and_grad(_moment_error, argnums=5)(
                    grams, helds, z, zo, yy, level, labels
                )
                won = error < least
                best, least = jnp.where(won, level, best), jnp.where(won, error, least)
                # errors have the units of the target: only the direction of the gradient is used
                norm = jnp.sqrt((grad**2).sum())
                move, state = tx.update(grad / jnp.where(norm > 0, norm, 1), state)
                return (level + move, state, best, least), None

            carry = (begin, tx.init(begin), begin, jnp.asarray(jnp.inf, begin.dtype))
            carry, _ = jax.lax.scan(step, carry, None, steps + 1)
            return carry[2], carry[3]

        return jax.lax.map(target, (inner, outer, size, first))

    return every(grams, helds, inner, outer, size, first)


def _each(bands: _Bands, y: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercepts where every target has penalties of its own: a solve for each."""
    mean, y = bands.centre(y)
    gram = jnp.asarray(bands.x.T @ bands.x, bands.dtype)
    cross = jnp.asarray((bands.x.T @ y).T, bands.dtype)
    alphas = jnp.asarray(levels[:, bands.labels], bands.dtype)

    @jax.jit
    def every(gram, cross, alphas):
        one = lambda each: jax.scipy.linalg.solve(gram + jnp.diag(each[1]), each[0], assume_a="pos")
        return jax.lax.map(one, (cross, alphas))

    weights = np.asarray(every(gram, cross, alphas)).T
    return weights, mean - bands.mean.astype(bands.dtype) @ weights
