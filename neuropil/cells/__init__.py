"""Neurons: spiking cells made of parts, rate and gated cells."""

from neuropil.cells.escape import Escape
from neuropil.cells.gated import GRU, LSTM
from neuropil.cells.lif import LIF, LeakyIntegrator
from neuropil.cells.meta import MetaNeuron
from neuropil.cells.parts import (
    Adaptation,
    AdaptationCurrent,
    Noise,
    NoReset,
    Refractory,
    SubtractReset,
    ValueReset,
)
from neuropil.cells.rate import Rate, SimpleRNN, bidirectional
from neuropil.cells.surrogate import (
    ATan,
    Boxcar,
    Gaussian,
    NoGradient,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
    Triangle,
)

__all__ = [
    "GRU",
    "LIF",
    "LSTM",
    "ATan",
    "Adaptation",
    "AdaptationCurrent",
    "Boxcar",
    "Escape",
    "Gaussian",
    "LeakyIntegrator",
    "MetaNeuron",
    "NoGradient",
    "NoReset",
    "Noise",
    "Rate",
    "Refractory",
    "Sigmoid",
    "SimpleRNN",
    "StraightThrough",
    "SubtractReset",
    "SuperSpike",
    "Surrogate",
    "Triangle",
    "ValueReset",
    "bidirectional",
]
