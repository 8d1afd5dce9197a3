"""The models of elm-neuron: which cell, how wide, and how many trained numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax

from neuropil.cells import ELM, LSTM, SuperSpike, Timescales, windows
from neuropil.core import Chain, System, param
from neuropil.learn.optimiser import learnable
from neuropil.wiring import Dense


def identity(x: Array) -> Array:
    """In place of the hidden nonlinearity: one layer of integration instead of two."""
    return x


class FittedLIF(System):
    r"""A leaky integrate-and-fire cell behind fitted filters: the point neuron that is asked to imitate.

    $$g_k \leftarrow e^{-dt/\tau_k} g_k + w_k \cdot x, \quad u \leftarrow b u + (1 - b) \sum_k g_k, \quad
      \text{logit} = a (u - 1), \quad \text{voltage} = c + d \min(u, 1)$$

    u falls by `jump` at each of its own spikes (u > 1). Every input has a weight at each of the K time
    constants, so its filter is any sum of K exponentials. Output: (logit, voltage).
    """

    weight: Array = param(axes=("time constant", "input"))
    leak: Array = param(2.3)  # tau = 1 + softplus-like e^leak, about 11 ms
    jump: Array = param(1.0)
    slope: Array = param(5.0)
    offset: Array = param(0.0)
    scale: Array = param(1.0)
    taus: tuple[float, ...] = eqx.field(static=True, default=(2.0, 6.0, 20.0, 60.0, 150.0))

    @staticmethod
    def init_uniform(pre: int, key: Array) -> FittedLIF:
        """Weights uniform on +-1/sqrt(pre), shared out over the time constants by their area."""
        taus = FittedLIF.taus
        w = jr.uniform(key, (len(taus), pre), minval=-1, maxval=1) * pre**-0.5
        return FittedLIF(w / jnp.asarray(taus)[:, None])

    def init(self, dt, key):
        return {"g": jnp.zeros(len(self.taus)), "u": jnp.zeros(())}

    def _next(self, state, arrives, dt):
        g = jnp.exp(-dt / jnp.asarray(self.taus)) * state["g"] + arrives
        b = jnp.exp(-dt / (1 + jnp.exp(self.leak)))
        u = b * state["u"] + (1 - b) * g.sum()
        y = jnp.stack([self.slope * (u - 1), self.offset + self.scale * jnp.minimum(u, 1.0)])
        s = SuperSpike(5.0)(u - 1)
        return {"g": g, "u": u - self.jump * s}, y

    def step(self, state, x, tick):
        return self._next(state, self.weight @ x, tick.dt)

    def unroll(self, state, xs, ticks):
        body = lambda s, arrives: self._next(s, arrives, ticks.dt)
        return lax.scan(body, state, xs @ self.weight.T)


@dataclass(frozen=True)
class Spec:
    """What makes a model but for its key. `cell`: elm, lstm, lif.

    - `inputs`, `units`, `outputs`; `longest` (ms): horizon of the LSTM's forget gates, largest time
      constant of the ELM; `slowest` (ms): the largest one in use (the control has no slow memory);
    - `branches`, `synapses`: windows of the Branch-ELM, 0: one synapse a branch on every input.
    """

    cell: str
    inputs: int
    units: int
    outputs: int
    longest: float
    slowest: float = field(default=0.0, compare=False)  # arms that differ in it share a program
    branches: int = 0
    synapses: int = 0
    linear: bool = False

    def __call__(self, key: Array) -> System:
        if self.cell == "lif":
            return Chain(cell=FittedLIF.init_uniform(self.inputs, key))
        a, b = jr.split(key)
        read = Dense.init_uniform(self.units, self.outputs, b, bias=True)
        if self.outputs == 2:  # spikes are rare: begin at the log odds of 4 Hz, in every arm
            read = eqx.tree_at(lambda r: r.bias, read, read.bias.at[0].add(-5.5))
        return Chain(cell=self._cell(a), read=read)

    def _cell(self, key):
        if self.cell == "lstm":
            return LSTM.init_chrono(self.inputs, self.units, key, horizon=self.longest)
        route = windows(self.inputs, self.branches, self.synapses) if self.branches else None
        more = {"phi": identity} if self.linear else {}
        bounds = (1.0, self.longest)
        cell = ELM.init_uniform(
            self.inputs, self.units, key, tau=bounds, route=route, rule="v2", **more
        )
        if not self.slowest:
            return cell
        # the same bounds, so that this arm is the same program
        share = (np.geomspace(1.0, self.slowest, self.units) - 1) / (self.longest - 1)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        return eqx.tree_at(
            lambda c: c.tau, cell, Timescales(np.log(share) - np.log1p(-share), *bounds)
        )

    def count(self) -> int:
        """Trained numbers."""
        model = eqx.filter_eval_shape(self, jr.key(0))
        blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), model)
        return sum(a.size for a in jax.tree.leaves(eqx.filter(blank, learnable(blank))))
