"""Neurons: spiking cells made of parts, rate and gated cells."""

from neuropil.cells import transfer
from neuropil.cells.astrocyte import LeakyAstrocyte, LiRinzel
from neuropil.cells.elm import ELM, Timescales, windows
from neuropil.cells.escape import Escape
from neuropil.cells.exponential import AdEx, ExponentialIF, LinearAdaptation, adex_current
from neuropil.cells.gated import GRU, LSTM
from neuropil.cells.graded import Graded, TwoPoint
from neuropil.cells.hodgkin_huxley import (
    HodgkinHuxley,
    SquidGates,
    TraubMiles,
    TraubMilesGates,
)
from neuropil.cells.izhikevich import Izhikevich
from neuropil.cells.izhikevich_patterns import (
    IzhikevichPattern,
    izhikevich_pattern,
    izhikevich_patterns,
)
from neuropil.cells.lif import LIF, LeakyIntegrator
from neuropil.cells.membrane import Membrane
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
from neuropil.cells.quadratic import QuadraticIF
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
    "ELM",
    "GRU",
    "LIF",
    "LSTM",
    "ATan",
    "AdEx",
    "Adaptation",
    "AdaptationCurrent",
    "Boxcar",
    "Escape",
    "ExponentialIF",
    "Gaussian",
    "Graded",
    "HodgkinHuxley",
    "Izhikevich",
    "IzhikevichPattern",
    "LeakyAstrocyte",
    "LeakyIntegrator",
    "LiRinzel",
    "LinearAdaptation",
    "Membrane",
    "MetaNeuron",
    "NoGradient",
    "NoReset",
    "Noise",
    "QuadraticIF",
    "Rate",
    "Refractory",
    "Sigmoid",
    "SimpleRNN",
    "SquidGates",
    "StraightThrough",
    "SubtractReset",
    "SuperSpike",
    "Surrogate",
    "Timescales",
    "TraubMiles",
    "TraubMilesGates",
    "Triangle",
    "TwoPoint",
    "ValueReset",
    "adex_current",
    "bidirectional",
    "izhikevich_pattern",
    "izhikevich_patterns",
    "transfer",
    "windows",
]
