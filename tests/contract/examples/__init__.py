"""One small construction or more of every public System, a file a room. A System without one fails the suite.

To add a part: write an `Example` in its room's file whose `of` names its class. `make(key)` builds it small;
`xs()` gives `TICKS` inputs, stacked over time (or None).
"""

from neuropil.belief import GaussianFilter
from neuropil.cells import Membrane
from neuropil.core import System
from neuropil.plasticity import Rule
from neuropil.wiring import Wiring
from tests.contract.examples import (
    agents,
    belief,
    blocks,
    cells,
    coding,
    core,
    dendrites,
    learn,
    memory,
    plasticity,
    synapses,
    wiring,
)
from tests.contract.examples.base import TICKS, Converges, Example

__all__ = ["ABSTRACT", "EXAMPLES", "TICKS", "Converges", "Example"]

ABSTRACT = {System, Wiring, Membrane, Rule, GaussianFilter}
EXAMPLES: dict[str, Example] = {
    name: example
    for room in (
        agents,
        core,
        cells,
        synapses,
        wiring,
        coding,
        dendrites,
        blocks,
        belief,
        learn,
        memory,
        plasticity,
    )
    for name, example in room.EXAMPLES.items()
}
