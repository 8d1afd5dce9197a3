"""Neurons: spiking cells made of parts, rate and gated cells."""

from neuropil.cells.lif import LIF, LeakyIntegrator
from neuropil.cells.parts import (
    Adaptation,
    Noise,
    NoReset,
    Refractory,
    SubtractReset,
    ValueReset,
)
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
    "LIF",
    "ATan",
    "Adaptation",
    "Boxcar",
    "Gaussian",
    "LeakyIntegrator",
    "NoGradient",
    "NoReset",
    "Noise",
    "Refractory",
    "Sigmoid",
    "StraightThrough",
    "SubtractReset",
    "SuperSpike",
    "Surrogate",
    "Triangle",
    "ValueReset",
]
