"""Combinators."""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr

from neuropil import cells, core, synapses
from tests.contract.examples.base import (
    Example,
    dense,
    normal,
)


class Hebb(core.System):
    """A rule for the examples of Managed: growth with the product of both ends."""

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        return state + 1, x.theta + 0.01 * jnp.outer(x.y, x.reads["pre"])


class Decay(core.Flow):
    """Two coupled variables for the example of Integrated."""

    def init(self, key):
        return {"a": jnp.ones(2), "b": jnp.zeros(2)}

    def field(self, t, y, x):
        return {"a": -y["a"] / 5 + x, "b": (y["a"] - y["b"]) / 10}


def _lif_network(key):
    a, b = jr.split(key)
    nodes = {"E": cells.LIF(3, drive="jump"), "I": cells.LIF(2, drive="jump")}
    edges = {
        "E>I": core.Chain(wire=dense(3, 2, a), delay=synapses.Delay(3.0, 2)),
        "I>E": core.Chain(wire=dense(2, 3, b), syn=synapses.Exponential(3)),
    }
    return core.Network(nodes, edges)


def managed(rule: Callable[[], core.System]):
    """A wire whose weight a rule owns; `rule()` builds it, in the precision of the test."""
    return lambda key: core.Managed(dense(3, 2, key), rule(), "weight", {"pre": "input"})


EXAMPLES = {
    "chain": Example(
        lambda k: core.Chain(wire=dense(3, 2, k), cell=cells.LIF(2), double=lambda s: 2 * s),
        normal(3),
        (core.Chain, core.Lift),
    ),
    "parallel": Example(
        lambda k: core.Parallel({"a": dense(3, 2, k), "b": jnp.tanh}, join="concatenate"),
        normal(3),
        (core.Parallel,),
    ),
    "residual": Example(lambda k: core.Residual(cells.Rate(3)), normal(3), (core.Residual,)),
    "feedback": Example(
        lambda k: core.Feedback(cells.LIF(3, drive="jump"), dense(3, 3, k), merge="add"),
        normal(3),
        (core.Feedback,),
    ),
    "network": Example(_lif_network, lambda: {"E": normal(3)()}, (core.Network,)),
    "every": Example(lambda k: core.Every(cells.Rate(3), 2), normal(3), (core.Every,)),
    "trial": Example(
        lambda k: core.Trial(cells.Rate(3), 4, keep=("",), output="last"),
        normal(4, 3),
        (core.Trial,),
    ),
    "vmapped": Example(
        lambda k: core.Vmapped.build(lambda j: dense(3, 2, j), 2, k), normal(2, 3), (core.Vmapped,)
    ),
    "batched": Example(
        lambda k: core.Batched(core.Chain(wire=dense(3, 2, k), cell=cells.LIF(2)), 4),
        normal(4, 3),
        (core.Batched,),
    ),
    "integrated": Example(
        lambda k: core.Integrated(Decay(), core.RK4()), normal(2), (core.Integrated,)
    ),
    "managed": Example(managed(Hebb), normal(3), (core.Managed,)),
    "managed, slowly": Example(managed(lambda: core.Every(Hebb(), 2)), normal(3), (core.Managed,)),
}
