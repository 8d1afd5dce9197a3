"""Distances of clouds against Gaussians in closed form."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from neuropil.compare.clouds import bures, compare_clouds, energy_distance, gaussian_wasserstein
from neuropil.compare.shape import shape_distance


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_bures_by_its_formula_and_where_covariances_commute(rng):
    a, b = (m @ m.T for m in rng.normal(size=(2, 4, 4)))
    r = sqrtm(a)
    want = np.sqrt(np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(r @ b @ r)).real)
    assert bures(a, b) == pytest.approx(want, rel=1e-9)
    s, t = np.array([3.0, 2.0, 0.0]), np.array([1.0, 2.0, 1.0])
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = bures(q @ np.diag(s**2) @ q.T, q @ np.diag(t**2) @ q.T)
    assert found == pytest.approx(np.linalg.norm(s - t), rel=1e-7)


def test_bures_of_two_grams_is_procrustes(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 5))
    x, y = x - x.mean(0), y - y.mean(0)
    want = shape_distance(x, y, metric="euclidean")
    assert bures(x @ x.T, y @ y.T) == pytest.approx(want, rel=1e-6)


def test_a_shifted_gaussian_is_as_far_as_its_shift(rng):
    x = rng.normal(size=(30, 2))
    assert gaussian_wasserstein(x, x + np.array([3.0, 4.0])) == pytest.approx(5, rel=1e-9)
    assert gaussian_wasserstein(x, 2 * x - x.mean(0)) == pytest.approx(
        np.sqrt(np.trace(np.cov(x.T))), rel=1e-6
    )


def test_energy_of_two_normals_on_a_line_and_none_of_one(rng):
    # E|X - Y| of normals a distance m apart is known; the estimate has no bias
    m = 1.5
    from scipy.stats import norm

    far = 2 * (
        np.sqrt(2) * 2 * norm.pdf(m / np.sqrt(2)) / 1 + m * (1 - 2 * norm.cdf(-m / np.sqrt(2)))
    )
    want = far - 2 * 2 / np.sqrt(np.pi)
    draws = [
        energy_distance(rng.normal(size=(25, 1)), rng.normal(size=(30, 1)) + m) for _ in range(200)
    ]
    assert np.mean(draws) == pytest.approx(want, abs=4 * np.std(draws) / np.sqrt(200))
    same = [energy_distance(rng.normal(size=(25, 1)), rng.normal(size=(30, 1))) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(200)


def test_clouds_that_differ_are_told_apart_and_equal_ones_are_not(rng):
    x, y, z = rng.normal(size=(30, 3)), rng.normal(size=(40, 3)), 2 * rng.normal(size=(40, 3))
    for measure in ("energy", "bures"):
        assert compare_clouds(x, z, measure, resamples=20, permutations=99).p <= 0.03
        assert compare_clouds(x, y, measure, resamples=20, permutations=99).p > 0.05
    with pytest.raises(ValueError, match="share their units"):
        compare_clouds(x, y[:, :2])
    with pytest.raises(ValueError, match="measure"):
        compare_clouds(x, y, "mmd")
    with pytest.raises(ValueError, match="symmetric"):
        bures(np.array([[1.0, 2.0], [0.0, 1.0]]), np.eye(2))
