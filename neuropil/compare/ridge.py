"""Ridge regression with a penalty per target, chosen by cross-validation, as scikit-learn estimators.

The mathematics is in `neuropil.learn.ridge` (one penalty each) and `neuropil.learn.ridge_search` (the search).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils.validation import check_is_fitted, validate_data

from neuropil.learn.ridge_search import Dual, Primal, fold_errors, moments, plan, solved

ALPHAS = tuple(float(a) for a in np.logspace(-2, 6, 17))
ROOM = 6_000_000  # numbers in the largest temporary: below 32 MB its memory is used again at the next call


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


def fold_labels(samples: int, cv: int | np.ndarray) -> np.ndarray:
    """A label per sample: from a number of contiguous folds, or labels as they are, checked."""
    labels = blocks(samples, int(cv)) if np.ndim(cv) == 0 else np.asarray(cv)
    if labels.shape != (samples,) or len(np.unique(labels)) < 2:
        raise ValueError(f"folds must be a number or {samples} labels of at least 2 kinds")
    return labels


def splits(labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training, held-out) sample numbers of every fold."""
    return [(np.flatnonzero(labels != f), np.flatnonzero(labels == f)) for f in np.unique(labels)]


def penalties(alphas: Any) -> np.ndarray:
    """Penalties as an array, checked."""
    tried = np.atleast_1d(np.asarray(alphas, float))
    if tried.ndim != 1 or tried.size == 0 or not np.all(tried > 0) or not np.isfinite(tried).all():
        raise ValueError(f"alphas must be positive numbers, not {alphas!r}")
    return tried


class Fitted(NamedTuple):
    """Solutions of some targets: weights (row, target), and per target intercept, alpha, and the mean squared
    error with that alpha on samples held out (NaN where there was nothing to choose)."""

    weights: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    error: np.ndarray


@partial(jax.jit, static_argnames="intercept")
def _centre(y, intercept):
    mean = y.mean(0) if intercept else jnp.zeros(y.shape[1], y.dtype)
    return mean, y - mean[None, :]


@jax.jit
def _choose(errors, alphas):
    best = jnp.argmin(errors, 0)
    return alphas[best], jnp.take_along_axis(errors, best[None, :], 0)[0]


@jax.jit
def _spread(rows, made):
    return rows.T @ made


def held_parts(form: Primal | Dual, folds: list, dtype) -> list:
    """Features of the samples each fold holds out (feature, sample); of all, without folds."""
    if isinstance(form, Dual):
        return []
    return [jnp.asarray(form.x[out].T, dtype) for _, out in folds] or [jnp.asarray(form.x.T, dtype)]


def products(form: Primal | Dual, parts: list, folds: list, y: jax.Array) -> tuple:
    """X'y of all samples and of each fold's held-out ones; None where the dual form needs none."""
    if isinstance(form, Dual):
        return None, [None] * max(1, len(folds))
    tests = [jnp.asarray(out) for _, out in folds] or [jnp.arange(len(y))]
    each = [moments(x, y, test) for x, test in zip(parts, tests, strict=True)]
    return sum(each[1:], each[0]), each


