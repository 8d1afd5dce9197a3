r"""Gated recurrences that are linear in their state: qLSTM and RG-LRU.

$$h_i = f_i \odot h_{i-1} + w_i \odot u_i, \qquad y_i = o_i \odot h_i$$

with gates that see the present input only, so `unroll` is an associative scan. (LSTM and GRU, whose
gates see the state, are cells: `neuropil.cells`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from neuropil.blocks.recurrence import linear_scan
from neuropil.core import System, Tick, lift, param
from neuropil.wiring import Dense


class QLSTM(System):
    r"""LSTM without recurrent weights and without tanh ("quasi-LSTM").

    $f = \sigma(W_f u)$, $w = \sigma(W_i u)$, $o = \sigma(W_o u)$ in the module's equation. With a
    `power` the forget gate is the reversed sigmoid of the SSD instead,
    $f = \sigma(-W_f u)^{\max(\mathrm{power}, 0)}$.

    Source: Sieber et al. (2024), arXiv 2405.15731, and its code; after Stanić et al. (2023).

    >>> from neuropil.core import run, start
    >>> part = QLSTM.init_normal(3, key=jr.key(0), reversed=True)
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 3)))[1].shape
    (5, 3)
    """

    forget: Dense
    input: Dense
    output: Dense
    power: Array | None = param(None, source="starts at 1 in the source's code")

    @staticmethod
    def init_normal(width: int, *, key: Key[Array, ""], reversed: bool = False) -> QLSTM:
        """Weights normal with deviation 1 / sqrt(width), biases zero; power 1 where reversed."""
        gates = (Dense.init_normal(width, width, k, bias=True) for k in jr.split(key, 3))
        return QLSTM(*gates, 1.0 if reversed else None)

    def gates(self, xs: Float[Array, "time width"]) -> tuple[Array, Array, Array]:
        """(forget, write, read), each (time, width)."""
        forget, write, read = (
            jax.vmap(m.forward)(xs) for m in (self.forget, self.input, self.output)
        )
        if self.power is None:
            keep = jax.nn.sigmoid(forget)
        else:  # sigmoid(-f)^p, written so that no logarithm of 0 is met
            keep = jnp.exp(-jax.nn.relu(self.power) * jax.nn.softplus(forget))
        return keep, jax.nn.sigmoid(write), jax.nn.sigmoid(read)

    def init(self, dt, key):
        return self.rest()

    def step(self, state: Float[Array, " width"], x: Float[Array, " width"], tick: Tick):
        keep, write, read = self.gates(x[None])
        state = keep[0] * state + write[0] * x
        return state, read[0] * state

    def unroll(self, state: Float[Array, " width"], xs: Float[Array, "time width"], ticks: Tick):
        keep, write, read = self.gates(xs)
        h = linear_scan(keep, write * xs, state)
        return h[-1], read * h

    def rest(self):
        return jnp.zeros(self.forget.weight.shape[0], self.forget.weight.dtype)


class RGLRU(System):
    r"""Real-gated linear recurrent unit: decay $a = \exp(-c\,\mathrm{softplus}(\lambda)\,\sigma(W_r u))$.

    $w = \sqrt{1 - a^2}\,\sigma(W_x u)$ and o = 1 in the module's equation: what is forgotten makes
    room for what is written, and the state keeps its variance. c = 8.

    Source: De et al. (2024), Griffin, arXiv 2402.19427.

    >>> from neuropil.core import run, start
    >>> part = RGLRU.init_normal(3, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 3)))[1].shape
    (5, 3)
    """

    decay: Dense
    input: Dense
    rate: Array = param(axes=("width",))
    sharpness: float = eqx.field(static=True, default=8.0)

    @staticmethod
    def init_normal(width: int, *, key: Key[Array, ""]) -> RGLRU:
        """Weights normal with deviation 1 / sqrt(width); rates so that a^c is uniform in [0.9, 0.999]
        where the gate is open."""
        d, i, r = jr.split(key, 3)
        a = jr.uniform(r, (width,), minval=0.9, maxval=0.999)
        rate = jnp.log(jnp.expm1(-jnp.log(a) / 8.0))  # softplus(rate) = -ln(a) / c
        gates = (Dense.init_normal(width, width, k, bias=True) for k in (d, i))
        return RGLRU(*gates, rate)

    def gates(self, xs: Float[Array, "time width"]) -> tuple[Array, Array]:
        """(decay, write), each (time, width)."""
        opened = jax.nn.sigmoid(jax.vmap(self.decay.forward)(xs))
        log_a = -self.sharpness * jax.nn.softplus(self.rate)[None] * opened
        room = jnp.sqrt(-jnp.expm1(2 * log_a))
        return jnp.exp(log_a), room * jax.nn.sigmoid(jax.vmap(self.input.forward)(xs))

    def init(self, dt, key):
        return self.rest()

    def step(self, state: Float[Array, " width"], x: Float[Array, " width"], tick: Tick):
        decay, write = self.gates(x[None])
        state = decay[0] * state + write[0] * x
        return state, state

    def unroll(self, state: Float[Array, " width"], xs: Float[Array, "time width"], ticks: Tick):
        decay, write = self.gates(xs)
        h = linear_scan(decay, write * xs, state)
        return h[-1], h

    def rest(self):
        return jnp.zeros_like(self.rate)


class Gated(System):
    r"""A part between two maps, with a gate past it: $y = W_o(\mathrm{gelu}(W_g x) \odot part(W_x x))$.

    This is how the source wraps a qLSTM, with an inner width twice the outer one.
    """

    gate: Dense
    into: Dense
    part: System = eqx.field(converter=lift)
    out: Dense
    activation: Callable = eqx.field(static=True, default=jax.nn.gelu)

    @staticmethod
    def init_normal(width: int, inner: int, part: System, *, key: Key[Array, ""]) -> Gated:
        """Maps normal with deviation 1 / sqrt(inputs), no biases; `part` works on (inner,)."""
        g, i, o = jr.split(key, 3)
        gate, into = (jr.normal(k, (inner, width)) / math.sqrt(width) for k in (g, i))
        out = jr.normal(o, (width, inner)) / math.sqrt(inner)
        return Gated(Dense(gate), Dense(into), part, Dense(out))

    def init(self, dt, key):
        return self.part.init(dt, key)

    def step(self, state, x: Float[Array, " width"], tick: Tick):
        state, y = self.part.step(state, self.into.forward(x), tick)
        return state, self.out.forward(self.activation(self.gate.forward(x)) * y)

    def unroll(self, state, xs: Float[Array, "time width"], ticks: Tick):
        state, ys = self.part.unroll(state, self.into.forward(xs), ticks)
        return state, self.out.forward(self.activation(self.gate.forward(xs)) * ys)

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)

    def children(self):
        return {"part": ""}
