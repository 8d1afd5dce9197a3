"""Spike coding: numbers into spikes (encoders), and what is read off spikes and potentials (readouts).

Encoders take a value in a stated range to spikes (time, *unit); random ones take a key. Readouts are functions
over (time, *unit) and parts of `Readout`, a System for the end of a `Chain`.
"""

from neuropil.coding.delta import Delta, delta_decode
from neuropil.coding.encoders import (
    GaussianFields,
    bernoulli,
    binary_phase,
    binary_phase_decode,
    latency,
    log_latency,
    phase,
    poisson,
)
from neuropil.coding.readouts import (
    Count,
    FirstSpike,
    Mean,
    Peak,
    Rate,
    Readout,
    first_spike,
    last,
    mean,
    peak,
    spike_count,
    spike_rate,
)

__all__ = [
    "Count",
    "Delta",
    "FirstSpike",
    "GaussianFields",
    "Mean",
    "Peak",
    "Rate",
    "Readout",
    "bernoulli",
    "binary_phase",
    "binary_phase_decode",
    "delta_decode",
    "first_spike",
    "last",
    "latency",
    "log_latency",
    "mean",
    "peak",
    "phase",
    "poisson",
    "spike_count",
    "spike_rate",
]
