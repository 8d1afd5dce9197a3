"""Synapses: delays, time courses, receptors, short-term plasticity, and gap junctions."""

from neuropil.synapses.causal import causal_sum
from neuropil.synapses.delay import Delay
from neuropil.synapses.delayed import (
    DelayedDense,
    GaussianTaps,
    LinearTaps,
    NearestTap,
    narrowing,
)
from neuropil.synapses.gap import From, GapJunctions, Voltages
from neuropil.synapses.kinetics import Alpha, DoubleExponential, Exponential
from neuropil.synapses.receptors import Conductance, MagnesiumBlock, Receptor, Receptors
from neuropil.synapses.shortterm import TsodyksMarkram
from neuropil.synapses.transmitter import SecondMessenger, TwoState

__all__ = [
    "Alpha",
    "Conductance",
    "Delay",
    "DelayedDense",
    "DoubleExponential",
    "Exponential",
    "From",
    "GapJunctions",
    "GaussianTaps",
    "LinearTaps",
    "MagnesiumBlock",
    "NearestTap",
    "Receptor",
    "Receptors",
    "SecondMessenger",
    "TsodyksMarkram",
    "TwoState",
    "Voltages",
    "causal_sum",
    "narrowing",
]
