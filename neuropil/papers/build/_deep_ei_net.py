"""The two kinds of deep spiking net of deep-ei-snn: E-I circuits, and plain layers with or without batch norm.

Both are families of arms: arrays say which, so that all arms of a family are one compiled program.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float

from neuropil.blocks import EICircuit
from neuropil.cells import LIF, Sigmoid, SubtractReset
from neuropil.core import Tick, fold
from neuropil.wiring import Dense

Spikes = Float[Array, "time batch cell"]


def spikes(current: Float[Array, "*time batch cell"], steps: int) -> Spikes:
    """Spikes of a population: v <- v / 2 + I, a spike where v >= 1, then v <- v - 1 (not differentiated).

    A current without a time axis is the same at every step.
    """
    tau = 1 / math.log(
        2
    )  # in ticks: exp(-1 / tau) = 1/2, the paper's 1 - 1 / tau_paper with tau_paper = 2
    soft, bump = SubtractReset(detach=True), Sigmoid(4.0, closed=True)
    cell = LIF(current.shape[-1], tau=tau, reset=soft, surrogate=bump, drive="jump")
    tick = Tick(jnp.int32(0), jnp.ones(()), jr.key(0))
    step = jax.vmap(lambda state, x: cell.step(state, x, tick))
    state, out = {"v": jnp.zeros(current.shape[-2:], current.dtype)}, []
    for t in range(steps):  # a few steps: unrolled
        state, s = step(state, current if current.ndim == 2 else current[t])
        out.append(s)
    return jnp.stack(out)


class Answer(eqx.Module):
    """Logits (batch, class), mean spikes a step of every hidden layer, and what a norm used (or None)."""

    logits: Array
    rates: Array
    norms: Any = None


class EIFamily(eqx.Module):
    """E-I circuits throughout. `init`: E-I Init, else a static start; `scaled`: the gradient of W_EI
    is divided by the fan-in; `learns`: hidden layers learn."""

    init: Bool[Array, ""]
    scaled: Bool[Array, ""]
    learns: Bool[Array, ""]
    ratio: int = eqx.field(static=True, default=4)
    decay: float = eqx.field(static=True, default=5e-4)

    def start(
        self, x: Array, widths: tuple[int, ...], steps: int, key: Array
    ) -> tuple[list, Array]:
        """Layers in order, each started on the spikes of those before; and the rates of the hidden ones."""
        layers, rates = [], []
        for k, post in enumerate(widths):
            divide, pre = k < len(widths) - 1, x.shape[1]
            child, more = fold(key, k), dict(ratio=self.ratio, divide=divide)
            balanced = EICircuit.balanced(x, post, child, **more)
            static = EICircuit.of(pre, post, child, size=pre**-0.5, **more)
            pick = lambda a, b: jnp.where(self.init, a, b)
            layers.append(jax.tree.map(pick, balanced, static))
            if divide:
                x = x if k == 0 else x.reshape(steps, -1, pre)
                x = spikes(self._through(layers[-1], x), steps).reshape(-1, post)
                rates.append(x.mean())
        return layers, jnp.stack(rates)

    @staticmethod
    def _through(layer, x):
        flat = jax.vmap(layer)(x.reshape(-1, x.shape[-1]))
        return flat.reshape(*x.shape[:-1], -1)

    def answer(self, layers: list, x: Array, steps: int, norms: Any = None) -> Answer:
        """x: (batch, pixel), shown at every step."""
        rates = []
        for layer in layers[:-1]:
            x = spikes(self._through(layer, x), steps)
            rates.append(x.mean())
        return Answer(self._through(layers[-1], x.mean(0)), jnp.stack(rates))

    def factors(self, layers: list) -> tuple[dict, dict]:
        """Factors of gradients, and of steps, by patterns of paths."""
        undone = {
            f"{k}.inhibit": jnp.where(self.scaled, 1.0, layer.fan_in)
            for k, layer in enumerate(layers)
        }
        hidden = {f"{k}.*": jnp.where(self.learns, 1.0, 0.0) for k in range(len(layers) - 1)}
        return undone, hidden

    signs = EICircuit.signs


class Layer(eqx.Module):
    """W x + b, and the gain and shift of its batch norm."""

    wire: Dense
    gain: Array
    shift: Array


class PlainFamily(eqx.Module):
    """Layers without inhibition. `norm`: batch norm over batch and time; `fitted`: the start is scaled on
    the first batch, layer by layer, to currents of variance 1, else it is uniform on +-1 / sqrt(fan-in)."""

    norm: Bool[Array, ""]
    fitted: Bool[Array, ""]
    decay: float = eqx.field(static=True, default=1e-4)

    def start(
        self, x: Array, widths: tuple[int, ...], steps: int, key: Array
    ) -> tuple[list, Array]:
        """Layers in order, scaled ones by the spikes of those before; and the rates of the hidden ones."""
        layers, rates = [], []
        for k, post in enumerate(widths):
            wire = Dense.init_uniform(x.shape[-1], post, fold(key, k), bias=True)
            current = x @ wire.weight.T
            size = jnp.where(self.fitted, jnp.sqrt(1 / (jnp.var(current) + 1e-12)), 1.0)
            size = jnp.minimum(size, 1e3)
            bias = jnp.where(self.fitted, 0.0, wire.bias)
            layers.append(Layer(Dense(size * wire.weight, bias), jnp.ones(post), jnp.zeros(post)))
            if k < len(widths) - 1:
                x = spikes(self._current(layers[-1], x)[0], steps)
                rates.append(x.mean())
        return layers, jnp.stack(rates)

    def _current(self, layer: Layer, x: Array, norms: Any = None) -> tuple[Array, Any]:
        y = x @ layer.wire.weight.T
        over = tuple(range(y.ndim - 1))
        wide = lambda v: v.reshape((1,) * (y.ndim - 1) + (-1,))
        mean, var = (y.mean(over), y.var(over)) if norms is None else norms
        normal = (y - wide(mean)) / jnp.sqrt(wide(var) + 1e-5)
        normal = wide(layer.gain) * normal + wide(layer.shift)
        return jnp.where(self.norm, normal, y + wide(layer.wire.bias)), (mean, var)

    def answer(self, layers: list, x: Array, steps: int, norms: Any = None) -> Answer:
        """x: (batch, pixel), shown at every step. `norms`: statistics to use in place of the batch's."""
        rates, used = [], []
        for k, layer in enumerate(layers[:-1]):
            current, now = self._current(layer, x, None if norms is None else norms[k])
            x = spikes(current, steps)
            rates.append(x.mean())
            used.append(now)
        last = layers[-1].wire
        return Answer(x.mean(0) @ last.weight.T + last.bias[None], jnp.stack(rates), used)

    def factors(self, layers: list) -> tuple[dict, dict]:
        """Nothing is scaled."""
        return {}, {}

    signs = None
