"""Memories, and the ordered rule of the spiking one."""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil import cells, core, memory, plasticity
from tests.contract.examples.base import TICKS, Example, dense, normal, spikes

SIGNS = "the cells are signs"


def _codes(*widths: int):
    """Zeros and ones, by name."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 2, (TICKS, n)).astype("float32") for n in widths]


def _pairs():
    cue, content = (jnp.asarray(a, float) for a in _codes(4, 3))
    return {"cue": cue, "content": content, "write": jnp.array([1.0, 1.0, 0.0] * (TICKS // 3))}


def _words():
    a, w = (jnp.asarray(a, jnp.int32) for a in _codes(8, 4))
    return {"address": a, "word": w, "write": jnp.array([1, 1, 0] * (TICKS // 3))}


def _episodes():
    write = jnp.array([1.0, 1.0, 0.0] * (TICKS // 3))
    rows = {"key": normal(3)(), "value": normal(2)(), "query": normal(3, scale=2.0)()}
    return rows | {"write": write}


def _columns(name, n):
    return {name: jnp.asarray(_codes(n)[0]), "learn": jnp.array([1.0, 1.0, 0.0] * (TICKS // 3))}


def _signs(key, m, n):
    return jnp.where(jr.bernoulli(key, 0.5, (m, n)), 1.0, -1.0)


def _ordered(key):
    net = core.Chain(wire=dense(3, 2, key), cell=cells.LIF(2, drive="jump"))
    rule = plasticity.OrderedSTDP(3, 2, 0.3, 0.2, lag=1.0)
    return core.Managed(net, rule, "parts.wire.weight", {"pre": "input", "post": "output"})


def _replay(keep, pick, told=False):
    xs = lambda: {"item": normal(2)()} | ({"priority": abs(normal(3)())} if told else {})
    make = lambda k: memory.Replay(jnp.zeros(2), 4, 3, keep(), pick())
    return Example(make, xs, (memory.Replay,))


EXAMPLES = {
    "hopfield": Example(
        lambda k: memory.Hopfield(memory.hebb_weights(_signs(k, 2, 6))),
        normal(6),
        (memory.Hopfield,),
        no_gradient=SIGNS,
    ),
    "hopfield, at once": Example(
        lambda k: memory.Hopfield(memory.hebb_weights(_signs(k, 2, 6)), "synchronous"),
        normal(6),
        (memory.Hopfield,),
        no_gradient=SIGNS,
    ),
    "dense hopfield": Example(
        lambda k: memory.DenseHopfield(_signs(k, 5, 6), memory.Exponential()),
        normal(6),
        (memory.DenseHopfield,),
        no_gradient=SIGNS,
    ),
    "modern hopfield": Example(
        lambda k: memory.ModernHopfield(jr.normal(k, (4, 3)), 2.0),
        normal(3),
        (memory.ModernHopfield,),
    ),
    "episodic": Example(
        lambda k: memory.Episodic(3, 3, 2, same=0.9, rate=0.5), _episodes, (memory.Episodic,)
    ),
    "episodic, nearest": Example(
        lambda k: memory.Episodic(3, 3, 2, similarity="distance", nearest=2),
        _episodes,
        (memory.Episodic,),
    ),
    "distributed memory": Example(
        lambda k: memory.SparseDistributedMemory.random(20, 8, 3, k, 4),
        _words,
        (memory.SparseDistributedMemory,),
        no_gradient="counters are whole numbers",
    ),
    "willshaw": Example(
        lambda k: memory.Willshaw(4, 3), _pairs, (memory.Willshaw,), no_gradient="codes of 0 and 1"
    ),
    "replay, reservoir": _replay(memory.Reservoir, lambda: memory.PowerLaw(1.5)),
    "replay, prioritised": _replay(memory.Latest, memory.Prioritised, told=True),
    "neural memory": Example(
        lambda k: memory.NeuralMemory.init_normal(4, hidden=(3,), heads=2, chunk=4, key=k),
        normal(4),
        (memory.NeuralMemory,),
    ),
    "temporal memory": Example(
        lambda k: memory.TemporalMemory(
            6, 2, 4, segments=12, synapses=4, threshold=2, matching=1, growth=3
        ),
        lambda: _columns("columns", 6),
        (memory.TemporalMemory,),
        no_gradient="cells are active or not",
    ),
    "spatial pooler": Example(
        lambda k: memory.SpatialPooler(8, 6, 2, boost=5.0),
        lambda: _columns("input", 8),
        (memory.SpatialPooler,),
        no_gradient="columns are active or not",
    ),
    "ordered stdp": Example(_ordered, spikes(3), (plasticity.OrderedSTDP,)),
}
