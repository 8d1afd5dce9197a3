"""Synapses: delays and the time course of the current."""

from neuropil.synapses.delay import Delay
from neuropil.synapses.kinetics import Alpha, Exponential

__all__ = ["Alpha", "Delay", "Exponential"]
