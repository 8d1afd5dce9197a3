"""Autoregression: known coefficients come back, spectrum and covariance are the closed forms."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from neuropil.fit.autoregress import Autoregression
from neuropil.stats.oscillations import power_spectrum

A = np.array([[[0.5, 0.3], [-0.2, 0.4]], [[-0.3, 0.0], [0.1, -0.2]]])
NOISE = np.array([[1.0, 0.4], [0.4, 0.5]])


def test_coefficients_noise_covariance_and_spectrum_come_back():
    truth = Autoregression(A, NOISE)
    x = truth.simulate(40_000, np.random.default_rng(0))
    found = Autoregression.fit([x[:20_000], x[20_000:]], 2)
    np.testing.assert_allclose(found.coefficients, A, atol=0.03)
    np.testing.assert_allclose(found.covariance, NOISE, atol=0.03)
    F = np.block([[A[0], A[1]], [np.eye(2), np.zeros((2, 2))]])
    Q = np.zeros((4, 4))
    Q[:2, :2] = NOISE
    want = solve_discrete_lyapunov(F, Q)[:2, :2]
    np.testing.assert_allclose(np.cov(x.T), want, rtol=0.1, atol=0.03)
    hz, power = power_spectrum(x, 100.0)
    inside = (hz > 2) & (hz < 48)
    closed = truth.spectrum(hz[inside], 100.0)
    np.testing.assert_allclose(np.einsum("fii->fi", closed).real, power[inside], rtol=0.35)
    # the power adds up to the variance
    fine = np.linspace(0, 50, 4001)
    total = np.trapezoid(truth.spectrum(fine, 100.0)[:, 0, 0].real, fine)
    assert total == pytest.approx(want[0, 0], rel=1e-3)


def test_alone_every_channel_has_its_own_past_only():
    x = Autoregression(A, NOISE).simulate(4000, np.random.default_rng(0))
    both = Autoregression.fit([x], 3, alone=True)
    one = Autoregression.fit([x[:, [1]]], 3)
    np.testing.assert_allclose(both.coefficients[:, 1, 1], one.coefficients[:, 0, 0])
    assert both.covariance[0, 1] == 0 == np.abs(both.coefficients[:, 0, 1]).max()


def test_refusals():
    with pytest.raises(ValueError, match="diverges"):
        Autoregression(np.array([[[1.1]]]), np.eye(1)).simulate(5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="order"):
        Autoregression.fit([np.zeros((5, 1))], 5)
