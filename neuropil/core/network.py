"""Network: nodes and edges; an edge carries what its source put out one tick earlier."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from neuropil.core.compose import check_name, lift
from neuropil.core.drive import add
from neuropil.core.path import join
from neuropil.core.random import fold
from neuropil.core.system import System


class NetworkState(eqx.Module):
    """States of nodes and edges by name, and the nodes' outputs at the last tick."""

    nodes: dict[str, Any]
    edges: dict[str, Any]
    outputs: dict[str, Any]


class Network(System):
    r"""Nodes joined by edges named "pre>post".

    $$\text{input}_{post}(t) = x_{post}(t) + \sum_{pre} \text{edge}_{pre>post}(\text{output}_{pre}(t-1))$$

    Every edge reads the outputs of the tick before, so the order of writing never matters, and costs
    exactly one tick. A delay of d ms on an edge therefore stores round(d / dt) - 1 ticks: the
    network tells the first delay of an edge so (`System.on_edge`), and an impulse arrives after d.
    What must pass within the tick is a `Chain` inside one node, or a `Feedback`.

    **Arguments**

    - `nodes`: {name: system}; a node's input is the sum of what arrives. Edges that end in `To(port)` arrive
      at that port: the node's input is then {port: sum}, as `synapses.Receptors` takes it.
    - `edges`: {"pre>post": system or callable}. Two edges between the same nodes: "pre>post:name".
    - `rest`: {name: output before the first tick}, for nodes that do not know it themselves.

    The input of a tick is {node: array}, or None; the output is {node: output}.

    Raises ValueError for an edge whose ends are not nodes.
    """

    nodes: dict[str, System]
    edges: dict[str, System]
    resting: dict[str, Any]

    def __init__(self, nodes: dict[str, Any], edges: dict[str, Any], rest: dict | None = None):
        for name in nodes:
            check_name(name, "Network")
            if ">" in name or ":" in name:
                raise ValueError(f"Network: node name {name!r} must not hold '>' or ':'")
        self.nodes = {name: lift(node) for name, node in nodes.items()}
        self.edges = {}
        for name, edge in edges.items():
            check_name(name, "Network")
            _ends(name, nodes)
            part = lift(edge)
            self.edges[name] = part.on_edge() or part
        self.resting = dict(rest or {})

    def init(self, dt, key):
        outputs = {
            n: self.resting[n] if n in self.resting else p.rest() for n, p in self.nodes.items()
        }
        return NetworkState(
            {n: p.init(dt, fold(key, n)) for n, p in self.nodes.items()},
            {n: p.init(dt, fold(key, n)) for n, p in self.edges.items()},
            jax.tree.map(jnp.asarray, outputs),
        )

    def step(self, state, x, tick):
        given = {} if x is None else x
        unknown = set(given) - set(self.nodes)
        if unknown:
            raise KeyError(
                f"Network: input for {sorted(unknown)} but the nodes are {sorted(self.nodes)}"
            )
        arriving, edges, nodes, outputs = dict(given), {}, {}, {}
        for name in sorted(self.edges):  # a fixed order of summation: bit-equal however written
            pre, post = _ends(name, self.nodes)
            edges[name], y = self.edges[name].step(
                state.edges[name], state.outputs[pre], tick.child(name)
            )
            arriving[post] = add(arriving.get(post), y)
        for name in self.nodes:
            nodes[name], outputs[name] = self.nodes[name].step(
                state.nodes[name], arriving.get(name), tick.child(name)
            )
        return NetworkState(nodes, edges, outputs), outputs

    def rest(self):
        return {
            n: self.resting[n] if n in self.resting else p.rest() for n, p in self.nodes.items()
        }

    def children(self):
        nodes = {join("nodes", n): join("nodes", n) for n in self.nodes}
        return nodes | {join("edges", n): join("edges", n) for n in self.edges}


def _ends(name: str, nodes: dict) -> tuple[str, str]:
    """("pre", "post") of an edge's name; a clear error where an end is not a node."""
    pre, arrow, post = name.split(":")[0].partition(">")
    if not arrow:
        raise ValueError(f"Network: edge {name!r} has no '>'; write \"pre>post\"")
    for end in (pre, post):
        if end not in nodes:
            raise ValueError(
                f"Network: edge {name!r} ends at {end!r}; the nodes are {sorted(nodes)}"
            )
    return pre, post
