"""One protocol for all wiring: forward, transpose, and the whole time axis at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import System


class Wiring(System):
    """A linear map from a presynaptic to a postsynaptic population, without state.

    A subclass writes `forward(x)` (pre -> post) and `transpose(y)` (post -> pre), for one sample, and
    holds a field `weight`. Plasticity rules, feedback pathways and gradients need nothing else.
    """

    def forward(self, x: Array) -> Array:
        """Postsynaptic input of a presynaptic activity."""
        raise TypeError(f"{type(self).__name__} has no forward(x)")

    def transpose(self, y: Array) -> Array:
        """The map backwards, with the same weights: <y, forward(x)> = <transpose(y), x>."""
        raise TypeError(f"{type(self).__name__} has no transpose(y)")

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, self.forward(x)

    def unroll(self, state, xs, ticks):
        return state, jax.vmap(self.forward)(xs)


def check_weight(owner: str, weight: Array, ndim: int, shape: str) -> None:
    """A weight of the wrong number of axes is refused before anything is computed with it."""
    if jnp.ndim(weight) != ndim:
        raise ValueError(f"{owner}: weight has shape {jnp.shape(weight)} but it must be {shape}")


def uniform(key: Array, shape: tuple[int, ...], fan_in: int) -> Array:
    """Uniform on +-1/sqrt(fan_in), the default start of a dense layer in most libraries."""
    bound = 1 / jnp.sqrt(fan_in)
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
