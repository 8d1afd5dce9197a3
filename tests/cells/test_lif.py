"""LIF and its parts: drive, reset, refractoriness, adaptation, noise, learnable time constants."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import (
    LIF,
    Adaptation,
    LeakyIntegrator,
    NoGradient,
    Noise,
    NoReset,
    Refractory,
    SubtractReset,
    ValueReset,
)
from neuropil.core import run, start


def record(cells, xs, dt=1.0, seed=0, what=("v", "output")):
    carry = start(cells, dt, jr.key(seed))
    return run(cells, carry, xs, record={name: name for name in what})[1]


def test_current_and_jump_drive_have_their_closed_forms(x64):
    t = np.arange(1, 31)[:, None]
    xs = jnp.full((30, 1), 0.5)
    calm = dict(tau=10.0, threshold=1e9)
    for dt in (1.0, 0.25):
        b = np.exp(-dt / 10)
        v = record(LIF(1, **calm, resistance=3.0, v_rest=-2.0), xs, dt)["v"]
        np.testing.assert_allclose(v, -2 + 1.5 * (1 - b**t), rtol=1e-12)
        v = record(LIF(1, **calm, v_rest=-2.0, drive="jump"), xs, dt)["v"]
        np.testing.assert_allclose(v, -2 + 0.5 * (1 - b**t) / (1 - b), rtol=1e-12)
    v = record(LeakyIntegrator(1, tau=10.0), xs, what=("output",))["output"]
    np.testing.assert_allclose(v, 0.5 * (1 - np.exp(-t / 10)), rtol=1e-12)


def test_no_input_is_the_same_as_zero_input(x64):
    cells = LIF(2, v_rest=1.5, threshold=9.0)
    carry = start(cells, 1.0, jr.key(0))
    silent, _ = run(cells, carry, n=5)
    zero, _ = run(cells, carry, jnp.zeros((5, 2)))
    np.testing.assert_array_equal(silent.state["v"], zero.state["v"])


def test_three_ways_to_reset(x64):
    xs = jnp.array([[2.5], [0.0]])
    calm = dict(tau=1e12, drive="jump")
    assert record(LIF(1, reset=SubtractReset(), **calm), xs)["v"][0, 0] == pytest.approx(1.5)
    assert record(LIF(1, reset=ValueReset(-0.5), **calm), xs)["v"][0, 0] == pytest.approx(-0.5)
    assert record(LIF(1, reset=NoReset(), **calm), xs)["v"][0, 0] == pytest.approx(2.5)


def test_a_detached_reset_sends_no_gradient_through_the_spike(x64):
    def end(x, detach):
        cells = LIF(1, drive="jump", reset=ValueReset(0.0, detach))
        return record(cells, x * jnp.ones((1, 1)))["v"][0, 0]

    slope = lambda detach: float(jax.grad(end)(1.05, detach))
    # v' = v + s (0 - v): with s = 1, dv'/dx is 0 when detached, else -v g(v - threshold)
    assert slope(True) == 0
    assert slope(False) == pytest.approx(-1.05 / (1 + 10 * 0.05) ** 2)


def test_refractory_period_sets_the_highest_rate_and_holds_the_potential(x64):
    for dt, period in ((1.0, 3.0), (0.5, 3.0)):
        cells = LIF(1, reset=ValueReset(0.25), refractory=Refractory(period))
        out = record(cells, jnp.full((40, 1), 1e6), dt)
        when = np.flatnonzero(out["output"][:, 0])
        ticks = round(period / dt)
        assert (np.diff(when) == ticks + 1).all()
        held = out["v"][when[0] + 1 : when[0] + 1 + ticks, 0]
        assert (held == 0.25).all()
    free = record(LIF(1), jnp.full((40, 1), 1e6))["output"]
    assert free.sum() == 40


def test_adaptation_jumps_and_decays(x64):
    # one kick at tick 2 that makes one spike, then silence: a(t) = 0.7 e^{-(t - 2)/50}
    cells = LIF(1, tau=5.0, drive="jump", adaptation=Adaptation(tau=50.0, jump=0.7))
    xs = jnp.zeros((30, 1)).at[2].set(1.2)
    out = record(cells, xs, what=("a", "output"))
    assert np.flatnonzero(out["output"][:, 0]).tolist() == [2]
    since = np.arange(30) - 2.0
    want = np.where(since >= 0, 0.7 * np.exp(-since / 50), 0)
    np.testing.assert_allclose(out["a"][:, 0], want, rtol=1e-12)
    # the threshold is raised by what is left of it: a second kick of 1.2 three ticks later is too small
    again = record(cells, xs.at[5].set(1.2))["output"]
    assert again.sum() == 1
    assert record(LIF(1, tau=5.0, drive="jump"), xs.at[5].set(1.2))["output"].sum() == 2


def test_noise_gives_the_stated_deviation_and_correlation_at_any_dt():
    for dt in (1.0, 4.0):
        cells = LIF(400, tau=10.0, threshold=1e9, noise=Noise(sigma=0.7, block=16))
        carry = start(cells, dt, jr.key(1))
        carry, _ = run(cells, carry, n=80)
        _, v = run(cells, carry, n=400, record="v")
        assert float(v.std()) == pytest.approx(0.7, rel=0.02)
        lag = float((v[:-1] * v[1:]).mean() / v.var())
        assert lag == pytest.approx(np.exp(-dt / 10), abs=0.02)


def test_noise_is_the_same_however_the_run_is_chunked():
    cells = LIF(3, threshold=1e9, noise=Noise(block=8))
    carry = start(cells, 1.0, jr.key(2))
    _, whole = run(cells, carry, n=30, record="v")
    parts, c = [], carry
    for n in (5, 5, 15, 5):
        c, v = run(cells, c, n=n, record="v")
        parts.append(v)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    other = run(cells, start(cells, 1.0, jr.key(3)), n=30, record="v")[1]
    assert not np.allclose(other, whole)


def test_heterogeneous_time_constants_equal_separate_cells(x64):
    taus = jnp.array([5.0, 20.0, 80.0])
    xs = 1.5 * jr.uniform(jr.key(0), (50, 3))
    together = record(LIF(3, tau=taus), xs)
    for k, tau in enumerate(taus):
        alone = record(LIF(1, tau=tau), xs[:, k : k + 1])
        np.testing.assert_allclose(together["v"][:, k], alone["v"][:, 0], rtol=1e-12)
        np.testing.assert_array_equal(together["output"][:, k], alone["output"][:, 0])


def test_gradient_of_every_learnable_constant_equals_finite_differences_below_threshold(x64):
    xs = jr.normal(jr.key(0), (20, 2))
    cells = LIF(2, tau=jnp.array([8.0, 30.0]), threshold=50.0, resistance=2.0, v_rest=-1.0)
    cells = eqx.tree_at(
        lambda c: c.surrogate, cells, NoGradient()
    )  # a bump has tails that reach down here

    def value(theta):
        model = eqx.tree_at(lambda c: (c.tau, c.resistance, c.v_rest), cells, theta)
        end, _ = run(model, start(model, 1.0, jr.key(0)), xs, record=None)
        return jnp.sum(end.state["v"] ** 2)

    theta = (cells.tau, cells.resistance, cells.v_rest)
    value = jax.jit(value)
    slopes = jax.grad(value)(theta)
    for k, t in enumerate(theta):
        for j in np.ndindex(t.shape):
            step = 1e-5
            up, down = (
                value(tuple(a.at[j].add(s * step) if m == k else a for m, a in enumerate(theta)))
                for s in (1, -1)
            )
            assert float(slopes[k][j]) == pytest.approx(float((up - down) / (2 * step)), rel=1e-6)


def test_two_dimensional_populations_and_constants_that_broadcast():
    cells = LIF((2, 3), tau=jnp.array([[5.0], [50.0]]), threshold=1e9)
    v = record(cells, jnp.ones((10, 2, 3)))["v"]
    assert v.shape == (10, 2, 3)
    assert (v[-1, 0] > v[-1, 1]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIF(3, tau=jnp.ones(2)), r"tau has shape \(2,\) but the population is \(3,\)"),
        (lambda: LIF(3, threshold=jnp.ones((2, 3))), r"threshold has shape \(2, 3\)"),
        (lambda: LIF(3, tau=-1.0), "tau = -1 ms"),
        (lambda: LIF(3, tau=jnp.array([1.0, 2.0, jnp.nan])), "not finite"),
        (lambda: LIF(0), "no cells"),
        (lambda: LIF(3, refractory=Refractory(-2.0)), "period = -2 ms"),
        (lambda: LIF(3, noise=Noise(sigma=-1.0)), "sigma = -1 mV"),
        (lambda: LIF(3, adaptation=Adaptation(tau=-5.0)), "tau = -5 ms"),
        (lambda: LeakyIntegrator(2, tau=jnp.ones(3)), "LeakyIntegrator"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
