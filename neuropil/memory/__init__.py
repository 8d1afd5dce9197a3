"""Memories: associative (Hopfield, distributed, sparse, spiking), of sequences, episodic, and for replay."""

from neuropil.memory.cam import cam_cell, cam_input, cam_weights, spiking_cam
from neuropil.memory.hopfield import (
    DenseHopfield,
    Exponential,
    Hopfield,
    Polynomial,
    dilute,
    hebb_weights,
    hopfield_capacity,
    hopfield_energy,
    projection_weights,
    retrieval_overlap,
)
from neuropil.memory.modern import Episodic, ModernHopfield
from neuropil.memory.neural import NeuralMemory, largest_step, surprise
from neuropil.memory.pooler import SpatialPooler
from neuropil.memory.replay import (
    Latest,
    PowerLaw,
    Prioritised,
    Replay,
    Reservoir,
    Uniform,
)
from neuropil.memory.sdm import (
    SparseDistributedMemory,
    access_probability,
    critical_distance,
    expected_distance,
    radius_for,
    shared_probability,
)
from neuropil.memory.sparse import (
    Willshaw,
    false_match_of_many,
    false_match_of_union,
    false_match_probability,
    overlap_probability,
    sparse_codes,
    union_density,
)
from neuropil.memory.temporal import TemporalMemory

__all__ = [
    "DenseHopfield",
    "Episodic",
    "Exponential",
    "Hopfield",
    "Latest",
    "ModernHopfield",
    "NeuralMemory",
    "Polynomial",
    "PowerLaw",
    "Prioritised",
    "Replay",
    "Reservoir",
    "SparseDistributedMemory",
    "SpatialPooler",
    "TemporalMemory",
    "Uniform",
    "Willshaw",
    "access_probability",
    "cam_cell",
    "cam_input",
    "cam_weights",
    "critical_distance",
    "dilute",
    "expected_distance",
    "false_match_of_many",
    "false_match_of_union",
    "false_match_probability",
    "hebb_weights",
    "hopfield_capacity",
    "hopfield_energy",
    "largest_step",
    "overlap_probability",
    "projection_weights",
    "radius_for",
    "retrieval_overlap",
    "shared_probability",
    "sparse_codes",
    "spiking_cam",
    "surprise",
    "union_density",
]
