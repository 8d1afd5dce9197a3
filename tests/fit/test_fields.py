"""Fields against scikit-learn's process, slopes against differences, the inverse against ridge regression."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from neuropil.fit.fields import FieldGP, Places, best_field, minimum_norm, nearest

RNG = np.random.default_rng(0)
SEEN, OTHER = Places.values(RNG.normal(size=(7, 3))), Places.values(RNG.normal(size=(4, 3)))


def test_values_are_those_of_scikit_learn():
    y = RNG.normal(size=7)
    process = GaussianProcessRegressor(RBF(0.8) + WhiteKernel(0.2), optimizer=None)
    told = process.fit(SEEN.positions, y).predict(OTHER.positions)
    np.testing.assert_allclose(FieldGP(0.8, 0.2).gain(SEEN, OTHER) @ y, told, atol=1e-8)


def test_slopes_covary_as_differences_of_values_do():
    field, small = FieldGP(0.7), 1e-4
    along = RNG.normal(size=(7, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    slope = SEEN._replace(slopes=along)
    up, down = (SEEN._replace(positions=SEEN.positions + s * small * along) for s in (1, -1))
    difference = lambda f: 0.7 * (f(up) - f(down)) / (2 * small)
    told = difference(lambda p: field.covariance(p, OTHER))
    np.testing.assert_allclose(field.covariance(slope, OTHER), told, atol=1e-6)
    np.testing.assert_allclose(field.covariance(OTHER, slope), told.T, atol=1e-6)
    both = difference(lambda p: field.covariance(p, slope))
    np.testing.assert_allclose(field.covariance(slope, slope), both, atol=1e-6)
    np.testing.assert_allclose(np.diag(field.covariance(slope, slope)), 1.0)


def test_sensors_of_other_groups_tell_nothing_and_the_nearest_is_of_the_same_sort():
    apart = OTHER._replace(group=np.ones(4))
    assert np.abs(FieldGP(1.0).gain(SEEN, apart)).max() == 0
    assert np.abs(nearest(SEEN, apart)).max() == 0
    assert nearest(SEEN, SEEN[[2]]).tolist() == [[0, 0, 1, 0, 0, 0, 0]]
    with pytest.raises(ValueError, match="positive"):
        FieldGP(0.0)


def test_minimum_norm_is_ridge_and_takes_a_reference_that_lost_a_rank():
    gain = RNG.normal(size=(6, 4))
    ridge = np.linalg.solve(gain.T @ gain / 0.5 + np.eye(4), gain.T / 0.5)
    np.testing.assert_allclose(minimum_norm(gain, 0.5 * np.eye(6)), ridge, atol=1e-10)
    mean = np.eye(6) - 1 / 6
    told = minimum_norm(mean @ gain, 0.5 * mean @ mean.T)
    whole = np.linalg.solve((mean @ gain).T @ gain / 0.5 + np.eye(4), (mean @ gain).T / 0.5)
    np.testing.assert_allclose(told, whole, atol=1e-8)


def test_the_length_that_made_a_field_is_chosen():
    places = Places.values(RNG.normal(size=(12, 3)))
    root = np.linalg.cholesky(FieldGP(1.0).covariance(places, places) + 1e-6 * np.eye(12))
    x = np.einsum("cd,wdt->wct", root, RNG.normal(size=(20, 12, 16)))
    hidden = np.eye(4, dtype=bool).repeat(3, 1)
    field, score = best_field(x, places, hidden, (0.2, 1.0, 5.0), (0.001, 0.1))
    assert field.length == 1.0
    assert score > 0.3
