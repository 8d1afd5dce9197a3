r"""Surrogate gradients: a spike is a step, its derivative is replaced by a smooth bump.

Forward: $s = \Theta(u)$, u = v - threshold. Backward: $ds/du = g(u)$, with a shape g of your choice.
Every shape here is normalised to a stated height at u = 0; `slope` makes it narrower. They live beside the
cells (and are re-exported by `neuropil.learn`), since a cell needs one and may import nothing above it.

Sources: Neftci, Mostafa, Zenke (2019), IEEE Signal Process. Mag. 36, 51; Zenke, Vogels (2021),
Neural Comput. 33, 899; Fang et al. (2021), ICCV, for the arctangent.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array


class Surrogate(eqx.Module):
    """A spike function: 1 where u > 0 (`closed`: u >= 0), with the derivative `shape(u)`.

    >>> spike = SuperSpike(slope=10.0)
    >>> float(spike(jnp.array(0.2))), float(jax.grad(spike)(jnp.array(0.0)))
    (1.0, 1.0)
    """

    slope: float | int = eqx.field(static=True, default=1.0)
    closed: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if not self.slope > 0:
            raise ValueError(f"{type(self).__name__}: slope = {self.slope} but it must be positive")

    def shape(self, u: Array) -> Array:
        """The derivative that stands in for that of the step, g(u)."""
        raise TypeError(f"{type(self).__name__} has no shape(u)")

    def __call__(self, u: Array) -> Array:
        return _spike(u, self.shape, self.closed)


def _spike(u: Array, shape: Callable[[Array], Array], closed: bool) -> Array:
    @jax.custom_jvp
    def step(u):
        return ((u >= 0) if closed else (u > 0)).astype(u.dtype)

    @step.defjvp
    def tangent(primals, tangents):
        (u,), (du,) = primals, tangents
        return step(u), shape(u) * du

    return step(u)


class SuperSpike(Surrogate):
    r"""Fast sigmoid: $g(u) = 1 / (1 + \beta |u|)^2$; height 1. beta = `slope`."""

    slope: float | int = eqx.field(static=True, default=10.0)

    def shape(self, u):
        return 1 / (1 + self.slope * jnp.abs(u)) ** 2


class ATan(Surrogate):
    r"""Arctangent: $g(u) = \frac{\alpha}{2} / (1 + (\frac{\pi}{2} \alpha u)^2)$; area 1, height alpha / 2."""

    slope: float | int = eqx.field(static=True, default=2.0)

    def shape(self, u):
        return self.slope / 2 / (1 + (jnp.pi / 2 * self.slope * u) ** 2)


class Sigmoid(Surrogate):
    r"""Of a sigmoid: $g(u) = \beta \sigma(\beta u)(1 - \sigma(\beta u))$; area 1, height beta / 4."""

    slope: float | int = eqx.field(static=True, default=4.0)

    def shape(self, u):
        # not s (1 - s): that is 0 for a large u > 0, where 1 - s rounds to 0
        return self.slope * jax.nn.sigmoid(self.slope * u) * jax.nn.sigmoid(-self.slope * u)


class Triangle(Surrogate):
    r"""Triangle: $g(u) = \max(0, 1 - \beta |u|)$; height 1, zero beyond 1 / beta."""

    def shape(self, u):
        return jnp.maximum(0.0, 1 - self.slope * jnp.abs(u))


class Boxcar(Surrogate):
    r"""Box: $g(u) = \beta / 2$ for |u| < 1 / beta, else 0; area 1."""

    def shape(self, u):
        return jnp.where(jnp.abs(u) < 1 / self.slope, self.slope / 2, 0.0).astype(u.dtype)


class Gaussian(Surrogate):
    r"""Gaussian bump: $g(u) = \frac{\beta}{\sqrt{2 \pi}} e^{-(\beta u)^2 / 2}$; area 1."""

    slope: float | int = eqx.field(static=True, default=2.0)

    def shape(self, u):
        return self.slope / jnp.sqrt(2 * jnp.pi) * jnp.exp(-((self.slope * u) ** 2) / 2)


class StraightThrough(Surrogate):
    """Derivative 1 everywhere."""

    def shape(self, u):
        return jnp.ones_like(u)


class NoGradient(Surrogate):
    """Derivative 0 everywhere: the true one. For gradients that must agree with finite differences."""

    def shape(self, u):
        return jnp.zeros_like(u)
