"""Exponential and quadratic cells against their intervals in closed form; adaptation against an ODE solver."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from neuropil.cells import (
    AdEx,
    ExponentialIF,
    Membrane,
    Noise,
    QuadraticIF,
    Refractory,
    ValueReset,
    adex_current,
)
from neuropil.cells.exponential import NAUD
from neuropil.core import RK4, AccuracyWarning, Drive, ExponentialEuler, run, start
from neuropil.core.system import Tick


def intervals(cells, currents, dt, until):
    """The last interval of every cell under constant currents."""
    xs = jnp.broadcast_to(currents, (round(until / dt), len(currents)))
    _, spikes = run(cells, start(cells, dt, jr.key(0)), xs)
    times = [np.nonzero(s)[0] * dt for s in np.asarray(spikes).T]
    return np.array([t[-1] - t[-2] if len(t) > 1 else np.inf for t in times])


def test_exponential_if_intervals_are_the_integral(x64):
    currents, dt = np.array([500.0, 600.0, 1000.0, 2000.0]), 0.05
    measured = intervals(ExponentialIF(4), currents, dt, 150.0)
    assert measured[0] == np.inf  # below g_L (V_T - E_L - Delta_T) = 546 pA

    def slowness(v, current):
        return 281 / (30 * (-70.6 - v + 2 * np.exp((v + 50.4) / 2)) + current)

    exact = [quad(slowness, -70.6, -20.4, args=(i,), limit=200)[0] for i in currents[1:]]
    np.testing.assert_allclose(measured[1:], exact, atol=2 * dt, rtol=2e-3)


def test_quadratic_if_intervals_are_the_arctangent(x64):
    currents, dt = np.array([3.7, 4.0, 8.0, 30.0]), 0.05
    measured = intervals(QuadraticIF(4, refractory=Refractory(0.0)), currents, dt, 700.0)
    assert measured[0] == np.inf  # below a_0 (v_c - v_rest)^2 / 4 = 3.75
    gain, middle = 1 / 15, -57.5
    c = currents[1:] - gain * 15**2 / 4
    angle = lambda v: np.arctan((v - middle) * np.sqrt(gain / c))
    exact = 10 / np.sqrt(gain * c) * (angle(0.0) - angle(-65.0))
    np.testing.assert_allclose(measured[1:], exact, atol=1.05 * dt, rtol=2e-3)


@pytest.fixture(scope="module")
def adex():
    """Spike times (ms) of the eight patterns of Naud et al., run as one program."""
    with jax.enable_x64(True):
        cells = [AdEx(1, name) for name in NAUD]
        xs = np.array([adex_current(name) for name in NAUD])
        dt, n = 0.05, 12_000

        def alone(cell, x):
            def body(state, i):
                return cell.step(state, x[None], Tick(i, jnp.asarray(dt), jr.key(0)))

            return jax.lax.scan(body, cell.begin(), jnp.arange(n))[1][:, 0]

        together = jax.tree.map(lambda *a: jnp.stack(a), *cells)
        spikes = np.asarray(jax.jit(jax.vmap(alone))(together, xs))
    return {name: np.nonzero(s)[0] * dt for name, s in zip(NAUD, spikes, strict=True)}


def solved(name, count):
    """The first spike times by a solver that stops at every threshold."""
    c, g, rest, tau, a, b, reset, current = NAUD[name]

    def field(t, y):
        v, w = y
        dv = (g * (rest - v + 2 * np.exp((v + 50) / 2)) - w + current) / c
        return [dv, (a * (v - rest) - w) / tau]

    spike = lambda t, y: y[0]
    spike.terminal = True
    t, y, times = 0.0, [rest, 0.0], []
    while len(times) < count:
        end = solve_ivp(field, (t, t + 600), y, events=spike, rtol=1e-8, atol=1e-8)
        t = end.t[-1]
        times.append(t)
        y = [reset, end.y[1, -1] + b]
    return np.array(times)


@pytest.mark.parametrize("name", ["tonic spiking", "adaptation", "delayed accelerating"])
def test_adex_spike_times_are_those_of_a_solver(name, adex):
    times = solved(name, 5)
    np.testing.assert_allclose(adex[name][:5], times, atol=0.3, rtol=5e-3)


def test_the_patterns_of_naud_are_what_they_are_called(adex):
    gaps = {name: np.diff(t) for name, t in adex.items()}
    assert np.ptp(gaps["tonic spiking"][10:]) <= 0.051
    assert (np.diff(gaps["adaptation"]) >= -0.05).all()
    assert gaps["adaptation"][-1] > 3 * gaps["adaptation"][0]
    assert 4 * gaps["initial burst"][0] < gaps["initial burst"][-1]
    assert np.ptp(gaps["initial burst"][-3:]) < 1
    for name in ("regular bursting", "delayed regular bursting"):
        within, between = np.sort(gaps[name])[[2, -2]]
        assert between > 3 * within, name
    assert (np.diff(gaps["delayed accelerating"]) <= 0.05).all()
    assert 0 < len(adex["transient spiking"]) < 6
    assert adex["transient spiking"][-1] < 100
    assert np.std(gaps["irregular spiking"]) > 0.3 * np.mean(gaps["irregular spiking"])


def test_an_unknown_pattern_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="tonic spiking"):
        AdEx(1, "tonic")


def test_a_conductance_settles_where_its_current_and_the_leak_balance(x64):
    cells = ExponentialIF(2, v_t=0.0, threshold=60.0)
    xs = jax.tree.map(lambda a: jnp.broadcast_to(a, (500, 2)), Drive(10.0 * -20.0, 10.0))
    carry, _ = run(cells, start(cells, 0.5, jr.key(0)), xs)
    balance = (30 * -70.6 + 10 * -20.0) / 40
    np.testing.assert_allclose(carry.state["v"], balance, rtol=1e-9)


def test_refractoriness_holds_the_reset_and_noise_has_its_deviation():
    passive = ExponentialIF(4000, v_t=100.0, threshold=200.0, noise=Noise(2.0))
    carry, _ = run(passive, start(passive, 1.0, jr.key(0)), n=60, record=None)
    np.testing.assert_allclose(jnp.std(carry.state["v"]), 2.0, rtol=0.05)
    np.testing.assert_allclose(jnp.mean(carry.state["v"]), -70.6, atol=0.15)
    cells = AdEx(1, reset=ValueReset(-60.0), refractory=Refractory(5.0))
    _, kept = run(
        cells, start(cells, 0.5, jr.key(0)), jnp.full((60, 1), 1e4), record=["v", "output"]
    )
    first = int(jnp.argmax(kept["output"][:, 0]))
    np.testing.assert_allclose(kept["v"][first : first + 11, 0], -60.0, rtol=1e-6)
    assert float(kept["v"][first + 11, 0]) > -60


def test_every_scheme_runs_the_same_cell(x64):
    """Named by the user; an explicit one is refused where it is unstable, an exponential one warns."""
    with pytest.raises(ValueError, match=r"at most 26\.09 ms, or choose ExponentialEuler"):
        start(ExponentialIF(1, method=RK4()), 30.0, jr.key(0))
    with pytest.warns(AccuracyWarning, match="spike times"):
        start(ExponentialIF(1, method=ExponentialEuler()), 30.0, jr.key(0))
    by = [intervals(AdEx(1, method=m), np.array([900.0]), 0.02, 100.0) for m in (RK4(),)]
    by.append(intervals(AdEx(1), np.array([900.0]), 0.02, 100.0))
    np.testing.assert_allclose(by[0], by[1], atol=0.05)


def test_the_base_says_what_to_write():
    class Empty(Membrane):
        threshold: jax.Array = None
        reset: None = None

    for call in ("begin", "timescales"):
        with pytest.raises(TypeError, match=f"Empty has no {call}"):
            getattr(Empty(1), call)()
    with pytest.raises(TypeError, match="Empty has no field"):
        Empty(1).field(jnp.zeros(()), {}, Drive.of(None))
