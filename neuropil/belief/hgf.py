"""Hierarchical Gaussian filters: networks of named nodes that predict and learn how fast to learn."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from neuropil.belief.nodes import (
    Belief,
    Beliefs,
    Binary,
    Prediction,
    State,
    Value,
    Volatile,
    Volatility,
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
        _check(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which an array is read."""
        return tuple(n for n in sorted(self.nodes) if not isinstance(self.nodes[n], State))

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, parents first."""
        order, left = [], sorted(set(self.nodes) - set(self.inputs))
        while left:
            ready = [n for n in left if not set(p for p, _ in self.parents(n)) & set(left)]
            if not ready:
                raise ValueError(f"HGF: the edges between {left} make a circle; take one away")
            order, left = order + ready, [n for n in left if n not in ready]
        return tuple(order)

    def parents(self, name: str, kind: type = Part) -> list[tuple[str, Any]]:
        """[(parent, edge)] of a node, in order of names."""
        ends = ((e.split(">")[0], e) for e in sorted(self.edges) if e.split(">")[1] == name)
        return [(p, self.edges[e]) for p, e in ends if isinstance(self.edges[e], kind)]

    def below(self, name: str, kind: type = Part) -> list[tuple[str, Any]]:
        """[(child, edge)] of a node, in order of names."""
        ends = ((e.split(">")[1], e) for e in sorted(self.edges) if e.split(">")[0] == name)
        return [(c, self.edges[e]) for c, e in ends if isinstance(self.edges[e], kind)]

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
        """The loop keeps the beliefs only; what was predicted follows from them, all ticks at once."""
        seen, dt = jax.vmap(lambda x: _read(self, x))(xs), ticks.dt

        def body(nodes, seen):
            after = _learn(self, nodes, _predict(self, nodes, dt), seen)
            return after, after

        last, nodes = lax.scan(body, state["nodes"], seen)
        join = lambda first, later: jnp.concatenate([first[None], later[:-1]])
        before = jax.tree.map(join, state["nodes"], nodes)
        report = lambda before, after, seen: _report(self, after, _predict(self, before, dt), seen)
        beliefs = jax.vmap(report)(before, nodes, seen)
        return {"nodes": last, "surprise": state["surprise"] + beliefs.surprise.sum()}, beliefs


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
            if isinstance(net.nodes[child], Binary):
                gain, more = error, below.precision  # of a bit: the variance
            else:
                slope, curve = edge.slopes(nodes[name].mean)
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
        hat, u = ahead[name], seen[name]
        known = ~jnp.isnan(u)
        x = jnp.where(known, u, hat.mean)
        if isinstance(net.nodes[name], Binary):
            variance = hat.precision
            each = -jnp.log(jnp.where(x > 0.5, hat.mean, 1 - hat.mean))
        else:
            variance = 1 / hat.precision
            for parent, edge in net.parents(name, Value):
                slope, _ = edge.slopes(ahead[parent].mean)
                variance = variance + slope * slope / ahead[parent].precision
            each = (jnp.log(2 * jnp.pi * variance) + (x - hat.mean) ** 2 / variance) / 2
        inputs[name] = Prediction(hat.mean, variance)
        total = total + jnp.where(known, jnp.where(jnp.isnan(each), jnp.inf, each), 0.0)
    return Beliefs(nodes, inputs, total)


def _check(net: HGF) -> None:
    """Everything about the graph that can be wrong, before the first tick."""
    for name, edge in net.edges.items():
        ends = name.split(">")
        if len(ends) != 2 or not set(ends) <= set(net.nodes):
            raise ValueError(
                f'HGF: edge {name!r}; write "parent>child", the nodes are {sorted(net.nodes)}'
            )
        if not isinstance(edge, Value | Volatility):
            raise ValueError(f"HGF: edge {name!r} must be a Value() or a Volatility()")
        if ends[0] in net.inputs:
            raise ValueError(f"HGF: the input {ends[0]!r} cannot be a parent (edge {name!r})")
    for name in net.inputs:
        if not net.parents(name, Value):
            raise ValueError(f'HGF: the input {name!r} has no value parent; add "x>{name}"')
        if isinstance(net.nodes[name], Binary) and net.parents(name, Volatility):
            raise ValueError(f"HGF: the binary input {name!r} has no variance to move")
    if not net.inputs:
        raise ValueError("HGF: no input; add a Continuous() or a Binary() node")
    for name in net.states:
        if not net.below(name):
            raise ValueError(f"HGF: {name!r} has no children, so it never learns; take it out")
        values, volatilities = net.below(name, Value), net.below(name, Volatility)
        if volatilities:
            net.update.check(name, len(values), len(volatilities))
