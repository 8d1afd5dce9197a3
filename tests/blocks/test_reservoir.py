"""Reservoirs: spectral radius, the state equation by hand, fading memory, balance and its one-step design."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import (
    BalancedReservoir,
    EchoState,
    balanced_wiring,
    balancing_scale,
    spectral_radius,
)
from neuropil.core import run, start


def test_spectral_radius_is_that_of_all_eigenvalues(x64):
    rng = np.random.default_rng(0)
    for n, density in ((20, 1.0), (260, 0.05), (260, 1.0)):
        w = rng.normal(size=(n, n)) * (rng.random((n, n)) < density)
        exact = np.abs(np.linalg.eigvals(w)).max()
        assert float(spectral_radius(w)) == pytest.approx(exact, rel=1e-6)
    w = jnp.asarray(w[:20, :20])
    assert float(jax.jit(spectral_radius)(w)) == pytest.approx(float(spectral_radius(w)), rel=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
def test_echo_state_is_its_equation_and_has_its_radius(sparse, x64):
    net = EchoState.random(
        2, 30, jr.key(0), spectral_radius=0.7, density=0.3, leak=0.4, bias_scale=0.2, sparse=sparse
    )
    w = np.asarray(net.recurrent.dense() if sparse else net.recurrent.weight)
    assert float(spectral_radius(w)) == pytest.approx(0.7, rel=1e-6)
    assert np.mean(w != 0) == pytest.approx(0.3, abs=0.06)
    xs = np.random.default_rng(0).normal(size=(8, 2))
    _, found = run(net, start(net, 1.0, jr.key(1)), jnp.asarray(xs))
    r = np.zeros(30)
    for x, now in zip(xs, np.asarray(found), strict=True):
        r = 0.6 * r + 0.4 * np.tanh(w @ r + np.asarray(net.input.weight) @ x + np.asarray(net.bias))
        np.testing.assert_allclose(now, r, atol=1e-12)


def test_trajectories_with_the_same_input_meet_below_radius_one():
    net = EchoState.random(1, 40, jr.key(0), spectral_radius=0.8)
    xs = jr.normal(jr.key(1), (150, 1))
    apart = start(net, 1.0, jr.key(2))
    end = run(net, apart, xs)[0].state
    apart = type(apart)(apart.i, apart.dt, apart.key, jnp.ones(40))
    np.testing.assert_allclose(run(net, apart, xs)[0].state, end, atol=1e-4)


def test_balanced_wiring_obeys_dale_and_is_balanced():
    excite, inhibit = balanced_wiring(400, jr.key(0))
    assert float(jnp.abs(excite[:, 320:]).max()) == float(jnp.abs(inhibit[:, :320]).max()) == 0
    assert bool((excite >= 0).all() & (inhibit >= 0).all())
    degree = (excite + inhibit > 0).sum(1)
    assert float(degree.mean()) == pytest.approx(50, abs=1.5)
    assert float((excite - inhibit).sum(1).mean()) == pytest.approx(0, abs=3 * 0.2 / np.sqrt(50))


def test_one_step_design_makes_the_rates_a_fixed_point(x64):
    a, b = balanced_wiring(80, jr.key(0), degree=30)
    into = jr.normal(jr.key(1), (80, 1)) * 0.1
    rates = jr.uniform(jr.key(2), (80,), minval=0.3, maxval=0.7)
    omega = balancing_scale(a, b, into @ jnp.array([0.25]), rates, 10.0, 0.05)
    net = BalancedReservoir(a, omega[:, None] * b, into, threshold=0.05)
    state = {"v": jnp.zeros(80), "r": rates}
    free = np.asarray((omega > 0) & (b.sum(1) > 0))
    assert free.mean() > 0.9
    _, r = net.step(state, jnp.array([0.25]), None)
    np.testing.assert_allclose(r[free], rates[free], atol=1e-12)


def test_with_a_small_gain_it_is_linear():
    """c -> 0: r - 1/2 = c (V - theta) / 4."""
    a, b = balanced_wiring(30, jr.key(0), degree=10)
    net = BalancedReservoir(a, b, jnp.ones((30, 1)), gain=1e-3, leak=0.5)
    xs = jr.normal(jr.key(1), (10, 1))
    _, found = run(net, start(net, 1.0, jr.key(2)), xs, record=["v", "r"])
    np.testing.assert_allclose(found["r"] - 0.5, 1e-3 * found["v"] / 4, atol=2e-7)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: EchoState.random(1, 10, jr.key(0), density=0.0), "density"),
        (lambda: EchoState.random(1, 2, jr.key(0), density=1e-9), "no loops"),
        (lambda: balanced_wiring(10, jr.key(0)), "degree 50 of 10"),
        (
            lambda: BalancedReservoir(jnp.ones((2, 2)), jnp.ones((3, 3)), jnp.ones((2, 1))),
            "inhibit",
        ),
        (lambda: BalancedReservoir(*-jnp.ones((2, 2, 2)), jnp.ones((2, 1))), "at least 0"),
    ],
)
def test_nonsense_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
