"""Geo-topological transforms on RDMs small enough to work out by hand, and identification."""

import numpy as np
import pytest

from neuropil.compare.geometry import rdm, vector
from neuropil.compare.topology import (
    FAMILIES,
    adaptive_similarity,
    family,
    family_of,
    geodesics,
    gt_transform,
    identified,
    identify,
    rank_scaled,
    soft_transform,
)


@pytest.fixture
def distances():
    return rdm(np.random.default_rng(0).normal(size=(20, 6)), "euclidean")


def test_six_distances_by_hand():
    d = np.array([10.0, 60.0, 20.0, 50.0, 30.0, 40.0])
    np.testing.assert_allclose(rank_scaled(d), [0, 1, 0.2, 0.8, 0.4, 0.6])
    np.testing.assert_allclose(gt_transform(d, 0.2, 0.8), [0, 1, 0, 1, 1 / 3, 2 / 3], atol=1e-12)
    np.testing.assert_array_equal(gt_transform(d, 0.5, 0.5), [0, 1, 0, 1, 0, 1])


def test_the_whole_range_is_the_rank_rdm_and_only_order_counts(distances):
    np.testing.assert_array_equal(gt_transform(distances, 0, 1), rank_scaled(distances))
    for l, u in ((0.1, 0.3), (0.45, 0.55), (0.0, 0.9)):
        g = gt_transform(distances, l, u)
        np.testing.assert_array_equal(gt_transform(np.exp(3 * distances), l, u), g)
        assert np.mean((g > 0) & (g < 1)) == pytest.approx(u - l, abs=0.02)
    both = np.stack([distances, distances**2])
    np.testing.assert_array_equal(*gt_transform(both, 0.2, 0.7))
    assert np.corrcoef(soft_transform(distances), gt_transform(distances, 0.4, 0.6))[0, 1] > 0.95


def test_paths_round_a_ring_are_hops_and_lost_stimuli_are_farthest():
    turn = np.exp(2j * np.pi * np.arange(8) / 8)
    ring = vector(np.abs(turn[:, None] - turn))
    hops = np.minimum(np.arange(1, 8), 8 - np.arange(1, 8)) * ring[0]
    np.testing.assert_allclose(geodesics(ring, neighbours=2)[:7], hops, rtol=1e-9)
    np.testing.assert_allclose(geodesics(ring, share=7.5 / 28)[:7], hops, rtol=1e-9)
    np.testing.assert_allclose(geodesics(ring, share=1.0), ring, rtol=1e-9)
    # two pairs far from each other; within a pair the distance 0 is an edge, not a missing one
    line = np.array([0.0, 0.0, 5.0, 6.0])
    d = geodesics(vector(np.abs(line[:, None] - line)), share=0.3)
    np.testing.assert_allclose(d, [0, 1, 1, 1, 1, 1], atol=1e-9)


def test_families_hold_what_they_say():
    rng = np.random.default_rng(0)
    for name in FAMILIES:
        pairs = family(name, 20, rng)
        assert {family_of(*q) for q in pairs} == {name}
        assert all(0 <= l < u <= 1 for l, u in pairs)


def test_identification_equals_the_loop_it_stands_for():
    rng = np.random.default_rng(0)
    subject, label = np.divmod(np.arange(12), 3)
    v = rng.normal(size=(3, 15))[label] + 1.5 * rng.normal(size=(12, 15))
    w = rng.integers(0, 3, 15).astype(float)
    want = []
    for i in range(12):
        c = [v[(subject != subject[i]) & (label == k)].mean(0) for k in range(3)]
        want.append(np.argmin([(w * (v[i] - m) ** 2).sum() for m in c]) == label[i])
    np.testing.assert_array_equal(identified(v, subject, label, w), want)


def test_regions_are_found_and_shuffled_ones_are_at_chance():
    rng = np.random.default_rng(0)
    subject, label = np.divmod(np.arange(24), 4)
    rdms = rng.uniform(1, 2, (4, 66))[label] + 0.4 * rng.normal(size=(24, 66))
    pairs = family("topology", 3, rng)
    s = identify(rdms, subject, label, quantiles=pairs, resamples=50, permutations=99)
    assert s.p == 0.01
    assert s.null.mean() == pytest.approx(0.25, abs=0.05)
    assert s.interval[0] <= s.value <= 1
    raw = identify(rdms, subject, label, resamples=50, permutations=0)
    assert raw.minus(s).interval[0] > -0.5  # the same resamples: the two pair


def test_the_best_of_many_thresholds_is_judged_by_the_best_of_many():
    rng = np.random.default_rng(0)
    a, b = (rdm(rng.normal(size=(12, 4)), "euclidean") for _ in range(2))
    assert adaptive_similarity(a, a**2, permutations=99).p == 0.01
    other = adaptive_similarity(a, b, permutations=99)
    assert other.p > 0.05
    assert other.null.mean() > 0.05  # chance is not 0


def test_what_has_no_order_says_why(distances):
    with pytest.raises(ValueError, match="equal"):
        gt_transform(np.ones(10), 0.2, 0.8)
    with pytest.raises(ValueError, match="quantiles"):
        gt_transform(distances, 0.8, 0.2)
    with pytest.raises(ValueError, match="NaN"):
        rank_scaled(np.where(distances > 3, np.nan, distances))
    with pytest.raises(ValueError, match="either"):
        geodesics(distances)
    with pytest.raises(ValueError, match="without subject"):
        identify(np.stack([distances, distances]), np.array([0, 1]), np.array([0, 1]))
