"""Electrical coupling: cells that put out their voltage, and gap junctions between them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import Drive, System, get, param


class Voltages(System):
    """A cell that puts out its voltage beside its spikes: {"spikes": its output, "v": its voltage}.

    Edges pick what they carry: `Chain(From("spikes"), wire)`, `Chain(From("v"), GapJunctions(G))`.

    **Arguments**: `cell`, any system; `at`, the path of the voltage in its state ("v"; "cell.v" for
    `Receptors`). State: the cell's.

    >>> from neuropil.cells import LIF
    >>> from neuropil.core import run, start
    >>> cell = Voltages(LIF(1, tau=10.0))
    >>> ys = run(cell, start(cell, 1.0, jax.random.key(0)), jnp.full((1, 1), 0.5))[1]
    >>> ys["spikes"].shape, round(float(ys["v"][0, 0]), 4)
    ((1, 1), 0.0476)
    """

    cell: System
    at: str = eqx.field(static=True, default="v")

    def init(self, dt, key):
        return self.cell.init(dt, key)

    def step(self, state, x, tick):
        state, y = self.cell.step(state, x, tick)
        return state, {"spikes": y, "v": get(state, self.at)}

    def rest(self):
        v = get(self.cell.init(1.0, jax.random.key(0)), self.at)
        return {"spikes": self.cell.rest(), "v": v}

    def children(self):
        return {"cell": ""}


class From:
    """Takes one of the named outputs of the node before: y -> y[port].

    >>> From("v")({"spikes": 0.0, "v": -65.0})
    -65.0
    """

    def __init__(self, port: str):
        self.port = port

    def __call__(self, y: dict[str, Any]) -> Any:
        return y[self.port]

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, From) and self.port == other.port

    def __hash__(self) -> int:
        return hash((From, self.port))

    def __repr__(self) -> str:
        return f"From({self.port!r})"


class GapJunctions(System):
    r"""Electrical synapses: each pulls the voltages of its two cells together.

    $$I_i = \sum_j G_{ij}\,(v_j - v_i)$$

    Input: voltages v_j of the cells before (on a `Network` edge those of the last tick); output: a `Drive`,
    current $\sum_j G_{ij} v_j$ with conductance $\sum_j G_{ij}$, so that the cell behind adds its own voltage
    within its exact step. The error of a tick is that of v_j held for one dt: order 1.

    **Arguments**: `conductance` G (post, pre), not negative; in units of the leak for `LIF` with resistance 1.
    Within one population G is symmetric; between two, the way back is `GapJunctions(G.T)`.

    >>> from neuropil.cells import LIF
    >>> from neuropil.core import Chain, Network, run, start
    >>> pair = GapJunctions([[0.0, 0.5], [0.5, 0.0]])
    >>> cells = Voltages(LIF(2, tau=10.0, v_rest=jnp.array([0.0, 0.9])))
    >>> net = Network({"E": cells}, {"E>E": Chain(From("v"), pair)})
    >>> v = run(net, start(net, 0.1, jax.random.key(0)), n=2000)[1]["E"]["v"][-1]
    >>> [round(float(u), 3) for u in v]               # the leak and the junction share them out
    [0.225, 0.675]

    Source: Bennett (1977), Handbook of Physiology 1, 357; Lewis, Rinzel (2003), J. Comput. Neurosci. 14, 283.
    """

    conductance: Array = param(bounds=(0, None), axes=("post", "pre"))

    def __check_init__(self):
        if jnp.ndim(self.conductance) != 2:
            raise ValueError(
                f"GapJunctions: conductance has shape {jnp.shape(self.conductance)}, not (post, pre)"
            )

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, Drive(self.conductance @ x, self.conductance.sum(1))

    def unroll(self, state, xs, ticks):
        total = self.conductance.sum(1)
        current = xs @ self.conductance.T
        return state, Drive(current, jnp.broadcast_to(total, current.shape))
