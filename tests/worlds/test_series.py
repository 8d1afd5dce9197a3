"""Series for reservoirs: by hand, fixed points, order of the scheme."""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.worlds.series import lorenz, lorenz_field, mackey_glass, narma, rk4


def test_narma_is_its_equation(x64):
    u = np.random.default_rng(0).uniform(0, 0.5, 300)
    y = np.zeros(300)
    for t in range(9, 299):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t - 9] * u[t] + 0.1
    np.testing.assert_allclose(narma(jnp.asarray(u)), y, atol=1e-12)
    with pytest.raises(ValueError, match="without bound"):
        narma(jnp.ones(300))


def test_mackey_glass_without_production_decays_and_halving_the_step_converges(x64):
    decay = mackey_glass(20, beta=0.0, start=0.7)
    np.testing.assert_allclose(decay, 0.7 * np.exp(-0.1 * np.arange(20)), atol=1e-9)
    found = [np.asarray(mackey_glass(60, steps=n)) for n in (4, 8, 16)]
    far, near = (np.abs(found[k] - found[k + 1]).max() for k in (0, 1))
    assert near < 0.35 * far < 1e-3  # order 2 or better: the delayed value is linear within a step
    with pytest.raises(ValueError, match="multiple"):
        mackey_glass(10, tau=0.55)


def test_mackey_glass_within_a_delay_is_linear(x64):
    """Before one delay has passed x(t - tau) is the start: x relaxes to beta / gamma s / (1 + s^10)."""
    s = 1.2
    rest = 2 * s / (1 + s**10)
    exact = rest + (s - rest) * np.exp(-0.1 * np.arange(17))
    np.testing.assert_allclose(mackey_glass(17, start=s), exact, atol=1e-8)


def test_lorenz_rests_at_its_fixed_points_and_is_of_order_four(x64):
    c = np.sqrt(8 / 3 * 27)
    np.testing.assert_allclose(lorenz_field(jnp.array([c, c, 27.0])), 0, atol=1e-12)
    start = jnp.array([1.0, 2.0, 20.0])
    ends = []
    for n in (20, 40, 80):
        x = start
        move = rk4(lorenz_field, 0.4 / n)
        for _ in range(n):
            x = move(x)
        ends.append(np.asarray(x))
    far, near = (np.abs(ends[k] - ends[k + 1]).max() for k in (0, 1))
    assert 11 < far / near < 22
    x = lorenz(400)
    assert bool((x[:, 2] > 0).all())
    assert 20 < float(x[:, 2].mean()) < 27
