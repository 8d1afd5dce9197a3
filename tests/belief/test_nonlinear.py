"""Extended and unscented Kalman filters: linear systems, exact moments, a pendulum."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.belief import ExtendedKalman, Kalman, UnscentedKalman
from neuropil.core import run, start

A, C = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([[1.0, 0.5]])
Q, R = np.array([[0.3, 0.1], [0.1, 0.2]]), np.array([[0.4]])
MEAN, COV = np.array([0.5, -1.0]), np.array([[1.0, 0.3], [0.3, 2.0]])


def move(z):
    return jnp.asarray(A, z.dtype) @ z


def show(z):
    return jnp.asarray(C, z.dtype) @ z


@pytest.mark.parametrize("kind", [ExtendedKalman, UnscentedKalman])
def test_of_a_linear_system_they_are_kalmans_filter(kind, x64):
    xs = jr.normal(jr.key(1), (12, 1)).at[4].set(jnp.nan)
    exact, curved = Kalman(A, C, Q, R, MEAN, COV), kind(move, show, Q, R, MEAN, COV)
    found = [run(f, start(f, 1.0, jr.key(0)), xs) for f in (exact, curved)]
    for a, b in zip(*map(jax.tree.leaves, (found[0][1], found[1][1])), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
def test_points_carry_mean_and_variance_of_a_square(spread, x64):
    """E z^2 = m^2 + P for any spread; the variance 4 m^2 P + 2 P^2 where n + spread = 3 (the kurtosis)."""
    m, p = 1.5, 0.7
    f = UnscentedKalman(lambda z: z, lambda z: z**2, [[0.0]], [[1.0]], [m], [[p]], spread=spread)
    mean, cov, cross = f.through(f.show, f.mean, f.cov)
    np.testing.assert_allclose(mean[0], m**2 + p, rtol=1e-12)
    np.testing.assert_allclose(cross[0, 0], 2 * m * p, rtol=1e-12)
    np.testing.assert_allclose(cov[0, 0], 4 * m**2 * p + spread * p**2, rtol=1e-12)


def test_a_pendulum_seen_through_its_sine_is_followed():
    dt = 0.1
    swing = lambda z: jnp.stack([z[0] + dt * z[1], z[1] - dt * 9.8 * jnp.sin(z[0])])
    rng, z, zs = np.random.default_rng(0), np.array([1.0, 0.0]), []
    for _ in range(100):
        z = np.array([z[0] + dt * z[1], z[1] - dt * 9.8 * np.sin(z[0])]) + 0.02 * rng.normal(size=2)
        zs.append(z)
    zs = np.array(zs)
    xs = jnp.asarray(np.sin(zs[:, :1]) + 0.3 * rng.normal(size=(100, 1)))
    plain = float(np.sqrt(np.mean((np.arcsin(np.clip(xs[:, 0], -1, 1)) - zs[:, 0]) ** 2)))
    for kind in (ExtendedKalman, UnscentedKalman):
        noise = 0.02**2 * np.eye(2)
        f = kind(swing, lambda z: jnp.sin(z[:1]), noise, [[0.09]], [1.0, 0.0], 0.1 * np.eye(2))
        _, belief = run(f, start(f, 1.0, jr.key(0)), xs)
        error = float(np.sqrt(np.mean((np.asarray(belief.mean)[:, 0] - zs[:, 0]) ** 2)))
        assert error < 0.5 * plain, (kind.__name__, error, plain)


def test_functions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="ExtendedKalman: Q has shape"):
        ExtendedKalman(move, show, R, R, MEAN, COV)
    with pytest.raises(ValueError, match=r"UnscentedKalman: show gives shape \(2,\)"):
        UnscentedKalman(move, move, Q, R, MEAN, COV)
