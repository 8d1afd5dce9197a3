"""Dendrites: trees of compartments, the cable equation solved implicitly, channels."""

from neuropil.dendrites.cable import Cable, Neuron, Step
from neuropil.dendrites.channels import (
    Channel,
    CorticalPotassium,
    CorticalSodium,
    Kinetics,
    SquidPotassium,
    SquidSodium,
)
from neuropil.dendrites.hines import solve_tree
from neuropil.dendrites.tree import APICAL, AXON, BASAL, SOMA, Tree

__all__ = [
    "APICAL",
    "AXON",
    "BASAL",
    "SOMA",
    "Cable",
    "Channel",
    "CorticalPotassium",
    "CorticalSodium",
    "Kinetics",
    "Neuron",
    "SquidPotassium",
    "SquidSodium",
    "Step",
    "Tree",
    "solve_tree",
]
