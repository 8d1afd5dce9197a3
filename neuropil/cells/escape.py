"""Escape noise: spikes are drawn with a probability that grows with the potential."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.cells.parts import draw_block, start_block
from neuropil.core import Part, fold, param


class Escape(Part):
    r"""A cell with this part spikes at random, with the hazard rho of its distance to the threshold.

    $$\rho(v) = \rho_0\, h\!\left(\frac{v - \theta}{\Delta}\right), \qquad
    P(\text{spike in a tick}) = 1 - e^{-\rho(v)\,dt}$$

    Exact for a potential that is constant within a tick, so the rate does not depend on dt. Backward: the
    derivative of the probability, which gives the gradient of the expected number of spikes of a tick.

    **Arguments**

    - `rate` rho_0 (1/ms), the hazard at the threshold for h = exp; `width` Delta (mV), the softness.
    - `hazard` h: `jnp.exp` (default), `jax.nn.sigmoid` (a highest rate), `jax.nn.relu` (linear), or any
      function that is nowhere negative.
    - `block`: ticks for which random numbers are drawn at once; chunking a run changes nothing.

    Source: Gerstner, van Hemmen (1992), Network 3, 139; values: Jolivet et al. (2006), J. Comput. Neurosci.
    21, 35 (rounded).

    >>> import jax
    >>> from neuropil.cells import LIF, NoReset
    >>> from neuropil.core import run, start
    >>> cells = LIF(1000, tau=10.0, reset=NoReset(), escape=Escape(rate=0.1, width=1.0), v_rest=1.0)
    >>> _, s = run(cells, start(cells, 1.0, jax.random.key(0)), n=50)
    >>> bool(abs(s.mean() - (1 - jnp.exp(-0.1))) < 0.005)
    True
    """

    rate: Array = param(0.05, unit="1/ms", bounds=(0, None), axes=("cell",))
    width: Array = param(4.0, unit="mV", bounds=(1e-6, None), axes=("cell",))
    hazard: Callable = eqx.field(static=True, default=jnp.exp)
    block: int = eqx.field(static=True, default=32)

    def start(self, key: Array, shape: tuple[int, ...]) -> dict:
        """State: the cell's key and the numbers of the present block."""
        return start_block(fold(key, "escape"), self.block, shape)

    def draw(self, state: dict, i: Array) -> tuple[dict, Array]:
        """Numbers of tick i, uniform on [0, 1)."""
        return draw_block(state, i, jr.uniform)

    def probability(self, u: Array, dt: Array) -> Array:
        """Of a spike in a tick of length dt, at a distance u = v - threshold."""
        # beyond 30 widths the hazard exceeds any dt: capped, so that its derivative stays finite
        hazard = self.rate * self.hazard(jnp.minimum(u / self.width, 30.0))
        return -jnp.expm1(-hazard * dt)

    def __call__(self, u: Array, dt: Array, uniform: Array) -> Array:
        p = self.probability(u, dt)
        spike = (uniform < p).astype(u.dtype)
        return lax.stop_gradient(spike - p) + p
