"""Synapses: delays, the time course of the current, and postsynaptic receptors."""

from neuropil.synapses.causal import causal_sum
from neuropil.synapses.delay import Delay
from neuropil.synapses.delayed import DelayedDense, GaussianTaps, LinearTaps, NearestTap
from neuropil.synapses.kinetics import Alpha, Exponential
from neuropil.synapses.receptors import Conductance, Receptors

__all__ = [
    "Alpha",
    "Conductance",
    "Delay",
    "DelayedDense",
    "Exponential",
    "GaussianTaps",
    "LinearTaps",
    "NearestTap",
    "Receptors",
    "causal_sum",
]
