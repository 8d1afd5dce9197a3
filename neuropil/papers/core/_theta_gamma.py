"""The network of dynamical-intelligence: sparse assemblies, two rhythms, a long-term memory of links."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil.cells import LIF, AdaptationCurrent, Noise, ValueReset
from neuropil.core import Chain, Network, fold, run, start
from neuropil.synapses import Delay, Exponential
from neuropil.wiring import Dense

GAMMA = 25.0  # ms
DRIVE, INHIBIT, RECOVER = 4.0, 8.0, 3.0  # of threshold: next assembly, feedback, after a spike
CLOSE_GAMMA, CLOSE_THETA = 2.0, 4.0  # of threshold: inhibition where a rhythm is closed
CUE = 2.5  # of threshold: what is cued or sensed
HELD = 0.2  # links while sensing, of their strength in recall (acetylcholine)
KAPPA = 2.0  # concentration of the gamma window
NOISE = 0.05
LATE, PASS = 4.0, 8.0  # ms from spikes to the inhibition that they cause, and to the next assembly


class Rhythms(eqx.Module):
    """What an arm does to the rhythms: strength of gamma and theta (1 or 0), and the share of a gamma cycle
    over which the cells' own phases are spread (0: synchronous, 1: asynchronous)."""

    gamma: Any
    theta: Any
    spread: Any


class Total(eqx.Module):
    """Sum over cells divided by a number, (n,) -> (1,)."""

    over: Any

    def __call__(self, x: Array) -> Array:
        return x.sum(keepdims=True) / self.over


def population(n: int, slower: float) -> LIF:
    """Cells with a noisy membrane and a recovery that outlasts some cycles; `slower` stretches the recovery."""
    recovery = AdaptationCurrent(80.0 * slower, jump=-RECOVER, replace=True)
    return LIF(n, 3.0, reset=ValueReset(0.0), currents=(recovery,), noise=Noise(NOISE))


class Gain(eqx.Module):
    """x times an array."""

    factor: Any

    def __call__(self, x: Array) -> Array:
        return self.factor * x


def link(n: int, weight: Array, gain: Any, slower: float) -> Chain:
    """Links from a population of n cells: they arrive late, when inhibition is there, and last some cycles."""
    trace = Exponential(n, 50.0 * slower)
    return Chain(late=Delay(PASS, n), trace=trace, wire=Dense(weight), gain=Gain(gain))


def inhibition(active: Array, slower: float) -> Chain:
    """Feedback inhibition of all cells, which lasts about a third of a cycle."""
    trace = Exponential(1, 8.0 * slower)
    return Chain(total=Total(active), late=Delay(LATE, 1), trace=trace, minus=Gain(-INHIBIT))


def windows(t: Array, period: Array, centre: Array, kappa: float, phase: Array) -> Array:
    """How far each cell's window is open at each time, 0 to 1: (time, cell)."""
    angle = 2 * math.pi * ((t - centre) / period)[:, None] + phase[None]
    return jnp.exp(kappa * (jnp.cos(angle) - 1))


def open_theta(t: Array, period: Array, ratio: Array) -> Array:
    """1 in a theta cycle but for its last gamma cycle, the trough, where it is 0: (time,)."""
    return ((t % (period * ratio)) < period * (ratio - 1)).astype(float)


def pace(t: Array, period: Array, ratio: Array, rhythms: Rhythms, phase: Array) -> Array:
    """Current of the rhythms into the cells of items, (time, cell)."""
    gamma = windows(t, period, period / 2, KAPPA, phase * rhythms.spread)
    theta = CLOSE_THETA * rhythms.theta * (1 - open_theta(t, period, ratio))
    return -CLOSE_GAMMA * rhythms.gamma * (1 - gamma) - theta[:, None]


def replay(
    weight: Array, active: Array, sensed: Array, ticks: int, period: Array, ratio: Array, ahead: Array,
    back: Array, rhythms: Rhythms, key: Array,
) -> Array:  # fmt: skip
    """Spikes (time, cell) of items that are given `sensed` (cycle, cell) at the first gamma cycles.

    Links act forwards with the gain `ahead` and, by their transpose, backwards with the gain `back`.
    """
    n = weight.shape[0]
    t = jnp.arange(ticks, dtype=float)
    phase = 2 * math.pi * jr.uniform(fold(key, "phase"), (n,))
    cycle = (t / period).astype(jnp.int32)
    given = CUE * sensed.at[cycle].get(mode="fill", fill_value=0.0)
    x = pace(t, period, ratio, rhythms, phase) + given
    wires = {
        "E>E": link(n, weight, DRIVE * ahead / active, 1.0),
        "E>E:back": link(n, weight.T, DRIVE * back / active, 1.0),
        "E>E:inhibit": inhibition(active, 1.0),
    }
    net = Network({"E": population(n, 1.0)}, wires)
    return run(net, start(net, 1.0, fold(key, "run")), {"E": x}, record="output.E")[1]


