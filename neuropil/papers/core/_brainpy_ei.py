"""The E/I network of the benchmarks: conductance-based, sparse, delivered by events or by a dense matrix."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.cells import LIF, Refractory, ValueReset
from neuropil.core import Chain, Network, To, put, run, start
from neuropil.synapses import Conductance, Receptors
from neuropil.wiring import Dense, Sparse

DT = 0.1  # ms
BINS = 100  # of the population's rate over time
EXCITATORY, INHIBITORY = 0.6, 6.7  # of a spike, in units of the leak conductance


class First(eqx.Module):
    """The first or, from `start` on, the last cells of a population."""

    start: int = eqx.field(static=True)
    stop: int = eqx.field(static=True)

    def __call__(self, s: Array) -> Array:
        return s[self.start : self.stop]


class Times(eqx.Module):
    """A constant factor. Counts of spikes are whole numbers, the same in whatever order they are summed."""

    factor: float = eqx.field(static=True)

    def __call__(self, count: Array) -> Array:
        return self.factor * count


def network(key: Array, cells: int, fan_out: int, *, dense: bool = False) -> Network:
    """`cells` LIF cells, 80 % excitatory, each with `fan_out` random targets.

    `dense`: the same synapses as a full matrix, the plain way to write it.
    """
    excitatory = round(0.8 * cells)
    target = jr.randint(key, (cells, fan_out), 0, cells)

    def edge(low: int, high: int, weight: float, port: str) -> Chain:
        wires = Sparse(target[low:high], 1.0, cells)
        if dense:
            wires = Dense(wires.dense())
        return Chain(First(low, high), wires, Times(weight), To(port))

    cell = LIF(
        cells,
        20.0,
        threshold=-50.0,
        v_rest=-60.0,
        reset=ValueReset(-60.0),
        refractory=Refractory(5.0),
    )
    node = Receptors(cell, ampa=Conductance(cells, 5.0, 0.0), gaba=Conductance(cells, 10.0, -80.0))
    edges = {
        "cells>cells:e": edge(0, excitatory, EXCITATORY, "ampa"),
        "cells>cells:i": edge(excitatory, cells, INHIBITORY, "gaba"),
    }
    return Network({"cells": node}, edges)


def begin(net: Network, key: Array, cells: int):
    """The carry before the first tick: potentials and conductances spread as in the benchmark scripts."""
    a, b, c = jr.split(key, 3)
    carry = start(net, DT, key)
    spread = {
        "nodes.cells.cell.v": -65 + 5 * jr.normal(a, (cells,)),
        "nodes.cells.ampa": jnp.maximum(4 + 1.5 * jr.normal(b, (cells,)), 0),
        "nodes.cells.gaba": jnp.maximum(20 + 12 * jr.normal(c, (cells,)), 0),
    }
    state = carry.state
    for path, value in spread.items():
        state = put(state, path, value)
    return eqx.tree_at(lambda c: c.state, carry, state)


def measure(key: Array, cells: int, fan_out: int, ms: float, same_ms: float) -> dict[str, Array]:
    """What one network does: rate (Hz), also over time, interval CV, synchrony, synaptic operations as a share
    of a dense matrix's, and how many spikes a dense delivery of the same synapses makes otherwise in the
    first `same_ms`."""
    a, b = jr.split(key)
    net = network(a, cells, fan_out)
    first = begin(net, b, cells)
    ticks, head = round(ms / DT), round(same_ms / DT)

    def kept(state, y):
        return y["cells"] > 0

    _, spikes = run(net, first, n=ticks, record=kept)
    full = network(a, cells, fan_out, dense=True)
    _, other = run(full, begin(full, b, cells), n=head, record=kept)
    per_tick = spikes.sum(1)
    bins = per_tick.reshape(BINS, -1).mean(1)
    return {
        "population": bins / cells / DT * 1000,
        "rate": spikes.sum() / cells / ms * 1000,
        "cv": interval_cv(spikes),
        "synchrony": synchrony(spikes, round(1 / DT)),
        "work": per_tick.mean() * fan_out / cells**2,
        "differing": (spikes[:head] != other).sum().astype(float),
    }


def interval_cv(spikes: Array) -> Array:
    """Mean over cells of the coefficient of variation of interspike intervals, cells with 5 spikes or more."""
    ticks = spikes.shape[0]
    t = jnp.arange(ticks, dtype=jnp.int32)

    def last(carry, now):
        before, n, total, square = carry
        s, i = now
        gap = jnp.where(s & (before >= 0), i - before, 0).astype(float)
        counted = (s & (before >= 0)).astype(float)
        return (jnp.where(s, i, before), n + counted, total + gap, square + gap**2), None

    zero = jnp.zeros(spikes.shape[1])
    none = jnp.full(spikes.shape[1], -1, jnp.int32)
    (_, n, total, square), _ = jax.lax.scan(last, (none, zero, zero, zero), (spikes, t))
    mean = total / jnp.maximum(n, 1)
    spread = jnp.sqrt(jnp.maximum(square / jnp.maximum(n, 1) - mean**2, 0))
    counted = n >= 4
    cv = jnp.where(counted, spread / jnp.maximum(mean, 1), 0.0)
    return cv.sum() / jnp.maximum(counted.sum(), 1)


def synchrony(spikes: Array, width: int) -> Array:
    """Variance of the population's count in bins of `width` ticks over that of independent Poisson cells."""
    bins = spikes.shape[0] // width
    count = spikes[: bins * width].reshape(bins, width, -1).sum((1, 2)).astype(float)
    return count.var() / jnp.maximum(count.mean(), 1e-9)
