"""What a hierarchical Gaussian filter is made of: nodes, edges, and what it believes of them."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from neuropil.belief.volatility import LARGEST
from neuropil.core import Part, param

_WEBER = "Weber et al. (2023), arXiv:2305.10937"


class State(Part):
    r"""A hidden quantity that moves as a Gaussian random walk (or an autoregressive process).

    $$x_t \sim N(\lambda x_{t-1} + t (\rho + \ldots),\; t\, e^{\omega + \ldots})$$

    with what its value parents and volatility parents add in place of the dots. `mean` and `precision` are the
    belief before the first tick; `volatility` is omega, `drift` rho, `autoconnection` lambda.
    """

    mean: Array = param(0.0, about="belief before the first tick", source=_WEBER)
    precision: Array = param(1.0, bounds=(0, LARGEST), source=_WEBER)
    volatility: Array = param(-4.0, about="log variance gained a unit of time", source=_WEBER)
    drift: Array = param(0.0, about="change a unit of time", source=_WEBER)
    autoconnection: Array = param(1.0, bounds=(0, 1), about="1: random walk", source=_WEBER)


class Continuous(Part):
    """An input: a number seen with noise of this precision (a volatility parent adds variance)."""

    precision: Array = param(1e4, bounds=(0, LARGEST), source="pyhgf 0.2.12, default")


class Binary(Part):
    r"""An input: 0 or 1, with the probability $\sigma(\sum \hat\mu)$ of its value parents."""


class Volatile(Part):
    """A state with a volatility parent of its own, told as one node; see `State`.

    The network holds it as two: "name" and "name_volatility".
    """

    level: State
    volatility: State
    coupling: Array = param(1.0)

    def __init__(self, level: State | None = None, volatility: State | None = None, coupling=1.0):
        self.level = State() if level is None else level
        self.volatility = State() if volatility is None else volatility
        self.coupling = coupling


class Value(Part):
    r"""An edge "parent>child" by which the parent moves the child's mean: psi g(parent).

    `function`: g, a smooth scalar function; None is the identity. `coupling`: psi.
    """

    coupling: Array = param(1.0)
    function: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, z: Array) -> Array:
        """psi g(z)."""
        return self.coupling * (z if self.function is None else self.function(z))

    def slopes(self, z: Array) -> tuple[Array, Array]:
        """(psi g'(z), psi g''(z))."""
        if self.function is None:
            return self.coupling, jnp.zeros_like(z)
        first = jax.grad(self.function)
        return self.coupling * first(z), self.coupling * jax.grad(first)(z)


class Volatility(Part):
    """An edge "parent>child" by which the parent moves the logarithm of the child's variance: kappa parent."""

    coupling: Array = param(1.0)


class Prediction(eqx.Module):
    """What is expected of an input before it is seen; `variance` includes all that is unknown above it."""

    mean: Float[Array, "*T"]
    variance: Float[Array, "*T"]


class Belief(eqx.Module):
    """Of a state: mean and precision after the tick's observation, and as they were predicted before it."""

    mean: Float[Array, "*T"]
    precision: Float[Array, "*T"]
    expected_mean: Float[Array, "*T"]
    expected_precision: Float[Array, "*T"]


class Beliefs(eqx.Module):
    """The output of an `HGF`: `nodes` {state: Belief}, `inputs` {input: Prediction}, `surprise` -log p(x)."""

    nodes: dict[str, Belief]
    inputs: dict[str, Prediction]
    surprise: Float[Array, "*T"]


def surprise(x: Array, mean: Array, variance: Array, binary: bool) -> Array:
    """-log p(x) of an input predicted so, elementwise; 0 where x is NaN, infinite where the prediction is."""
    known = ~jnp.isnan(x)
    x = jnp.where(known, x, mean)
    if binary:
        each = -jnp.log(jnp.where(x > 0.5, mean, 1 - mean))
    else:
        each = (jnp.log(2 * jnp.pi * variance) + (x - mean) ** 2 / variance) / 2
    return jnp.where(known, jnp.where(jnp.isnan(each), jnp.inf, each), 0.0)
