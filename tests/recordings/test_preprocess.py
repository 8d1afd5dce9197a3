import numpy as np
import pytest

from neuropil.recordings.preprocess import rebin, smooth, zscore


def test_zscore_has_mean_0_and_deviation_1_and_survives_silence():
    x = np.random.default_rng(0).normal(3, 2, (4, 100, 3))
    x[:, :, 2] = 5.0
    z = zscore(x, axis=(0, 1))
    np.testing.assert_allclose(z.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(z.std((0, 1)), [1, 1, 0], atol=1e-12)
    x[0, 0, 0] = np.nan
    assert np.isnan(zscore(x, axis=(0, 1))).sum() == 1


def test_rebin_keeps_the_sum():
    x = np.arange(24).reshape(2, 6, 2)
    np.testing.assert_array_equal(rebin(x, 3).sum(1), x.sum(1))
    np.testing.assert_array_equal(rebin(x, 3, how="mean") * 3, rebin(x, 3))
    np.testing.assert_array_equal(rebin(x, 4), x[:, :4].sum(1, keepdims=True))
    with pytest.raises(ValueError, match="bin of 7 samples"):
        rebin(x, 7)
    with pytest.raises(ValueError, match="how='max'"):
        rebin(x, 2, how="max")


def test_smooth_spreads_an_impulse_as_a_gaussian():
    x = np.zeros((201, 2))
    x[100] = 1
    y = smooth(x, sigma=0.05, rate=100.0)
    t = (np.arange(201) - 100) / 100
    want = np.exp(-(t**2) / (2 * 0.05**2)) / (0.05 * 100 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(y[:, 0], want, atol=2e-5)
    np.testing.assert_allclose(y.sum(0), 1)
    np.testing.assert_allclose(smooth(np.full((50, 1), 3.0), sigma=0.1, rate=100.0), 3.0)
    with pytest.raises(ValueError, match="sigma = 0"):
        smooth(x, sigma=0.0, rate=100.0)
