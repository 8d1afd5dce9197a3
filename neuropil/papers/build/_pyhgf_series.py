"""pyhgf's own example series: our beliefs beside those recorded from it; and a series that never ends well."""

from __future__ import annotations

from importlib import resources
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil.belief import (
    HGF,
    Beliefs,
    Classical,
    Continuous,
    Enhanced,
    State,
    Unbounded,
    Value,
    Volatile,
    binary_hgf,
    continuous_hgf,
)
from neuropil.core import System, run, start

EVERY = 10  # recorded at ticks 9, 19, 29, ...
UPDATES = {"standard": Classical, "eHGF": Enhanced, "unbounded": Unbounded}
QUANTITIES = ("mean", "precision", "expected_mean", "expected_precision")


def recorded() -> dict[str, np.ndarray]:
    """What pyhgf 0.2.12 (jax 0.4.31, double precision) gave for its example series, and the series.

    "usdchf": 614 rates; "binary": 320 outcomes; "model.update|node.quantity": beliefs every tenth tick.
    """
    path = resources.files("neuropil.papers.build") / "_pyhgf_recorded.npz"
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def arrays(data: dict[str, Any]) -> dict[str, Array]:
    """The same on the device, as floats."""
    return {name: jnp.asarray(v, jnp.result_type(float)) for name, v in data.items()}


def models() -> dict[str, tuple[HGF, str, dict[str, str]]]:
    """name -> (network, name of its series, {pyhgf's node: ours}), as the package's own tutorials set them."""
    found: dict[str, tuple[HGF, str, dict[str, str]]] = {}
    for name, rule in UPDATES.items():
        for n in (2, 3):
            net = continuous_hgf(
                (-13.0, -2.0, -2.0)[:n],
                noise=1e4,
                mean=(1.04, 1.0, 0.0)[:n],
                precision=(1e4, 1e1, 1e1)[:n],
                update=rule(),
            )
            nodes = {str(i): f"x{i}" for i in range(1, n + 1)}
            found[f"continuous{n}.{name}"] = net, "usdchf", nodes
        net = binary_hgf((-4.0, -6.0), mean=(0.5, 0.0), precision=(1e4, 1e1), update=rule())
        found[f"binary3.{name}"] = net, "binary", {"1": "x2", "2": "x3"}
        pair = Volatile(State(1.04, 1e4, -13.0), State(1.0, 1e1, -2.0))
        net = HGF({"u": Continuous(1e4), "x": pair}, {"x>u": Value()}, rule())
        found[f"volatile.{name}"] = net, "usdchf", {"1": "x", "2": "x_volatility"}
    net = binary_hgf((-4.0,), mean=(0.5,), precision=(1e4,))
    found["binary2.eHGF"] = net, "binary", {"1": "x2"}
    return found


def follow(net: HGF, series: Array) -> Beliefs:
    """The beliefs over a series."""
    return run(net, start(net, 1.0, jr.key(0)), series)[1]


def differences(data: dict[str, Any], names: Any = None) -> dict[str, Array]:
    """{model: largest |ours - pyhgf's| / max(1, |pyhgf's|) over nodes, quantities and recorded ticks}."""
    out = {}
    for name, (net, series, nodes) in models().items():
        if names is not None and name not in names:
            continue
        y, worst = follow(net, jnp.asarray(data[series])), jnp.zeros(())
        for theirs, ours in nodes.items():
            for quantity in QUANTITIES:
                a = getattr(y.nodes[ours], quantity)[EVERY - 1 :: EVERY]
                b = jnp.asarray(data[f"{name}|{theirs}.{quantity}"], a.dtype)
                worst = jnp.maximum(worst, (jnp.abs(a - b) / jnp.maximum(1.0, jnp.abs(b))).max())
        out[name] = worst
    return out


class Series(System):
    """Equality on the example series, and how many of the beliefs over a long series are finite."""

    data: dict[str, Array]
    bounded: bool = eqx.field(static=True)
    observations: int = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        out = {}
        if self.bounded:
            each = differences(self.data)
            out["difference"] = jnp.stack([each[n] for n in sorted(each)])
            net, name, _ = models()["continuous3.eHGF"]
            y = follow(net, jnp.asarray(self.data[name]))
            means = [y.nodes[f"x{i}"].mean[EVERY - 1 :: EVERY] for i in (1, 2, 3)]
            out["ours"] = jnp.stack(means)
            theirs = [self.data[f"continuous3.eHGF|{i}.mean"] for i in (1, 2, 3)]
            out["theirs"] = jnp.stack([jnp.asarray(a) for a in theirs])
        out |= self._long(state["key"])
        return state, out

    def _long(self, key):
        """A random walk that jumps once in a hundred ticks, as far as sixty of its usual steps."""
        n, (kj, kw) = self.observations, jr.split(key)
        size = jnp.where(jr.bernoulli(kj, 0.01, (n,)), 3.0, 0.05)
        walk = jnp.cumsum(size * jr.normal(kw, (n,)))
        rule = Enhanced(bounded=self.bounded)
        y = follow(continuous_hgf((-4.0, -2.0, -2.0), noise=1e3, update=rule), walk)
        leaves = jnp.stack([jnp.isfinite(a) for a in jax.tree.leaves(y)]).all(0)
        first = jnp.where(leaves.all(), n, jnp.argmin(leaves))
        return {"finite": leaves.mean(), "first": first.astype(leaves.mean().dtype)}
