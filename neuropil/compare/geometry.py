"""Representational geometry in one import: dissimilarities, their comparison, and its statistics.

The parts: `dissimilarity` (RDMs of responses), `rdms` (how two RDMs agree, noise ceilings),
`flexible` (models with something to fit), `rsa` (intervals and tests), `resampled` (what they rest on).
"""

from neuropil.compare.dissimilarity import (
    DISTANCES,
    cross_poisson,
    crossnobis,
    noise_covariance,
    noise_precision,
    rdm,
    square,
    stimuli,
    vector,
)
from neuropil.compare.flexible import Interpolated, Selected, Weighted, fitted
from neuropil.compare.rdms import (
    METHODS,
    noise_ceiling,
    rdm_ceiling,
    similarity,
    split_half_ceiling,
)
from neuropil.compare.rsa import ModelComparison, compare_models, compare_rdms
from neuropil.compare.spread import dual_variance

__all__ = [
    "DISTANCES",
    "METHODS",
    "Interpolated",
    "ModelComparison",
    "Selected",
    "Weighted",
    "compare_models",
    "compare_rdms",
    "cross_poisson",
    "crossnobis",
    "dual_variance",
    "fitted",
    "noise_ceiling",
    "noise_covariance",
    "noise_precision",
    "rdm",
    "rdm_ceiling",
    "similarity",
    "split_half_ceiling",
    "square",
    "stimuli",
    "vector",
]
