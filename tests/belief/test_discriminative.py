"""The discriminative Kalman filter: Kalman's where that is exact, and what must happen at its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.belief import DiscriminativeKalman, Kalman
from neuropil.core import run, start
from neuropil.fit.filters import LinearObservation

N, M, T = 3, 7, 40
RNG = np.random.default_rng(0)


def matrices():
    A = 0.9 * np.linalg.qr(RNG.normal(size=(N, N)))[0]
    half = RNG.normal(size=(N, N))
    S = half @ half.T + np.eye(N)
    S = S / np.trace(S) * N
    for _ in range(500):  # the stationary covariance that belongs to A and Q
        S = A @ S @ A.T + 0.19 * np.eye(N)
    return A, S - A @ S @ A.T, S


def test_linear_observations_give_the_kalman_filter_and_its_evidence(x64):
    A, Q, S = matrices()
    C = RNG.normal(size=(M, N))
    R = np.diag(RNG.gamma(2, 1, M))
    xs = jnp.asarray(RNG.normal(size=(T, M)) * 2).at[5].set(jnp.nan)
    usual = Kalman(A, C, Q, R, jnp.zeros(N), S)
    decode = LinearObservation.of(*(jnp.asarray(a) for a in (C, R, S)))
    ours = DiscriminativeKalman(decode, A, Q, S, channels=M)
    go = lambda k: run(k, start(k, 1.0, jax.random.key(0)), xs)
    (_, a), (_, b) = go(usual), go(ours)
    np.testing.assert_allclose(b.mean, a.mean, atol=1e-12)
    np.testing.assert_allclose(b.cov, a.cov, atol=1e-12)
    whole = C @ S @ C.T + R  # evidence is counted from p(x) of every tick by itself
    x = np.asarray(xs)[4]
    alone = -0.5 * (x @ np.linalg.solve(whole, x) + np.linalg.slogdet(2 * np.pi * whole)[1])
    assert float(b.log_evidence[4]) == pytest.approx(float(a.log_evidence[4]) - alone, abs=1e-10)
    assert float(b.log_evidence[5]) == pytest.approx(0.0, abs=1e-10)


def test_observations_that_say_nothing_and_states_that_remember_nothing(x64):
    A, Q, S = (jnp.asarray(a) for a in matrices())
    mean, cov = jnp.ones(N), 0.5 * S
    f, v = jnp.array([0.3, -0.2, 0.1]), 0.4 * S
    filters = {
        r: DiscriminativeKalman(lambda x: (x[:N], S), A, Q, S, channels=N, repair=r)
        for r in ("clip", "drop", "robust")
    }
    for repair, k in filters.items():
        nothing = k.merge(mean, cov, 0 * f, S)  # V = S, f = 0: the prediction must stay
        forgetful = k.merge(0 * mean, S, f, v)  # M = S, m = 0: f and V alone must be believed
        stays = np.allclose(nothing.mean, mean, atol=1e-10) and np.allclose(nothing.cov, cov)
        follows = np.allclose(forgetful.mean, f) and np.allclose(forgetful.cov, v)
        assert stays == follows == (repair != "robust")
    wide = {r: k.merge(mean, cov, f, 2 * S) for r, k in filters.items()}  # V beyond S: repaired
    np.testing.assert_allclose(wide["drop"].cov, wide["robust"].cov)
    np.testing.assert_allclose(wide["clip"].cov, cov, atol=1e-10)
    inverse = np.linalg.inv(np.linalg.inv(2 * S) + np.linalg.inv(cov))
    np.testing.assert_allclose(wide["drop"].cov, inverse, atol=1e-10)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="repair"):
        DiscriminativeKalman(abs, jnp.eye(1), jnp.eye(1), jnp.eye(1), channels=1, repair="mend")
    with pytest.raises(ValueError, match="Q has shape"):
        DiscriminativeKalman(abs, jnp.eye(2), jnp.eye(1), jnp.eye(2), channels=1)
