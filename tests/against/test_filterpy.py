"""Kalman's filters and smoother against filterpy (an environment of its own has it; skipped elsewhere)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.belief import ExtendedKalman, Kalman, UnscentedKalman, smooth
from neuropil.core import run, start

kalman = pytest.importorskip(
    "filterpy.kalman", reason="filterpy is not installed (a peer, optional)"
)

T, N, M = 12, 3, 2
MEAN, COV = np.ones(N), np.eye(N)


def spd(rng, n):
    half = rng.standard_normal((n, n))
    return half @ half.T / n + 0.1 * np.eye(n)


def parts():
    """(A, C, Q, R, observations)."""
    rng = np.random.default_rng(0)
    turn = 0.9 * np.linalg.qr(rng.standard_normal((N, N)))[0]
    wires = turn, rng.standard_normal((M, N)), spd(rng, N), spd(rng, M)
    return *wires, 2 * rng.standard_normal((T, M))


def ours(model, xs):
    """(means, covariances) after each observation, and all that was believed."""
    _, belief = run(model, start(model, 1.0, jax.random.key(0)), jnp.asarray(xs))
    return belief.mean, belief.cov, belief


def theirs(peer, xs, update, predict):
    """The same of a filter of filterpy, which begins with the belief before the first observation."""
    means, covs = [], []
    for x in xs:
        update(peer, x)
        means.append(peer.x.copy())
        covs.append(peer.P.copy())
        predict(peer)
    return np.array(means), np.array(covs)


def equal(got, wanted, rtol=1e-8):
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10)


def test_kalman_and_its_smoother(x64):
    A, C, Q, R, xs = parts()
    peer = kalman.KalmanFilter(dim_x=N, dim_z=M)
    peer.x, peer.P, peer.F, peer.H, peer.Q, peer.R = MEAN.copy(), COV.copy(), A, C, Q, R
    logs = []

    def update(peer, x):
        peer.update(x)
        logs.append(peer.log_likelihood)

    wanted = theirs(peer, xs, update, lambda peer: peer.predict())
    model = Kalman(A, C, Q, R, MEAN, COV)
    mean, cov, belief = ours(model, xs)
    equal((mean, cov, belief.log_evidence), (*wanted, logs))
    # its smoother takes what was filtered, and moves on by F and Q at each tick
    means, covs, _, _ = peer.rts_smoother(*wanted, [A] * T, [Q] * T)
    equal(jax.jit(smooth)(model, belief)[:2], (means, covs))


def move(xp):
    """A turn whose speed is one of its unknowns: curved."""
    return lambda z: xp.stack([xp.cos(z[2]) * z[0] - z[1], 0.9 * z[1] + z[0] * 0.1, 0.95 * z[2]])


def show(xp):
    return lambda z: xp.stack([xp.sqrt(1 + z[0] ** 2 + z[1] ** 2), xp.tanh(z[2])])


@pytest.mark.parametrize("kind", ["extended", "unscented"])
def test_curved_systems(kind, x64):
    _, _, Q, R, xs = parts()
    f, h = move(np), show(np)
    if kind == "extended":
        model = ExtendedKalman(move(jnp), show(jnp), Q, R, MEAN, COV)
        peer = kalman.ExtendedKalmanFilter(dim_x=N, dim_z=M)
        slopes = [lambda z, g=g: np.asarray(g(z)) for g in map(jax.jacfwd, (move(jnp), show(jnp)))]
        update = lambda peer, x: peer.update(x, slopes[1], h)

        def predict(peer):
            peer.F = slopes[0](peer.x)
            peer.P = peer.F @ peer.P @ peer.F.T + peer.Q
            peer.x = f(peer.x)
    else:
        model = UnscentedKalman(move(jnp), show(jnp), Q, R, MEAN, COV, spread=0.5)
        points = kalman.JulierSigmaPoints(N, kappa=0.5)
        peer = kalman.UnscentedKalmanFilter(N, M, 1.0, h, lambda z, dt: f(z), points)
        peer.sigmas_f = points.sigma_points(MEAN, COV)  # it draws them when it predicts
        update, predict = (lambda peer, x: peer.update(x)), (lambda peer: peer.predict())
    peer.x, peer.P, peer.Q, peer.R = MEAN.copy(), COV.copy(), Q, R
    mean, cov, _ = ours(model, xs)
    equal((mean, cov), theirs(peer, xs, update, predict))
