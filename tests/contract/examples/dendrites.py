"""Dendrites."""

from __future__ import annotations

import jax.random as jr

from neuropil import cells, core, dendrites, synapses
from tests.contract.examples.base import Example, normal


def _cable(key):
    """Squid channels: potassium everywhere, sodium in the soma."""
    tree = dendrites.Tree.star(2, 100.0, 1.0, 2)
    channels = {
        "k": dendrites.Channel(dendrites.SquidPotassium(), 36.0, -77.0),
        "na": dendrites.Channel(dendrites.SquidSodium(), 120 * tree.of_kind(1), 50.0),
    }
    return dendrites.Cable(tree, channels=channels, scheme="crank-nicolson")


def _cell(key):
    """An integrate-and-fire soma with passive dendrites and receptors on every compartment."""
    leak = 0.05 + 0.05 * jr.uniform(key)
    cell = dendrites.Neuron(
        dendrites.Cable(dendrites.Tree.star(2, 100.0, 1.0, 2), leak=leak),
        threshold=-60.0,
        reset=-65.0,
        refractory=2.0,
        spike=cells.SuperSpike(1.0),
    )
    return synapses.Receptors(cell, ampa=synapses.Conductance(5))


EXAMPLES = {
    "cable": Example(_cable, normal(5, scale=0.1), (dendrites.Cable,), dt=0.1),
    "neurons": Example(
        lambda k: core.Vmapped.build(_cell, 2, k),
        lambda: {"ampa": 0.01 * abs(normal(2, 5)())},
        (dendrites.Neuron,),
        dt=0.5,
    ),
}
