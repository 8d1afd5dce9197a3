"""Exact inference: Kalman filter and hidden Markov model as systems; smoothers as functions over a run."""

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

__all__ = [
    "HMM",
    "Categorical",
    "Counts",
    "GaussianBelief",
    "Kalman",
    "Normal",
    "StateBelief",
    "sample",
    "smooth",
    "smooth_states",
    "viterbi",
]
