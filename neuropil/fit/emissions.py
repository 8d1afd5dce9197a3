"""What the states of a hidden Markov model emit: the parts that `fit.HMM` is given.

An emission says how likely every bin is in every state, and which parameters fit best to bins of which
each belongs to each state with some weight. Its parameters are a dictionary of arrays, state first; the
objects hold settings only, so that one compiled program serves all data of a shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import jax.random as jr
import jax.scipy.linalg as jsl
import numpy as np
from jax import lax
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from neuropil.fit.newton import column_products, newton_steps, softplus, solve
from neuropil.stats.likelihood import mean_of

Params = dict[str, Array]
Weights = Float[Array, "time state"]

_FEW = 24  # columns up to which the products of all pairs of them are kept, 300 numbers a bin


def _means(y, weights, extra=0.0, size=0.0):
    """Weighted mean of every state; `extra` is added to the sums and `size` to their weights."""
    return (weights.T @ y + extra) / (weights.sum(0) + size)[:, None]


def _log_factorial(y):
    """log y! of counts: read from a table where all are below 256, ten times faster than by log gamma."""
    table = jnp.asarray(np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 256)))]), y.dtype)
    read = lambda y: table[y.astype(jnp.int32)]
    return lax.cond(jnp.all(y < 256), read, lambda y: gammaln(y + 1), y)


def _whole(y, name, most=None):
    """Counts, or ValueError."""
    wrong = (y < 0) | (y != np.round(y))
    if most is not None:
        wrong |= y > most
    if wrong.any():
        t, i = np.argwhere(wrong)[0]
        kind = "0 or 1" if most == 1 else "whole numbers of spikes, 0 or more"
        raise ValueError(f"{name} emissions take {kind}, but bin {t}, unit {i} is {y[t, i]:g}")


@dataclass(frozen=True)
class Poisson:
    r"""Counts of independent units: $y_u \sim \text{Poisson}(\lambda_{ku})$. Parameter: `rate`, a bin.

    `strength`: bins that each state is taken to have seen already at the unit's mean rate, so that no
    rate falls to zero.
    """

    strength: float | int = 1e-3

    def check(self, y: np.ndarray, x: np.ndarray | None) -> None:
        """ValueError for data that this emission cannot make."""
        _whole(y, "Poisson")

    def prepare(self, y, x):
        """What all iterations need."""
        return {"y": y, "rows": y.T, "mean": y.mean(0), "constant": _log_factorial(y).sum(1)}

    def update(self, data, weights: Weights, old: Params | None = None) -> Params:
        """The parameters that fit best to bins of these weights."""
        mean = jnp.maximum(data["mean"], 1e-6)
        return {"rate": _means(data["y"], weights, self.strength * mean[None], self.strength)}

    def log_likelihood(self, params: Params, data) -> Weights:
        """log p(bin | state)."""
        rate = params["rate"]
        # units by time in long rows: twice as fast as the other way round
        return (jnp.log(rate) @ data["rows"]).T - rate.sum(1)[None] - data["constant"][:, None]

    def draw(self, params: Params, states, x, key) -> Array:
        """Bins drawn in these states."""
        return jr.poisson(key, params["rate"][states]).astype(params["rate"].dtype)


@dataclass(frozen=True)
class Bernoulli:
    r"""Zeros and ones of independent units: $P(y_u = 1) = p_{ku}$. Parameter: `probability`.

    `strength`: as in `Poisson`.
    """

    strength: float | int = 1e-3

    def check(self, y: np.ndarray, x: np.ndarray | None) -> None:
        """ValueError for data that this emission cannot make."""
        _whole(y, "Bernoulli", most=1)

    def prepare(self, y, x):
        """What all iterations need."""
        return {"y": y, "mean": jnp.clip(y.mean(0), 1e-6, 1 - 1e-6)}

    def update(self, data, weights: Weights, old: Params | None = None) -> Params:
        """The parameters that fit best to bins of these weights."""
        mean = data["mean"][None]
        return {"probability": _means(data["y"], weights, self.strength * mean, self.strength)}

    def log_likelihood(self, params: Params, data) -> Weights:
        """log p(bin | state)."""
        p = params["probability"]
        return data["y"] @ (jnp.log(p) - jnp.log1p(-p)).T + jnp.log1p(-p).sum(1)[None]

    def draw(self, params: Params, states, x, key) -> Array:
        """Bins drawn in these states."""
        p = params["probability"][states]
        return jr.bernoulli(key, p).astype(p.dtype)


@dataclass(frozen=True)
class Gaussian:
    r"""Vectors: $y \sim N(\mu_k, \Sigma_k)$. Parameters: `mean` (state, d), `cov` (state, d, d).

    `covariance`: "full" or "diagonal"; `floor` is added to every variance, so that no state shrinks to
    a single bin.
    """

    covariance: str = "full"
    floor: float | int = 1e-6

    def check(self, y: np.ndarray, x: np.ndarray | None) -> None:
        """ValueError for settings that there are none of."""
        if self.covariance not in ("full", "diagonal"):
            raise ValueError(f"covariance is 'full' or 'diagonal', not {self.covariance!r}")

    def prepare(self, y, x):
        """What all iterations need."""
        return {"y": y}

    def update(self, data, weights: Weights, old: Params | None = None) -> Params:
        """The parameters that fit best to bins of these weights."""
        y, size = data["y"], jnp.maximum(weights.sum(0), 1e-6)
        mean = weights.T @ y / size[:, None]
        eye = jnp.eye(y.shape[1], dtype=y.dtype)

        def spread(of):
            m, w, n = of
            off = y - m[None]
            if self.covariance == "diagonal":
                return jnp.diag((w @ off**2) / n) + self.floor * eye
            return off.T @ (w[:, None] * off) / n + self.floor * eye

        return {"mean": mean, "cov": lax.map(spread, (mean, weights.T, size))}

    def log_likelihood(self, params: Params, data) -> Weights:
        """log p(bin | state)."""
        y = data["y"]

        def one(of):  # one state after the other: batches of LAPACK calls can block each other
            mean, cov = of
            chol = jnp.linalg.cholesky(cov)
            white = jsl.solve_triangular(chol, (y - mean[None]).T, lower=True)
            log_det = 2 * jnp.log(jnp.diagonal(chol)).sum()
            return -0.5 * ((white**2).sum(0) + log_det + y.shape[1] * jnp.log(2 * jnp.pi))

        return lax.map(one, (params["mean"], params["cov"])).T

    def draw(self, params: Params, states, x, key) -> Array:
        """Bins drawn in these states."""
        chol = jnp.stack([jnp.linalg.cholesky(cov) for cov in params["cov"]])
        noise = jr.normal(key, (len(states), params["mean"].shape[1]))
        return params["mean"][states] + jnp.einsum("tij,tj->ti", chol[states], noise)


@dataclass(frozen=True)
class GLM:
    r"""Outputs that depend on inputs, in each state by weights of its own (GLM-HMM).

    $$E[y_u] = g(w_{k0u} + \sum_i w_{kiu} x_i)$$

    `family`: "bernoulli" (g logistic: choices), "poisson" (g exponential: counts) or "gaussian" (identity).
    Parameters: `weights` (state, 1 + input, output), row 0 the offset; of a Gaussian also `variance`
    (state, output). `penalty`: precision of a Gaussian prior on all weights but the offset. `steps`: Newton
    steps in an M step (one step from the last weights is enough for EM to climb).

    Source: Escola et al. 2011, Neural Comput. 23:1071; Ashwood et al. 2022, Nat. Neurosci. 25:201.
    """

    family: str = "bernoulli"
    penalty: float | int = 1e-2
    steps: int = 1

    def check(self, y: np.ndarray, x: np.ndarray | None) -> None:
        """ValueError for data that this emission cannot make."""
        if self.family not in ("bernoulli", "poisson", "gaussian"):
            raise ValueError(
                f"family must be 'bernoulli', 'poisson' or 'gaussian', not {self.family!r}"
            )
        if self.family != "gaussian":
            _whole(y, f"{self.family} GLM", most=1 if self.family == "bernoulli" else None)
        if x is None:
            raise ValueError("a GLM emission needs inputs: fit(Y, inputs=X) with X (time, input)")

    def prepare(self, y, x):
        """What all iterations need."""
        constant = (
            _log_factorial(y).sum(1) if self.family == "poisson" else jnp.zeros(len(y), y.dtype)
        )
        data = {"y": y, "x": x, "constant": constant}
        if self.family == "gaussian" or x.shape[1] >= _FEW:
            return data
        full = jnp.concatenate([jnp.ones((len(x), 1), x.dtype), x], axis=1)
        return data | {"rows": full.T, "pairs": column_products(full)}

    def update(self, data, weights: Weights, old: Params | None = None) -> Params:
        """The parameters that fit best to bins of these weights, or nearer to it than the old ones."""
        y, x = data["y"], data["x"]
        states, size = weights.shape[1], (1 + x.shape[1], y.shape[1])
        weights = weights + 1e-6  # a state that no bin belongs to keeps a fit
        if self.family == "gaussian":
            return self._regress(y, x, weights)
        begun = jnp.zeros((states, *size), y.dtype) if old is None else old["weights"]
        steps = 20 if old is None else self.steps
        if "rows" in data:
            if old is None:  # from the mean rate
                least = 0.5 / len(y)
                rate = jnp.maximum(y.mean(0), least)
                if self.family == "bernoulli":
                    rate = jnp.minimum(rate, 1 - least) / jnp.maximum(1 - rate, least)
                begun = begun.at[:, 0].set(jnp.log(rate)[None])
            begun = begun.swapaxes(1, 2)
            found = newton_steps(
                self.family, steps, data["rows"], data["pairs"], y.T, weights.T, self.penalty, begun
            )
            return {"weights": found.swapaxes(1, 2)}
        penalty, free = jnp.full((1, y.shape[1]), self.penalty, y.dtype), jnp.ones(size, y.dtype)
        one = lambda of: solve(self.family, steps, x, y, of[0], penalty, free, of[1])
        return {"weights": lax.map(one, (weights.T, begun))}

    def _regress(self, y, x, weights):
        full = jnp.concatenate([jnp.ones((len(x), 1), x.dtype), x], axis=1)
        ridge = jnp.diag(jnp.full(full.shape[1], self.penalty, x.dtype).at[0].set(0.0))

        def one(w):
            heavy = w[:, None] * full
            theta = jsl.solve(full.T @ heavy + ridge, heavy.T @ y, assume_a="pos")
            return theta, w @ (y - full @ theta) ** 2 / w.sum() + 1e-6

        theta, variance = lax.map(one, weights.T)
        return {"weights": theta, "variance": variance}

    def log_likelihood(self, params: Params, data) -> Weights:
        """log p(bin | state)."""
        y, x = data["y"].T[None], data["x"]  # as states, outputs, time: long rows are fast ones
        theta = params["weights"]
        eta = jnp.einsum("kcu,tc->kut", theta[:, 1:], x) + theta[:, 0, :, None]
        if self.family == "gaussian":
            v = params["variance"][:, :, None]
            each = -0.5 * ((y - eta) ** 2 / v + jnp.log(2 * jnp.pi * v))
        else:
            each = y * eta - (softplus if self.family == "bernoulli" else jnp.exp)(eta)
        return each.sum(1).T - data["constant"][:, None]

    def draw(self, params: Params, states, x, key) -> Array:
        """Bins drawn in these states with these inputs."""
        w = params["weights"][states]
        eta = w[:, 0] + jnp.einsum("ti,tiu->tu", x, w[:, 1:])
        if self.family == "gaussian":
            return eta + jnp.sqrt(params["variance"][states]) * jr.normal(key, eta.shape)
        draw = jr.bernoulli if self.family == "bernoulli" else jr.poisson
        return draw(key, mean_of(self.family, eta)).astype(eta.dtype)
