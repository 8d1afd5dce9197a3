"""Synapses: delays, the time course of the current, and postsynaptic receptors."""

from neuropil.synapses.delay import Delay
from neuropil.synapses.kinetics import Alpha, Exponential
from neuropil.synapses.receptors import Conductance, Receptors

__all__ = ["Alpha", "Conductance", "Delay", "Exponential", "Receptors"]
