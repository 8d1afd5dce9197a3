"""The meta neuron against what its equations say."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from neuropil.cells import MetaNeuron, NoReset
from neuropil.core import RK4, Euler, run, start

CONSTANTS = dict(coupling=-0.172, leak=0.529)


def trace(cells, xs, dt=1.0):
    carry = start(cells, dt, jr.key(0))
    return run(cells, carry, jnp.asarray(xs), record=["v", "u", "output"])[1]


def test_it_rests_at_zero_without_input():
    seen = trace(MetaNeuron(2), np.zeros((20, 2)))
    assert all(float(jnp.abs(a).max()) == 0 for a in seen.values())


def test_below_threshold_it_follows_its_equations(x64):
    j, dt, n = 0.11, 0.05, 200
    cells = MetaNeuron(1, threshold=5.0, method=RK4())
    seen = trace(cells, np.full((n, 1), j), dt)
    field = lambda t, y: [y[0] ** 2 - y[0] - y[1] + j, -0.172 * y[0] - 0.529 * y[1]]
    times = dt * np.arange(1, n + 1)
    there = solve_ivp(field, (0, dt * n), [0, 0], t_eval=times, rtol=1e-10, atol=1e-12).y
    np.testing.assert_allclose(seen["v"][:, 0], there[0], atol=1e-7)
    np.testing.assert_allclose(seen["u"][:, 0], there[1], atol=1e-7)


def test_a_tick_of_euler_by_hand_with_reset_and_kick(x64):
    cells = MetaNeuron(1, method=Euler())
    v, u, seen = 0.0, 0.0, trace(cells, np.full((30, 1), 0.4))
    for t in range(30):
        v, u = v * v - u + 0.4, u - 0.172 * v - 0.529 * u
        spike = v > 0.5
        v, u = (0.021, u + 0.132) if spike else (v, u)
        got = [float(seen[name][t, 0]) for name in ("v", "u", "output")]
        assert got == pytest.approx([v, u, float(spike)], abs=1e-12)
    assert float(seen["output"].sum()) > 3


def test_without_recovery_it_is_quadratic_integrate_and_fire(x64):
    """From 0 to 1/2 with J > 1/4 takes tau arctan(1 / (2 a)) / a, a = sqrt(J - 1/4)."""
    j, dt, tau = np.array([0.3, 0.5, 2.0]), 2e-3, 3.0
    cells = MetaNeuron(3, coupling=0.0, leak=0.0, kick=0.0, tau=tau, method=RK4())
    spikes = np.asarray(trace(cells, np.tile(j, (9000, 1)), dt)["output"])
    a = np.sqrt(j - 0.25)
    expected = tau * np.arctan(0.5 / a) / a  # integral of dv / ((v - 1/2)^2 + a^2) from 0 to 1/2
    np.testing.assert_allclose(spikes.argmax(0) * dt, expected, atol=2 * dt)


def test_at_a_quarter_the_quadratic_cell_begins_to_run_away():
    still = MetaNeuron(2, coupling=0.0, leak=0.0, kick=0.0, threshold=1.5, reset=NoReset())
    v = trace(still, np.tile([0.24, 0.27], (400, 1)))["v"]
    assert float(v[-1, 0]) == pytest.approx(0.5 - 0.1, abs=1e-3)  # 1/2 - sqrt(1/4 - J)
    assert float(v[:, 1].max()) > 1


def test_inhibition_rebounds_under_euler_only():
    xs = np.r_[[[-2.0]], np.zeros((5, 1))]
    assert float(trace(MetaNeuron(1, method=Euler()), xs)["output"].sum()) >= 1
    assert float(trace(MetaNeuron(1), xs)["output"].sum()) == 0


def test_every_constant_has_a_gradient():
    cells = MetaNeuron(3)
    xs = jnp.asarray(np.random.default_rng(0).normal(0.3, 0.5, (40, 3)), jnp.float32)

    def count(cells):
        return run(cells, start(cells, 1.0, jr.key(0)), xs)[1].sum()

    slope = jax.grad(count, allow_int=True)(cells)
    for name in ("coupling", "leak", "kick", "threshold"):
        assert np.isfinite(getattr(slope, name)).all()
        assert float(jnp.abs(getattr(slope, name)).max()) > 0, name
    assert float(jnp.abs(slope.reset.value).max()) > 0
