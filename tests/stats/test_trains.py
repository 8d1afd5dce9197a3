"""Spike-train statistics against closed forms (elephant: tests/against/test_elephant.py)."""

import numpy as np
import pytest

from neuropil.stats import (
    distances,
    fano_factor,
    interval_cv,
    local_variation,
    pairwise_correlation,
    synchrony,
    van_rossum,
    victor_purpura,
)

RNG = np.random.default_rng(0)
A, B = np.sort(RNG.uniform(0, 500, 12)), np.sort(RNG.uniform(0, 500, 17))


@pytest.mark.parametrize("gap", [0.0, 3.0, 50.0])
def test_two_single_spikes(gap):
    assert van_rossum([7.0], [7.0 + gap], 10.0) == pytest.approx(
        np.sqrt(2 * (1 - np.exp(-gap / 10)))
    )
    assert victor_purpura([7.0], [7.0 + gap], 0.1) == pytest.approx(min(0.1 * gap, 2))


def test_limits():
    assert victor_purpura(A, B, 0.0) == 5  # difference of the counts
    assert victor_purpura(A, B, 1e9) == victor_purpura(A, B, np.inf) == 29  # every spike anew
    assert victor_purpura(A, np.r_[A[:4], B], np.inf) == 8 + 17  # four coincide
    assert van_rossum(A, B, 1e-9) ** 2 == pytest.approx(29)
    assert van_rossum(A, B, 1e12) == pytest.approx(5, abs=1e-3)
    assert van_rossum(A, A, 20.0) == pytest.approx(0, abs=1e-6)
    assert victor_purpura([], B, 1.0) == 17
    assert van_rossum([], [], 5.0) == victor_purpura([], [], 1.0) == 0


def test_van_rossum_is_the_integral_of_the_squared_difference():
    tau, dt = 15.0, 0.01
    t = np.arange(0, 900, dt) + dt / 2
    trace = lambda s: (np.exp(-np.maximum(t[:, None] - s, 0) / tau) * (t[:, None] > s)).sum(1)
    square = 2 / tau * ((trace(A) - trace(B)) ** 2).sum() * dt
    assert van_rossum(A, B, tau) ** 2 == pytest.approx(square, rel=1e-3)


def test_victor_purpura_is_the_least_cost_of_all_alignments():
    def least(a, b, q):
        if not a or not b:
            return len(a) + len(b)
        shifted = least(a[1:], b[1:], q) + q * abs(a[0] - b[0])
        return min(least(a[1:], b, q) + 1, least(a, b[1:], q) + 1, shifted)

    for seed in range(5):
        rng = np.random.default_rng(seed)
        a, b = (sorted(rng.uniform(0, 30, n).tolist()) for n in (4, 5))
        assert victor_purpura(a, b, 0.2) == pytest.approx(least(a, b, 0.2))


def test_distances_are_metrics():
    trains = [np.sort(RNG.uniform(0, 100, n)) for n in (3, 5, 8, 0)]
    for distance, settings in ((van_rossum, {"tau": 12.0}), (victor_purpura, {"q": 0.1})):
        d = distances(trains, distance, **settings)
        np.testing.assert_array_equal(d, d.T)
        for i, j, k in np.ndindex(4, 4, 4):
            assert d[i, j] <= d[i, k] + d[k, j] + 1e-9


def test_regularity_and_variability_of_known_processes():
    poisson = np.cumsum(RNG.exponential(10.0, 20_000))
    gamma = np.cumsum(RNG.gamma(4.0, 2.5, 20_000))
    assert interval_cv(poisson) == pytest.approx(1, abs=0.03)
    assert interval_cv(gamma) == pytest.approx(0.5, abs=0.02)
    assert local_variation(poisson) == pytest.approx(1, abs=0.03)
    assert local_variation(gamma) == pytest.approx(3 / (2 * 4 + 1), abs=0.02)
    # a Poisson train whose rate drifts tenfold: the local measure does not mind
    drifting = np.cumsum(RNG.exponential(np.geomspace(1, 10, 20_000)))
    assert interval_cv(drifting) > 1.2
    assert local_variation(drifting) == pytest.approx(1, abs=0.03)
    counts = RNG.poisson(4.0, (20_000, 2))
    np.testing.assert_allclose(fano_factor(counts), 1, atol=0.05)
    assert np.isnan(fano_factor(np.zeros((5, 1)))).all()


def test_synchrony_of_independent_and_common_activity():
    n = 50
    own = RNG.normal(size=(20_000, n))
    assert synchrony(own) == pytest.approx(1 / np.sqrt(n), rel=0.05)
    common = RNG.normal(size=(20_000, 1))
    mixed = np.sqrt(0.3) * common + np.sqrt(0.7) * own
    assert pairwise_correlation(mixed) == pytest.approx(0.3, abs=0.02)
    assert synchrony(mixed) ** 2 == pytest.approx(0.3 + 0.7 / n, rel=0.05)
    assert synchrony(np.tile(common, (1, 4))) == pytest.approx(1)
    full = np.corrcoef(mixed[:500, :6].T)
    assert pairwise_correlation(mixed[:500, :6]) == pytest.approx(
        full[np.triu_indices(6, 1)].mean()
    )


def test_bad_trains_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        van_rossum([1.0, np.nan], [], 1.0)
    with pytest.raises(ValueError, match="list of spike times"):
        victor_purpura(np.ones((1, 1)), [], 1.0)
    with pytest.raises(ValueError, match="tau = 0"):
        van_rossum([], [], 0.0)
    with pytest.raises(ValueError, match="q = -1"):
        victor_purpura([], [], -1.0)
    with pytest.raises(ValueError, match="give"):
        synchrony(np.zeros(3))
