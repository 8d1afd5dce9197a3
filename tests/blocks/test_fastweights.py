"""The delta rule by hand, in chunks and one by one; a separable sum that reads before it writes; rotary."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import Attention, FastWeights, rotary, separable, unit_silu
from neuropil.core import System, Tick, run, start
from neuropil.wiring import Dense


def ticks(n):
    return Tick(jnp.arange(n), jnp.ones(()), jr.split(jr.key(0), n))


def test_chunks_equal_the_rule_token_by_token(x64):
    part = FastWeights.init_normal(6, heads=2, key=jr.key(0), span=5.0, chunk=4)
    xs = jr.normal(jr.key(1), (11, 6))
    begin = jr.normal(jr.key(2), (2, 3, 3))
    go = jax.jit(lambda p, s, x: (p.unroll(s, x, ticks(11)), System.unroll(p, s, x, ticks(11))))
    (state, ys), (last, one) = go(part, begin, xs)
    np.testing.assert_allclose(ys, one, atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)
    # and the equation, with explicit matrices
    q, k, v, kept, write = (np.asarray(a) for a in part.project(xs))
    s = np.array(begin)
    for t in range(11):
        for h in range(2):
            erased = np.eye(3) - write[h, t] * np.outer(k[h, t], k[h, t])
            s[h] = np.exp(kept[h, t]) * erased @ s[h] + write[h, t] * np.outer(k[h, t], v[h, t])
        read = np.concatenate([s[h].T @ q[h, t] for h in range(2)])
        np.testing.assert_allclose(ys[t], np.asarray(part.out.weight) @ read, atol=1e-12)


def test_what_is_written_again_replaces_what_was_there():
    eye, gate = Dense(jnp.eye(4)), Dense(jnp.zeros((1, 4)), jnp.array([40.0]))  # beta = 1
    value = Dense(jnp.diag(jnp.array([1.0, 2.0, 3.0, 4.0])))
    part = FastWeights(eye, eye, value, eye, gate)
    xs = 100.0 * jnp.eye(4)[jnp.array([0, 1, 0, 0, 1])]  # SiLU is the identity up there
    _, ys = run(part, start(part, 1.0, jr.key(0)), xs)
    expected = [[100, 0, 0, 0], [0, 200, 0, 0], [100, 0, 0, 0], [100, 0, 0, 0], [0, 200, 0, 0]]
    np.testing.assert_allclose(ys, expected, rtol=1e-4, atol=1e-3)
    assert float(jnp.linalg.norm(unit_silu(xs[0]))) == pytest.approx(1.0, abs=1e-5)


def test_strict_reads_what_was_there_before(x64):
    q, k, v = (jr.normal(jr.key(i), (2, 7, 3)) for i in range(3))
    kept = -jr.uniform(jr.key(4), (2, 7))
    begin = jr.normal(jr.key(5), (2, 3, 3))
    go = jax.jit(lambda chunk, strict: separable(q, k, v, kept, begin, chunk, strict=strict),
                 static_argnums=(0, 1))  # fmt: skip
    state, ys = go(3, True)
    last, after = go(7, False)
    np.testing.assert_allclose(state, last, atol=1e-12)
    own = jnp.einsum("htk,htk->ht", q, k)[..., None] * v  # what a token tells itself
    np.testing.assert_allclose(ys, after - own, atol=1e-12)


def test_rotary_products_know_the_distance_alone():
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    turn = jax.jit(lambda x, p: rotary(x, p, base=100.0))
    at = lambda row, p: np.asarray(turn(np.stack([row, row]), np.array([p, p])))[0]
    near = [float(at(x[0], a) @ at(x[1], a - 3)) for a in (3, 10, 40)]
    np.testing.assert_allclose(near, near[0], rtol=1e-4)
    np.testing.assert_allclose(at(x[0], 0), x[0], atol=1e-6)
    one = np.array([0, 0, 1, 0, 0, 0], np.float32)
    angle = 3 * 100.0 ** (-2 / 6)
    np.testing.assert_allclose(at(one, 3)[2:4], [np.cos(angle), np.sin(angle)], atol=1e-6)
    with pytest.raises(ValueError, match="pairs"):
        rotary(jnp.ones((1, 3)), jnp.array([0]))


def test_a_prefix_is_seen_as_tokens_in_front(key):
    part = Attention.init_normal(4, heads=2, key=key, capacity=8, prefix=2, bias=False)
    xs = jr.normal(jr.key(1), (5, 4))
    plain = eqx.tree_at(lambda p: p.prefix, part, None, is_leaf=lambda x: x is None)
    joined = plain.parallel(jnp.concatenate([part.prefix, xs]))[2:]
    np.testing.assert_allclose(part.parallel(xs), joined, atol=1e-6)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="heads"):
        FastWeights.init_normal(6, heads=4, key=jr.key(0))
    with pytest.raises(ValueError, match="chunk"):
        FastWeights.init_normal(6, key=jr.key(0), chunk=0)
