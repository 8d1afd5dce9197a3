"""Graph: nodes that pass on what they have within the tick, in order; only a cycle costs a tick."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from neuropil.core import System, Tick, fold
from neuropil.core.compose import check_name, lift
from neuropil.core.drive import add
from neuropil.core.path import join

IN, OUT = "input", "output"


def order_of(names: list[str], edges: list[tuple[str, str]], inputs: list[str]) -> tuple[list, set]:
    """(order in which nodes step, edges that carry the last tick's output).

    A node steps when all before it have. Where a cycle leaves none, the node nearest to an input
    steps, and what has not yet stepped reaches it one tick later.
    """
    near, frontier = {n: 0 for n in inputs}, list(inputs)
    while frontier:
        nxt = [b for a in frontier for (p, b) in edges if p == a and b not in near]
        near |= {b: near[frontier[0]] + 1 for b in nxt}
        frontier = list(dict.fromkeys(nxt))
    order, late, left = [], set(), list(names)
    while left:
        ready = [n for n in left if not any(b == n and a in left for a, b in edges)]
        if not ready:
            reached = [n for n in left if any(b == n and a not in left for a, b in edges)] or left
            first = min(reached, key=lambda n: near.get(n, len(names)))
            late |= {(a, b) for a, b in edges if b == first and a in left}
            ready = [first]
        order += ready
        left = [n for n in left if n not in ready]
    return order, late


class Graph(System):
    r"""Named nodes joined by edges, all within a tick: $x_i(t) = \sum_{j \to i} y_j(t)$.

    This is how NIR's graphs are run by the tools that exchange them. Only the edge that closes a cycle
    carries its source's output of the tick before (`late`). In a `neuropil.core.Network` every edge costs a
    tick.

    **Arguments**

    - `nodes`: {name: system or callable}; - `edges`: pairs (from, to).
    - `inputs`, `outputs`: names of nodes at which input arrives and whose output is given. With one of a
      kind it is the array itself, with more a dictionary by name.
    - `resting`: {name: output before the first tick} of nodes with a late edge that do not know it.

    `unroll` takes node after node over the whole time axis where nothing is late.

    >>> from neuropil.core import run, start
    >>> loop = Graph({"sum": lambda x: x, "half": lambda x: x / 2},
    ...     [("sum", "half"), ("half", "sum")], ["sum"], ["sum"], {"half": jnp.zeros(())})
    >>> run(loop, start(loop, 1.0, jax.random.key(0)), jnp.array([1.0, 0.0, 0.0]))[1].tolist()
    [1.0, 0.5, 0.25]

    Raises ValueError for an edge whose end is no node.
    """

    nodes: dict[str, System]
    resting: dict[str, Any]
    edges: tuple[tuple[str, str], ...] = eqx.field(static=True)
    inputs: tuple[str, ...] = eqx.field(static=True)
    outputs: tuple[str, ...] = eqx.field(static=True)
    order: tuple[str, ...] = eqx.field(static=True)
    late: tuple[tuple[str, str], ...] = eqx.field(static=True)

    def __init__(self, nodes, edges, inputs, outputs, resting=None):
        for name in nodes:
            check_name(name, "Graph")
        for end in [e for pair in edges for e in pair] + [*inputs, *outputs]:
            if end not in nodes:
                raise ValueError(f"Graph: {end!r} is no node; the nodes are {sorted(nodes)}")
        self.nodes = {name: lift(part) for name, part in nodes.items()}
        order, late = order_of(list(nodes), list(edges), list(inputs))
        self.edges, self.order = tuple((a, b) for a, b in edges), tuple(order)
        self.late = tuple(sorted(late))
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        given = resting or {}
        self.resting = {a: given[a] for a, _ in self.late if a in given}

    def _rest(self, name):
        return self.resting[name] if name in self.resting else self.nodes[name].rest()

    def init(self, dt, key):
        return {
            "nodes": {n: p.init(dt, fold(key, n)) for n, p in self.nodes.items()},
            "last": {a: jax.tree.map(jnp.asarray, self._rest(a)) for a, _ in self.late},
        }

    def _given(self, x):
        return x if len(self.inputs) > 1 else {self.inputs[0]: x}

    def _asked(self, ys):
        return {n: ys[n] for n in self.outputs} if len(self.outputs) > 1 else ys[self.outputs[0]]

    def _arriving(self, name, given, ys, last):
        x = given.get(name)
        for a, b in sorted(self.edges):
            if b == name:
                x = add(x, last[a] if (a, b) in self.late else ys[a])
        return x

    def step(self, state, x, tick):
        given, ys, new = self._given(x), {}, {}
        for name in self.order:
            into = self._arriving(name, given, ys, state["last"])
            new[name], ys[name] = self.nodes[name].step(
                state["nodes"][name], into, tick.child(name)
            )
        return {"nodes": new, "last": {a: ys[a] for a in state["last"]}}, self._asked(ys)

    def unroll(self, state, xs, ticks: Tick):
        if self.late:
            return System.unroll(self, state, xs, ticks)
        given, ys, new = self._given(xs), {}, {}
        for name in self.order:
            into = self._arriving(name, given, ys, {})
            new[name], ys[name] = self.nodes[name].unroll(
                state["nodes"][name], into, ticks.child(name)
            )
        return {"nodes": new, "last": {}}, self._asked(ys)

    def rest(self):
        return self._asked({n: self._rest(n) for n in self.outputs})

    def children(self):
        return {join("nodes", n): join("nodes", n) for n in self.nodes}
