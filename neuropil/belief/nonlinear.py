"""Kalman filters of systems that do not move or show themselves linearly: by slopes, or by points."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.belief.kalman import GaussianBelief, GaussianFilter, condition
from neuropil.core import param


class _Curved(GaussianFilter):
    """What the two filters share: the model."""

    move: Callable = eqx.field(static=True)
    show: Callable = eqx.field(static=True)
    Q: Array = param(axes=("hidden", "hidden"))
    R: Array = param(axes=("observed", "observed"))
    mean: Array = param(axes=("hidden",))
    cov: Array = param(axes=("hidden", "hidden"))

    def __check_init__(self):
        n, m, name = self.mean.size, self.R.shape[0], type(self).__name__
        for field, shape in {"Q": (n, n), "R": (m, m), "cov": (n, n)}.items():
            if getattr(self, field).shape != shape:
                raise ValueError(
                    f"{name}: {field} has shape {getattr(self, field).shape} but it must be {shape}"
                )
        for field, size in {"move": n, "show": m}.items():
            made = jax.eval_shape(getattr(self, field), self.mean).shape
            if made != (size,):
                raise ValueError(f"{name}: {field} gives shape {made} but it must be {(size,)}")


class ExtendedKalman(_Curved):
    r"""Kalman's filter along the slopes of a curved system.

    $$z_t = f(z_{t-1}) + w_t, \quad x_t = h(z_t) + v_t, \qquad A = f'(\mu), \; C = h'(\mu)$$

    **Arguments**: `move` f: (n,) -> (n,) and `show` h: (n,) -> (m,), functions of JAX; `Q` (n, n), `R` (m, m)
    covariances of w and v; `mean` (n,), `cov` (n, n) the belief before the first observation.

    Input, output and state as in `Kalman`. First order: biased where f or h bend within the belief's width.

    >>> f = ExtendedKalman(lambda z: z, lambda z: z**2, Q=[[0.0]], R=[[1.0]], mean=[2.0], cov=[[1.0]])
    >>> b = f.update(f.mean, f.cov, jnp.array([5.0]))  # gain 4 / (16 + 1), error 1
    >>> round(float(b.mean[0]), 4)
    2.2353

    Raises ValueError for shapes that do not fit together.

    Source: Särkkä (2013), Bayesian Filtering and Smoothing, ch. 5.2.
    """

    def update(self, mean: Array, cov: Array, x: Array) -> GaussianBelief:
        """The belief N(mean, cov) after seeing x; NaN elements are missing."""
        return condition(mean, cov, x - self.show(mean), jax.jacfwd(self.show)(mean), self.R)

    def predict(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """The belief one tick later, before it is updated."""
        slope = jax.jacfwd(self.move)(mean)
        return self.move(mean), slope @ cov @ slope.T + self.Q


class UnscentedKalman(_Curved):
    r"""Kalman's filter by 2 n + 1 points that carry a belief through a curved system.

    $$\chi_0 = \mu, \quad \chi_{\pm i} = \mu \pm \sqrt{n + \kappa} \, L_i, \quad L L^T = P, \qquad
      w_0 = \frac{\kappa}{n + \kappa}, \; w_{\pm i} = \frac{1}{2 (n + \kappa)}$$

    Means and covariances are those of the weighted points: exact up to third order in the belief's width.
    `spread` kappa = 0 leaves out the middle (the cubature filter) and keeps all covariances positive; for one
    dimension 2 is exact to fifth order. Other arguments, input, output and state as in `ExtendedKalman`.

    >>> f = UnscentedKalman(lambda z: z, lambda z: z**2, [[0.0]], [[1.0]], [2.0], [[1.0]], spread=2.0)
    >>> mean, cov, _ = f.through(f.show, f.mean, f.cov)  # of z^2: m^2 + P, 4 m^2 P + 2 P^2
    >>> round(float(mean[0]), 4), round(float(cov[0, 0]), 4)
    (5.0, 18.0)

    Raises ValueError for shapes that do not fit together.

    Source: Julier and Uhlmann (1997), Proc. SPIE 3068, 182; Arasaratnam and Haykin (2009), IEEE Trans. Autom.
    Control 54, 1254.
    """

    spread: Array = param(0.0, bounds=(0, None))

    def through(self, function: Callable, mean: Array, cov: Array) -> tuple[Array, Array, Array]:
        """(mean, covariance, covariance with its argument (n, m)) of function(z), z ~ N(mean, cov)."""
        n, root = mean.size, jnp.linalg.cholesky(_firm(cov))
        away = jnp.sqrt(n + self.spread) * root.T
        points = jnp.concatenate([mean[None], mean[None] + away, mean[None] - away])
        rest = jnp.full(2 * n, 1.0, mean.dtype) / (2 * (n + self.spread))
        weight = jnp.concatenate([(self.spread / (n + self.spread))[None], rest])
        images = jax.vmap(function)(points)
        middle = weight @ images
        off, around = images - middle[None], points - mean[None]
        return middle, (weight[:, None] * off).T @ off, (weight[:, None] * around).T @ off

    def update(self, mean: Array, cov: Array, x: Array) -> GaussianBelief:
        """The belief N(mean, cov) after seeing x; NaN elements are missing."""
        shown, spread, cross = self.through(self.show, mean, cov)
        # the line that fits the points best, and what it leaves over as more noise (statistical linearisation)
        slope = jnp.linalg.solve(_firm(cov), cross).T
        return condition(mean, cov, x - shown, slope, self.R + spread - slope @ cov @ slope.T)

    def predict(self, mean: Array, cov: Array) -> tuple[Array, Array]:
        """The belief one tick later, before it is updated."""
        moved, spread, _ = self.through(self.move, mean, cov)
        return moved, (spread + spread.T) / 2 + self.Q


def _firm(cov):
    """A covariance with a root and an inverse, also where it has become zero in some direction."""
    tiny = jnp.finfo(cov.dtype).eps * jnp.trace(cov) / cov.shape[0] + jnp.finfo(cov.dtype).tiny
    return cov + tiny * jnp.eye(cov.shape[0], dtype=cov.dtype)
