"""Local rules, homeostasis, structural plasticity: each owns the weight of two spiking cells, or more."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from neuropil import cells, core, plasticity
from tests.contract.examples.base import Example, dense, in_precision, normal, spikes

ENDS = {"pre": "input", "post": "output"}
WEIGHT = "parts.wire.weight"


def _spiking(rule, reads=ENDS, owns=WEIGHT):
    """Two cells driven by three inputs, their weight owned by a rule."""

    def make(key):
        net = core.Chain(wire=dense(3, 2, key), cell=cells.LIF(2, drive="jump"))
        return core.Managed(net, rule(), owns, reads)

    return make


def _linear(rule, reads=ENDS):
    return lambda key: core.Managed(dense(3, 2, key), rule(), "weight", reads)


def _three(key):
    """Reward and a gate for each cell, both with the input."""
    wire = core.Chain(into=lambda x: x["pre"], wire=dense(3, 2, key))
    wire = core.Chain(wire=wire, cell=cells.LIF(2, drive="jump"))
    rule = plasticity.PairSTDP(3, 2, 0.1, 0.1)
    rule = plasticity.ThreeFactor(rule, ("reward", "gate"), tau=20.0)
    reads = {"pre": "input.pre", "post": "output", "reward": "input.reward", "gate": "input.gate"}
    return core.Managed(wire, rule, "parts.wire.parts.wire.weight", reads)


def _three_inputs():
    reward = in_precision(np.array([0, 1, 0, -1, 0.5, 0]))
    return {"pre": spikes(3)(), "reward": reward, "gate": abs(normal(2)())}


def _homeostat_of_a_rule(key):
    """A homeostat owns a parameter of the rule that owns the weight: managed by a second-level system."""
    keeper = plasticity.Homeostat(2, 20.0, tau=5.0, gain=1e-4, raises=False, low=0.0)
    rule = plasticity.PairSTDP(3, 2, 0.1, 0.1)
    slow = core.Managed(rule, keeper, "a_minus", {"activity": "input.reads.post"})
    return _spiking(lambda: slow)(key)


def _in_turn():
    return plasticity.InTurn(
        stdp=plasticity.symmetric_stdp(3, 2, 0.1),
        scale=core.Every(plasticity.Normalise(1.0), 2),
    )


MASK = np.array([[1, 1, 0], [0, 0, 1]])
EXAMPLES = {
    "hebb": Example(_linear(lambda: plasticity.Hebb(3, 2, tau_weight=50.0)), normal(3), (plasticity.Hebb,)),
    "hebb, traces, anti": Example(
        _spiking(lambda: plasticity.Hebb(3, 2, 0.01, 10.0, 20.0, anti=True)), spikes(3), (plasticity.Hebb,)
    ),
    "sanger": Example(_linear(lambda: plasticity.Oja(3, 2, explained="earlier")), normal(3), (plasticity.Oja,)),
    "bcm": Example(_linear(lambda: plasticity.BCM(3, 2, tau=5.0)), normal(3), (plasticity.BCM,)),
    "triplet stdp": Example(
        _spiking(lambda: plasticity.triplet_stdp(3, 2, bounds=plasticity.SoftBounds(-5.0, 5.0))),
        spikes(3),
        (plasticity.PairSTDP,),
    ),
    "stdp then scaling": Example(_spiking(_in_turn), spikes(3), (plasticity.InTurn, plasticity.Normalise)),
    "three factors": Example(_three, _three_inputs, (plasticity.ThreeFactor,)),
    "surprise": Example(lambda key: plasticity.Surprise((2,), tau=5.0), normal(2), (plasticity.Surprise,)),
    "homeostat of a rule": Example(_homeostat_of_a_rule, spikes(3), (plasticity.Homeostat,)),
    "rewire": Example(
        _spiking(lambda: plasticity.Rewire(jnp.asarray(MASK), 0.4, 2.0, tau=5.0, grow="correlated")),
        spikes(3),
        (plasticity.Rewire,),
    ),
}  # fmt: skip
