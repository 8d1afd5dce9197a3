"""Plasticity rules: slow systems that own a parameter of a faster one."""

from neuropil.plasticity.balance import InhibitoryBalance
from neuropil.plasticity.bounds import HardBounds, NoBounds, SoftBounds
from neuropil.plasticity.hebb import BCM, Hebb, Oja
from neuropil.plasticity.homeostasis import Homeostat, Normalise, normalised
from neuropil.plasticity.leastsquares import RecursiveLeastSquares, force
from neuropil.plasticity.ordered import OrderedSTDP
from neuropil.plasticity.rule import InTurn, Rule, bounded
from neuropil.plasticity.stdp import (
    PairSTDP,
    Triplet,
    pair_window,
    symmetric_stdp,
    trial_change,
    trial_window,
    triplet_stdp,
)
from neuropil.plasticity.structure import Rewire
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
from neuropil.plasticity.three_factor import Surprise, ThreeFactor

__all__ = [
    "BCM",
    "HardBounds",
    "Hebb",
    "Homeostat",
    "InTurn",
    "InhibitoryBalance",
    "NoBounds",
    "Normalise",
    "Oja",
    "OjaSubspace",
    "OrderedSTDP",
    "PairSTDP",
    "RecursiveLeastSquares",
    "Rewire",
    "Rule",
    "SoftBounds",
    "Surprise",
    "Tempotron",
    "ThreeFactor",
    "Triplet",
    "bounded",
    "force",
    "lateral",
    "normalised",
    "orthogonal_part",
    "orthonormal_rows",
    "pair_window",
    "principal_angles",
    "principal_rows",
    "second_moment",
    "symmetric_stdp",
    "tempotron_peak",
    "tempotron_potential",
    "trial_change",
    "trial_window",
    "triplet_stdp",
]
