"""Spike coding."""

from __future__ import annotations

from neuropil import coding
from neuropil.core import Chain
from tests.contract.examples.base import Example, normal


def _readouts(key):
    """Readouts one after the other, with every part."""
    kinds = (coding.FirstSpike(), coding.Peak(), coding.Mean(), coding.Rate(), coding.Count())
    return Chain(*(coding.Readout(2, of=kind) for kind in kinds))


EXAMPLES = {
    "delta": Example(
        lambda k: coding.Delta(3, threshold=0.5),
        normal(3),
        (coding.Delta,),
        no_gradient="events are whole numbers",
    ),
    "delta, at most one": Example(
        lambda k: coding.Delta((2,), threshold=0.3, most=1, start=0.2),
        normal(2),
        (coding.Delta,),
        no_gradient="events are whole numbers",
    ),
    "readouts": Example(_readouts, normal(2, scale=0.3), (coding.Readout,)),
}
