"""Plasticity rules: slow systems that own a parameter of a faster one."""

from neuropil.plasticity.leastsquares import RecursiveLeastSquares, force
from neuropil.plasticity.stdp import HardBounds, NoBounds, PairSTDP, SoftBounds, pair_window
from neuropil.plasticity.subspace import (
    OjaSubspace,
    lateral,
    orthogonal_part,
    orthonormal_rows,
    principal_angles,
    principal_rows,
    second_moment,
)
from neuropil.plasticity.tempotron import Tempotron, tempotron_peak, tempotron_potential

__all__ = [
    "HardBounds",
    "NoBounds",
    "OjaSubspace",
    "PairSTDP",
    "RecursiveLeastSquares",
    "SoftBounds",
    "Tempotron",
    "force",
    "lateral",
    "orthogonal_part",
    "orthonormal_rows",
    "pair_window",
    "principal_angles",
    "principal_rows",
    "second_moment",
    "tempotron_peak",
    "tempotron_potential",
]
