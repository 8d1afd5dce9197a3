"""Wiring between populations, behind one protocol: dense, low-rank, sparse, convolutional."""

from neuropil.wiring.base import Wiring
from neuropil.wiring.conv import Conv
from neuropil.wiring.dense import Dense, LowRank
from neuropil.wiring.sparse import Sparse

__all__ = ["Conv", "Dense", "LowRank", "Sparse", "Wiring"]
