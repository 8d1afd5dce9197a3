"""Escape noise, adaptation currents, graded and two-point cells, astrocytes against closed forms."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve

from neuropil.cells import (
    LIF,
    AdaptationCurrent,
    Escape,
    Graded,
    LeakyAstrocyte,
    LiRinzel,
    NoReset,
    SubtractReset,
    SuperSpike,
    TwoPoint,
    transfer,
)
from neuropil.core import Drive, run, start


@pytest.mark.parametrize("hazard", [jnp.exp, jax.nn.sigmoid, jax.nn.relu])
def test_the_chance_to_survive_does_not_depend_on_the_tick(hazard, x64):
    """(1 - p)^n = exp(-rho T) for n ticks of T / n."""
    escape, u = Escape(0.2, 2.0, hazard=hazard), jnp.array([-3.0, 0.5, 4.0])
    exact = np.exp(-0.2 * np.asarray(hazard(u / 2.0)) * 6.0)
    for dt in (0.1, 2.0):
        survives = (1 - np.asarray(escape.probability(u, jnp.asarray(dt)))) ** round(6.0 / dt)
        np.testing.assert_allclose(survives, exact, rtol=1e-10)


def test_rate_and_gradient_of_a_constant_potential_are_the_hazards():
    """Mean rate rho in 1/ms, to 5 standard errors; its slope is the expected one, spike or no spike."""
    n, ticks, rho = 500, 200, 0.1

    def count(v):
        cells = LIF(n, tau=5.0, v_rest=v, reset=NoReset(), escape=Escape(rho, 2.0), threshold=0.0)
        _, spikes = run(cells, start(cells, 0.5, jr.key(0)), n=ticks)
        return spikes.mean() / 0.5

    rate, slope = jax.value_and_grad(count)(jnp.asarray(0.0))
    p = 1 - np.exp(-rho * 0.5)
    error = np.sqrt(p * (1 - p) / (n * ticks)) / 0.5
    assert abs(float(rate) - p / 0.5) < 5 * error
    np.testing.assert_allclose(slope, rho * np.exp(-rho * 0.5) / 2.0, rtol=1e-4)


def test_adaptation_currents_are_those_of_the_gif_cell(x64):
    """BrainPy's working-memory cell: I1 is set, I2 grows, both act from the tick after a spike."""
    tau2 = np.array([100.0, 300.0, 900.0])
    cells = LIF(
        3,
        tau=20.0,
        reset=SubtractReset(),
        surrogate=SuperSpike(closed=True),
        currents=(
            AdaptationCurrent(10.0, np.array([0.0, 1.0, 1.0]), replace=True, detach=True),
            AdaptationCurrent(tau2, -0.6),
        ),
    )
    xs = 2 + 3 * np.random.default_rng(0).random((80, 3))
    _, spikes = run(cells, start(cells, 1.0, jr.key(0)), jnp.asarray(xs))
    v, i1, i2, s = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for t in range(80):
        i1 = np.where(s > 0, [0.0, 1.0, 1.0], i1 * np.exp(-1 / 10))
        i2 = i2 * np.exp(-1 / tau2) - 0.6 * s
        v = v * np.exp(-1 / 20) + (1 - np.exp(-1 / 20)) * (xs[t] + i1 + i2)
        s = (v >= 1).astype(float)
        v = v - s
        assert spikes[t].tolist() == s.tolist()
    assert 5 < spikes.sum() < 200


def test_parts_that_do_not_fit_the_population_are_refused():
    with pytest.raises(ValueError, match=r"currents\[0\]\.tau has shape \(2,\)"):
        LIF(3, currents=(AdaptationCurrent(np.array([1.0, 2.0])),))
    with pytest.raises(ValueError, match=r"escape\.rate has shape"):
        LIF(3, escape=Escape(np.array([1.0, 2.0])))


def test_a_graded_cell_releases_what_its_balance_says(x64):
    """A conductance g of reversal E: v goes to (v_rest + g E) / (1 + g) with tau / (1 + g)."""
    cells = Graded(2, tau=10.0)
    g, e = jnp.array([0.5, 2.0]), 0.0
    xs = jax.tree.map(lambda a: jnp.broadcast_to(a, (1, 2)), Drive(g * e, g))
    carry, y = run(cells, start(cells, 7.0, jr.key(0)), xs)
    end = -60 / (1 + np.asarray(g))
    v = end + (-60 - end) * np.exp(-7.0 * (1 + np.asarray(g)) / 10)
    np.testing.assert_allclose(carry.state["v"], v, rtol=1e-12)
    np.testing.assert_allclose(y[0], 1 / (1 + np.exp(-(v + 35) / 5)), rtol=1e-9)


