"""The expressive leaky memory neuron: branches of synapses, a slow vector memory, one network between."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax

from neuropil.core import Part, System, param


class Timescales(Part):
    r"""Time constants that stay between two bounds however they are learned.

    $$\tau = \text{low} + (\text{high} - \text{low})\,\sigma(\text{free})$$

    `free` has a physical unit, so a `Trainer` leaves it as it is unless its `learn` names it ("*.tau.free").

    >>> Timescales.log_spaced(3, 1.0, 100.0)().round(2).tolist()
    [1.0, 10.0, 100.0]

    Raises ValueError for bounds that are not 0 < low < high.
    """

    free: Array = param(unit="logit", axes=("unit",))
    low: float | int = eqx.field(static=True)  # ms
    high: float | int = eqx.field(static=True)  # ms

    def __check_init__(self):
        if not 0 < self.low < self.high:
            raise ValueError(f"Timescales: bounds {self.low}, {self.high} ms; need 0 < low < high")

    @staticmethod
    def log_spaced(n: int, low: float | int, high: float | int) -> Timescales:
        """n of them, evenly spaced in their logarithm from bound to bound (the ends just inside)."""
        share = (np.geomspace(low, high, n) - low) / ((high - low) or 1.0)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        return Timescales(np.log(share) - np.log1p(-share), low, high)

    def __call__(self) -> Array:
        """The time constants (ms)."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(self.free)


