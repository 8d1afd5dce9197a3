"""Memory capacity against its closed form; Lyapunov exponents against known ones."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.stats.capacity import linear_memory_capacity, memory_capacity, squared_correlation
from neuropil.stats.lyapunov import lyapunov_exponents
from neuropil.worlds.series import henon_map, lorenz_field, rk4


def linear_states(w, b, u):
    x, kept = np.zeros(len(b)), []
    for now in u:
        x = w @ x + b * now
        kept.append(x)
    return np.array(kept)


def test_capacity_of_a_linear_reservoir_is_its_rank_and_the_closed_form(x64):
    rng = np.random.default_rng(0)
    w = 0.85 * np.linalg.qr(rng.normal(size=(6, 6)))[0]
    b = rng.normal(size=6)
    exact = linear_memory_capacity(w, b, range(120))
    assert float(exact.total) == pytest.approx(6, abs=1e-6)
    u = rng.normal(size=8000)
    found = memory_capacity(jnp.asarray(linear_states(w, b, u)), jnp.asarray(u), range(30))
    np.testing.assert_allclose(found.each, exact.each[:30], atol=0.05)
    blocked = np.zeros((6, 6))
    blocked[:3, :3] = 0.8 * np.linalg.qr(rng.normal(size=(3, 3)))[0]
    reached = np.concatenate([b[:3], np.zeros(3)])  # the input reaches three dimensions of six
    assert float(linear_memory_capacity(blocked, reached, range(120)).total) == pytest.approx(3)


@pytest.mark.slow
def test_noise_remembers_nothing_beyond_one_over_m():
    rng = np.random.default_rng(0)
    states, u = (
        jnp.asarray(rng.normal(size=(2100, 10)), float),
        jnp.asarray(rng.normal(size=2100), float),
    )
    found = memory_capacity(states, u, range(1, 41))
    assert float(found.total) == pytest.approx(40 / 1000, abs=0.03)


def test_capacity_is_sums_of_squared_correlations():
    a = np.random.default_rng(0).normal(size=(50, 2))
    b = a + np.random.default_rng(1).normal(size=(50, 2))
    exact = [np.corrcoef(a[:, k], b[:, k])[0, 1] ** 2 for k in range(2)]
    np.testing.assert_allclose(
        squared_correlation(jnp.asarray(a, float), jnp.asarray(b, float)), exact, atol=1e-5
    )


@pytest.mark.parametrize("wrong", [{"washout": 500}, {"delays": (-1,)}, {"train": 1.0}])
def test_capacity_refuses_what_leaves_nothing(wrong):
    with pytest.raises(ValueError, match="memory_capacity"):
        memory_capacity(jnp.ones((300, 2)), jnp.ones(300), **wrong)
    with pytest.raises(ValueError, match="spectral radius"):
        linear_memory_capacity(np.eye(2), np.ones(2), range(3))


def test_exponents_of_a_linear_map_are_log_eigenvalues(x64):
    w = np.random.default_rng(0).normal(size=(3, 3))
    w = w @ np.diag([1.3, 0.8, 0.2]) @ np.linalg.inv(w)
    found = lyapunov_exponents(
        lambda x: jnp.asarray(w) @ x, jnp.zeros(3), ticks=2000, k=3, settle=100
    )
    np.testing.assert_allclose(found, np.log([1.3, 0.8, 0.2]), atol=2e-3)


def test_henon_and_lorenz_have_their_known_exponents(x64):
    found = lyapunov_exponents(henon_map, jnp.array([0.1, 0.1]), ticks=8000, k=2, settle=100)
    np.testing.assert_allclose(found, [0.419, -1.623], atol=0.01)
    assert float(found.sum()) == pytest.approx(np.log(0.3), abs=1e-6)  # of its area, at every tick
    h = 0.02
    found = lyapunov_exponents(rk4(lorenz_field, h), jnp.ones(3), ticks=6000, k=3, dt=h, settle=500)
    np.testing.assert_allclose(found, [0.906, 0.0, -14.572], atol=0.08)
    assert float(found.sum()) == pytest.approx(-(10 + 1 + 8 / 3), abs=0.01)  # of its volume


def test_a_driven_map_hears_its_input():
    """x -> u x has the mean of log |u|."""
    u = jnp.abs(jr.normal(jr.key(0), (400,))) + 0.1
    found = lyapunov_exponents(lambda x, a: a * x, jnp.ones(2), u, k=1)
    assert float(found[0]) == pytest.approx(float(jnp.log(u).mean()), abs=1e-3)
    with pytest.raises(ValueError, match="k = 3"):
        lyapunov_exponents(henon_map, jnp.zeros(2), ticks=10, k=3)
    with pytest.raises(ValueError, match="None ticks"):
        lyapunov_exponents(henon_map, jnp.zeros(2))
