"""Synapses."""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr

from neuropil import cells, core, synapses
from tests.contract.examples.base import (
    Converges,
    Example,
    normal,
    nothing,
    spikes,
)


def _delayed(taps):
    """A delayed layer whose line is longer than the half of a run, and shorter than the whole."""
    return lambda key: synapses.DelayedDense.init_uniform(3, 2, 4.0, key, taps=taps())


def _coupled(key):
    """Two populations that feel each other's voltage."""
    there = 0.3 * jr.uniform(key, (2, 3))
    edge = lambda g: core.Chain(synapses.From("v"), synapses.GapJunctions(g))
    nodes = {
        "a": synapses.Voltages(cells.LIF(3, v_rest=jnp.arange(3.0))),
        "b": synapses.Voltages(cells.LIF(2)),
    }
    return core.Network(nodes, {"a>b": edge(there), "b>a": edge(there.T)})


PULSE = Converges([1.0, 0.5, 2.0], pulse=True)
SPIKE = Converges([1.0, 0.0, 1.0], pulse=True)

EXAMPLES = {
    "delay": Example(
        lambda k: synapses.Delay(2.0, 3),
        normal(3),
        (synapses.Delay,),
        converges=Converges([1.0, 2.0, 3.0], of="mean"),
    ),
    "delays": Example(
        lambda k: synapses.Delay((0.0, 1.25, 2.0), 3, interpolate=True),
        normal(3),
        (synapses.Delay,),
    ),
    "exponential": Example(
        lambda k: synapses.Exponential(3), normal(3), (synapses.Exponential,), converges=PULSE
    ),
    "alpha": Example(lambda k: synapses.Alpha(3), normal(3), (synapses.Alpha,), converges=PULSE),
    "conductance": Example(
        lambda k: synapses.Conductance(3), normal(3), (synapses.Conductance,), converges=PULSE
    ),
    "receptors": Example(
        lambda k: synapses.Receptors(
            cells.LIF(3), ampa=synapses.Conductance(3), gaba=synapses.Conductance(3, 10.0, -80.0)
        ),
        lambda: {"ampa": abs(normal(3)()), "current": normal(3)()},
        (synapses.Receptors,),
        converges=Converges({"ampa": [0.1, 0.2, 0.3]}, pulse=True),
    ),
    "double exponential": Example(
        lambda k: synapses.DoubleExponential(3, 1.0, 4.0),
        normal(3),
        (synapses.DoubleExponential,),
        converges=PULSE,
    ),
    "two states": Example(
        lambda k: synapses.TwoState.ampa(3),
        spikes(3),
        (synapses.TwoState,),
        dt=0.7,
        converges=SPIKE,
    ),
    "second messenger": Example(
        lambda k: synapses.SecondMessenger(3),
        spikes(3),
        (synapses.SecondMessenger,),
        converges=SPIKE,
    ),
    "nmda": Example(
        lambda k: synapses.Receptors(
            cells.LIF(3, v_rest=-65.0, threshold=-50.0),
            nmda=synapses.Receptor(3, 0.0, synapses.Alpha(3), block=synapses.MagnesiumBlock()),
        ),
        lambda: {"nmda": abs(normal(3)())},
        (synapses.Receptor,),
        converges=Converges({"nmda": [0.1, 0.2, 0.3]}, pulse=True),
    ),
    "tsodyks-markram": Example(
        lambda k: synapses.TsodyksMarkram.of(3, "facilitating"),
        spikes(3),
        (synapses.TsodyksMarkram,),
        converges=SPIKE,
    ),
    "gap junctions": Example(
        _coupled,
        nothing,
        (synapses.GapJunctions, synapses.Voltages),
        converges=Converges(),
    ),
    "delayed dense": Example(_delayed(synapses.NearestTap), normal(3), (synapses.DelayedDense,)),
    "delayed dense, learnable": Example(
        _delayed(lambda: synapses.GaussianTaps(1.5)), normal(3), (synapses.DelayedDense,)
    ),
    "delayed dense, linear": Example(
        _delayed(synapses.LinearTaps),
        normal(3),
        (synapses.DelayedDense,),
        converges=Converges([1.0, 2.0, 3.0], of="mean"),
    ),
}
