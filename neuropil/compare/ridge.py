"""Ridge regression with a penalty per target, chosen by cross-validation, as a scikit-learn estimator.

The mathematics is in `neuropil.learn.ridge`.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neuropil.learn.ridge import decompose, left_out_errors, solve

ALPHAS = tuple(float(a) for a in np.logspace(-2, 6, 17))


def blocks(samples: int, folds: int) -> np.ndarray:
    """Labels of `folds` contiguous folds of nearly equal size.

    >>> blocks(5, 2).tolist()
    [0, 0, 0, 1, 1]
    """
    if not 2 <= folds <= samples:
        raise ValueError(f"folds must lie between 2 and the number of samples {samples}: {folds}")
    return np.concatenate(
        [np.full(len(part), i) for i, part in enumerate(np.array_split(np.arange(samples), folds))]
    )


@jax.jit
def _fold_errors(train_x, train_y, test_x, test_y, alphas):
    d = decompose(train_x)

    def one(alpha):
        weights, intercept = solve(d, train_y, jnp.full(train_y.shape[1], alpha))
        return ((test_y - test_x @ weights - intercept[None, :]) ** 2).sum(0)

    return jax.lax.map(one, alphas)


def fold_errors(
    x: Float[Array, "sample feature"],
    y: Float[Array, "sample target"],
    alphas: Float[Array, " alpha"],
    labels: np.ndarray,
) -> Float[Array, "alpha target"]:
    """Mean squared error of every alpha on folds held out in turn."""
    total = 0.0
    for fold in np.unique(labels):
        out = labels == fold
        total = total + _fold_errors(x[~out], y[~out], x[out], y[out], alphas)
    return total / len(labels)


@partial(jax.jit, static_argnames="search")
def _fit(x, y, alphas, chosen, search):
    d = decompose(x)
    alpha = alphas[jnp.argmin(left_out_errors(d, y, alphas), 0)] if search else chosen
    return (*solve(d, y, alpha), alpha)


class Ridge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression with an alpha per target, as a scikit-learn estimator.

    - `alphas`: one number, or candidates of which every target takes its best;
    - `cv`: None chooses by the exact leave-one-out error. Neighbouring samples of a slow signal
      betray each other, so there give a number of contiguous folds, or an array of fold labels.

    Computes in JAX's precision (float32 unless x64 is on). After `fit`: `coef_` (target, feature),
    `intercept_`, `alpha_` (per target).

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 3))
    >>> model = Ridge().fit(x, x @ np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    >>> (model.coef_.round(2) + 0.0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, alphas=ALPHAS, cv=None):
        self.alphas = alphas
        self.cv = cv

    def fit(self, X, y):
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        flat = y.ndim == 1
        tried = np.atleast_1d(np.asarray(self.alphas, float))
        if tried.ndim != 1 or tried.size == 0 or not np.all(tried > 0):
            raise ValueError(f"alphas must be positive numbers, not {self.alphas!r}")
        if len(X) < 2:
            raise ValueError(f"ridge needs at least 2 samples, but n_samples = {len(X)}")
        x, target = jnp.asarray(X, float), jnp.asarray(y.reshape(len(y), -1), float)
        alphas = jnp.asarray(tried, x.dtype)
        chosen = jnp.full(target.shape[1], alphas[0])
        search = len(tried) > 1 and self.cv is None
        if len(tried) > 1 and self.cv is not None:
            labels = blocks(len(X), self.cv) if np.ndim(self.cv) == 0 else np.asarray(self.cv)
            chosen = alphas[jnp.argmin(fold_errors(x, target, alphas, labels), 0)]
        weights, intercept, alpha = _fit(x, target, alphas, chosen, search)
        coef = np.asarray(weights, X.dtype).T
        self.coef_ = coef[0] if flat else coef
        self.intercept_ = np.asarray(intercept, X.dtype)[0 if flat else slice(None)]
        self.alpha_ = np.asarray(alpha)[0 if flat else slice(None)]
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return X @ self.coef_.T + self.intercept_
