"""Wiring."""

from __future__ import annotations

from neuropil import wiring
from tests.contract.examples.base import (
    Example,
    dense,
    normal,
    spikes,
)

EXAMPLES = {
    "dense": Example(lambda k: dense(3, 2, k, bias=True), normal(3), (wiring.Dense,)),
    "dense by events": Example(
        lambda k: dense(3, 2, k, bias=True, events=True), spikes(3), (wiring.Dense,)
    ),
    "low rank": Example(
        lambda k: wiring.LowRank.init_normal(4, 3, 2, k), normal(4), (wiring.LowRank,)
    ),
    "sparse": Example(lambda k: wiring.Sparse.random(4, 5, 2, k), normal(4), (wiring.Sparse,)),
    "conv": Example(
        lambda k: wiring.Conv.init_uniform(2, 3, (3,), k), normal(2, 5), (wiring.Conv,)
    ),
    "signed": Example(
        lambda k: wiring.Signed.dale(dense(3, 3, k), [1, 1, -1], loops=False),
        normal(3),
        (wiring.Signed,),
    ),
    "delayed sparse": Example(
        lambda k: wiring.DelayedSparse(
            wiring.Sparse.random(4, 5, 2, k), [[0.0, 1.0], [2.0, 3.0], [3.0, 0.0], [1.0, 1.0]]
        ),
        normal(4),
        (wiring.DelayedSparse,),
    ),
}
