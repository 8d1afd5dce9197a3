"""Shape distances and soft matching against closed forms: rotations, permutations, metrics."""

import numpy as np
import pytest

from neuropil.compare.cca import canonical_correlations
from neuropil.compare.matching import soft_matching, transport
from neuropil.compare.shape import align, partly_whitened, shape_distance


@pytest.fixture
def draw():
    return np.random.default_rng(0).normal


def turned(draw, n):
    return np.linalg.qr(draw(size=(n, n)))[0]


def test_two_points_on_a_line_have_the_angle_of_their_lengths(draw):
    # for one unit each the angle is that of the two centred vectors
    x, y = draw(size=(9, 1)), draw(size=(9, 1))
    r = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
    assert shape_distance(x, y) == pytest.approx(np.arccos(abs(r)), rel=1e-10)
    assert shape_distance(x, y, group="none") == pytest.approx(np.arccos(r), rel=1e-10)


def test_the_aligned_distance_is_what_align_reaches(draw):
    x, y = draw(size=(12, 3)), draw(size=(12, 5))
    for group in ("rotation", "permutation", "none"):
        t = align(x, y, group=group)
        np.testing.assert_allclose(t @ t.T, np.eye(5), atol=1e-12)
        a = np.pad(x - x.mean(0), ((0, 0), (0, 2))) @ t
        want = np.linalg.norm(a - (y - y.mean(0)))
        found = shape_distance(x, y, group=group, metric="euclidean")
        assert found == pytest.approx(want, rel=1e-10)


def test_rotation_permutation_and_scale_are_forgotten_by_their_groups(draw):
    x = draw(size=(12, 4))
    assert shape_distance(x, 2 * x @ turned(draw, 4) + 1) < 1e-6
    assert shape_distance(x, 2 * x[:, [3, 1, 0, 2]], group="permutation") < 1e-6
    assert shape_distance(x, x @ turned(draw, 4), group="permutation") > 0.1


def test_whitened_it_is_canonical_correlation(draw):
    x, y = draw(size=(30, 3)), draw(size=(30, 4))
    rho = canonical_correlations(x, y)
    want = np.arccos(rho.sum() / np.sqrt(12))
    assert shape_distance(x, y, alpha=0.0) == pytest.approx(want, rel=1e-9)
    assert shape_distance(x, x @ draw(size=(3, 3)), alpha=0.0) < 1e-6
    half = partly_whitened(x, 0.5)
    assert np.linalg.norm(half) == pytest.approx(np.linalg.norm(x - x.mean(0)))


def test_it_is_a_metric(draw):
    clouds = [draw(size=(8, 3)) for _ in range(6)]
    for settings in ({}, {"group": "permutation"}, {"alpha": 0.3}, {"metric": "euclidean"}):
        d = np.array([[shape_distance(a, b, **settings) for a in clouds] for b in clouds])
        np.testing.assert_allclose(d, d.T, atol=1e-7)
        assert (d[:, :, None] + d[None] - d[:, None] > -1e-7).all()


def test_transport_keeps_masses_and_equals_the_program_both_ways(draw, monkeypatch):
    for shape in ((4, 4), (4, 6), (5, 7)):
        cost = draw(size=shape)
        plan = transport(cost)
        np.testing.assert_allclose(plan.sum(0), 1 / shape[1])
        np.testing.assert_allclose(plan.sum(1), 1 / shape[0])
        with monkeypatch.context() as m:
            m.setattr("neuropil.compare.matching.COPIES", 0)
            other = transport(cost)
        assert (plan * cost).sum() == pytest.approx((other * cost).sum(), rel=1e-9)


def test_soft_matching_is_blind_to_order_and_copies_but_not_to_rotation(draw):
    x = draw(size=(30, 4))
    copies = np.repeat(x, 3, 1)[:, ::-1]
    assert soft_matching(x, copies) == pytest.approx(1)
    assert soft_matching(x, copies, metric="distance") == pytest.approx(0, abs=1e-6)
    assert soft_matching(x, x @ turned(draw, 4)) < 0.95
    # equal numbers: the permutation of Procrustes, per unit
    y = draw(size=(30, 4))
    want = shape_distance(x, y, group="permutation", metric="euclidean") / 2
    assert soft_matching(x, y, metric="distance") == pytest.approx(want, rel=1e-9)


def test_what_has_no_shape_says_why(draw):
    x = draw(size=(9, 2))
    with pytest.raises(ValueError, match="no unit varies"):
        shape_distance(x, np.ones((9, 2)))
    with pytest.raises(ValueError, match="group"):
        shape_distance(x, x, group="affine")
    with pytest.raises(ValueError, match="alpha"):
        shape_distance(x, x, alpha=2.0, group="permutation")
    # a unit that is silent is like nothing, and that is all
    assert soft_matching(np.concatenate([x, np.ones((9, 1))], 1), x) < 1
