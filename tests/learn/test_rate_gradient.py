"""The spike representation: closed forms of the LIF cell, and the gradient of its static map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.learn.rate_gradient import RateLIF, rate_weights, weighted_rate

T, DT, TAU = 20, 0.05, 1.0
B = float(np.exp(-DT / TAU))


def spikes(current, cells=None, steps=T):
    return (cells or RateLIF())(jnp.full((steps, 1), current), DT)[:, 0]


def test_first_spike_at_the_first_step_needs_a_current_of_0_09_over_1_minus_b():
    least = 0.09 / (1 - B)
    assert least == pytest.approx(1.8454, abs=1e-4)
    assert spikes(least + 1e-3)[0] == pytest.approx(6.0)
    assert spikes(least - 1e-3)[0] == 0


def test_saturation_silence_and_the_static_map_between():
    assert weighted_rate(spikes(6.0), TAU, DT) == pytest.approx(6.0, abs=1e-4)
    assert (np.asarray(spikes(6.0)) > 5.9).all()  # a spike at every step
    assert float(jnp.abs(spikes(0.0)).max()) == float(jnp.abs(spikes(-3.0)).max()) == 0
    current = jnp.array([-1.0, 0.5, 2.0, 4.0, 7.0])
    long = RateLIF()(jnp.broadcast_to(current, (4000, 5)), DT)
    np.testing.assert_allclose(long.mean(0), np.clip(current, 0, 6), atol=0.1)


def test_balance_of_membrane_and_output():
    """u_T = (1 - b) sum_t b^(T-t) (I_t - s_t dt / (1 - b)): what was not fired is still there."""
    s = spikes(2.0)
    kept = B ** (T - 1 - np.arange(T))
    u = float(((1 - B) * kept * 2.0).sum() - (kept * np.asarray(s) * DT).sum())
    assert -0.3 < u < 0.09


def test_threshold_emission_and_reset_are_the_threshold_not_one():
    first = RateLIF(threshold=0.6)(jnp.full((3, 1), 4.0), DT)[:, 0]
    u, out, low = 0.0, [], []
    for _ in range(3):
        u = B * u + (1 - B) * 4.0
        out.append(12.0 * (u >= 0.18))  # threshold / dt where u reaches 0.3 x threshold
        u -= 0.6 * (u >= 0.18)
        low.append(u)
    np.testing.assert_allclose(first, out, rtol=1e-5)
    assert min(low) < 0  # the reset goes below zero


def test_factor_of_the_topmost_layer():
    """T sum w^2 = 1.08175 for an error that comes through a weighted rate, 1 for a uniform one."""
    w = rate_weights(T, TAU, DT)
    assert float(T * (w**2).sum()) == pytest.approx(1.08175, abs=1e-5)
    top = lambda I: weighted_rate(RateLIF()(I, DT), TAU, DT).sum()
    current = jnp.full((T, 3), 2.0)
    np.testing.assert_allclose(T * jax.grad(top)(current), 1.08175, atol=1e-4)
    mean = lambda I: RateLIF()(I, DT).mean(0).sum()
    np.testing.assert_allclose(T * jax.grad(mean)(current), 1.0, atol=1e-4)


def test_gradient_is_that_of_the_clipped_map():
    current = jnp.broadcast_to(jnp.array([-1.0, 0.5, 5.9, 6.1]), (T, 4))
    cells = RateLIF()
    total = lambda I, theta: RateLIF(theta)(I, DT).sum()  # an error of 1 at every step
    to_current, to_threshold = jax.grad(total, (0, 1))(current, cells.threshold)
    np.testing.assert_allclose(to_current[:, 0], 0)
    np.testing.assert_allclose(to_current[:, 1:3], 1.0, rtol=1e-5)  # G / (tau T) = T / T
    np.testing.assert_allclose(to_current[:, 3], 0)
    assert float(to_threshold) == pytest.approx(T * DT, rel=1e-5)  # dt G of the saturated cell


def test_the_rate_of_the_current_is_weighted():
    early = jnp.zeros((T, 1)).at[0].set(40.0)
    assert float(weighted_rate(early, TAU, DT)[0]) < 2.0  # a plain mean would say 2
    assert float(weighted_rate(early[::-1], TAU, DT)[0]) > 2.0


def test_a_threshold_per_cell_is_refused():
    with pytest.raises(ValueError, match="one"):
        RateLIF(threshold=jnp.ones(3))
