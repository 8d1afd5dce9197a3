"""Managed: who owns a parameter, where it lives, what an update costs, what a gradient through it is."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF, NoGradient, SuperSpike
from neuropil.core import (
    Batched,
    Chain,
    Cols,
    Every,
    Managed,
    Network,
    Rows,
    System,
    parameters,
    run,
    start,
)
from neuropil.wiring import Dense

POST, PRE = 37, 53


class Hebb(System):
    """Hebbian growth in the form named by `form`."""

    form: str = eqx.field(static=True, default="whole")
    rate: jax.Array = eqx.field(default_factory=lambda: jnp.asarray(1e-3))

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        pre, post = event.x, event.y
        i = jnp.stack([tick.i % POST, (tick.i + 5) % POST])
        if self.form == "rows":
            return state, Rows(i, self.rate * post[i][:, None] * pre[None])
        if self.form == "cols":
            return state, Cols(i, self.rate * post[:, None] * pre[i][None])
        if self.form == "decay of rows":
            return state, Rows(i, -self.rate * event.theta[i])
        if self.form == "both":
            return state, (Rows(i, -self.rate * event.theta[i]), Cols(i, event.theta[:, i]))
        if self.form == "batch":
            return state, event.theta + self.rate * jnp.einsum("bi,bj->ij", post, pre) / len(pre)
        return state, event.theta + self.rate * jnp.outer(post, pre)


class OneByOne(System):
    """A wire whose `unroll` is not one product over all ticks."""

    wire: Dense

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, self.wire.forward(x)


def weights(key=0, post=POST, pre=PRE):
    return Dense(0.1 * jr.normal(jr.key(key), (post, pre)))


def compiled(system, record="output"):
    carry, xs = start(system, 1.0, jr.key(0)), jnp.ones((100, PRE))
    loop = jax.jit(lambda c, xs: run(system, c, xs, record=record), donate_argnums=0)
    return loop.lower(carry, xs).compile()


@pytest.mark.parametrize("form", ["rows", "cols", "decay of rows", "both", "whole"])
@pytest.mark.parametrize("slow", ["always", "every"])
def test_the_parameter_is_updated_in_place(form, slow):
    """A copy of the parameter at every tick would make a sparse update cost as much as its size.

    The hard case is an update that does not depend on the fast system's output: nothing but the order
    which `Managed` makes tells XLA that the weight is read before it is written.
    """
    rule = Hebb(form) if slow == "always" else Every(Hebb(form), 3)
    program = compiled(Managed(OneByOne(weights()), rule, owns="wire.weight"))
    shape = rf"f32\[(?:{POST},{PRE}|{PRE},{POST})\]"
    copies = re.findall(rf"= {shape}\S* (?:copy|transpose)\(.*", program.as_text())
    assert not copies, copies
    assert re.search(shape, program.as_text())  # so the line above can fail
    outputs = 2 * 100 * POST * 4
    assert program.memory_analysis().temp_size_in_bytes < POST * PRE * 4 + outputs
    if form in (
        "rows",
        "cols",
        "decay of rows",
        "both",
    ):  # nor is it gone through element by element
        plain = compiled(OneByOne(weights())).cost_analysis()["flops"]
        assert program.cost_analysis()["flops"] - plain < POST * PRE / 2


@pytest.mark.parametrize("form", ["rows", "cols", "both"])
def test_sparse_updates_are_the_dense_ones(form):
    """Rows and Cols add to what they name; of a pair, both are computed from the value before."""
    system = Managed(weights(), Hebb(form, jnp.asarray(0.5)), owns="weight")
    x = jr.normal(jr.key(1), (PRE,))
    carry, y = run(system, start(system, 1.0, jr.key(0)), x[None])
    w = np.array(weights().weight)
    expected, i = w.copy(), [0, 5]
    if form == "rows":
        expected[i] += 0.5 * np.outer(y[0], x)[i]
    if form == "cols":
        expected[:, i] += 0.5 * np.outer(y[0], x)[:, i]
    if form == "both":
        expected[i] -= 0.5 * w[i]
        expected[:, i] += w[:, i]
    np.testing.assert_allclose(carry.state.theta, expected, rtol=1e-5, atol=1e-6)


def test_building_a_system_again_compiles_nothing_again():
    traced = []

    class Traced(System):
        weight: jax.Array

        def init(self, dt, key):
            return ()

        def step(self, state, x, tick):
            traced.append(1)
            return state, self.weight @ x

    for k in range(4):
        fast = Traced(jnp.full((POST, PRE), float(k)))
        system = Managed(fast, Hebb(), owns="weight", reads={"pre": "input", "post": "output"})
        run(system, start(system, 1.0, jr.key(k)), jnp.ones((3, PRE)))
        if k == 0:
            first = len(traced)
    assert len(traced) == first > 0
    with pytest.raises(TypeError, match="path string"):
        Managed(fast, Hebb(), owns=lambda s: s.weight)


def test_parameters_says_where_every_parameter_is():
    plain = Chain(a=weights(0), b=weights(1, PRE, POST))
    system = Managed(plain, Hebb("whole"), owns="parts.a.weight", reads={})
    with_input = Managed(weights(0), Hebb(), owns="weight")
    carry, _ = run(with_input, start(with_input, 1.0, jr.key(0)), jnp.ones((3, PRE)))
    now = parameters(with_input, carry)
    assert set(now) == {"fast.weight", "slow.rate"}
    np.testing.assert_array_equal(now["fast.weight"], carry.state.theta)
    assert not np.allclose(now["fast.weight"], with_input.fast.weight)
    assert set(parameters(system)) == {
        "fast.parts.a.weight",
        "fast.parts.b.weight",
        "slow.rate",
    }


def test_a_batch_shares_its_weights_where_it_is_inside():
    batch = Managed(Batched(weights(), 4), Hebb("batch"), owns="part.weight")
    carry = start(batch, 1.0, jr.key(0))
    xs = jr.normal(jr.key(2), (5, 4, PRE))
    carry, _ = run(batch, carry, xs)
    assert carry.state.theta.shape == (POST, PRE)  # one weight, which saw four samples
    each = Batched(Managed(weights(), Hebb(), owns="weight"), 4)
    own, _ = run(each, start(each, 1.0, jr.key(0)), xs)
    assert own.state.theta.shape == (4, POST, PRE)  # weights of their own, each saw its sample
    assert float(jnp.abs(own.state.theta[0] - own.state.theta[1]).max()) > 1e-4
    one, _ = run(batch, start(batch, 1.0, jr.key(0)), xs[:1])
    four, _ = run(each, start(each, 1.0, jr.key(0)), xs[:1])
    np.testing.assert_allclose(one.state.theta, four.state.theta.mean(0), atol=1e-6)


@pytest.mark.parametrize("surrogate", [NoGradient(), SuperSpike()])
def test_the_gradient_through_a_rule_depends_on_the_surrogate(surrogate, x64):
    """d(sum of final weights) / d(first weights) after spike-based Hebbian growth.

    Without a surrogate spikes have no derivative: the weights pass through unchanged, gradient 1. With one
    the growth itself is differentiated, since a larger weight makes more post spikes, which is
    what is meant by meta-learning a rule.
    """

    class PrePost(System):
        def init(self, dt, key):
            return ()

        def step(self, state, event, tick):
            grown = 0.05 * jnp.outer(event.reads["post"], event.reads["pre"])
            return state, event.theta + grown

    pre, post = 3, 2
    fast = Chain(wire=weights(3, post, pre), cell=LIF(post, tau=5.0, surrogate=surrogate))
    reads = {"pre": "input", "post": "output"}
    system = Managed(fast, PrePost(), owns="parts.wire.weight", reads=reads)
    carry = start(system, 1.0, jr.key(0))
    xs = (jr.uniform(jr.key(5), (30, pre)) < 0.5) * 4.0

    def final(theta):
        begin = eqx.tree_at(lambda c: c.state.theta, carry, theta)
        return run(system, begin, xs)[0].state.theta.sum()

    g = np.asarray(jax.grad(final)(carry.state.theta))
    if isinstance(surrogate, NoGradient):
        np.testing.assert_array_equal(g, np.ones((post, pre)))
    else:
        assert (g >= 1.0).all()
        assert g.max() > 1.01


def test_two_owners_of_one_parameter_are_refused():
    inner = Managed(Chain(a=weights()), Hebb(), owns="parts.a.weight")
    for owns in ("fast.parts.a.weight", "fast.parts.a", "fast"):
        with pytest.raises(ValueError, match="owned already"):
            Managed(inner, Hebb(), owns=owns)
    node = {"e": LIF(2)}
    with pytest.raises(KeyError, match="did you mean"):
        Managed(Network(node, {"e>e": weights(0, 2, 2)}), Hebb(), owns="edges.e>e.wieght")
