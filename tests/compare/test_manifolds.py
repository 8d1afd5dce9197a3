"""Manifold capacity against Cover's theorem, the cone of a sphere, and counting."""

import numpy as np
import pytest

from neuropil.compare.manifolds import (
    common_directions,
    manifold_geometry,
    manifold_scores,
    simulated_capacity,
)


def test_points_have_the_capacity_two_that_cover_proved():
    x = np.random.default_rng(0).normal(size=(12, 30))
    found = manifold_geometry(x, np.arange(12), samples=1500, removed=0)
    np.testing.assert_allclose(found.alpha, 2, atol=0.08)
    np.testing.assert_allclose(found.radius, 0, atol=1e-12)
    np.testing.assert_allclose(found.dimension, 0, atol=1e-12)


@pytest.mark.parametrize(("d", "radius", "capacity"), [(2, 0.5, 0.946), (3, 1.0, 0.500)])
def test_a_sphere_spans_a_circular_cone_of_known_size(d, radius, capacity):
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(300, d))
    ball *= radius / np.linalg.norm(ball, axis=1, keepdims=True)
    ball -= ball.mean(0)
    one = np.concatenate([np.ones((300, 1)), ball], 1)  # a sphere around a centre of norm 1
    found = manifold_geometry(
        np.concatenate([one, -one]), np.arange(600) // 300, samples=1500, removed=0
    )
    assert found.alpha == pytest.approx(capacity, rel=0.05)


def test_the_example_of_the_official_code_at_a_tenth_of_its_size():
    """100 manifolds of 50 normal points in 5000 dimensions: capacity .04, radius 1.47, dimension 36.17."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10 * 50, 2000)), np.arange(500) // 50
    found = manifold_geometry(x, y, samples=40, removed=0)
    big = np.sqrt(49 / 50 / (1 - 0.1))  # ten centres, not a hundred, around their own mean
    assert found.radius.mean() == pytest.approx(1.47 * big, rel=0.05)
    assert found.dimension.mean() == pytest.approx(36.2, rel=0.05)
    assert found.alpha == pytest.approx((1 + (1.47 * big) ** -2) / 36.2, rel=0.08)


def test_rotation_scale_and_points_inside_the_hull_change_nothing():
    rng = np.random.default_rng(0)
    y = np.arange(24) // 8
    x = rng.normal(size=(3, 6))[y] * 2 + rng.normal(size=(24, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    want = manifold_geometry(x, y, samples=1500, removed=0)
    # another basis of the same cloud takes other Gaussian draws, so equal up to their error
    moved = manifold_geometry(5 * x @ turn, y, samples=1500, removed=0)
    np.testing.assert_allclose(moved.capacity, want.capacity, rtol=0.12)
    mean = np.array([x[y == i].mean(0) for i in range(3)])  # the centre of a hull lies inside it
    more = manifold_geometry(
        np.concatenate([x, mean]), np.concatenate([y, np.arange(3)]), samples=1500, removed=0
    )
    np.testing.assert_allclose(more.capacity, want.capacity, rtol=0.12)


def test_a_margin_is_a_shift_of_the_gaussian_vectors():
    """A point with margin k: 1 / alpha = E max(t + k, 0)^2, in closed form (Gardner 1988)."""
    from scipy.stats import norm

    x = np.random.default_rng(0).normal(size=(6, 20))
    found = manifold_geometry(x, np.arange(6), samples=3000, margin=0.5, removed=0)
    want = (1 + 0.25) * norm.cdf(0.5) + 0.5 * norm.pdf(0.5)
    assert 1 / found.alpha == pytest.approx(want, rel=0.05)


def test_mean_field_theory_says_what_counting_finds():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(24), 3)
    x = rng.normal(size=(24, 80))[y] + 0.5 * rng.normal(size=(72, 80))
    theory = manifold_geometry(x, y, samples=200, removed=0).alpha
    assert simulated_capacity(x, y, dichotomies=12) == pytest.approx(theory, rel=0.2)


def test_directions_that_all_centres_share_are_found_and_taken_out():
    rng = np.random.default_rng(0)
    own = np.linalg.qr(rng.normal(size=(20, 8)))[0].T  # orthogonal centres
    shared = rng.normal(size=8)[:, None] * rng.normal(size=20)[None] + own
    v = common_directions(shared, 1, restarts=3)
    left = shared - shared @ v @ v.T
    unit = left / np.linalg.norm(left, axis=1, keepdims=True)
    before = shared / np.linalg.norm(shared, axis=1, keepdims=True)
    at = np.triu_indices(8, 1)
    assert np.abs(unit @ unit.T)[at].mean() < 0.5 * np.abs(before @ before.T)[at].mean()
    assert common_directions(own, 0).shape == (20, 0)


def test_scores_know_chance_and_ceiling():
    rng = np.random.default_rng(0)
    y = np.arange(40) // 8
    x = rng.normal(size=(5, 30))[y] + 0.3 * rng.normal(size=(40, 30))
    s = manifold_scores(x, y, samples=40, permutations=19, resamples=100, removed=0)
    assert s["capacity"].p == s["radius"].p == 0.05
    assert s["capacity"].interval[0] < s["capacity"].value < s["capacity"].interval[1] < 2
    assert s["capacity"].null.max() < s["capacity"].value


def test_what_cannot_be_measured_says_why():
    x = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(ValueError, match="2 or more"):
        manifold_geometry(x, np.zeros(8))
    with pytest.raises(ValueError, match="NaN"):
        manifold_geometry(np.where(x > 1, np.nan, x), np.arange(8) // 4)
    with pytest.raises(ValueError, match="mean of all"):
        manifold_geometry(np.concatenate([x, x]), np.arange(16) // 8)
    with pytest.raises(ValueError, match="room"):
        manifold_geometry(x, np.arange(8) // 4, removed=2)
