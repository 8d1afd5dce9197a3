"""The usual hierarchy, one state over the other, by a compiled kernel (`native/hgf.cc`)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil import native
from neuropil.belief.nodes import (
    Belief,
    Beliefs,
    Binary,
    Prediction,
    Value,
    Volatility,
    surprise,
)
from neuropil.belief.volatility import Classical, Enhanced, Gaussian

HIGHEST = 4  # levels the kernel knows


def levels(net: Any) -> list[str]:
    """Names of the states, lowest first, where `net` is one input under one tower of them; [] otherwise."""
    if len(net.inputs) != 1 or not isinstance(net.update, Classical | Enhanced):
        return []
    if len(net.states) > HIGHEST or len(net.edges) != len(net.states):
        return []
    below, found = net.inputs[0], []
    for _ in net.states:
        above = net.parents(below)
        kind = Volatility if found else Value
        if len(above) != 1 or not isinstance(above[0][1], kind):
            return []
        if isinstance(above[0][1], Value) and above[0][1].function is not None:
            return []
        below = above[0][0]
        found.append(below)
    return found


def available(dtype: Any) -> bool:
    """Whether the kernel can be used for numbers of this type."""
    return dtype in (jnp.float32, jnp.float64) and native.available("hgf")


def tower(net: Any, nodes: dict, seen: dict, dt: Array) -> tuple[dict, Beliefs]:
    """(beliefs after the last tick, what every tick put out), as the scan in `hgf` gives them."""
    names, name = levels(net), net.inputs[0]
    u = seen[name]
    edge = net.parents(name)[0][1]
    rows = []
    for state in names:
        own, above = net.nodes[state], net.parents(state)
        kappa = above[0][1].coupling if above else jnp.zeros_like(own.mean)
        row = (*nodes[state], own.volatility, own.drift, own.autoconnection, kappa)
        rows.append(jnp.stack([a.astype(u.dtype) for a in row]))
    binary = isinstance(net.nodes[name], Binary)
    noise = jnp.ones(()) if binary else net.nodes[name].precision
    input = jnp.stack([a.astype(u.dtype) for a in (edge.coupling, noise, dt)])
    flags = {
        "first": isinstance(net.update, Enhanced),
        "bounded": net.update.bounded,
        "binary": binary,
    }
    like = jax.ShapeDtypeStruct(u.shape, u.dtype)
    rets = native.call(
        f"hgf.tower_f{8 * u.dtype.itemsize}",
        lambda *_: _elsewhere(net, nodes, seen, dt, names),
        (like,) * (4 * len(names) + 2),
        u,
        jnp.stack(rows),
        input,
        **{k: np.int32(v) for k, v in flags.items()},
    )
    beliefs = Beliefs(
        {n: Belief(*rets[4 * i : 4 * i + 4]) for i, n in enumerate(names)},
        {name: Prediction(*rets[-2:])},
        surprise(u, *rets[-2:], binary),
    )
    last = {n: Gaussian(b.mean[-1], b.precision[-1]) for n, b in beliefs.nodes.items()}
    return last, beliefs


def _elsewhere(net, nodes, seen, dt, names):
    """The same numbers, flat, where there is no CPU."""
    from neuropil.belief.hgf import scan

    _, beliefs = scan(net, nodes, seen, dt)
    flat = [a for n in names for a in jax.tree.leaves(beliefs.nodes[n])]
    return (*flat, *jax.tree.leaves(beliefs.inputs))