class RidgeSearch:
    """All of a ridge fit that does not depend on the targets, ready for targets piece by piece.

    **Arguments**: `x` (sample, feature), or with `kernel=True` the kernel of the samples; `alphas`, of which
    every target takes its best; `cv`: None leaves samples out one by one (exactly, without refitting), a number
    makes contiguous folds, labels are folds as they are. The Gram matrix is that of features or of samples,
    whichever are fewer.

    `fit(y)` may be called again and again and compiles nothing after the first piece; `y` may be anything that
    gives columns by `y[:, a:b]` (a memory map, an HDF5 data set) and is never read whole.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 4))
    >>> search = RidgeSearch(x, alphas=(0.1, 1.0), cv=5)
    >>> [search.fit(y[:, a : a + 2]).weights.shape for a in (0, 2)]
    [(3, 2), (3, 2)]
    """

    def __init__(self, x, alphas=ALPHAS, cv=None, *, intercept: bool = True, kernel: bool = False):
        x, self.alphas, self.intercept = np.asarray(x), penalties(alphas), intercept
        self.n = len(x)
        if self.n < 2:
            raise ValueError(f"ridge needs at least 2 samples, but n_samples = {self.n}")
        if not np.isfinite(x).all():
            sample = int(np.argwhere(~np.isfinite(x))[0][0])
            raise ValueError(f"features hold NaN or infinity, first at sample {sample}")
        self.splits = splits(fold_labels(self.n, cv)) if cv is not None else []
        least = min((len(train) for train, _ in self.splits), default=self.n)
        self.dtype = np.dtype(jnp.result_type(float))
        self.rows = None  # what turns a dual solution into weights of features
        self.mean = np.zeros(x.shape[1])
        if kernel:
            self.form: Any = Dual(x[None], intercept)
        elif x.shape[1] <= least:
            self.form = Primal(x, intercept)
            self.mean = self.form.mean
        else:
            self.mean = x.mean(0) if intercept else self.mean
            wide = np.subtract(x, self.mean, dtype=np.float64)
            self.form, self.rows = Dual((wide @ wide.T)[None], intercept), wide
        self.plans = None
        ready = lambda a: jnp.asarray(a, self.dtype)
        self.whole = None if self.splits or len(self.alphas) == 1 else self.form.whole()
        power, axes = self.form.axes() if self.whole is None else self.whole[2:5:2]
        self.axes, self.power = ready(axes), ready(power)
        self.tried = ready(self.alphas)
        self.parts = held_parts(self.form, self.splits, self.dtype)
        if self.rows is not None:
            self.rows = ready(self.rows)
        # a kernel's mean is taken out of the prediction by the intercept
        self.level = self.form.kernel().mean(0) if kernel and intercept else self.mean

    def prepare(self, targets: int) -> None:
        """Set up the search for about so many targets in all; `fit` does it where it was not done."""
        if len(self.alphas) > 1 and self.plans is None:
            folds = (self.form.fold(*each) for each in self.splits) if self.splits else [self.whole]
            self.plans = [plan(f, self.alphas, targets, self.intercept) for f in folds]

    def width(self, targets: int) -> int:
        """How many targets are fitted at once."""
        held = max((len(out) for _, out in self.splits), default=self.n)
        wide = max(256, ROOM // max(len(self.alphas) * held, 4 * len(self.axes)))
        return max(1, min(targets, wide // 128 * 128, 4096))

    def fit(self, y: Any, out: np.ndarray | None = None) -> Fitted:
        """Solutions of targets `y` (sample, target). `out` (row, target) takes the weights where given.

        Raises ValueError for samples that do not match and for NaN or infinity.
        """
        if y.ndim != 2 or len(y) != self.n:
            raise ValueError(f"y must be (sample, target) with {self.n} samples, not {y.shape}")
        count = y.shape[1]
        self.prepare(count)
        width = self.width(count)
        rows = len(self.mean) if self.rows is not None else len(self.axes)
        weights = np.empty((rows, count), self.dtype) if out is None else out
        rest = np.empty((3, count), self.dtype)

        def keep(begin, made, *each):
            size = min(width, count - begin)
            weights[:, begin : begin + size] = np.asarray(made)[:, :size]
            for row, value in zip(rest, each, strict=True):
                row[begin : begin + size] = np.asarray(value)[:size]

        before = None  # a piece is read while the one before it is computed
        for begin, piece in zip(range(0, count, width), columns(y, width), strict=True):
            piece = piece.astype(self.dtype)
            if not np.isfinite(piece.sum()):
                bad = np.argwhere(~np.isfinite(piece))
                if len(bad):
                    sample, target = bad[0]
                    raise ValueError(f"target {begin + target} is not finite at sample {sample}")
            if piece.shape[1] < width:  # the program is made for pieces of one width
                piece = np.pad(piece, ((0, 0), (0, width - piece.shape[1])))
            now = (begin, *self._piece(jnp.asarray(piece)))
            if before is not None:
                keep(*before)
            before = now
        if before is not None:
            keep(*before)
        return Fitted(weights, *rest)

    def _piece(self, y):
        mean, y = _centre(y, self.intercept)
        total, each = products(self.form, self.parts, self.splits, y)
        if self.plans is None:
            alpha = jnp.full(y.shape[1], self.tried[0])
            error = jnp.full(y.shape[1], jnp.nan)
        else:
            errors = 0.0
            for p, part in zip(self.plans, each, strict=True):
                errors = errors + fold_errors(p, y, total, part, self.intercept, not self.splits)
            alpha, error = _choose(errors, self.tried)
        made = solved(self.axes, self.power, y if total is None else total, alpha)
        if self.rows is not None:
            made = _spread(self.rows, made)
        level = jnp.asarray(self.level, self.dtype)
        return made, mean - level @ made, alpha, error / self.n


def columns(y: Any, width: int) -> Iterator[np.ndarray]:
    """Pieces of `width` columns, the last as wide as is left, of anything that gives `y[:, a:b]`.

    >>> [piece.shape for piece in columns(np.zeros((3, 5)), 2)]
    [(3, 2), (3, 2), (3, 1)]
    """
    for begin in range(0, y.shape[1], width):
        yield np.asarray(y[:, begin : begin + width])


class Ridge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression with an alpha per target, as a scikit-learn estimator.

    - `alphas`: one number, or candidates of which every target takes its best;
    - `cv`: None chooses by the exact leave-one-out error. Neighbouring samples of a slow signal
      betray each other, so there give a number of contiguous folds, or an array of fold labels;
    - `fit_intercept`: whether the mean is taken out (of every training set by itself).

    Computes in JAX's precision (float32 unless x64 is on); Gram matrices and eigenvectors in double.
    After `fit`: `coef_` (target, feature), `intercept_`, and per target `alpha_` and `error_`, the mean
    squared error with that alpha on samples held out. For targets that do not fit in memory see `RidgeSearch`.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 3))
    >>> model = Ridge().fit(x, x @ np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    >>> (model.coef_.round(2) + 0.0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]

    A target that never changes is predicted by its value; a feature that never changes gets weight 0.

    Raises ValueError for NaN, fewer than 2 samples, and alphas that are not positive.
    """

    def __init__(self, alphas=ALPHAS, cv=None, fit_intercept=True):
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept

    def fit(self, X, y):
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        search = RidgeSearch(X, self.alphas, self.cv, intercept=self.fit_intercept)
        _store(self, search.fit(y.reshape(len(y), -1)), X.dtype, y.ndim == 1, "coef_")
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return X @ self.coef_.T + self.intercept_


def _store(model, fitted: Fitted, dtype, flat: bool, name: str) -> None:
    """Attributes of an estimator; of one flat target without its axis."""
    at = 0 if flat else slice(None)
    setattr(model, name, np.asarray(fitted.weights, dtype).T[at])
    model.intercept_ = np.asarray(fitted.intercept, dtype)[at]
    model.alpha_, model.error_ = fitted.alpha[at], fitted.error[at]


class KernelRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Kernel ridge regression with an alpha per target: f(x) = sum_i d_i k(x, x_i) + b.

    `kernel` is any name scikit-learn's `pairwise_kernels` knows ("linear", "rbf", "poly", "cosine" ...), a
    function, or "precomputed" (then X is the kernel of samples with training samples); `gamma`, `degree` and
    `coef0` go to it. `alphas` and `cv` as in `Ridge`; with `fit_intercept` the mean of the features behind the
    kernel is taken out. After `fit`: `dual_coef_` (target, sample), `intercept_`, `alpha_`, `error_`.

    >>> x = np.linspace(0, 6, 60)[:, None]
    >>> model = KernelRidge(kernel="rbf", gamma=1.0, alphas=(0.001, 0.1)).fit(x, np.sin(x[:, 0]))
    >>> bool(model.score(x, np.sin(x[:, 0])) > 0.999)
    True
    """

    def __init__(
        self,
        kernel="linear",
        gamma=None,
        degree=3,
        coef0=1,
        alphas=ALPHAS,
        cv=None,
        fit_intercept=True,
    ):
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept

    def _kernel(self, X, Y=None):
        if callable(self.kernel):
            return pairwise_kernels(X, Y, metric=self.kernel)
        more = dict(gamma=self.gamma, degree=self.degree, coef0=self.coef0)
        return pairwise_kernels(X, Y, metric=self.kernel, filter_params=True, **more)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def fit(self, X, y):
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        self.X_fit_ = X
        search = RidgeSearch(
            self._kernel(X), self.alphas, self.cv, intercept=self.fit_intercept, kernel=True
        )
        _store(self, search.fit(y.reshape(len(y), -1)), X.dtype, y.ndim == 1, "dual_coef_")
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._kernel(X, self.X_fit_) @ self.dual_coef_.T + self.intercept_
