"""Kalman filter and smoother against the joint Gaussian distribution of the whole run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.belief import Kalman, sample, smooth
from neuropil.core import run, start

T, N, M = 6, 3, 2


def model(seed=0):
    a, b, c, d, e = jr.split(jr.key(seed), 5)
    spd = lambda k, n: (lambda m: m @ m.T / n + 0.1 * jnp.eye(n))(jr.normal(k, (n, n)))
    A = 0.9 * jnp.linalg.qr(jr.normal(a, (N, N)))[0]
    return Kalman(A, jr.normal(b, (M, N)), spd(c, N), spd(d, M), jnp.ones(N), spd(e, N))


def joint(m):
    """Mean and covariance of all hidden states and all observations of T ticks, by brute force."""
    A, C, Q, R, mean, cov = (np.asarray(v) for v in (m.A, m.C, m.Q, m.R, m.mean, m.cov))
    means, covs = [mean], [[None] * T for _ in range(T)]
    p = cov
    for t in range(T):
        covs[t][t] = p
        for s in range(t + 1, T):
            covs[s][t] = np.linalg.matrix_power(A, s - t) @ p
            covs[t][s] = covs[s][t].T
        p = A @ p @ A.T + Q
        means.append(A @ means[-1])
    z_mean, z_cov = np.concatenate(means[:T]), np.block(covs)
    big_c, big_r = np.kron(np.eye(T), C), np.kron(np.eye(T), R)
    return z_mean, z_cov, big_c, big_r


def conditioned(m, xs):
    """(mean, cov of all states given what was seen, log density of what was seen)."""
    z_mean, z_cov, c, r = joint(m)
    seen = ~np.isnan(np.ravel(xs))
    x, c, r = np.ravel(xs)[seen], c[seen], r[seen][:, seen]
    s = c @ z_cov @ c.T + r
    error = x - c @ z_mean
    log_density = -0.5 * (error @ np.linalg.solve(s, error) + np.linalg.slogdet(2 * np.pi * s)[1])
    gain = np.linalg.solve(s, c @ z_cov).T
    return z_mean + gain @ error, z_cov - gain @ c @ z_cov, log_density


def observations(holes):
    xs = jr.normal(jr.key(7), (T, M)) * 2
    return xs.at[1, 0].set(jnp.nan).at[3].set(jnp.nan) if holes else xs


@pytest.mark.parametrize("holes", [False, True])
def test_filter_smoother_and_evidence_are_those_of_the_joint_gaussian(holes, x64):
    m, xs = model(), observations(holes)
    carry, belief = run(m, start(m, 1.0, jr.key(0)), xs)
    mean, cov, log_density = conditioned(m, xs)
    np.testing.assert_allclose(carry.state["log_evidence"], log_density, atol=1e-10)
    np.testing.assert_allclose(belief.log_evidence.sum(), log_density, atol=1e-10)
    np.testing.assert_allclose(belief.mean[-1], mean[-N:], atol=1e-10)
    np.testing.assert_allclose(belief.cov[-1], cov[-N:, -N:], atol=1e-10)
    means, covs, neighbours = jax.jit(smooth)(m, belief)
    np.testing.assert_allclose(means.ravel(), mean, atol=1e-10)
    for t in range(T):
        here = slice(t * N, (t + 1) * N)
        np.testing.assert_allclose(covs[t], cov[here, here], atol=1e-10)
        if t + 1 < T:
            after = slice((t + 1) * N, (t + 2) * N)
            np.testing.assert_allclose(neighbours[t], cov[after, here], atol=1e-10)


def test_the_evidence_of_a_fit_can_be_differentiated_with_holes(x64):
    m, xs = model(), observations(True)

    def log_evidence(c):
        fit = eqx.tree_at(lambda k: k.C, m, c)
        return run(fit, start(fit, 1.0, jr.key(0)), xs, record=None)[0].state["log_evidence"]

    g = np.asarray(jax.grad(log_evidence)(m.C))
    bump = jnp.zeros_like(m.C).at[1, 2].set(1e-5)
    slope = (log_evidence(m.C + bump) - log_evidence(m.C - bump)) / 2e-5
    np.testing.assert_allclose(g[1, 2], slope, rtol=1e-6)


def test_a_precise_observation_of_a_vague_state_keeps_the_covariance_positive():
    """In float32 with R / P = 1e-9 the textbook form P - K C P goes negative."""
    m = Kalman(
        jnp.eye(2), jnp.ones((1, 2)), jnp.zeros((2, 2)), [[1e-4]], jnp.zeros(2), 1e5 * jnp.eye(2)
    )
    _, belief = run(m, start(m, 1.0, jr.key(0)), jnp.ones((20, 1)))
    cov = np.asarray(belief.cov)
    np.testing.assert_array_equal(cov, np.swapaxes(cov, 1, 2))
    assert (np.diagonal(cov, axis1=1, axis2=2) > 0).all()
    assert np.isfinite(cov).all()


def test_a_sampled_run_is_believed_within_its_own_error_bars(x64):
    m = model()
    zs, xs = sample(m, 400, jr.key(3))
    assert zs.shape == (400, N)
    assert xs.shape == (400, M)
    _, belief = run(m, start(m, 1.0, jr.key(0)), xs)
    error = belief.mean - zs
    squared = jnp.einsum("ti,tij,tj->t", error, jnp.linalg.inv(belief.cov), error)
    assert abs(float(squared.mean()) - N) < 0.6  # chi-square with N degrees of freedom


def test_matrices_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Kalman: C has shape|Kalman: Q has shape"):
        Kalman(jnp.eye(2), jnp.eye(2), jnp.eye(3), jnp.eye(2), jnp.zeros(2), jnp.eye(2))
