r"""A content-addressable memory of spiking cells after the hippocampal area CA3.

Source: Casanueva-Morato, Ayuso-Martinez, Dominguez-Morales, Jimenez-Fernandez, Jimenez-Moreno (2024), Neural
Netw. 178, 106474, arXiv 2310.05868; facts from their code's settings and recorded spikes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells import LIF, Refractory, ValueReset
from neuropil.core import Chain, Managed, Network, System
from neuropil.plasticity import OrderedSTDP
from neuropil.synapses import Delay, Exponential
from neuropil.wiring import Dense

TICK = 1.0  # ms: the logic of the memory is that of a clock, and no smaller tick gives the same
TAU_SYNAPSE = 0.3  # ms
W = 6.0  # nA: one spike of it makes its target fire

# neurons that decide within a tick forget within a tick: membranes of (ms, nF)
SLOW, FAST = (3.0, 0.27), (0.5, 0.14)


class Gain(eqx.Module):
    """x times a fixed number."""

    factor: float = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return self.factor * x


def cam_cell(n: int, kind: str = "slow") -> System:
    r"""n cells of the memory: current in nA that decays with 0.3 ms, leaky membrane, one tick refractory.

    `kind`: "slow" (3 ms, threshold 3 mV), "fast" (0.5 ms: coincidences of one tick only) or "out" (as slow, 2.5
    mV). A spike of 6 nA raises a slow cell by 5.467 mV and a fast one by 5.360 mV:
    $w\, \frac{\tau_s}{dt} (1 - e^{-dt/\tau_s}) (1 - e^{-dt/\tau}) \tau / C$.

    >>> round(6 * cam_cell(1).parts["charge"].function.factor, 3)
    5.467
    """
    if kind not in ("slow", "fast", "out"):
        raise ValueError(f"cam_cell: kind={kind!r}; write slow, fast or out")
    tau, capacitance = FAST if kind == "fast" else SLOW
    mean = (
        TAU_SYNAPSE / TICK * -math.expm1(-TICK / TAU_SYNAPSE)
    )  # of a decaying current over a tick
    volts = mean * -math.expm1(-TICK / tau) * tau / capacitance
    cell = LIF(
        n,
        tau,
        threshold=2.5 if kind == "out" else 3.0,
        reset=ValueReset(0.0),
        refractory=Refractory(TICK),
        drive="jump",
    )
    return Chain(synapse=Exponential(n, TAU_SYNAPSE), charge=Gain(volts), cell=cell)


def spiking_cam(
    cues: int,
    contents: int,
    *,
    up: Any = W,
    down: Any = W,
    gate: Any = W,
    gated: bool = False,
    cell: Callable[[int, str], System] = cam_cell,
) -> Managed:
    r"""A spiking memory of pairs (cue, content): learns in one shot, recalls from either side, overwrites.

    Run it with dt = 1 ms. The input of a tick is {"Cue": (cues,), "Content": (contents,)} of spikes:

    - *learn*: one cue and any content cells, at 3 successive ticks (then 7 ticks of pause from the first);
    - *recall by cue*: one cue, one tick: 6 ticks later "OutContent" holds its content ("OutCue" the cue at 5);
    - *recall by content*: any content cells, one tick: 6 ticks later "OutCue" holds every cue whose content
      shares a cell with them;
    - *forget*: learn another content under the same cue.

    In a burst of three, cue and content fire together twice; the last pairing is a potentiation that takes the
    weight to its bound. When a known cue is learned anew, the old content fires once between the two cue
    spikes, and the second cue spike depresses it to 0.

    Of the two plastic projections, "CueCue>ContCue" recalls content and "ContCont>CueCont" recalls cues. "Cond"
    lets content through to the second only where no cue was given with it, or both were (learning).

    **Arguments**: numbers of cells; `up`, `down`: A+ and A- of the rule (nA; 0 switches learning or forgetting
    off); `gate` (nA): inhibition of "Cond" by cues; `cell(n, kind)`: makes the populations. With `gated` a
    third input "Learn" (1,) says when weights may change; without it they change in recall too, and questions
    of several content cells slowly add cues to what these cells recall.

    The output is {population: spikes}: "CueCue", "CueCont", "ContCue", "ContCont", "Cond", "CondInt",
    "MergeCue", "MergeCont", "OutCue", "OutContent", and the inputs "Cue", "Content". `cam_weights` gives the
    two weights.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> memory = spiking_cam(2, 3)
    >>> spikes = cam_input(2, 3, 20, learn=[(0, [1], [0, 2])], recall=[(10, [1], [])])
    >>> y = run(memory, start(memory, 1.0, jax.random.key(0)), spikes)[1]["OutContent"]
    >>> y[16].tolist()
    [1.0, 0.0, 1.0]

    Raises ValueError for fewer than 1 cell.
    """
    if cues < 1 or contents < 1:
        raise ValueError(f"spiking_cam: {cues} cues and {contents} contents; at least 1 of each")
    one = lambda w, n: w * jnp.eye(n)
    others = lambda w, n: w * (1 - jnp.eye(n))
    every = lambda w, pre, post: jnp.broadcast_to(jnp.asarray(w, float), (post, pre))
    inhibit = -W * contents
    edges = {
        "Cue>CueCue": (one(W, cues), 1),
        "Content>ContCue": (one(W, contents), 1),
        "CueCue>CueCont": (one(W, cues), 2),
        "CueCue>CueCont:others": (others(inhibit, cues), 3),
        "CueCont>CueCont": (others(inhibit, cues), 2),
        "ContCue>Cond": (one(9.0, contents), 1),
        "CueCue>Cond": (every(-1.0 * gate, cues, contents), 2),
        "ContCue>CondInt": (every(W, contents, 1), 1),
        "CondInt>Cond": (every(2.0, 1, contents), 1),
        "Cond>ContCont": (one(W, contents), 1),
        "CueCue>MergeCue": (one(W, cues), 3),
        "CueCont>MergeCue": (one(W, cues), 1),
        "ContCue>MergeCont": (one(W, contents), 3),
        "ContCont>MergeCont": (one(W, contents), 1),
        "MergeCue>OutCue": (one(W, cues), 1),
        "MergeCont>OutContent": (one(W, contents), 1),
        "CueCue>ContCue": (every(0.0, cues, contents), 1),
        "ContCont>CueCont": (every(0.0, contents, cues), 1),
    }
    nodes: dict[str, Any] = {"Cue": _as_it_is, "Content": _as_it_is, "CondInt": cell(1, "fast")}
    for name in ("CueCue", "MergeCue"):
        nodes[name] = cell(cues, "slow")
    for name in ("ContCue", "ContCont", "MergeCont"):
        nodes[name] = cell(contents, "slow")
    nodes |= {"CueCont": cell(cues, "fast"), "Cond": cell(contents, "fast")}
    nodes |= {"OutCue": cell(cues, "out"), "OutContent": cell(contents, "out")}
    wires = {name: _wire(weight, delay) for name, (weight, delay) in edges.items()}
    rest = {"Cue": jnp.zeros(cues), "Content": jnp.zeros(contents)}
    third = {"gate": "output.Learn"} if gated else {}
    if gated:
        nodes["Learn"], rest["Learn"] = _as_it_is, jnp.zeros(1)
    rule = lambda pre, post: OrderedSTDP(pre, post, up, down, W, 3.0, 3.0, TICK)
    reads = lambda pre, post: {"pre": f"output.{pre}", "post": f"output.{post}"} | third
    memory = Network(nodes, wires, rest)
    to_content, to_cue = "edges.CueCue>ContCue.weight", "edges.ContCont>CueCont.weight"
    memory = Managed(memory, rule(cues, contents), to_content, reads("CueCue", "ContCue"))
    return Managed(memory, rule(contents, cues), f"fast.{to_cue}", reads("ContCont", "CueCont"))


def cam_weights(state: Any) -> tuple[Array, Array]:
    """(content, cue) and (cue, content): the two learned weights, from the state of a `spiking_cam`."""
    return state.fast.theta, state.theta


def cam_input(cues: int, contents: int, ticks: int, *, learn=(), recall=()) -> dict[str, Array]:
    """Input spikes of operations (tick, cues, contents): three successive ticks to learn, one to recall.

    >>> {name: a.shape for name, a in cam_input(2, 3, 5, recall=[(0, [], [1, 2])]).items()}
    {'Cue': (5, 2), 'Content': (5, 3)}

    Raises ValueError for an operation that does not fit the ticks, IndexError for cells that are not there.
    """
    cue, content = np.zeros((ticks, cues)), np.zeros((ticks, contents))
    for length, operations in ((3, learn), (1, recall)):
        for at, which, what in operations:
            if not 0 <= at <= ticks - length:
                raise ValueError(f"cam_input: an operation at {at} does not fit {ticks} ticks")
            cue[at : at + length, list(which)] = 1
            content[at : at + length, list(what)] = 1
    return {"Cue": jnp.asarray(cue, float), "Content": jnp.asarray(content, float)}


def _as_it_is(x: Array) -> Array:
    return x


def _wire(weight: Array, delay: int) -> System:
    wire = Dense(weight)
    if delay == 1:
        return wire
    return Chain(delay=Delay(float(delay), weight.shape[1]), wire=wire)
