"""Distances of spike trains against elephant (an environment of its own has it; skipped elsewhere)."""

import numpy as np
import pytest

from neuropil.stats import interval_cv, local_variation, van_rossum, victor_purpura

elephant = pytest.importorskip("elephant", reason="elephant is not installed (a peer, optional)")
neo = pytest.importorskip("neo", reason="neo is not installed (comes with elephant)")
pq = pytest.importorskip("quantities", reason="quantities is not installed (comes with elephant)")


def pairs():
    rng = np.random.default_rng(0)
    return [
        tuple(np.sort(rng.uniform(0, 400, n)) for n in sizes)
        for sizes in ((1, 1), (5, 9), (20, 20), (0, 4))
    ]


def as_neo(times):
    return neo.SpikeTrain(times * pq.ms, t_stop=500 * pq.ms)


@pytest.mark.parametrize("tau", [5.0, 40.0])
def test_van_rossum(tau):
    from elephant.spike_train_dissimilarity import van_rossum_distance

    for a, b in pairs():
        there = van_rossum_distance([as_neo(a), as_neo(b)], time_constant=tau * pq.ms)[0, 1]
        assert van_rossum(a, b, tau) == pytest.approx(float(there), rel=1e-6)


@pytest.mark.parametrize("q", [0.01, 0.2])
def test_victor_purpura(q):
    from elephant.spike_train_dissimilarity import victor_purpura_distance

    for a, b in pairs():
        there = victor_purpura_distance([as_neo(a), as_neo(b)], cost_factor=q / pq.ms)[0, 1]
        assert victor_purpura(a, b, q) == pytest.approx(float(there), rel=1e-6)


def test_regularity():
    from elephant.statistics import cv, lv

    train = pairs()[2][0]
    assert interval_cv(train) == pytest.approx(float(cv(np.diff(train))))
    assert local_variation(train) == pytest.approx(float(lv(np.diff(train))))
