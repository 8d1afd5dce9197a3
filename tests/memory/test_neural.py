"""The memory that learns at test time: by hand, against the delta rule, in chunks and token by token."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import FastWeights
from neuropil.core import System, Tick, run, start
from neuropil.memory import NeuralMemory, largest_step, surprise
from neuropil.memory.neural import recall
from neuropil.wiring import Dense


def ticks(begin, n):
    keys = jax.vmap(lambda i: jr.fold_in(jr.key(0), i))(jnp.arange(n))
    return Tick(begin + jnp.arange(n), jnp.ones(()), keys)


def fixed(step, momentum, forget):
    """A linear memory of 2 keys and values whose gates do not depend on the input."""
    part = NeuralMemory.init_normal(2, key=jr.key(0), limits=(step, momentum, forget), chunk=1)
    return eqx.tree_at(lambda p: p.gates, part, Dense(jnp.zeros((3, 2)), jnp.full(3, 40.0)))


@pytest.mark.parametrize(
    ("momentum", "second"), [(0.0, (0.75, 1.5)), (0.5, (1.0, 2.0))], ids=["plain", "momentum"]
)
def test_two_writes_by_hand(momentum, second):
    # k = e1, v = (1, 2), theta = 1/4: half of the value after one write
    part = fixed(0.25, momentum, 0.0)
    e1, v = jnp.array([[[1.0, 0.0]]]), jnp.array([[[1.0, 2.0]]])
    gates = part.limits[:, None, None]
    state, told = part.init(1.0, jr.key(0)), []
    absorb = eqx.filter_jit(lambda part, *given: part.absorb(*given))
    for _ in range(2):
        state, y = absorb(part, state, e1, e1, v, gates, jnp.ones(1, bool), jnp.asarray(True))
        told.append(y[0, 0])
    np.testing.assert_allclose(told[0], [0.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(told[1], second, atol=1e-6)


def test_surprise_is_the_gradient(x64):
    weights = tuple(jr.normal(jr.key(i), s) for i, s in enumerate([(5, 3), (4, 5), (3, 4)]))
    k, v = jr.normal(jr.key(7), (3,)), jr.normal(jr.key(8), (3,))
    loss = lambda w: jnp.sum((recall(w, k, residual=True) - v) ** 2)
    slopes = jax.jit(jax.grad(loss))(weights)
    found = jax.jit(lambda w: surprise(w, k[None], v[None], residual=True))(weights)
    for slope, (delta, h) in zip(slopes, found, strict=True):
        np.testing.assert_allclose(np.outer(delta[0], h[0]), slope, rtol=1e-10)


@pytest.fixture(scope="module")
def deep():
    """Two layers, two heads, chunks of 4, gates anywhere between 0 and 1; both forms and their gradients."""
    with jax.enable_x64(True):
        part = NeuralMemory.init_normal(
            6, hidden=(5,), heads=2, chunk=4, residual=True, key=jr.key(0), begin=(0.3, 0.5, 0.2),
            limits=(1.0, 1.0, 1.0), clip=3.0,  # some gradients are longer
        )  # fmt: skip
        part = eqx.tree_at(lambda p: p.initial[1], part, 0.5 * jr.normal(jr.key(9), (2, 3, 5)))
        xs = jr.normal(jr.key(1), (13, 6))

        def value(part, xs, state, begin, one):
            form = System.unroll if one else type(part).unroll
            state, ys = form(part, state, xs, ticks(begin, len(xs)))
            return jnp.sum(jnp.sin(ys)), (state, ys)

        go = eqx.filter_jit(lambda *a: eqx.filter_value_and_grad(value, has_aux=True)(*a))
    return part, xs, go


def test_chunk_parallel_equals_token_by_token_with_its_gradients(x64, deep):
    part, xs, go = deep
    state = part.init(1.0, jr.key(0))
    (_, whole), slope = go(part, xs, state, jnp.int32(0), False)
    (_, one), other = go(part, xs, state, jnp.int32(0), True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), whole, one)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10),
        *(eqx.filter(s, eqx.is_array) for s in (slope, other)),
    )
    assert float(jnp.abs(slope.key.weight).max()) > 1e-4  # it learns to write
    assert whole[1].dtype == jnp.float64
    # from the middle of a chunk, on both sides of its end
    again, rest = go(part, xs, one[0], jnp.int32(13), False)[0][1]
    last, more = go(part, xs, one[0], jnp.int32(13), True)[0][1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), (again, rest), (last, more)
    )


def test_no_token_changes_what_was_told_before_it(x64, deep):
    part, xs, go = deep
    state = part.init(1.0, jr.key(0))
    _, ys = go(part, xs, state, jnp.int32(0), False)[0][1]
    _, changed = go(part, xs.at[6].add(1.0), state, jnp.int32(0), False)[0][1]
    np.testing.assert_array_equal(ys[:6], changed[:6])
    assert float(jnp.abs(ys[6:] - changed[6:]).max()) > 1e-3


def test_a_linear_memory_without_momentum_and_forgetting_is_the_delta_rule(x64):
    part = NeuralMemory.init_normal(
        4, key=jr.key(0), chunk=1, limits=(0.5, 0.0, 0.0), begin=(0.4, 0.5, 0.5)
    )
    eye = Dense(jnp.eye(4))
    write = Dense(part.gates.weight[:1], part.gates.bias[:1])
    delta = FastWeights(part.query, part.key, eye, eye, write)
    xs = jr.normal(jr.key(1), (9, 4))
    values = np.asarray(jax.nn.silu(xs @ part.value.weight.T))
    q, k, _, _, beta = (np.asarray(a)[0] for a in delta.project(xs))
    s, told = np.zeros((4, 4)), []
    for t in range(9):  # its own projection of the values would be linear: the rule is written out
        s = s + beta[t] * np.outer(k[t], values[t] - s.T @ k[t])
        told.append(s.T @ q[t])
    _, ys = run(part, start(part, 1.0, jr.key(0)), xs)
    np.testing.assert_allclose(ys, told, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 8])
def test_a_step_is_stable_up_to_the_bound_of_one_chunk(x64, chunk):
    # one pair throughout: a chunk is an affine map of (error, momentum), whose eigenvalues decide
    part = NeuralMemory.init_normal(1, key=jr.key(0), chunk=chunk, limits=(1.0, 1.0, 1.0))
    one, pair = jnp.ones((1, 1, 1)), jnp.ones((1, chunk, 1))

    @jax.jit
    @jax.vmap
    def radius(theta, eta):
        def after(weight, momentum):
            state = {
                "weights": (weight * one,),
                "anchor": (weight * one,),
                "momentum": (momentum * one,),
            }
            gates = jnp.stack([theta, eta, jnp.zeros(())])[:, None, None] * jnp.ones((1, 1, chunk))
            full = jnp.ones(chunk, bool)
            state, _ = part.absorb(state, pair, pair, pair, gates, full, jnp.asarray(True))
            return jnp.array([state["weights"][0][0, 0, 0], state["momentum"][0][0, 0, 0]])

        rest = after(0.0, 0.0)
        return jnp.stack([after(1.0, 0.0) - rest, after(0.0, 1.0) - rest], axis=1)

    size = lambda theta, eta: np.abs(np.linalg.eigvals(radius(theta, eta))).max(-1)
    eta = jnp.array([0.0, 0.3, 0.5, 0.9, 0.99])
    x, p = eta**chunk, (1 - eta**chunk) / (1 - eta)
    g = (chunk - eta * p) / (1 - eta)
    turns = (1 + x) / ((1 + x) * g - eta * p**2)
    grows = (1 - x) / jnp.maximum(2 * (eta * p**2 - x * g), 1e-30)
    bound = jnp.minimum(turns, grows)
    assert (size(0.99 * bound, eta) < 1).all()
    assert (size(1.01 * bound, eta) > 1).all()
    step = jnp.array([largest_step(chunk, e) for e in eta.tolist()])
    assert (step <= bound * (1 + 1e-12)).all()
    assert float(step[0]) == pytest.approx(float(bound[0]))  # without momentum it is the bound
    assert (size(0.999 * step, eta) < 1).all()


def test_a_clipped_memory_moves_no_further_than_it_may(x64, deep):
    part, xs, go = deep
    wild = eqx.tree_at(lambda p: p.value.weight, part, 1e3 * part.value.weight)
    wild = eqx.tree_at(lambda p: p.limits, wild, jnp.array([largest_step(4, 0.5), 0.5, 0.0]))
    before = wild.init(1.0, jr.key(0))
    after = go(wild, xs, before, jnp.int32(0), False)[0][1][0]
    moved = [a - b for a, b in zip(after["weights"], before["weights"], strict=True)]
    length = np.sqrt(sum(np.sum(np.square(m), (1, 2)) for m in moved))
    assert (length <= 3.0 * 13 / 4).all()  # 13 tokens in chunks of 4
    assert (length > 0.5).all()


def test_full_forgetting_leaves_the_last_surprise(x64):
    part = NeuralMemory.init_normal(4, key=jr.key(0), chunk=2, limits=(1.0, 1.0, 1.0))
    part = eqx.tree_at(lambda p: p.gates.bias, part, jnp.array([0.0, 0.0, 40.0]))
    carry, _ = run(part, start(part, 1.0, jr.key(0)), jr.normal(jr.key(1), (5, 4)))
    np.testing.assert_allclose(carry.state["weights"][0], carry.state["momentum"][0], atol=1e-12)


def test_wrong_settings_are_refused():
    make = NeuralMemory.init_normal
    with pytest.raises(ValueError, match="heads"):
        make(6, heads=4, key=jr.key(0))
    with pytest.raises(ValueError, match="chunk"):
        make(6, chunk=0, key=jr.key(0))
    with pytest.raises(ValueError, match="clip"):
        make(6, clip=0.0, key=jr.key(0))
    with pytest.raises(ValueError, match="momentum"):
        largest_step(4, 1.0)
    with pytest.raises(ValueError, match="limits"):
        make(6, limits=(1.0, 2.0, 1.0), key=jr.key(0))
    part = make(6, hidden=(3,), key=jr.key(0))
    with pytest.raises(ValueError, match="do not lead"):
        NeuralMemory(part.query, part.key, part.value, part.gates, part.initial[:1])
