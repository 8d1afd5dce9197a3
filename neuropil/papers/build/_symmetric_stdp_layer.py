"""The network of symmetric STDP: spikes of an image, a layer of excitatory winners, class cells, thresholds."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jax.scipy.special import ndtri
from jaxtyping import Float, Int

from neuropil.cells.parts import relaxed
from neuropil.core import Drive
from neuropil.plasticity import PairSTDP, normalised, symmetric_stdp, trial_window
from neuropil.wiring.product import event_product

DT, SHOWN, BLANK = 0.5, 350.0, 150.0  # ms: a tick, an image, the dark after it
TAU, REST, FLOOR, BASE = (
    100.0,
    -65.0,
    -100.0,
    -72.0,
)  # of a hidden cell; spike where V > BASE + theta
FIRST, POLE = 20.0, 10.0  # of theta: start, pole of its growth
DEAD = 2.0  # ms after a spike
TAU_INHIBITION, INHIBITION = 2.0, 17.0
CLASS = {"tau": 10.0, "rest": -60.0, "reset": -45.0, "threshold": -40.0}
TEACHER = 200.0  # Hz
WINDOW, GROW = 20.0, 0.1  # ms, and what a spike adds to its trace


class Numbers(NamedTuple):
    """What differs between image sets."""

    rate: Float[Array, ""]  # nu of the input layer
    rate_out: Float[Array, ""]
    top_out: Float[Array, ""]  # bound of an output weight
    total: Float[Array, ""]  # sum of a hidden cell's weights
    mean_out: Float[Array, ""]  # mean of a class cell's weights
    base: Float[Array, ""]
    plus: Float[Array, ""]  # growth of theta at a spike, at first
    decay: Float[Array, ""]  # of theta (ms)
    bright: Float[Array, ""]  # mean that every image is scaled to, 0 for none


MNIST = (0.005, 0.04, 8.0, 78.4, 0.8, BASE, 0.07, 6e6, 0.0)
FASHION = (0.02, 0.32, 40.0, 19.6, 2.0, BASE - 8.0, 0.05, 5e7, 30.0)


def chances(images: Array, bright: Array) -> Array:
    """Chance of a spike a tick of every pixel (image, pixel): p / 8 x 2 Hz, less the gap after a spike.

    A unit that spiked cannot spike in the next tick, so a chance p makes p / (1 + p) spikes a tick.
    """
    images = images.astype(float)
    scaled = images * bright / jnp.maximum(images.mean(1, keepdims=True), 1e-6)
    p = jnp.where(bright > 0, scaled, images) / 8 * 2 * DT / 1000
    return p / (1 + p)


def drawn(key: Array, p: Array, ticks: int, most: int) -> Float[Array, "tick pixel"]:
    """Spikes of an image: a Poisson number (at most `most`), each at a tick and pixel of its own.

    Two numbers a spike are drawn instead of one a tick and pixel, a hundredth of them. The number of all spikes
    is in the hundreds or thousands, where Poisson's law is the normal one.
    """
    u = jr.uniform(key, (2 * most + 1,), minval=1e-6)
    mean, sums = p.sum() * ticks, jnp.cumsum(p)
    many = jnp.round(mean + jnp.sqrt(mean) * ndtri(u[-1]))
    pixel = jnp.searchsorted(sums, u[:most] * sums[-1])
    when = jnp.floor(u[most : 2 * most] * ticks).astype(int)
    at = jnp.minimum(when, ticks - 1) * len(p) + jnp.minimum(pixel, len(p) - 1)
    at = jnp.where(jnp.arange(most) < many, at, ticks * len(p))
    return jnp.zeros(ticks * len(p)).at[at].set(1.0, mode="drop").reshape(ticks, len(p))


class Cells(NamedTuple):
    """State of hidden cells: potential, conductances, ticks dead, spikes of the last tick, threshold."""

    v: Array
    excited: Array
    calmed: Array
    left: Array
    last: Array
    theta: Array


def rested(v: Array, theta: Array) -> Cells:
    """Cells at the first tick of an image; conductances have died out in the dark before it."""
    zero = jnp.zeros_like(v)
    return Cells(v, zero, zero, zero, zero, theta)


def hidden_tick(cells: Cells, arriving: Array, base: Array, plus: Array) -> tuple[Cells, Array]:
    """One tick of hidden cells: (state, spikes). Last axis: cells; every spike calms all *other* cells.

    The inhibitory partner is a relay: one spike of its cell (10.4, through 1 ms) always makes it fire once,
    in the next tick.
    """
    excited = cells.excited * jnp.exp(-DT / 1.0) + arriving
    others = cells.last.sum(-1, keepdims=True) - cells.last
    calmed = cells.calmed * jnp.exp(-DT / TAU_INHIBITION) + INHIBITION * others
    drive = Drive(FLOOR * calmed, excited + calmed)  # reversal at 0 and -100 mV
    v = jnp.where(
        cells.left > 0, cells.v, relaxed(cells.v, drive, *map(jnp.asarray, (DT, TAU)), REST)
    )
    s = jnp.where((v > base + cells.theta) & (cells.left <= 0), 1.0, 0.0)
    grown = plus * POLE / jnp.abs(cells.theta - POLE)
    left = jnp.where(s > 0, DEAD / DT, jnp.maximum(cells.left - 1, 0.0))
    return Cells(jnp.where(s > 0, REST, v), excited, calmed, left, s, cells.theta + s * grown), s


def presented(
    w: Array, cells: Cells, spikes: Array, n: Numbers, plus: Array
) -> tuple[Cells, Array]:
    """(state, hidden spikes (image, tick, cell)) of images (image, tick, pixel), weights held."""
    arriving = jnp.moveaxis(event_product(spikes, w), 1, 0)
    tick = lambda state, x: hidden_tick(state, x, n.base, plus)
    cells, s = lax.scan(tick, cells, arriving, unroll=2)
    return cells, jnp.moveaxis(s, 0, 1)


def grown(w: Array, spikes: Array, hidden: Array, rate: Array) -> Array:
    """Input weights after symmetric STDP of images shown side by side; the bound is 1."""
    rule = symmetric_stdp(w.shape[1], w.shape[0], 1.0, WINDOW)
    up = jax.vmap(lambda s: trial_window(rule, s, DT)[0])(hidden)
    _, back = jax.vjp(lambda w: event_product(spikes, w), w)  # the sum over the pre spikes alone
    return w + rule.bounds.up(w, rate * GROW * back(up)[0])


def coincidence(hidden: Array, teacher: Array, order: Array) -> Float[Array, " cell"]:
    """What the teacher's spikes (tick,) add to the weight from each hidden cell (tick, cell), times 1 / nu.

    `order`: 1 where a hidden spike after the teacher's potentiates too (symmetric), -1 where it depresses.
    """
    rule = PairSTDP(hidden.shape[1], 1, GROW, GROW, WINDOW, WINDOW)
    before, after = trial_window(rule, teacher[:, None], DT)
    return hidden.T @ (before + order * after)[:, 0]


def class_counts(hidden: Array, w: Array) -> Int[Array, "image class"]:
    """Spikes of the class cells (leaky, no refractory time, no inhibition) for hidden spikes."""
    drive = jnp.moveaxis(hidden @ w.T, 1, 0)

    def tick(state, x):
        v, g, count = state
        g = g * jnp.exp(-DT / 1.0) + x
        v = relaxed(
            v, Drive(jnp.zeros_like(g), g), *map(jnp.asarray, (DT, CLASS["tau"])), CLASS["rest"]
        )
        s = v > CLASS["threshold"]
        return (jnp.where(s, CLASS["reset"], v), g, count + s), None

    shape = drive.shape[1:]
    first = (jnp.full(shape, CLASS["rest"]), jnp.zeros(shape), jnp.zeros(shape, int))
    return lax.scan(tick, first, drive, unroll=4)[0][2]


def taught(w: Array, change: Array, label: Array, n: Numbers, scaling: Array) -> Array:
    """Output weights (class, cell) after one image whose label cell was driven."""
    total = n.mean_out * w.shape[1]
    w = jnp.where(scaling, normalised(w, total), w)
    row = jnp.clip(w[label] + n.rate_out * change, 0.0, n.top_out)
    return w.at[label].set(row)
