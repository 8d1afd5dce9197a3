"""Wiring between populations, behind one protocol: dense, low-rank, sparse, convolutional.

Sparse wiring is drawn by the generators (random, in space, small-world, scale-free) or read from a table.
"""

from neuropil.wiring.base import Wiring
from neuropil.wiring.connectome import Connectome, from_table
from neuropil.wiring.conv import Conv
from neuropil.wiring.dale import Signed
from neuropil.wiring.delayed import DelayedSparse
from neuropil.wiring.dense import Dense, LowRank
from neuropil.wiring.edges import Edges, blocks, signs, together
from neuropil.wiring.graphs import scale_free, small_world
from neuropil.wiring.product import event_product
from neuropil.wiring.random import (
    distance_dependent,
    fixed_in_degree,
    fixed_out_degree,
    fixed_probability,
)
from neuropil.wiring.sparse import Sparse

__all__ = [
    "Connectome",
    "Conv",
    "DelayedSparse",
    "Dense",
    "Edges",
    "LowRank",
    "Signed",
    "Sparse",
    "Wiring",
    "blocks",
    "distance_dependent",
    "event_product",
    "fixed_in_degree",
    "fixed_out_degree",
    "fixed_probability",
    "from_table",
    "scale_free",
    "signs",
    "small_world",
    "together",
]
