"""Neuron-level models, synchronisation and tick selection against their closed forms."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import (
    NeuronModels,
    Synchronisation,
    all_pairs,
    certainty,
    first_sure_tick,
    selected_ticks_loss,
)
from neuropil.core import run, start


def test_synchronisation_is_the_decaying_sum_over_the_history(x64):
    left, right = all_pairs(jnp.arange(3))
    rate = jnp.array([0.0, 0.1, 0.5, 1.0, 3.0, -2.0])  # the last is held at 0
    part = Synchronisation(rate, left, right)
    zs = jr.normal(jr.key(0), (6, 3))
    _, s = run(part, start(part, 1.0, jr.key(1)), zs)
    z, held = np.asarray(zs), np.clip(rate, 0, 15)
    for t in range(6):
        keep = np.exp(-held[None] * (t - np.arange(t + 1))[:, None])
        product = z[: t + 1][:, left] * z[: t + 1][:, right]
        expected = (keep * product).sum(0) / np.sqrt(keep.sum(0))
        np.testing.assert_allclose(s[t], expected, rtol=1e-12)
    np.testing.assert_allclose(s[5, 0], z[:, 0] @ z[:, 0] / np.sqrt(6), rtol=1e-12)


def test_each_neuron_answers_its_own_history_by_its_own_weights(x64):
    part = NeuronModels.init_uniform(3, memory=4, hidden=2, key=jr.key(0))
    xs = jr.normal(jr.key(1), (2, 3))
    _, z = run(part, start(part, 1.0, jr.key(2)), xs)
    sigmoid = lambda u: 1 / (1 + np.exp(-u))
    for d in range(3):
        seen = np.concatenate([part.first[d, 2:], xs[:, d]])
        u = seen @ part.inner[d]
        v = (u[:2] * sigmoid(u[2:])) @ part.outer[d]
        np.testing.assert_allclose(z[1, d], v[0] * sigmoid(v[1]), rtol=1e-12)
    order = jnp.array([2, 0, 1])
    moved = jax.tree.map(lambda a: a[order] if a.ndim else a, part)
    _, again = run(moved, start(moved, 1.0, jr.key(2)), xs[:, order])
    np.testing.assert_allclose(again, z[:, order], rtol=1e-12)


def test_certainty_and_the_selected_ticks():
    assert float(certainty(jnp.array([[0.0, 1e3], [0.0, 0.0]]))) == pytest.approx(0.5)
    p = np.array([0.9, 0.1])
    expected = 1 + (p * np.log2(p)).sum()
    assert float(certainty(jnp.log(jnp.asarray(p[None], jnp.float32)))) == pytest.approx(expected)
    losses, sure = jnp.array([2.0, 0.5, 1.0]), jnp.array([0.9, 0.1, 0.2])
    slope = jax.grad(selected_ticks_loss)(losses, sure)
    assert slope.tolist() == [0.5, 0.5, 0.0]
    assert int(first_sure_tick(sure, 0.95)) == 2
    assert int(first_sure_tick(sure, 0.9)) == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="memory = 0"):
        NeuronModels.init_uniform(3, memory=0, hidden=2, key=jr.key(0))
    with pytest.raises(ValueError, match="one length"):
        Synchronisation(jnp.zeros(2), jnp.array([0]), jnp.array([1]))
    with pytest.raises(ValueError, match="at least 2"):
        certainty(jnp.zeros((3, 1)))
