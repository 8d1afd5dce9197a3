"""Local balance of excitation and inhibition: every cell's inhibition follows its own rate."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param


class InhibitoryBalance(System):
    r"""Inhibitory synapses of a cell grow while it fires above its target, and shrink below it.

    $$A_{ij} \leftarrow \max(0,\; A_{ij} + \eta\, (r_i - \rho_i)) \qquad \text{where there is a synapse}$$

    The change is the same for all inhibitory synapses of a cell, and needs nothing but its own rate. A slow
    rule for `Managed` that owns sizes of inhibitory weights A (post, pre), to be *subtracted* (as `inhibit`
    of `neuropil.blocks.BalancedReservoir`), and reads "post", the rates r (post,) or a batch of them
    (b, post), over which it averages.

    **Arguments**: `synapses` (post, pre), True where there is a synapse: others stay as they are; `target` rho
    (one, or one a cell); `rate` eta.

    Source: Srinivasan, Plenz, Girvan (2025), Nat. Commun., eq. 7.

    >>> rule = InhibitoryBalance(jnp.array([[1, 0], [1, 1]]), target=0.5, rate=0.1)
    >>> rule.change(jnp.array([[0.2, 0.0], [0.02, 0.3]]), jnp.array([1.0, 0.0])).round(2).tolist()
    [[0.25, 0.0], [0.0, 0.25]]

    Raises ValueError for synapses that are no matrix, and for a negative rate.
    """

    synapses: Array = eqx.field(converter=lambda a: jnp.asarray(a) != 0)
    target: Array = param(0.5, axes=("post",))
    rate: Array = param(1e-3, bounds=(0, None), source="Srinivasan et al. 2025")

    def __check_init__(self):
        if self.synapses.ndim != 2:
            raise ValueError(f"InhibitoryBalance: synapses {self.synapses.shape}; give (post, pre)")
        if self.target.ndim and self.target.shape != self.synapses.shape[:1]:
            raise ValueError(
                f"InhibitoryBalance: targets {self.target.shape} for {self.synapses.shape[0]} cells"
            )

    def change(self, weight: Array, r: Array) -> Array:
        """The weights after a tick with rates r."""
        r = r.mean(0) if r.ndim > 1 else r
        moved = jnp.maximum(weight + (self.rate * (r - self.target))[:, None], 0)
        return jnp.where(self.synapses, moved, weight)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, self.change(x.theta, x.reads["post"])
