"""Synapses."""

from __future__ import annotations

from neuropil import cells, synapses
from tests.contract.examples.base import (
    Example,
    normal,
)

EXAMPLES = {
    "delay": Example(lambda k: synapses.Delay(2.0, 3), normal(3), (synapses.Delay,)),
    "delays": Example(
        lambda k: synapses.Delay((0.0, 1.25, 2.0), 3, interpolate=True),
        normal(3),
        (synapses.Delay,),
    ),
    "exponential": Example(lambda k: synapses.Exponential(3), normal(3), (synapses.Exponential,)),
    "alpha": Example(lambda k: synapses.Alpha(3), normal(3), (synapses.Alpha,)),
    "conductance": Example(lambda k: synapses.Conductance(3), normal(3), (synapses.Conductance,)),
    "receptors": Example(
        lambda k: synapses.Receptors(
            cells.LIF(3), ampa=synapses.Conductance(3), gaba=synapses.Conductance(3, 10.0, -80.0)
        ),
        lambda: {"ampa": abs(normal(3)()), "current": normal(3)()},
        (synapses.Receptors,),
    ),
}
