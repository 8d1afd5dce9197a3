"""Coupled point-process GLM: every unit's spikes from the recent spikes of all units.

    eta_i(t) = b_i + sum_{j, l=1..L} k_ijl y_j(t - l) + sum_f w_if x_f(t)
    y_i(t) ~ Poisson(exp eta_i(t))  or  Bernoulli(sigmoid eta_i(t))

The penalised log-likelihood, sum_t log p(y_i(t)) - penalty / 2 * |k_i, w_i|^2, is concave. It is
maximised by Newton's method for all units at once: each direction comes from conjugate gradients
whose products are two matrix products for all units, preconditioned by one eigendecomposition of
the design's Gram matrix that all units and penalties share.

Source: Pillow et al. 2008, Nature 454:995; Truccolo et al. 2005, J. Neurophysiol. 93:1074.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from neuropil.fit.door import beside
from neuropil.fit.newton import linear, solve
from neuropil.recordings import Recording
from neuropil.stats.likelihood import log_probability, mean_of

GROUP_ROUNDS = 15
Counts = Shaped[Array, "time unit"] | Shaped[np.ndarray, "time unit"]
Stimulus = Shaped[Array, "frame feature"] | Shaped[np.ndarray, "frame feature"]


def raised_cosines(
    features: int, lags: int, offset: float = 1.0
) -> Float[np.ndarray, "lag feature"]:
    """Bumps that widen with the lag, so that few numbers hold a long kernel: raised cosines on the
    axis log(lag + offset), equally spaced there, as in Pillow et al. 2008. Each falls to zero at
    its neighbours' peaks (theirs are twice as wide), so together they sum to one at every lag.

    >>> raised_cosines(4, 20).shape
    (20, 4)
    """
    if not 2 <= features <= lags:
        raise ValueError(f"features must lie between 2 and lags = {lags}, not {features}")
    x = np.log(np.arange(lags) + offset)
    peaks = np.linspace(x[0], x[-1], features)
    phase = (x[:, None] - peaks[None, :]) * np.pi / (peaks[1] - peaks[0])
    return 0.5 * (1 + np.cos(np.clip(phase, -np.pi, np.pi)))


class FittedGLM(eqx.Module):
    """A fitted GLM. `kernels[i, j, l - 1]` is the weight of unit j onto unit i at lag l bins.

    `rate` is the mean count per bin it was fitted on: the homogeneous model to beat.
    """

    bias: Float[Array, " unit"]
    kernels: Float[Array, "unit unit lag"]
    stimulus: Float[Array, "unit feature"]
    penalty: Float[Array, " unit"]
    rate: Float[Array, " unit"]
    family: str = eqx.field(static=True)

    def predict(
        self, counts: Counts, stimulus: Stimulus | None = None
    ) -> Float[Array, "time unit"]:
        """Mean of every bin given the true counts of the bins before it (one step ahead). What
        lies before the first bin counts as silence: score after the first L bins if that matters.
        """
        y, x = _door(counts, stimulus, self.family, units=self.bias.shape[0])
        if x.shape[1] != self.stimulus.shape[1]:
            raise ValueError(
                f"this GLM was fitted with {self.stimulus.shape[1]} stimulus features, "
                f"but {x.shape[1]} were given"
            )
        return mean_of(self.family, _eta(self.bias, self.kernels, self.stimulus, y, x))

    def log_likelihood(
        self, counts: Counts, stimulus: Stimulus | None = None
    ) -> Float[Array, " unit"]:
        """Mean log-probability of each unit in nats per bin, one step ahead."""
        y, _ = _door(counts, stimulus, self.family, units=self.bias.shape[0])
        return log_probability(self.family, y, self.predict(counts, stimulus)).mean(0)

    def bits_per_spike(
        self, counts: Counts, stimulus: Stimulus | None = None
    ) -> Float[Array, " unit"]:
        """Gain of each unit over its homogeneous rate, in bits per spike of these counts
        (NaN for a unit that is silent here)."""
        y, _ = _door(counts, stimulus, self.family, units=self.bias.shape[0])
        flat = jnp.broadcast_to(self.rate, y.shape)
        flat = log_probability(self.family, y, flat).mean(0)
        gain = self.log_likelihood(counts, stimulus) - flat
        return gain / (jnp.log(2.0) * y.mean(0))

    def coupling(self, how: str = "peak") -> Float[Array, "unit unit"]:
        """One number for each (post, pre) pair: the weight of largest size with its sign
        (`peak`), the largest weight (`max`), their sum, or their Euclidean norm. Row i, column j
        speaks of j driving i, so comparing it with (j, i) gives the direction."""
        k = self.kernels
        if how == "peak":
            at = jnp.argmax(jnp.abs(k), axis=2, keepdims=True)
            return jnp.take_along_axis(k, at, axis=2)[:, :, 0]
        if how == "max":
            return k.max(2)
        if how == "sum":
            return k.sum(2)
        if how == "norm":
            return jnp.sqrt((k**2).sum(2))
        raise ValueError(f"how must be 'peak', 'max', 'sum' or 'norm', not {how!r}")


class GLM(eqx.Module):
    """Settings of a coupled GLM; `fit` returns a `FittedGLM`.

    - `penalty`: the precision of a Gaussian prior on every weight (1 / sklearn's C). With several,
      each unit takes the one with the best log-likelihood on held-out blocks, then all data
      are used once more;
    - `basis`: None for free lags, or an array (lag, feature) such as `raised_cosines(5, 30)`, whose
      number of rows then is the number of lags. The penalty acts on the weights of its features;
    - `coupled=False` keeps only a unit's own history;
    - `group=True`: penalty * sum over pairs of |k_ij| (Euclidean over the features of the pair; each
      stimulus feature for itself) instead of the Gaussian prior: a group lasso, which sets the
      kernels of pairs without a connection to nearly nothing. Reached by repeated ridge
      fits, each with penalty / |k_ij| of the last.

    >>> import jax.random as jr
    >>> from neuropil.worlds.circuits import random_circuit
    >>> spikes = random_circuit(jr.key(0), 5).simulate(2000, jr.key(1)).spikes
    >>> GLM(lags=4, penalty=1.0).fit(spikes).kernels.shape
    (5, 5, 4)
    """

    family: Literal["poisson", "bernoulli"] = eqx.field(default="poisson", static=True)
    lags: int = eqx.field(default=10, static=True)
    penalty: float | tuple[float, ...] = eqx.field(default=(1.0, 10.0, 100.0), static=True)
    basis: np.ndarray | None = None
    coupled: bool = eqx.field(default=True, static=True)
    group: bool = eqx.field(default=False, static=True)
    iterations: int = eqx.field(default=50, static=True)

    def __check_init__(self):
        if self.family not in ("poisson", "bernoulli"):
            raise ValueError(f"family must be 'poisson' or 'bernoulli', not {self.family!r}")
        if self.lags < 1:
            raise ValueError(f"lags must be at least 1 bin, not {self.lags}")
        if not self._penalties or min(self._penalties) <= 0:
            raise ValueError(f"every penalty must be positive, not {self.penalty}")
        if self.basis is not None and np.ndim(self.basis) != 2:
            raise ValueError("basis must have shape (lag, feature), as from raised_cosines(5, 30)")

    @property
    def _penalties(self):
        p = self.penalty
        return tuple(p) if isinstance(p, (tuple, list)) else (p,)

    def fit(
        self,
        counts: Counts | Recording,
        stimulus: Stimulus | Recording | None = None,
        validation: tuple | None = None,
    ) -> FittedGLM:
        """Fit all units. `counts` are spikes per bin (time, unit), `stimulus` covariates
        (time, feature) that act on the same bin; of recordings, a test part of a split is refused.

        With several penalties, `validation=(counts, stimulus or None)` chooses among them; without
        it every fifth of 20 contiguous blocks of `counts` does, and the chosen model is then
        refitted on everything. Raises ValueError for NaN, negative or fractional counts, a
        recording with no more bins than lags, and units that never change.
        """
        counts = beside(self, counts, "series", fit=True)
        stimulus = beside(self, stimulus, "series", fit=True)
        y, x = _door(counts, stimulus, self.family)
        basis = np.eye(self.lags) if self.basis is None else np.asarray(self.basis)
        lags, units = basis.shape[0], y.shape[1]
        if len(y) <= 2 * lags:
            raise ValueError(
                f"{len(y)} bins are too few for {lags} lags: give at least {2 * lags + 1}"
            )
        still = np.flatnonzero(np.asarray(y).std(0) == 0)
        if len(still):
            raise ValueError(
                f"unit {still[0]} has the same count in every bin, so it has no GLM: drop it "
                f"(constant units: {still[:10].tolist()})"
            )
        design = _design(y, x, jnp.asarray(basis, y.dtype))
        allowed = _allowed(self.coupled, units, basis.shape[1], x.shape[1], y.dtype)

        def best_of(weights, penalty, start):
            fixed = (self.family, self.iterations, design, y, weights)
            theta = solve(*fixed, penalty[None, :], allowed, start)
            for _ in range(GROUP_ROUNDS if self.group else 0):
                size = _group_sizes(theta[1:], units, basis.shape[1])
                theta = solve(*fixed, penalty[None, :] / size, allowed, theta)
            return theta

        def unpack(theta, penalty):
            k = theta[1 : 1 + units * basis.shape[1]].reshape(units, basis.shape[1], units)
            k = jnp.einsum("jfi,lf->ijl", k, jnp.asarray(basis, y.dtype))
            stim = theta[1 + units * basis.shape[1] :].T
            return FittedGLM(theta[0], k, stim, penalty, y.mean(0), self.family)

        everything = jnp.ones(len(y), y.dtype)
        theta = jnp.zeros((design.shape[1] + 1, units), y.dtype)
        if len(self._penalties) == 1:
            penalty = jnp.full(units, self._penalties[0], y.dtype)
            return unpack(best_of(everything, penalty, theta), penalty)

        train = everything
        if validation is None:
            block = jnp.arange(len(y)) * 20 // len(y)
            train = (block % 5 != 4).astype(y.dtype)
        grid = sorted(self._penalties, reverse=True)  # from stiff to loose: each start is close
        scores, thetas = [], []
        for p in grid:
            penalty = jnp.full(units, p, y.dtype)
            theta = best_of(train, penalty, theta)
            if validation is None:
                mean = mean_of(self.family, linear(design, theta))
                held = log_probability(self.family, y, mean)
                scores.append(((1 - train)[:, None] * held).sum(0))
            else:
                scores.append(unpack(theta, penalty).log_likelihood(*validation))
            thetas.append(theta)
        best = jnp.argmax(jnp.stack(scores), axis=0)
        penalty = jnp.asarray(grid, y.dtype)[best]
        theta = jnp.take_along_axis(jnp.stack(thetas), best[None, None, :], axis=0)[0]
        if validation is None:
            theta = best_of(everything, penalty, theta)
        return unpack(theta, penalty)


def _door(counts, stimulus, family, units=None):
    """Check once, and return float arrays; no stimulus is a stimulus with no features."""
    y = np.asarray(counts)
    if y.ndim != 2:
        raise ValueError(f"counts must have shape (time, unit), not {y.shape}")
    if units is not None and y.shape[1] != units:
        raise ValueError(f"this GLM has {units} units, but counts have {y.shape[1]}")
    if not np.all(np.isfinite(y)):
        t, i = np.argwhere(~np.isfinite(y))[0]
        raise ValueError(f"counts hold NaN or infinity, first at bin {t}, unit {i}: mask or drop")
    if y.min(initial=0) < 0:
        t, i = np.argwhere(y < 0)[0]
        raise ValueError(f"counts must not be negative, but bin {t}, unit {i} is {y[t, i]}")
    if np.any(y != np.round(y)):
        raise ValueError("counts must be whole numbers of spikes per bin, not rates")
    if family == "bernoulli" and y.max(initial=0) > 1:
        raise ValueError("a Bernoulli GLM takes counts of 0 or 1: use (counts > 0) or 'poisson'")
    x = np.zeros((len(y), 0)) if stimulus is None else np.asarray(stimulus)
    if x.ndim != 2 or len(x) != len(y):
        raise ValueError(f"stimulus must have shape ({len(y)}, feature), not {x.shape}")
    if not np.all(np.isfinite(x)):
        raise ValueError("stimulus holds NaN or infinity: mask or fill it before fitting")
    return jnp.asarray(y, float), jnp.asarray(x, float)


def _design(y, x, basis):
    """Columns (unit, feature of its history), then the stimulus."""
    t, lags = y.shape[0], basis.shape[0]
    past = jnp.pad(y, ((lags, 0), (0, 0)))
    history = jnp.stack([past[lags - lag : lags - lag + t] for lag in range(1, lags + 1)], axis=2)
    if not np.array_equal(basis, np.eye(lags)):
        history = history @ basis
    return jnp.concatenate([history.reshape(t, -1), x], axis=1)


def _group_sizes(theta, units, features):
    """Norm of every parameter's group, never quite zero: |k| is smoothed at 1e-3."""
    k = theta[: units * features].reshape(units, features, -1)
    pairs = jnp.repeat((k**2).sum(1), features, axis=0)
    return jnp.sqrt(jnp.concatenate([pairs, theta[units * features :] ** 2]) + 1e-6)


def _allowed(coupled, units, features, stimulus, dtype):
    """1 where a parameter (row) of a unit (column) is free, 0 where it is held at nothing."""
    own = np.ones((units, units)) if coupled else np.eye(units)
    rows = np.repeat(own, features, axis=0)
    return jnp.asarray(np.vstack([np.ones((1, units)), rows, np.ones((stimulus, units))]), dtype)


def _eta(bias, kernels, weights, y, x):
    t, lags = y.shape[0], kernels.shape[2]
    past = jnp.pad(y, ((lags, 0), (0, 0)))
    out = bias[None, :] + x @ weights.T
    for lag in range(1, lags + 1):
        out = out + past[lags - lag : lags - lag + t] @ kernels[:, :, lag - 1].T
    return out
