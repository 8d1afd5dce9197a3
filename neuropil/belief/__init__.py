"""Filters: Kalman, hidden Markov, hierarchical Gaussian; smoothers as functions over a run; fits."""

from neuropil.belief.discriminative import DiscriminativeKalman
from neuropil.belief.fit import Fit, Free, Posterior, fit, sample_posterior
from neuropil.belief.hgf import HGF
from neuropil.belief.hierarchy import (
    Chooser,
    binary_hgf,
    categorical_hgf,
    continuous_hgf,
    probabilities,
)
from neuropil.belief.hmm import (
    HMM,
    Categorical,
    Counts,
    Normal,
    StateBelief,
    smooth_states,
    viterbi,
)
from neuropil.belief.kalman import (
    GaussianBelief,
    GaussianFilter,
    Kalman,
    inform,
    retrace,
    sample,
    smooth,
)
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
from neuropil.belief.nonlinear import ExtendedKalman, UnscentedKalman
from neuropil.belief.volatility import Classical, Enhanced, Unbounded, VolatilityUpdate

__all__ = [
    "HGF",
    "HMM",
    "Belief",
    "Beliefs",
    "Binary",
    "Categorical",
    "Chooser",
    "Classical",
    "Continuous",
    "Counts",
    "DiscriminativeKalman",
    "Enhanced",
    "ExtendedKalman",
    "Fit",
    "Free",
    "GaussianBelief",
    "GaussianFilter",
    "Kalman",
    "Normal",
    "Posterior",
    "Prediction",
    "State",
    "StateBelief",
    "Unbounded",
    "UnscentedKalman",
    "Value",
    "Volatile",
    "Volatility",
    "VolatilityUpdate",
    "binary_hgf",
    "categorical_hgf",
    "continuous_hgf",
    "fit",
    "inform",
    "probabilities",
    "retrace",
    "sample",
    "sample_posterior",
    "smooth",
    "smooth_states",
    "viterbi",
]
