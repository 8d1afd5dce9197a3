"""Retention against its explicit sum."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import Retention
from neuropil.core import run, start
from neuropil.wiring import Dense


def test_output_is_the_sum_over_the_past(x64):
    part = Retention.init_normal(6, heads=2, key=jr.key(0), spans=(2.0, 8.0))
    xs = jr.normal(jr.key(1), (7, 6))
    _, o = run(part, start(part, 1.0, jr.key(2)), xs)
    q, k, v = (
        np.asarray(xs @ d.weight.T).reshape(7, 2, 3) for d in (part.query, part.key, part.value)
    )
    np.testing.assert_allclose(part.decay, [1 - 1 / 2, 1 - 1 / 8], rtol=1e-12)
    for t in range(7):
        for h, decay in enumerate(np.asarray(part.decay)):
            past = sum(decay ** (t - r) * v[r, h] * (k[r, h] @ q[t, h]) for r in range(t + 1))
            np.testing.assert_allclose(o[t, 3 * h : 3 * h + 3], past / np.sqrt(3), rtol=1e-10)


def test_orthonormal_keys_return_their_values_whatever_the_delay():
    eye = Dense(jnp.eye(4))
    part = Retention(eye, eye, Dense(jnp.diag(jnp.arange(1.0, 5.0))), jnp.array([30.0]))
    shown = jnp.concatenate([jnp.eye(4), jnp.zeros((50, 4)), jnp.eye(4)[2:3]])
    _, o = run(part, start(part, 1.0, jr.key(0)), shown)
    # the question is written too: twice what it was, over sqrt(4)
    np.testing.assert_allclose(o[-1], [0, 0, 3.0, 0], atol=1e-5)


def test_wrong_heads_are_refused():
    with pytest.raises(ValueError, match="heads"):
        Retention.init_normal(6, heads=4, key=jr.key(0))
    part = Retention.init_normal(6, heads=2, key=jr.key(0))
    with pytest.raises(ValueError, match="decays"):
        Retention(part.query, part.key, part.value, jnp.zeros(3), 2)
