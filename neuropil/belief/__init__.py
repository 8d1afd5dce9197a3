"""Filters: Kalman, hidden Markov, hierarchical Gaussian; smoothers as functions over a run; fits."""

from neuropil.belief.hgf import HGF
from neuropil.belief.hmm import (
    HMM,
    Categorical,
    Counts,
    Normal,
    StateBelief,
    smooth_states,
    viterbi,
)
from neuropil.belief.kalman import GaussianBelief, Kalman, sample, smooth
from neuropil.belief.nodes import (
    Belief,
    Beliefs,
    Binary,
    Continuous,
    Prediction,
    State,
    Value,
    Volatile,
    Volatility,
)
from neuropil.belief.volatility import Classical, Enhanced, Unbounded, VolatilityUpdate

__all__ = [
    "HGF",
    "HMM",
    "Belief",
    "Beliefs",
    "Binary",
    "Categorical",
    "Classical",
    "Continuous",
    "Counts",
    "Enhanced",
    "GaussianBelief",
    "Kalman",
    "Normal",
    "Prediction",
    "State",
    "StateBelief",
    "Unbounded",
    "Value",
    "Volatile",
    "Volatility",
    "VolatilityUpdate",
    "sample",
    "smooth",
    "smooth_states",
    "viterbi",
]
