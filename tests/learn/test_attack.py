"""Projected gradient attack: the closed form of a linear loss, its ball, averaged gradients."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.learn import pgd

X = jnp.linspace(0.0, 1.0, 12).reshape(3, 4)
W = jnp.array([[1.0], [-1.0], [2.0], [-0.5]])


@jax.jit
def attacked(x, radius, steps, draws, noise):
    loss = lambda x, key: (x @ W).sum() + noise * (jr.normal(key, x.shape) * x).sum()
    return pgd(loss, x, jr.key(1), radius=radius, steps=steps, draws=draws)


def test_a_linear_loss_is_raised_to_the_corner_of_the_ball_and_no_further():
    far = attacked(X, 0.1, 9, 1, 0.0)
    np.testing.assert_allclose(far, jnp.clip(X + 0.1 * jnp.sign(W.T), 0, 1), atol=1e-6)
    for steps in (0, 1, 2):  # from a random start, in steps of a quarter
        near = attacked(X, 0.1, steps, 1, 0.0)
        assert float(jnp.abs(near - X).max()) <= 0.1 + 1e-6
        assert float(near.min()) >= 0
        assert float(near.max()) <= 1
    assert (attacked(X, 0.0, 5, 1, 0.0) == X).all()
    assert far.dtype == X.dtype


def test_gradients_are_averaged_over_the_passes_of_a_noisy_network():
    x = jnp.full((3, 4), 0.5)
    want = x + 0.25 * jnp.sign(W.T)
    right = lambda draws: float(jnp.mean(jnp.abs(attacked(x, 0.25, 9, draws, 4.0) - want)))
    assert right(2000) == pytest.approx(0, abs=0.1)
    assert right(1) > 3 * right(2000)


@pytest.mark.parametrize(
    ("change", "says"), [({"radius": -0.1}, "radius"), ({"draws": 0}, "draws")]
)
def test_attacks_that_make_no_sense_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        pgd(lambda x, key: x.sum(), X, jr.key(0), **({"radius": 0.1, "steps": 1} | change))
