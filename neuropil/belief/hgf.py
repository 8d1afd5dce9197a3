"""Hierarchical Gaussian filters: networks of named nodes that predict and learn how fast to learn."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from neuropil import native
from neuropil.belief import tower
from neuropil.belief.nodes import (
    Belief,
    Beliefs,
    Binary,
    Prediction,
    State,
    Value,
    Volatile,
    Volatility,
    surprise,
)
from neuropil.belief.volatility import (
    BOUND,
    LARGEST,
    Enhanced,
    Gaussian,
    Moved,
    VolatilityUpdate,
)
from neuropil.core import Part, System


class _Ahead(eqx.Module):
    """A state as predicted: mean, precision, log Omega and gamma."""

    mean: Array
    precision: Array
    log_change: Array
    step: Array


class Graph(NamedTuple):
    """Who is above whom: `inputs`, `states` (parents first), and the (parent, child) of every edge, sorted."""

    inputs: tuple[str, ...]
    states: tuple[str, ...]
    ends: tuple[tuple[str, str], ...]


class HGF(System):
    r"""A network of beliefs; predictions go down its edges, errors weighted by their precision go up.

    For a state a with value parents b and volatility parents c, time step t = dt:

    $$\hat\mu_a = \lambda_a \mu_a + t (\rho_a + \sum_b \psi_{ab} g(\hat\mu_b)), \qquad
      \Omega_a = t\, e^{\omega_a + \sum_c \kappa_{ac} \hat\mu_c}, \qquad
      \hat\pi_a = \frac{1}{1 / \pi_a + \Omega_a}$$

    A value child j with error $\delta_j = \mu_j - \hat\mu_j$ then gives

    $$\pi_a = \hat\pi_a + \hat\pi_j ((\psi g')^2 - \psi g'' \delta_j), \qquad
      \mu_a = \hat\mu_a + \psi g' \hat\pi_j \delta_j / \pi_a$$

    (a binary child, $p = \sigma(\sum \hat\mu)$, adds $p (1 - p)$ and $u - p$), and a volatility child what the
    `update` rule says (`volatility.Classical`, `Enhanced`, `Unbounded`).

    **Arguments**

    - `nodes`: {name: `State`, `Volatile`, `Continuous` or `Binary`}; the latter two are inputs.
    - `edges`: {"parent>child": `Value` or `Volatility`}, a tree or any graph without a circle.
    - `update`: how volatility children move their parents; `Enhanced()` by default.

    Input: {input: number}, or an array (inputs,) in the order of `inputs`, or a number where there is one; NaN:
    not seen, and what lies above keeps its prediction. Output: `Beliefs`. State: {"nodes": {name: Gaussian},
    "surprise": sum of -log p(x) so far}. Time is counted in the unit of dt; with dt = 1 a tick is a trial.

    The beliefs stay finite however long the run is: the rule is bounded, and |log Omega| is held below 80.

    >>> import jax.random as jr
    >>> from neuropil.belief import Continuous
    >>> from neuropil.core import run, start
    >>> net = HGF({"u": Continuous(100.0), "x": State(volatility=-3.0)}, {"x>u": Value()})
    >>> u = jnp.sin(2 * jnp.pi / 40) + 0.2 * jnp.cos(2 * jnp.pi / 97)  # gain 100 / (100 + 1 / (1 + e^-3))
    >>> _, belief = run(net, start(net, 1.0, jr.key(0)), u[None])
    >>> round(float(belief.nodes["x"].mean[0]), 4), round(float(belief.nodes["x"].precision[0]), 4)
    (0.3527, 100.9526)

    Raises ValueError for an edge whose ends are no nodes, a circle, an input with children, a binary input
    without value parent or with a volatility parent, a state without children, or a rule that cannot serve a
    node.

    Source: Mathys et al. (2011, 2014); Weber et al. (2023), arXiv:2305.10937; Legrand et al. (2024),
    arXiv:2410.09206 (pyhgf).
    """

    nodes: dict[str, Part]
    edges: dict[str, Part]
    update: VolatilityUpdate
    graph: Graph = eqx.field(static=True)

    def __init__(
        self,
        nodes: dict[str, Part],
        edges: dict[str, Part],
        update: VolatilityUpdate | None = None,
    ):
        self.nodes, self.edges = {}, dict(edges)
        for name, node in nodes.items():
            if isinstance(node, Volatile):
                self.nodes[name] = node.level
                self.nodes[f"{name}_volatility"] = node.volatility
                self.edges[f"{name}_volatility>{name}"] = Volatility(node.coupling)
            else:
                self.nodes[name] = node
        self.update = Enhanced() if update is None else update
        self.graph = _graph(self.nodes, self.edges)
        for name in self.states:
            values, volatilities = self.below(name, Value), self.below(name, Volatility)
            if volatilities:
                self.update.check(name, len(values), len(volatilities))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which an array is read."""
        return self.graph.inputs

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, parents first."""
        return self.graph.states

    def parents(self, name: str, kind: type = Part) -> list[tuple[str, Any]]:
        """[(parent, edge)] of a node, in order of names."""
        found = ((p, self.edges[f"{p}>{c}"]) for p, c in self.graph.ends if c == name)
        return [(p, edge) for p, edge in found if isinstance(edge, kind)]

    def below(self, name: str, kind: type = Part) -> list[tuple[str, Any]]:
        """[(child, edge)] of a node, in order of names."""
        found = ((c, self.edges[f"{p}>{c}"]) for p, c in self.graph.ends if p == name)
        return [(c, edge) for c, edge in found if isinstance(edge, kind)]

    def init(self, dt, key):
        zero = jnp.zeros((), jnp.result_type(float))
        nodes = {n: self.nodes[n] for n in self.states}
        return {
            "nodes": {n: Gaussian(p.mean, p.precision) for n, p in nodes.items()},
            "surprise": zero,
        }

    def rest(self):
        one = jnp.ones((), jnp.result_type(float))
        before = {n: (self.nodes[n].mean, self.nodes[n].precision) for n in self.states}
        nodes = {n: Belief(m, p, m, p) for n, (m, p) in before.items()}
        return Beliefs(nodes, {n: Prediction(0 * one, one) for n in self.inputs}, 0 * one)

    def step(self, state, x, tick):
        seen = _read(self, x)
        ahead = _predict(self, state["nodes"], tick.dt)
        nodes = _learn(self, state["nodes"], ahead, seen)
        beliefs = _report(self, nodes, ahead, seen)
        return {"nodes": nodes, "surprise": state["surprise"] + beliefs.surprise}, beliefs

    def unroll(self, state, xs, ticks):
        seen, nodes = jax.vmap(lambda x: _read(self, x))(xs), state["nodes"]
        whole = scan
        if tower.levels(self) and tower.available(jnp.result_type(float)):
            whole = native.prefer(tower.tower, scan)
        last, beliefs = whole(self, nodes, seen, ticks.dt)
        return {"nodes": last, "surprise": state["surprise"] + beliefs.surprise.sum()}, beliefs


def scan(net: HGF, nodes: dict, seen: dict, dt: Array) -> tuple[dict, Beliefs]:
    """(beliefs after the last tick, what every tick puts out).

    The loop keeps the beliefs only; what was predicted follows from them, all ticks at once.
    """

    def body(nodes, seen):
        after = _learn(net, nodes, _predict(net, nodes, dt), seen)
        return after, after

    last, after = lax.scan(body, nodes, seen)
    join = lambda first, later: jnp.concatenate([first[None], later[:-1]])
    before = jax.tree.map(join, nodes, after)
    report = lambda before, after, seen: _report(net, after, _predict(net, before, dt), seen)
    return last, jax.vmap(report)(before, after, seen)


def _read(net: HGF, x) -> dict[str, Array]:
    """{input: number, NaN where it was not seen}."""
    names, dtype = net.inputs, jnp.result_type(float)
    if not isinstance(x, dict):
        x = jnp.asarray(jnp.nan if x is None else x, dtype)
        if x.size != len(names) and x.ndim:
            raise ValueError(f"HGF: {x.size} numbers for the inputs {list(names)}")
        x = jnp.broadcast_to(x.reshape(-1), (len(names),))
        return {n: x[i] for i, n in enumerate(names)}
    if unknown := set(x) - set(names):
        raise KeyError(f"HGF: {sorted(unknown)} are no inputs; the inputs are {list(names)}")
    return {n: jnp.asarray(x.get(n, jnp.nan), dtype) for n in names}


def _predict(net: HGF, nodes: dict, dt: Array) -> dict[str, Any]:
    """States as `_Ahead`, inputs as (mean, precision of the noise or variance of a bit)."""
    ahead: dict[str, Any] = {}
    for name in net.states:
        own, now = net.nodes[name], nodes[name]
        drift, log_change = own.drift, jnp.log(dt) + own.volatility
        for parent, edge in net.parents(name, Value):
            drift = drift + edge(ahead[parent].mean)
        for parent, edge in net.parents(name, Volatility):
            log_change = log_change + edge.coupling * ahead[parent].mean
        log_change = jnp.clip(log_change, -BOUND, BOUND)
        change = jnp.exp(log_change)
        precision = 1 / (1 / now.precision + change)
        mean = own.autoconnection * now.mean + dt * drift
        ahead[name] = _Ahead(mean, precision, log_change, change * precision)
    for name in net.inputs:
        own = net.nodes[name]
        mean = sum(edge(ahead[parent].mean) for parent, edge in net.parents(name, Value))
        if isinstance(own, Binary):
            p = jnp.clip(jax.nn.sigmoid(mean), 1e-6, 1 - 1e-6)
            ahead[name] = _Ahead(p, p * (1 - p), jnp.zeros_like(p), jnp.zeros_like(p))
            continue
        precision, log_change, step = own.precision, jnp.zeros_like(mean), jnp.zeros_like(mean)
        above = net.parents(name, Volatility)
        if above:
            log_change = sum(edge.coupling * ahead[parent].mean for parent, edge in above)
            log_change = jnp.clip(log_change, -BOUND, BOUND)
            change = jnp.exp(log_change)
            precision = 1 / (1 / own.precision + change)
            step = change * precision
        ahead[name] = _Ahead(mean, precision, log_change, step)
    return ahead


def _learn(net: HGF, nodes: dict, ahead: dict, seen: dict) -> dict[str, Gaussian]:
    """Every state's belief after the tick, from the inputs upwards."""
    after: dict[str, Gaussian] = {}
    known = {n: ~jnp.isnan(u) for n, u in seen.items()}
    at = {n: jnp.where(known[n], u, ahead[n].mean) for n, u in seen.items()}
    for name in reversed(net.states):
        hat, pull, weight = ahead[name], jnp.zeros(()), jnp.zeros(())
        pull, weight = pull.astype(hat.mean.dtype), weight.astype(hat.mean.dtype)
        for child, edge in net.below(name, Value):
            below = ahead[child]
            error = at[child] - below.mean
            slope, curve = edge.slopes(nodes[name].mean)
            if isinstance(net.nodes[child], Binary):  # precision stands for p (1 - p)
                gain, more = slope * error, slope * slope * below.precision - curve * error
            else:
                gain = slope * below.precision * error
                more = below.precision * (slope * slope - curve * error)
            pull = pull + jnp.where(known[child], gain, 0.0)
            weight = weight + jnp.where(known[child], more, 0.0)
        moved = [_moved(net, child, edge, nodes, ahead, after, at, known)
                 for child, edge in net.below(name, Volatility)]  # fmt: skip
        any_seen = jnp.zeros((), bool)
        for child, _ in net.below(name):
            any_seen = any_seen | known[child]
        predicted = Gaussian(hat.mean, jnp.minimum(hat.precision, LARGEST))
        if moved:
            new = net.update(predicted, pull, weight, moved)
        else:
            p = jnp.minimum(predicted.precision + weight, LARGEST)
            p = jnp.where(p > 0, p, jnp.nan)
            new = Gaussian(hat.mean + pull / p, p)
        pick = lambda a, b, s=any_seen: jnp.where(s, a, b)
        after[name] = Gaussian(*map(pick, new, predicted))
        at[name], known[name] = after[name].mean, any_seen
    return after


def _moved(net, child, edge, nodes, ahead, after, at, known) -> Moved:
    """What a volatility child tells: of a state from its posterior, of an input from its noise alone."""
    hat, own = ahead[child], net.nodes[child]
    if isinstance(own, State):
        variance, before = 1 / after[child].precision, 1 / nodes[child].precision
    else:
        variance = before = 1 / own.precision
    spread = variance + (at[child] - hat.mean) ** 2
    error = (hat.precision * spread - 1) / len(net.parents(child, Volatility))
    told = lambda a: jnp.where(known[child], a, 0.0)  # the rule then adds nothing
    return Moved(edge.coupling, told(hat.step), told(error), hat.log_change, before, spread)


def _report(net: HGF, after: dict, ahead: dict, seen: dict) -> Beliefs:
    """What a tick puts out."""
    nodes = {n: Belief(*after[n], ahead[n].mean, ahead[n].precision) for n in net.states}
    inputs, total = {}, jnp.zeros((), jnp.result_type(float))
    for name in net.inputs:
        hat, binary = ahead[name], isinstance(net.nodes[name], Binary)
        variance = hat.precision if binary else 1 / hat.precision
        if not binary:
            for parent, edge in net.parents(name, Value):
                slope, _ = edge.slopes(ahead[parent].mean)
                variance = variance + slope * slope / ahead[parent].precision
        inputs[name] = Prediction(hat.mean, variance)
        total = total + surprise(seen[name], hat.mean, variance, binary)
    return Beliefs(nodes, inputs, total)


def _graph(nodes: dict[str, Part], edges: dict[str, Part]) -> Graph:
    """The graph; ValueError for everything about it that can be wrong."""
    inputs = tuple(n for n in sorted(nodes) if not isinstance(nodes[n], State))
    if not inputs:
        raise ValueError("HGF: no input; add a Continuous() or a Binary() node")
    above: dict[str, list] = {n: [] for n in nodes}
    fruitful = set()
    for name in sorted(edges):
        ends = name.split(">")
        if len(ends) != 2 or not set(ends) <= set(nodes):
            raise ValueError(
                f'HGF: edge {name!r}; write "parent>child", the nodes are {sorted(nodes)}'
            )
        if not isinstance(edges[name], Value | Volatility):
            raise ValueError(f"HGF: edge {name!r} must be a Value() or a Volatility()")
        parent, child = ends
        if parent in inputs:
            raise ValueError(f"HGF: the input {parent!r} cannot be a parent (edge {name!r})")
        above[child].append((parent, edges[name]))
        fruitful.add(parent)
    for name in inputs:
        if not any(isinstance(edge, Value) for _, edge in above[name]):
            raise ValueError(
                f'HGF: the input {name!r} has no value parent; add "x>{name}": Value()'
            )
        if isinstance(nodes[name], Binary) and any(
            isinstance(e, Volatility) for _, e in above[name]
        ):
            raise ValueError(f"HGF: the binary input {name!r} has no variance to move")
    left, order = [n for n in sorted(nodes) if n not in inputs], []
    if idle := [n for n in left if n not in fruitful]:
        raise ValueError(f"HGF: {idle} have no children, so they never learn; take them out")
    while left:
        ready = [n for n in left if not any(p in left for p, _ in above[n])]
        if not ready:
            raise ValueError(f"HGF: the edges between {left} make a circle; take one away")
        order, left = order + ready, [n for n in left if n not in ready]
    ends = sorted((p, child) for child in nodes for p, _ in above[child])
    return Graph(inputs, tuple(order), tuple(ends))
