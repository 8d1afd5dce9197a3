"""The network of dcls-delays: delayed layers, normalised currents, LIF cells, a summed softmax."""

from __future__ import annotations

import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Float, Int

from neuropil.cells import LIF, ATan, LeakyIntegrator, ValueReset
from neuropil.core import Part, Tick
from neuropil.papers.build._dcls_tasks import STEP
from neuropil.synapses import DelayedDense, GaussianTaps, NearestTap, causal_sum

Moments = tuple[tuple[Array, Array], ...]  # mean and variance of every hidden layer's current


class Taps(Part):
    """Gaussian taps of a width in training, one tap where `discrete` (a flag, so arms share a program)."""

    sigma: Float[Array, ""]  # ms
    discrete: Any

    def __call__(self, age: Array, delay: Array, dt: Any) -> Array:
        soft = GaussianTaps(self.sigma)(age, delay, dt)
        return jnp.where(self.discrete, NearestTap()(age, delay, dt), soft)


class Net(eqx.Module):
    """`wires`: a delayed layer each, the last the readout; `scale`, `shift` of the hidden currents."""

    wires: tuple[DelayedDense, ...]
    scale: tuple[Array, ...]
    shift: tuple[Array, ...]

    @staticmethod
    def of(sizes: tuple[int, ...], longest: int, key: Array) -> Net:
        """Layers of these sizes, input first; `longest` delay in steps. Weights and delays depend on
        the sizes and the key, not on the arm."""
        keys = jr.split(key, len(sizes) - 1)
        pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
        wires = tuple(DelayedDense.init_uniform(a, b, longest * STEP, k) for a, b, k in pairs)
        hidden = sizes[1:-1]
        return Net(wires, tuple(map(jnp.ones, hidden)), tuple(map(jnp.zeros, hidden)))

    def clipped(self) -> Net:
        """With the delays back in their range."""
        return Net(tuple(w.clipped() for w in self.wires), self.scale, self.shift)

    def shuffled(self, key: Array) -> Net:
        """With the delays dealt anew among the synapses of each layer, weights where they are."""
        deal = lambda w, k: eqx.tree_at(
            lambda w: w.delay, w, jr.permutation(k, w.delay.ravel()).reshape(w.delay.shape)
        )
        keys = jr.split(key, len(self.wires))
        wires = tuple(deal(w, k) for w, k in zip(self.wires, keys, strict=True))
        return Net(wires, self.scale, self.shift)


def parameters(sizes: tuple[int, ...], delays: bool) -> int:
    """What a network of these sizes learns: weights, delays where they are, and the normalisation."""
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    return weights * (2 if delays else 1) + 2 * sum(sizes[1:-1])


def equal_width(channels: int, hidden: int, layers: int, classes: int) -> int:
    """Width at which a network without learned delays learns as many numbers as one of `hidden` with them."""
    sizes = lambda n: (channels, *(n,) * layers, classes)
    goal = parameters(sizes(hidden), True)
    return min(range(hidden, 3 * hidden), key=lambda n: abs(parameters(sizes(n), False) - goal))


def membrane(tau: float) -> float:
    """Time constant (ms) of an exact membrane that keeps 1 - 1/tau of its potential at a step."""
    return -STEP / math.log(1 - 1 / tau)


def _over_time(cell, current: Float[Array, "t b n"]) -> Float[Array, "t b n"]:
    ticks = Tick(jnp.arange(len(current)), jnp.asarray(STEP), jr.split(jr.key(0), len(current)))
    return cell.unroll(cell.init(STEP, jr.key(0)), current, ticks)[1]


def scores(
    net: Net,
    x: Array,
    taps: Taps,
    *,
    tau: float,
    tail: int,
    moments: Moments | None = None,
    drop: float = 0.0,
    key: Array | None = None,
) -> tuple[Float[Array, "b c"], Moments]:
    """Sum over time of the softmax of the readout's membrane; and the moments of the hidden currents.

    `x` (trial, step, channel); `tail` silent steps follow, so that what is delayed still arrives.
    `moments`: those to normalise with; None: those of this batch.
    """
    now = jnp.moveaxis(x.astype(jnp.float32), 0, 1)
    now = jnp.pad(now, ((0, tail), (0, 0), (0, 0)))
    seen, batch = [], x.shape[0]
    for layer, wire in enumerate(net.wires):
        wire = DelayedDense(wire.weight, wire.delay, wire.longest, taps)
        kernel = wire.kernel(round(wire.longest / STEP) + 1, STEP)
        stream = jnp.pad(now, ((kernel.shape[0] - 1, 0), (0, 0), (0, 0)))
        current = jax.vmap(lambda s, k=kernel: causal_sum(k, s), 1, 1)(stream)
        n = current.shape[-1]
        if layer == len(net.wires) - 1:
            cell = LeakyIntegrator((batch, n), tau=membrane(tau), drive="jump")
            return jax.nn.softmax(_over_time(cell, current), axis=-1).sum(0), tuple(seen)
        seen.append((current.mean((0, 1)), current.var((0, 1))))
        mean, variance = seen[-1] if moments is None else moments[layer]
        gain = net.scale[layer] / jnp.sqrt(variance + 1e-5)
        current = gain[None, None] * (current - mean[None, None]) + net.shift[layer][None, None]
        cell = LIF(
            (batch, n),
            tau=membrane(tau),
            drive="jump",
            reset=ValueReset(0.0, detach=True),
            surrogate=ATan(5.0, closed=True),
        )
        now = _over_time(cell, current)
        if key is not None and drop:
            # a byte a number: random bits would cost as much as the layer
            byte = jr.bits(jr.fold_in(key, layer), now.shape, jnp.uint8)
            now = jnp.where(byte >= round(256 * drop), now / (1 - drop), 0.0)
    raise ValueError("a network needs at least one layer")


def loss(summed: Float[Array, "b c"], y: Int[Array, " b"]) -> Float[Array, ""]:
    """Cross-entropy of the summed softmaxes, which are taken as logits, as the paper's code does."""
    return -jnp.take_along_axis(jax.nn.log_softmax(summed), y[:, None], 1).mean()
