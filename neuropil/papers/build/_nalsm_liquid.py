"""The liquid of NALSM: cells on a grid, their wiring, a millisecond of it, and its plasticity."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float

from neuropil.blocks.liquid import CHANCES, lattice, lattice_chance
from neuropil.cells import LeakyAstrocyte
from neuropil.core import Tick

THRESHOLD, LEAK, KICK = 20.0, 1 / 64, 100.0  # mV; per ms; what an input cell receives from a pixel
DENSITY, REACH, EXCITATORY = 0.15, 3.0, 0.8
TOP = 3.0  # bound of every weight
DECAY, GROW = 0.90477, 0.1  # of the trace; DECAY ** 10 is nearest exp(-1) on the official grid
RATE, TAU = 0.15, 100.0  # potentiation, and the astrocyte's bias; its time constant (ms)
FADE = 0.99  # of all rates a ms, while a sample is presented
REST = math.exp(-20.0)  # of the synaptic kernel: as if the last spike was 20 ms ago


class Topology(eqx.Module):
    """Who hears whom. Columns of every matrix: the liquid's cells, then the inputs."""

    mask: Float[Array, "post pre"]
    sign: Float[Array, "post pre"]
    inhibitory: Bool[Array, " pre"]
    cells: int = eqx.field(static=True)

    @staticmethod
    def draw(key: Array, grid: tuple[int, int, int], inputs: int) -> Topology:
        """Chance C exp(-(D / 3)^2) between liquid cells, 15 % of all input synapses, signs of these even."""
        a, b, c, d = jr.split(key, 4)
        n = grid[0] * grid[1] * grid[2]
        place = jr.permutation(a, lattice(grid)).astype(float)
        calm = jnp.arange(n) >= round(EXCITATORY * n)
        inside = jr.uniform(b, (n, n)) < lattice_chance(place, calm, chances=CHANCES, reach=REACH)
        # exactly 15 % of the pairs: the smallest of as many random numbers
        draw = jr.uniform(c, (n * inputs,))
        wanted = int(DENSITY * n * inputs)
        outside = (draw < jnp.sort(draw)[wanted]).reshape(n, inputs)
        sides = jnp.where(jr.uniform(d, (n, inputs)) < 0.5, 1.0, -1.0)
        signs = jnp.broadcast_to(jnp.where(calm, -1.0, 1.0)[None], (n, n))
        mask = jnp.concatenate([inside, outside], 1).astype(float)
        return Topology(
            mask,
            jnp.concatenate([signs, sides], 1) * mask,
            jnp.concatenate([calm, jnp.zeros(inputs, bool)]),
            n,
        )

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest weight by presynaptic cell: E 0..3, I -3..0, inputs -3..3."""
        source = jnp.arange(len(self.inhibitory)) < self.cells
        low = jnp.where(source & ~self.inhibitory, 0.0, -TOP)
        return low, jnp.where(self.inhibitory, 0.0, TOP)


def silent(cells: int) -> dict[str, Array]:
    """State of all cells (liquid, then inputs) before a sample: no potential, no recent spike."""
    zero = jnp.zeros(cells)
    return {"v": zero, "left": zero, "kernel": zero + REST}


def millisecond(w: Array, state: dict[str, Array], kick: Array) -> tuple[dict[str, Array], Array]:
    """One ms of liquid and inputs: (state, spikes of all cells). `kick`: which inputs a pixel drives.

    Spikes first, where v >= 20 and 2 ms have passed; then the leak, and for every synapse the exponential of
    the time since its *last* spike (earlier ones are forgotten: currents do not add up).
    """
    s = ((state["v"] >= THRESHOLD) & (state["left"] <= 0)).astype(w.dtype)
    v = state["v"] * (1 - s)
    kernel = jnp.where(s > 0, 1.0, state["kernel"])
    arriving = jnp.concatenate([w @ kernel, KICK * kick])
    v = v - LEAK * v + arriving
    left = jnp.where(s > 0, 2.0, state["left"] - 1)
    return {"v": v, "left": left, "kernel": kernel * jnp.exp(-1.0)}, s


def astrocyte(gain: Any) -> LeakyAstrocyte:
    """The astrocyte whose output A is the rate of depression: an Euler step of 1/100 a ms, as in the code.

    With gain 0 A stays at the rate of potentiation: symmetric STDP.
    """
    return LeakyAstrocyte(1, -1 / math.log1p(-1 / TAU), weight=gain, bias=RATE)


def listens(cell: LeakyAstrocyte, a: Array, s: Array, cells: int) -> Array:
    """A after a ms: it is led by how many more spikes the liquid makes than it receives."""
    drive = s[:cells].sum() - s[cells:].sum()
    tick = Tick(jnp.int32(0), jnp.ones(()), jr.key(0))  # a ms; the cell is not random
    return cell.step(a[None], drive[None], tick)[0][0]


def plastic(w: Array, s: Array, trace: Array, a: Array, top: Topology, rate: Any) -> Array:
    """Weights after the STDP of a ms. `trace` is that of the spikes before; `a` the rate of depression.

    Pre before post: +rate (E and inputs) or -a (I); post before pre: -a or +rate.
    """
    calm = top.inhibitory
    later = jnp.where(calm, -a, rate) * trace
    earlier = jnp.where(calm, rate, -a) * s
    n = top.cells
    change = s[:n, None] * later[None, :] + trace[:n, None] * earlier[None, :]
    low, high = top.bounds()
    return jnp.clip(w + change, low[None], high[None]) * top.mask


def faded(trace: Array, s: Array) -> Array:
    """The trace after a ms."""
    return DECAY * (trace + GROW * s)


def settle(w, top: Topology, cell: LeakyAstrocyte, images, key, clamp, millis: int, count, fresh):
    """Weights after `count` images of `millis` ms each, one at a time, and the mean of A.

    Cells and A start afresh with every image; traces only where `fresh` (the official code keeps them).
    `clamp`: a fixed A, or NaN for none.
    """
    cells = len(top.inhibitory)

    def image(k, carry):
        w, trace, total = carry
        p = images[k % len(images)]

        def ms(inner, key):
            w, state, trace, a = inner
            state, s = millisecond(w, state, jr.uniform(key, p.shape) < p)
            used = jnp.where(jnp.isnan(clamp), a, clamp)
            w = plastic(w, s, trace, used, top, RATE)
            return (w, state, faded(trace, s), listens(cell, a, s, top.cells)), used

        begin = (w, silent(cells), jnp.where(fresh, 0.0, trace), jnp.asarray(RATE))
        (w, _, trace, _), used = jax.lax.scan(ms, begin, jr.split(jr.fold_in(key, k), millis))
        return w, trace, total + used.mean()

    w, _, total = jax.lax.fori_loop(0, count, image, (w, jnp.zeros(cells), jnp.zeros(())))
    return w, total / jnp.maximum(count, 1)


def presented(w, top: Topology, cell: LeakyAstrocyte, p, key, clamp, millis: int) -> Array:
    """Spikes of the liquid (ms, cell) for one image with plasticity, whose rates fade; w is not kept.

    The code fades A, its gain and its bias alike, so A is the fading factor times what it would be without.
    """
    cells = len(top.inhibitory)

    def ms(carry, now):
        w, state, trace, a = carry
        key, fade = now
        state, s = millisecond(w, state, jr.uniform(key, p.shape) < p)
        used = jnp.where(jnp.isnan(clamp), a, clamp)
        w = plastic(w, s, trace, fade * used, top, fade * RATE)
        return (w, state, faded(trace, s), listens(cell, a, s, top.cells)), s[: top.cells]

    begin = (w, silent(cells), jnp.zeros(cells), jnp.asarray(RATE))
    fades = FADE ** jnp.arange(millis)
    return jax.lax.scan(ms, begin, (jr.split(key, millis), fades))[1]


def frozen(w, images, key, millis: int, keep: bool = False) -> Array:
    """Spike counts (image, cell) of the liquid with fixed weights, all images at once; `keep`: the spikes.

    The same ms as `millisecond`, for a batch: the synapses are one matrix product.
    """
    n = len(w)
    cells, batch = w.shape[1], len(images)
    state = jax.tree.map(lambda a: jnp.broadcast_to(a, (batch, cells)), silent(cells))
    at = jax.vmap(millisecond, (None, 0, 0))

    def ms(carry, key):
        state, count = carry
        state, s = at(w, state, jr.uniform(key, images.shape) < images)
        return (state, count + s[:, :n]), (s[:, :n] if keep else None)

    (_, count), spikes = jax.lax.scan(ms, (state, jnp.zeros((batch, n))), jr.split(key, millis))
    return spikes.swapaxes(0, 1) if keep else count
