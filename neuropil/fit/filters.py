r"""Decoders that filter: Kalman, and discriminative Kalman, as scikit-learn regressors.

Both take rows in the order of time, learn $z_t = A z_{t-1} + w$ of the decoded variables by least squares, and
answer every row from it and all rows before: predictions depend on the order of rows, and on where they begin.

Source: Wu et al. (2006), Neural Comput. 18, 80; Burkhart et al. (2020), Neural Comput. 32, 969.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neuropil.belief import DiscriminativeKalman, Kalman
from neuropil.core import Carry, Tick, run, start
from neuropil.fit.door import admit, beside
from neuropil.fit.kernel import NadarayaWatson


class Conditional(eqx.Module):
    """N(f(x), V(x)) by two regressions, the second of which gives V as a row of n^2 numbers."""

    mean: NadarayaWatson
    spread: NadarayaWatson

    def __call__(self, x: Float[Array, " m"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        f = self.mean(x)
        return f, self.spread(x).reshape(f.size, f.size)


class LinearObservation(eqx.Module):
    """f and V of a linear Gaussian observation x = C z + N(0, R) of z ~ N(0, S), in closed form:
    V = (S^-1 + C' R^-1 C)^-1, f = V C' R^-1 x."""

    weight: Float[Array, "n m"]
    cov: Float[Array, "n n"]

    @classmethod
    def of(cls, C: Array, R: Array, S: Array) -> LinearObservation:
        """From the observation's matrix C (m, n), its noise R (m, m) and the state's covariance S."""
        back = jsl.solve(R, C, assume_a="pos").T
        cov = jnp.linalg.inv(jnp.linalg.inv(S) + back @ C)
        return cls(cov @ back, (cov + cov.T) / 2)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        return self.weight @ x, self.cov


def dynamics(z: Float[Array, "time n"]) -> tuple[Array, Array, Array]:
    """(A, Q, S): least squares of every row on the one before, the covariance of what is left, and that of the
    rows themselves."""
    past, now = z[:-1], z[1:]
    small = 1e-6 * jnp.eye(z.shape[1], dtype=z.dtype)
    A = jsl.solve(past.T @ past + small * len(past), past.T @ now, assume_a="pos").T
    rest = now - past @ A.T
    return A, rest.T @ rest / len(now) + small, z.T @ z / len(z) + small


@eqx.filter_jit
def _filtered(system, x) -> Array:
    return run(system, start(system, 1.0, jax.random.key(0)), x)[1].mean


class _Filter(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """What the two decoders share: what is checked and centred, and the run over time."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # rows that follow no dynamics are no test of it
        return tags

    def _begin(self, X, y):
        X, y = admit(self, X, "series", fit=True), beside(self, y, "series", fit=True)
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32]
        )
        if len(X) < 10:
            raise ValueError(f"a filter needs at least 10 rows in time, but n_samples = {len(X)}")
        self._flat = y.ndim == 1
        z = y.reshape(len(y), -1)
        self.center_, self.offset_ = X.mean(0), z.mean(0)
        self.scale_ = np.where(z.std(0) > 0, z.std(0), 1.0)
        x = jnp.asarray(X - self.center_, float)
        return x, jnp.asarray((z - self.offset_) / self.scale_, float)

    def predict(self, X):
        """The mean of what is decoded at every row, from this row and those before it."""
        check_is_fitted(self, "system_")
        X = admit(self, X, "series")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        x = self._features(jnp.asarray(X - self.center_, float))
        z = np.asarray(_filtered(self.system_, x), X.dtype) * self.scale_ + self.offset_
        return z[:, 0] if self._flat else z

    def online(self):
        """(step, state) to decode bins as they arrive, for closed loops.

        `state, z = step(state, x)`: x (channel,) is the next bin, z (n,) or () the mean of what is decoded from
        it and all bins before, a JAX array (`np.asarray(z)` waits for it). A few bins at once, (bin, channel),
        give z (bin, n) in less time a bin. Give each stream of bins a state of its own. The first call of a
        shape compiles. Equal to `predict` of all bins at once but for rounding.

        >>> rng = np.random.default_rng(0)
        >>> z = np.cumsum(rng.normal(size=(50, 1)), 0)
        >>> decoder = KalmanDecoder().fit(np.hstack([z, -z]) + rng.normal(size=(50, 2)), z)
        >>> step, state = decoder.online()
        >>> state, said = step(state, np.array([1.0, -1.0]))
        >>> said.shape
        (1,)
        """
        check_is_fitted(self, "system_")
        floats = jnp.result_type(float)
        center, offset, scale = (
            jnp.asarray(a, floats) for a in (self.center_, self.offset_, self.scale_)
        )
        begun = start(self.system_, 1.0, jax.random.key(0))
        clock = (
            begun.i,
            begun.dt,
            begun.key,
        )  # the same at every bin: filters neither count nor draw

        @jax.jit
        def step(state, x):
            rows = self._features(jnp.atleast_2d(jnp.asarray(x, floats)) - center[None])
            if x.ndim == 2:
                carry, belief = run(self.system_, Carry(*clock, state), rows)
                state, z = carry.state, belief.mean * scale[None] + offset[None]
            else:
                state, belief = self.system_.step(state, rows[0], Tick(*clock))
                z = belief.mean * scale + offset
            return state, z[..., 0] if self._flat else z

        return step, begun.state

    def _features(self, x):
        return x


