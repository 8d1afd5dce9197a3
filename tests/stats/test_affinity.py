"""Affinities: equal and opposite slopes, symmetry, missing units, the window's own correlation."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from neuropil.stats import slope_affinity, window_correlation

X = np.random.default_rng(0).normal(size=(4, 80))


def test_equal_slopes_give_their_size_and_opposite_ones_nothing():
    d = gaussian_filter1d(X[0], 2, order=1)
    a = slope_affinity(np.stack([X[0], 5 * X[0], -X[0]]), window=0)
    np.testing.assert_allclose(a[:, 0], np.abs(d) / d.std())
    assert not a[:, 1:].any()


def test_affinity_is_symmetric_and_a_missing_unit_is_missing_in_its_pairs():
    order = [2, 0, 1, 3]
    i, j = np.triu_indices(4, 1)
    for kind in (slope_affinity, window_correlation):
        a = np.zeros((80, 4, 4))
        a[:, i, j] = kind(X)
        a += a.transpose(0, 2, 1)
        np.testing.assert_allclose(kind(X[order]), a[:, order][:, :, order][:, i, j], atol=1e-9)
        hidden = kind(np.where(np.arange(4)[:, None] == 1, np.nan, X), every=8)
        assert np.isnan(hidden).all(0).tolist() == [True, False, False, True, True, False]
        np.testing.assert_allclose(hidden[:, 1], kind(X)[::8, 1])


def test_a_very_long_window_gives_pearson():
    x = gaussian_filter1d(X, 2, axis=1)
    r = np.corrcoef(x)[np.triu_indices(4, 1)]
    far = window_correlation(X, window=4000.0)
    np.testing.assert_allclose(far[40], np.maximum(r, 0), atol=0.01)
    with pytest.raises(ValueError, match="two units"):
        slope_affinity(X[:1])
