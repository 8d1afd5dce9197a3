"""probe finds mistakes before a long run and says what to write instead."""

import jax
import jax.numpy as jnp
import pytest

from neuropil.cells import LIF
from neuropil.core import Batched, Chain, ProbeError, System, first_nonfinite, probe
from neuropil.wiring import Dense


class Faulty(System):
    kind: str = "right"

    def init(self, dt, key):
        return {"a": jnp.zeros(3), "n": 0 if self.kind == "python" else jnp.int32(0)}

    def step(self, state, x, tick):
        a, n = state["a"] + x, state["n"] + 1
        if self.kind == "dtype":
            a = a.astype(jnp.bfloat16)
        if self.kind == "lost":
            return {"a": a}, a
        if self.kind == "bare":
            return {"a": a, "n": n}
        return {"a": a, "n": n}, a

    def unroll(self, state, xs, ticks):
        state, ys = System.unroll(self, state, xs, ticks)
        return state, ys.sum(-1) if self.kind == "unroll" else ys


def test_a_right_system_passes_and_gives_shapes():
    assert probe(Faulty(), jnp.zeros(3))["output"].shape == (3,)
    net = Batched(Chain(wire=Dense(jnp.ones((4, 3))), cell=LIF(4)), 7)
    assert probe(net, jnp.zeros((7, 3)))["output"].shape == (7, 4)


@pytest.mark.parametrize(
    ("kind", "x", "words"),
    [
        ("dtype", jnp.zeros(3), r"state \['a'\] is float32\[3\] in init but bfloat16\[3\].*astype"),
        ("lost", jnp.zeros(3), r"missing \[\"\['n'\]\"\]"),
        ("python", jnp.zeros(3), r"state \['n'\] is a Python int; write jnp.asarray"),
        ("bare", jnp.zeros(3), r"must return \(state, output\)"),
        ("unroll", jnp.zeros(3), r"unroll and step give outputs of different shape"),
        ("right", jnp.zeros((5, 3)), r"is it a batch\? Write Batched\(system, n\)"),
        ("right", jnp.zeros(4), r"step fails: .*broadcast"),
    ],
)
def test_each_mistake_is_named(kind, x, words):
    with jax.numpy_rank_promotion("allow"), pytest.raises(ProbeError, match=words):
        probe(Faulty(kind), x)  # as a user runs it, not as strict as the tests


def test_no_system_at_all():
    with pytest.raises(ProbeError, match="is not a System"):
        probe(jnp.tanh, jnp.zeros(3))


def test_first_nonfinite_names_the_array():
    assert first_nonfinite({"w": jnp.ones(2)}) is None
    assert first_nonfinite({"v": jnp.ones(2), "w": jnp.array([0.0, jnp.inf])}) == "['w']"
    assert first_nonfinite({"k": jax.random.key(0), "n": jnp.int32(3)}) is None
