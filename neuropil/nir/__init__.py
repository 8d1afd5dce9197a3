r"""Exchange with other tools by the Neuromorphic Intermediate Representation (NIR).

A NIR file is a graph of continuous equations: which numbers come out depends on how they are stepped. `read`
and `write` say so explicitly, in two words.

| `scheme` | a leak of time constant tau over a tick dt | who steps so |
|---|---|---|
| "euler" | v <- v + dt / tau (v_leak - v + R I) | snnTorch, Norse, SpikingJelly, most tools |
| "exact" | v <- v_leak + (v - v_leak) b + (1 - b) R I, b = exp(-dt / tau) | ours, and NEST-like simulators |

Our cells always step exactly; an Euler step of time constant tau equals an exact one of -dt / ln(1 - dt / tau),
and that is what `read` makes of it (and `write` the other way round), so spikes agree up to the rounding of
b. A synapse is stepped before its membrane within a tick. NIR knows one reset, to a value; snnTorch writes
that whatever it does, so say what it does: `reset="late-subtract"` is its default.

Times are seconds in NIR and ms here. Edges act within the tick; where they close a cycle, one tick later.

Source: Pedersen et al. (2024), Nat. Commun. 15, 8122.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

from neuropil.cells import Surrogate
from neuropil.core import System
from neuropil.nir.graph import IN, OUT, Graph
from neuropil.nir.nodes import (
    Convolution,
    Flatten,
    Integrator,
    LateSubtract,
    Pool,
    Scale,
    Shift,
    Threshold,
)
from neuropil.nir.reading import SURROGATE, Meaning, Reset, Scheme, graph_of, need

__all__ = [
    "Convolution",
    "Flatten",
    "Graph",
    "Integrator",
    "LateSubtract",
    "Pool",
    "Scale",
    "Shift",
    "Threshold",
    "from_nir",
    "read",
    "to_nir",
    "write",
]


def from_nir(
    graph: Any,
    dt: float,
    *,
    scheme: Scheme = "euler",
    reset: Reset | None = None,
    surrogate: Surrogate = SURROGATE,
) -> Graph:
    """A system from a NIR graph in memory; the arguments are those of `read`."""
    return graph_of(graph, Meaning(dt, scheme, reset, surrogate), None)


def read(
    path: str | PathLike,
    dt: float,
    *,
    scheme: Scheme = "euler",
    reset: Reset | None = None,
    surrogate: Surrogate = SURROGATE,
) -> Graph:
    """A system from a NIR file.

    **Arguments**

    - `dt`: length of a tick in ms, to be given to `start` too. What snnTorch writes is meant for 0.1 ms.
    - `scheme`: "euler" where the tool that wrote the file steps so and its spikes are wanted, "exact" for the
      equations themselves.
    - `reset`: "value" (to v_reset), "subtract" (the threshold, at once), "late-subtract" (the threshold, after
      the next decay: snnTorch's default). None: what the file says, as files of `write` do, else "value".
    - `surrogate`: stands in for the derivative of spikes.

    Returns a `Graph`; what it is made of are cells and wiring like all others, so it can be trained.

    Raises ImportError without the package nir, ValueError for a node of a kind that is not known (it is named),
    for a graph without input or output, and for a time constant that Euler steps cannot follow.
    """
    nir = need()
    graph = nir.read(path, type_check=False)
    return from_nir(graph, dt, scheme=scheme, reset=reset, surrogate=surrogate)


def to_nir(
    system: System | Any, shape: int | tuple[int, ...], dt: float, *, scheme: Scheme = "euler"
) -> Any:
    """A NIR graph of a system; the arguments are those of `write`."""
    from neuropil.nir.reading import _identity
    from neuropil.nir.writing import Writer

    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not isinstance(system, Graph):
        nodes = {IN: _identity, "net": system, OUT: _identity}
        system = Graph(nodes, [(IN, "net"), ("net", OUT)], [IN], [OUT])
    return Writer(dt, scheme).graph(system, shape)


def write(
    path: str | PathLike,
    system: System | Any,
    shape: int | tuple[int, ...],
    dt: float,
    *,
    scheme: Scheme = "euler",
) -> None:
    """A system as a NIR file.

    **Arguments**

    - `system`: a `Chain` or `Graph` of dense, sparse or convolutional wiring, `LIF` (without refractoriness,
      adaptation and noise, which NIR cannot say), `LeakyIntegrator`, `Exponential`, `Delay` and the parts of
      this module. A synapse and the cell behind it become one CubaLIF; NIR has no sparse wiring, so a sparse
      one is written as its full matrix.
    - `shape`: of the input of a tick; - `dt`: length of a tick in ms.
    - `scheme`: how the reader will step. "euler": the time constants are such that Euler steps of dt do exactly
      what the cells do here. "exact": they are written as they are.

    NIR has one reset, to a value; other resets are written into the node's metadata, where `read` finds them.

    Raises ImportError without the package nir, and ValueError, naming it, for a part that NIR cannot say.
    """
    need().write(str(path), to_nir(system, shape, dt, scheme=scheme))
