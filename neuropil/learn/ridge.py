r"""Ridge regression of many targets at once: from samples, from moments, and as a readout.

    w = argmin |y - X w|^2 + alpha |w|^2,   X and y centred on the training samples

One eigendecomposition of the smaller Gram matrix serves every target and every alpha. The error of
leaving one sample out is exact and needs no refit, e_i / (1 - h_i), with h_i the leverage. Moments serve
where samples come in chunks, or where many regressions run side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import linalg

from neuropil.wiring import Dense


class Decomposed(NamedTuple):
    """Centred training samples in their principal axes: X = axes of size `power`, seen as
    `scores`; weights = back @ ((scores.T @ y) / (power + alpha))."""

    centre: Float[Array, " feature"]
    scores: Float[Array, "sample axis"]
    power: Float[Array, " axis"]
    back: Float[Array, "feature axis"]


def decompose(x: Float[Array, "sample feature"]) -> Decomposed:
    """Eigendecomposition of X'X or XX', whichever is smaller."""
    centre = x.mean(0)
    x = x - centre[None, :]
    if x.shape[0] >= x.shape[1]:
        power, back = jnp.linalg.eigh(x.T @ x)
        return Decomposed(centre, x @ back, jnp.maximum(power, 0), back)
    power, u = jnp.linalg.eigh(x @ x.T)
    floor = x.shape[0] * jnp.finfo(x.dtype).eps * power[-1]
    power = jnp.where(power > floor, power, 0)
    root = jnp.sqrt(power)
    safe = jnp.where(root > 0, root, 1)
    return Decomposed(centre, u * root[None, :], power, (x.T @ u) * ((root > 0) / safe)[None, :])


def left_out_errors(
    d: Decomposed, y: Float[Array, "sample target"], alphas: Float[Array, " alpha"]
) -> Float[Array, "alpha target"]:
    """Mean squared error of leaving each sample out in turn, exact, without refitting."""
    n = y.shape[0]
    y = y - y.mean(0, keepdims=True)
    products = d.scores.T @ y

    def one(alpha):
        shrink = 1 / (d.power + alpha)
        fitted = d.scores @ (shrink[:, None] * products)
        leverage = 1 / n + d.scores**2 @ shrink
        room = jnp.maximum(1 - leverage, jnp.finfo(y.dtype).eps)
        return (((y - fitted) / room[:, None]) ** 2).mean(0)

    return jax.lax.map(one, alphas)


def solve(
    d: Decomposed, y: Float[Array, "sample target"], alpha: Float[Array, " target"]
) -> tuple[Float[Array, "feature target"], Float[Array, " target"]]:
    """Weights and intercepts, with an alpha for each target."""
    mean = y.mean(0)
    products = d.scores.T @ (y - mean[None, :])
    weights = d.back @ (products / (d.power[:, None] + alpha[None, :]))
    return weights, mean - d.centre @ weights


class Moments(NamedTuple):
    """Centred second moments of samples: all that ridge needs of them.

    `Moments.of(x, y)`; `a.join(b)` as if the samples of both had been given at once.

    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> weights, intercept = Moments.of(x, 3 * x + 1).solve(1e-6)
    >>> round(weights.item(), 3), round(intercept.item(), 3)
    (3.0, 1.0)
    """

    count: Array | int
    centre: Float[Array, " feature"]
    mean: Float[Array, " target"]
    gram: Float[Array, "feature feature"]
    cross: Float[Array, "feature target"]

    @staticmethod
    def of(x: Float[Array, "sample feature"], y: Float[Array, "sample target"]) -> Moments:
        """Moments of samples."""
        centre, mean = x.mean(0), y.mean(0)
        x, y = x - centre[None], y - mean[None]
        return Moments(len(x), centre, mean, x.T @ x, x.T @ y)

    def join(self, other: Moments) -> Moments:
        """Moments of both sets of samples together."""
        n = self.count + other.count
        share = other.count / n
        dx, dy = other.centre - self.centre, other.mean - self.mean
        both = self.count * share  # n m / (n + m)
        return Moments(
            n,
            self.centre + share * dx,
            self.mean + share * dy,
            self.gram + other.gram + both * dx[:, None] * dx[None, :],
            self.cross + other.cross + both * dx[:, None] * dy[None, :],
        )

    def solve(
        self, alpha: float | Float[Array, ""]
    ) -> tuple[Float[Array, "feature target"], Float[Array, " target"]]:
        """Weights and intercepts for one alpha, by Cholesky."""
        penal = self.gram + alpha * jnp.eye(len(self.gram), dtype=self.gram.dtype)
        weights = jax.scipy.linalg.solve(penal, self.cross, assume_a="pos")
        return weights, self.mean - self.centre @ weights


def ridge_readout(
    x: Array | np.ndarray, y: Array | np.ndarray, alpha: float | int = 1e-6, *, washout: int = 0
) -> Dense:
    r"""A linear readout fitted to recorded activity, as wiring: $W = Y^\top X (X^\top X + \alpha)^{-1}$.

    **Arguments**: `x` (time, unit) features, `y` (time, target); `alpha`, the penalty (not scaled by the number
    of samples); `washout`, ticks left out at the start. Solved in double precision in any case, since small
    penalties mean nothing in single. Returns `Dense` with weight (target, unit) and bias.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(ridge_readout(x, x @ np.array([[1.0], [2.0]]) + 3.0).forward(jnp.ones(2)).item(), 3)
    6.0

    Raises ValueError for lengths that differ, too few samples, or a penalty that is not positive.
    """
    x, y = np.asarray(x)[washout:], np.asarray(y)[washout:]
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 2:
        raise ValueError(
            f"ridge_readout: features {x.shape} and targets {y.shape} after {washout} ticks of washout; "
            "give (time, unit) and (time, target) of one length, 2 samples or more"
        )
    if not alpha > 0:
        raise ValueError(f"ridge_readout: alpha = {alpha} but it must be positive")
    centre, mean = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
    wide = np.subtract(x, centre, dtype=np.float64)
    gram = wide.T @ wide
    gram[np.diag_indices_from(gram)] += alpha
    factor = linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    weight = linalg.cho_solve(factor, wide.T @ (y - mean), check_finite=False).T
    floats = jnp.result_type(float)
    return Dense(jnp.asarray(weight, floats), jnp.asarray(mean - weight @ centre, floats))