FOUR = (transfer.amplify, transfer.modulate, transfer.saturate, transfer.power)


def test_context_modulates_but_does_not_drive():
    r, c = np.array([-1.5, 0.0, 0.7, 2.0], "f"), np.array([2.0, 3.0, -1.0, 0.5], "f")

    @jax.jit
    def each(r, c):
        of = lambda t: (t(r, c), t(r, 0 * c), t(0 * r, c), jax.vmap(jax.grad(t))(50 + r, 50 + c))
        return [of(t) for t in FOUR]

    for both, alone, context, slope in each(r, c):
        np.testing.assert_allclose(alone, r, atol=1e-7)
        np.testing.assert_allclose(context, 0.0, atol=1e-7)
        assert both[3] > 2  # context of the same sign strengthens
        assert abs(both[2]) < 0.7  # of the other sign weakens
        assert np.isfinite(slope).all()
    assert transfer.cooperate(jnp.zeros(2), jnp.array([2.0, 9.0])).tolist() == [2.0, 6.0]


def test_two_points_settle_with_their_own_time_constants(x64):
    cell = TwoPoint(1, tau=5.0, tau_apical=50.0)
    xs = {"basal": jnp.full((20, 1), 2.0), "apical": jnp.full((20, 1), -1.0)}
    carry, y = run(cell, start(cell, 1.0, jr.key(0)), xs)
    r, c = 2 * (1 - np.exp(-20 / 5)), -(1 - np.exp(-20 / 50))
    np.testing.assert_allclose(carry.state["v"], r, rtol=1e-12)
    np.testing.assert_allclose(carry.state["apical"], c, rtol=1e-12)
    np.testing.assert_allclose(y[-1], r / 2 * (1 + np.exp(r * c)), rtol=1e-12)
    with pytest.raises(KeyError, match="basal, apical"):
        cell.step(carry.state, {"distal": jnp.ones(1)}, None)


def calcium(t, y, p):
    """Li and Rinzel's two equations per second, written again (uM)."""
    c, h = y
    m = p / (p + 0.13) * c / (c + 0.08234)
    q2 = 1.049 * (p + 0.13) / (p + 0.9434)
    store = (2.0 - c) / 0.185
    flow = 0.185 * (6 * (m * h) ** 3 + 0.11) * (store - c) - 0.9 * c**2 / (c**2 + 0.1**2)
    return [flow, 0.2 * (q2 * (1 - h) - c * h)]


def test_calcium_is_that_of_the_reference_integrator_and_oscillates_between_its_bifurcations(x64):
    """De Pitta et al. (2008): it oscillates for IP3 of about 0.355 to 0.637 uM."""
    ip3 = np.array([0.2, 0.34, 0.37, 0.5, 0.62, 0.66])
    cells = LiRinzel(6, ip3=ip3)
    _, kept = run(cells, start(cells, 25.0, jr.key(0)), n=24_000, record=["ca", "ip3"])
    ca = np.asarray(kept["ca"])
    np.testing.assert_allclose(kept["ip3"][-1], ip3)
    at = np.arange(1, 2001) * 0.025
    for k in (0, 3):
        options = {"rtol": 1e-9, "atol": 1e-10, "t_eval": at, "method": "LSODA"}
        exact = solve_ivp(calcium, (0, 50.0), [0.073, 0.793], args=(ip3[k],), **options).y[0]
        np.testing.assert_allclose(ca[:2000, k], exact, atol=2e-4)
    swing = np.ptp(ca[-8000:], axis=0)
    assert (swing[2:5] > 0.1).all(), swing
    assert (swing[[0, 1, 5]] < 0.01).all(), swing
    rest = fsolve(lambda y: calcium(0, y, 0.2), [0.1, 0.7])
    np.testing.assert_allclose(ca[-1, 0], rest[0], rtol=1e-6)


def test_the_leaky_astrocyte_is_the_one_of_nalsm(x64):
    """Its Euler step of 1/100 a ms, from b, with the fixed point b + w (S_liquid - S_input)."""
    cell = LeakyAstrocyte(1, tau=-1 / np.log1p(-1 / 100))
    xs = np.random.default_rng(0).integers(-5, 20, (50, 1)).astype(float)
    _, ys = run(cell, start(cell, 1.0, jr.key(0)), jnp.asarray(xs))
    a = 0.15
    for t in range(50):
        a = a + (0.015 * xs[t, 0] + 0.15 - a) / 100
        np.testing.assert_allclose(ys[t, 0], a, rtol=1e-12)
    _, still = run(cell, start(cell, 1.0, jr.key(0)), n=50)
    np.testing.assert_allclose(still, 0.15, rtol=1e-12)