class KalmanDecoder(_Filter):
    """Kalman's filter of behaviour from activity: x = C z + N(0, R), fitted by least squares.

    `shrink`: share of R that is replaced by its diagonal, so that it can be inverted where there are more
    channels than rows. A bin costs as much as its dimension n demands, not its channels: C' R^-1 x is all
    that the filter needs of x, so it is projected to n numbers first.

    After `fit`: `system_`, the filter over projected channels (`belief.Kalman`), `projection_` (n, channel).

    >>> rng = np.random.default_rng(0)
    >>> z = np.cumsum(rng.normal(size=(300, 2)), 0) * 0.1
    >>> x = z @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(300, 8))
    >>> bool(KalmanDecoder().fit(x[:200], z[:200]).score(x[200:], z[200:]) > 0.8)
    True
    """

    def __init__(self, shrink=0.01):
        self.shrink = shrink

    def fit(self, X, y):
        """Rows of `X` (time, channel) and `y` (time, n) or (time,) in the order of time."""
        if not 0 <= self.shrink <= 1:
            raise ValueError(f"shrink lies between 0 and 1, not {self.shrink}")
        self.system_, self.projection_ = _projected(*self._begin(X, y), self.shrink)
        return self

    def _features(self, x):
        return x @ self.projection_.T


@jax.jit
def _projected(x, z, shrink):
    A, Q, S = dynamics(z)
    C = jsl.solve(z.T @ z + 1e-6 * len(z) * jnp.eye(z.shape[1]), z.T @ x, assume_a="pos").T
    rest = x - z @ C.T
    R = rest.T @ rest / len(x)
    alone = jnp.maximum(jnp.diagonal(R), 1e-6)
    R = (1 - shrink) * R + jnp.diag(shrink * alone + 1e-6 * alone.mean())
    back = jsl.solve(R, C, assume_a="pos").T
    # an observation with error covariance I whose information is that of all channels
    chol = jnp.linalg.cholesky(back @ C + 1e-9 * jnp.eye(z.shape[1]))
    projection = jsl.solve_triangular(chol, back, lower=True)
    n = z.shape[1]
    return Kalman(A, chol.T, Q, jnp.eye(n), jnp.zeros(n), S), projection


class DiscriminativeKalmanDecoder(_Filter):
    """The discriminative Kalman filter of behaviour from activity, f and V by Nadaraya-Watson regression.

    A share `held` of the rows, in `folds` stretches (of 10 rows at least), is kept for V: f is fitted to
    the others, its errors on those held give V as a weighted mean of their outer products. `apart`:
    neighbours so many rows away are left out when a bandwidth is chosen. `repair`: as in
    `belief.DiscriminativeKalman`, "robust" included.

    After `fit`: `system_`, the filter (`belief.DiscriminativeKalman`).

    >>> rng = np.random.default_rng(0)
    >>> z = np.cumsum(rng.normal(size=(400, 1)), 0) * 0.1
    >>> x = np.exp(-((z - np.linspace(-2, 2, 9)) ** 2)) + 0.2 * rng.normal(size=(400, 9))
    >>> bool(DiscriminativeKalmanDecoder().fit(x[:300], z[:300]).predict(x[300:]).shape == (100, 1))
    True
    """

    def __init__(self, repair="clip", held=0.3, folds=10, apart=0):
        self.repair = repair
        self.held = held
        self.folds = folds
        self.apart = apart

    def fit(self, X, y):
        """Rows of `X` (time, channel) and `y` (time, n) or (time,) in the order of time."""
        if not 0 < self.held < 1 or self.folds < 1 or self.apart < 0:
            raise ValueError("held lies between 0 and 1, folds is at least 1, apart not negative")
        x, z = self._begin(X, y)
        folds = max(1, min(self.folds, len(x) // 10))
        kept = np.arange(len(x)) * folds % len(x) < (1 - self.held) * len(x)
        if min(kept.sum(), (~kept).sum()) < 3 + 2 * self.apart:
            raise ValueError(f"too few rows for f and V: n_samples = {len(x)}")
        f = NadarayaWatson.fit(x[kept], z[kept], apart=self.apart)
        error = z[~kept] - jax.lax.map(f, x[~kept], batch_size=256)
        outer = (error[:, :, None] * error[:, None, :]).reshape(len(error), -1)
        v = NadarayaWatson.fit(x[~kept], outer, apart=self.apart)
        A, Q, S = dynamics(z)
        self.system_ = DiscriminativeKalman(
            Conditional(f, v), A, Q, S, channels=x.shape[1], repair=self.repair
        )
        return self

    def regress(self, X):
        """f(x) of every row by itself: the decoder without its filter."""
        check_is_fitted(self, "system_")
        X = admit(self, X, "series")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        x = jnp.asarray(X - self.center_, float)
        z = np.asarray(jax.lax.map(self.system_.decode.mean, x, batch_size=256))
        z = z * self.scale_ + self.offset_
        return z[:, 0] if self._flat else z