def windows(inputs: int, branches: int, synapses: int) -> np.ndarray:
    """Which input each synapse of a branch reads: overlapping windows, in the inputs' order.

    Branch j reads `synapses` neighbours from j ceil(inputs / branches) on; -1 beyond the last input.
    Returns (branch, synapse). Put inputs that belong together next to each other.

    >>> windows(5, 3, 3).tolist()
    [[0, 1, 2], [2, 3, 4], [4, -1, -1]]
    """
    begin = np.arange(branches) * -(-inputs // branches)
    route = begin[:, None] + np.arange(synapses)
    return np.where(route < inputs, route, -1)


class ELM(System):
    r"""Expressive leaky memory neuron: synapses on branches, a network, memory units that leak.

    $$b_j \leftarrow e^{-dt/\tau_s} b_j + \sum_{k \in j} [w_k]_+ x_{r(k)}, \qquad \tilde m = e^{-dt/\tau} m$$
    $$\Delta = 1.7159 \tanh(\tfrac23 (V \phi(W_b b + W_m \tilde m + c) + d))$$
    $$m \leftarrow \tilde m + \gamma \Delta$$

    - `rule="v1"`: gamma = lambda (1 - e^{-dt / tau}), the paper's; a Delta that stays takes m to lambda Delta.
    - `rule="v2"`: gamma = 1 - e^{-lambda dt / tau}, which stays below 1. They agree for lambda dt << tau.

    **Arguments** (make one by `init_uniform`)

    - `synapse` w (branch, synapse), used where positive; `route` (branch, synapse), the input each one
      reads, -1 for none (see `windows`), or None: branch j has one synapse, on input j;
    - `branch` W_b (hidden, branch), `memory` W_m (hidden, unit), `bias` c (hidden,), `out` V (unit, hidden),
      `out_bias` d (unit,); `tau`, `Timescales` of the memory (ms); `tau_synapse` (ms);
    - `gain` lambda; `phi`, the hidden nonlinearity; `inputs`, number of input channels.

    Input: spikes or any numbers, shape (inputs,). Output: m (unit,), to be followed by `wiring.Dense`.
    State: {"branch": b, "memory": m}. Time constants keep their values in training unless named.

    `unroll` routes, filters and multiplies by W_b over the whole time axis; only the memory is stepped.

    >>> from neuropil.core import run, start
    >>> cell = ELM.init_uniform(6, 4, jr.key(0), route=windows(6, 2, 4))
    >>> run(cell, start(cell, 1.0, jr.key(0)), jnp.ones((5, 6)))[1].shape
    (5, 4)

    Raises ValueError for shapes that do not fit, a route beyond the inputs, and bad time constants.

    Source: Spieler et al. (2024), ICLR, arXiv:2306.16922; both rules: their published code.
    """

    synapse: Array = param(axes=("branch", "synapse"))
    branch: Array = param(axes=("hidden", "branch"))
    memory: Array = param(axes=("hidden", "unit"))
    bias: Array = param(axes=("hidden",))
    out: Array = param(axes=("unit", "hidden"))
    out_bias: Array = param(axes=("unit",))
    tau: Timescales
    tau_synapse: Array = param(5.0, unit="ms", bounds=(0, None), source="Spieler et al. (2024)")
    route: Array | None = eqx.field(
        default=None, converter=lambda r: None if r is None else jnp.asarray(r, jnp.int32)
    )
    inputs: int = eqx.field(static=True, default=0)
    gain: float | int = eqx.field(static=True, default=5.0)
    rule: Literal["v1", "v2"] = eqx.field(static=True, default="v1")
    phi: Callable = eqx.field(static=True, default=jax.nn.relu)

    def __check_init__(self):
        units, hidden = self.out.shape
        branches = self.synapse.shape[0]
        wanted = {
            "synapse": (branches, 1 if self.route is None else self.route.shape[-1]),
            "branch": (hidden, branches),
            "memory": (hidden, units),
            "bias": (hidden,),
            "out_bias": (units,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"ELM: {name} has shape {getattr(self, name).shape}, must be {shape}"
                )
        if self.tau.free.shape != (units,):
            raise ValueError(f"ELM: {self.tau.free.shape} time constants for {units} memory units")
        if self.rule not in ("v1", "v2"):
            raise ValueError(f"ELM: rule={self.rule!r}; write 'v1' or 'v2'")
        if self.route is None and self.inputs != branches:
            raise ValueError(
                f"ELM: {self.inputs} inputs on {branches} branches; give route=windows(...)"
            )
        if self.route is not None and not isinstance(self.route, jax.core.Tracer):
            if np.asarray(self.route).max(initial=-1) >= self.inputs:
                raise ValueError(
                    f"ELM: route names input {np.asarray(self.route).max()} but there are {self.inputs}"
                )

    @staticmethod
    def init_uniform(
        pre: int,
        units: int,
        key: Array,
        *,
        tau: tuple[float | int, float | int] = (1.0, 150.0),
        hidden: int | None = None,
        route: np.ndarray | None = None,
        **more,
    ) -> ELM:
        """`pre` inputs, `units` memory units with log-spaced time constants from tau[0] to tau[1] ms.

        Synapses begin at 0.5, the network's weights and biases uniform on +-1/sqrt(fan in). `hidden`: 2 units.
        """
        hidden = 2 * units if hidden is None else hidden
        branches, synapses = (pre, 1) if route is None else route.shape
        a, b, c, d = jr.split(key, 4)
        draw = lambda k, fan, *shape: jr.uniform(k, shape, minval=-(fan**-0.5), maxval=fan**-0.5)
        first = draw(a, branches + units, hidden, branches + units)
        return ELM(
            jnp.full((branches, synapses), 0.5),
            first[:, :branches],
            first[:, branches:],
            draw(b, branches + units, hidden),
            draw(c, hidden, units, hidden),
            draw(d, hidden, units),
            Timescales.log_spaced(units, *tau),
            route=route,
            inputs=pre,
            **more,
        )

    def init(self, dt, key):
        return {"branch": jnp.zeros(self.synapse.shape[0], self.bias.dtype), "memory": self.rest()}

    def _arrives(self, xs):
        """What reaches each branch, of inputs (..., input): one matrix product where it is routed."""
        w = jax.nn.relu(self.synapse)
        if self.route is None:
            return xs * jnp.broadcast_to(w[:, 0], xs.shape)
        rows = jnp.broadcast_to(jnp.arange(len(w))[:, None], w.shape)
        there = jnp.where(self.route < 0, 0.0, w)
        matrix = jnp.zeros((len(w), self.inputs), w.dtype).at[rows, self.route].add(there)
        return xs @ matrix.T

    def _kernels(self, dt):
        """(decay of the memory, gain of the proposal) in a tick."""
        tau = self.tau()
        if self.rule == "v1":
            return jnp.exp(-dt / tau), -self.gain * jnp.expm1(-dt / tau)
        return jnp.exp(-dt / tau), -jnp.expm1(-dt * self.gain / tau)

    def _memory(self, dt):
        """One step of the memory, (m, what the branches drive) -> m, for vectors or a batch of them."""
        kept, gain = self._kernels(dt)
        up, down = self.memory.T, self.out.T  # turned once, not at every tick

        def next_(m, driven):
            m = kept * m
            proposal = self.phi(driven + m @ up) @ down + self.out_bias
            return m + gain * 1.7159 * jnp.tanh(2 / 3 * proposal)

        return next_

    def step(self, state, x, tick):
        b = jnp.exp(-tick.dt / self.tau_synapse) * state["branch"] + self._arrives(x)
        m = self._memory(tick.dt)(state["memory"], self.branch @ b + self.bias)
        return {"branch": b, "memory": m}, m

    def unroll(self, state, xs, ticks):
        kept = jnp.exp(-ticks.dt / self.tau_synapse)
        arrives = self._arrives(xs)
        bs = _leaky_sums(arrives.at[0].add(kept * state["branch"]), kept)
        next_ = self._memory(ticks.dt)

        def body(m, driven):
            m = next_(m, driven)
            return m, m

        m, ms = lax.scan(body, state["memory"], bs @ self.branch.T + self.bias[None])
        return {"branch": bs[-1], "memory": m}, ms

    def rest(self):
        return jnp.zeros(self.out.shape[0], self.bias.dtype)


def _leaky_sums(xs: Array, kept: Array) -> Array:
    """s_t = kept s_{t-1} + x_t over the leading axis, by doubling: log2(T) passes, no loop over time."""
    for k in range(math.ceil(math.log2(max(len(xs), 1)))):
        ahead = jnp.pad(xs[: -(2**k)], ((2**k, 0), *[(0, 0)] * (xs.ndim - 1)))
        xs = xs + kept ** (2**k) * ahead
    return xs