def read_tree(
    weight: Array, chunks: Array, first: Array, cue: Array, active: Array, of_chunk: Array,
    ticks: int, ratio: int, rhythms: Rhythms, key: Array,
) -> Array:  # fmt: skip
    """Spikes (time, cell) of items while a level above steps from chunk to chunk, one a theta cycle.

    The level above is the same network, slower by the ratio of the rhythms: its window is at the first gamma
    cycle of each theta cycle, and its `first` (item cell, chunk cell) drives the first item of a chunk.
    """
    n, m = weight.shape[0], chunks.shape[0]
    t = jnp.arange(ticks, dtype=float)
    theta = GAMMA * ratio
    a, b = (jr.uniform(fold(key, name), (k,)) for name, k in (("phase", n), ("above", m)))
    x = pace(t, jnp.asarray(GAMMA), jnp.asarray(ratio), rhythms, 2 * math.pi * a)
    # narrow as a gamma window: of the theta rhythm it takes 1 / ratio
    opened = windows(t, jnp.asarray(theta), jnp.asarray(GAMMA / 2), KAPPA * ratio**2,
                     2 * math.pi * rhythms.spread * b / ratio)  # fmt: skip
    above = -CLOSE_GAMMA * rhythms.theta * (1 - opened)
    above = above + jnp.where((t < GAMMA)[:, None], CUE * cue[None], 0.0)
    slow = float(ratio)
    down = Chain(trace=Exponential(m, 5.0), wire=Dense(2 * DRIVE * first / of_chunk))
    wires = {
        "E>E": link(n, weight, DRIVE / active, 1.0),
        "E>E:inhibit": inhibition(active, 1.0),
        "C>C": link(m, chunks, DRIVE / of_chunk, slow),
        "C>C:inhibit": inhibition(of_chunk, slow),
        "C>E": down,
    }
    net = Network({"E": population(n, 1.0), "C": population(m, slow)}, wires)
    xs = {"E": x, "C": above}
    return run(net, start(net, 1.0, fold(key, "run")), xs, record="output.E")[1]


def by_cycle(spikes: Array, period: Array, cycles: int) -> Array:
    """Which cells fired in each gamma cycle, (cycle, cell), zeros and ones."""
    at = (jnp.arange(spikes.shape[0]) / period).astype(jnp.int32)
    return jnp.minimum(jax.nn.one_hot(at, cycles).T @ spikes, 1.0)


def named(fired: Array, assemblies: Array) -> Array:
    """The assembly of which most cells fired in a cycle, at least half; -1 where there is none."""
    share = fired @ assemblies.T / assemblies.sum(1)[None]
    return jnp.where(share.max(1) >= 0.5, share.argmax(1), -1)


def links(assemblies: Array, pairs: np.ndarray) -> Array:
    """Weights (post, pre) of a binary Hebbian memory of pairs (from, to) of assemblies."""
    return jnp.minimum(assemblies[pairs[:, 1]].T @ assemblies[pairs[:, 0]], 1.0)


def learn_where_wrong(weight: Array, fired: Array) -> Array:
    """Weights after a theta cycle: where what fired was not what the cycle before predicts, the links of the
    cells of the cycle before are replaced by links to what fired (outstar rule, one shot).

    $\\Delta w_{ij} = e\\, x_j (y_i - w_{ij})$, with e = 1 where less than half of y is predicted, else 0.
    """

    def one(weight, pair):
        before, now = pair
        predicted = weight @ before >= 0.5 * jnp.maximum(before.sum(), 1.0)
        seen = (predicted * now).sum() >= 0.5 * now.sum()
        wrong = (~seen) & (before.sum() > 0) & (now.sum() > 0)
        change = before[None] * (now[:, None] - weight)
        return weight + jnp.where(wrong, 1.0, 0.0) * change, None

    return jax.lax.scan(one, weight, (fired[:-1], fired[1:]))[0]


def clocked(weight: Array, active: int, cue: Array, cycles: int) -> Array:
    """The same memory without dynamics: each cycle the `active` cells with most links from the last one."""

    def one(x, _):
        drive = weight @ x
        top = jax.lax.top_k(drive, active)[0][-1]
        return jnp.where((drive >= top) & (drive >= 0.5 * active), 1.0, 0.0), x

    return jax.lax.scan(one, cue, None, length=cycles)[1]
