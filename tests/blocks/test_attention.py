"""Softmax attention: closed forms of the function, and the system's ring against the parallel form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import Attention, attention, attention_weights, causal
from neuropil.core import run, start


def test_equal_scores_average_what_the_mask_lets_through():
    v = jnp.arange(6.0).reshape(3, 2)
    y = attention(jnp.zeros((3, 4)), jnp.ones((3, 4)), v, causal(3, 3))
    np.testing.assert_allclose(y, [[0, 1], [1, 2], [2, 3]], atol=1e-6)


def test_weights_are_the_softmax_of_the_scaled_products(x64, key):
    q, k = jr.normal(key, (2, 5, 4)), jr.normal(jr.fold_in(key, 1), (2, 7, 4))
    ours = attention_weights(q, k)
    theirs = jax.nn.softmax(jnp.einsum("bqw,bkw->bqk", q, k) / 2.0, axis=-1)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)
    np.testing.assert_allclose(ours.sum(-1), 1.0, atol=1e-14)


def test_a_query_that_sees_nothing_gets_zero_and_no_nan_gradient():
    mask = jnp.array([[True, False], [False, False]])

    def loss(q):
        return attention(q, jnp.ones((2, 3)), jnp.ones((2, 1)), mask).sum()

    value, gradient = jax.value_and_grad(loss)(jnp.ones((2, 3)))
    assert value == 1.0
    assert np.isfinite(gradient).all()


def test_large_scores_do_not_overflow():
    y = attention(1e4 * jnp.ones((1, 1)), jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [2.0]]))
    assert float(y[0, 0]) == 2.0


def test_what_outgrows_the_ring_is_forgotten(x64, key):
    """With room for 3 tokens, the output is that of the last 3 tokens alone."""
    part = Attention.init_normal(4, key=key, capacity=3)
    xs = jr.normal(key, (10, 4))
    _, ys = run(part, start(part, 1.0, key), xs)
    np.testing.assert_allclose(ys, part.parallel(xs), atol=1e-12)
    np.testing.assert_allclose(ys[-1], part.parallel(xs[-3:])[-1], atol=1e-12)


def test_constant_values_come_through(key):
    """Rows of attention sum to 1: with the identity as value and output map a constant stays."""
    part = Attention.init_normal(4, key=key)
    eye = jnp.eye(4)
    part = eqx.tree_at(lambda p: (p.value.weight, p.out.weight), part, (eye, eye))
    np.testing.assert_allclose(part.parallel(jnp.ones((6, 4))), 1.0, atol=1e-6)


def test_wrong_widths_are_refused(key):
    with pytest.raises(ValueError, match="cannot be shared by 3 heads"):
        Attention.init_normal(8, key=key, heads=3)
    with pytest.raises(ValueError, match="capacity = 0"):
        Attention.init_normal(8, key=key, capacity=0)
