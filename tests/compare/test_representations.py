"""Scores of pairs of representations: their nulls, intervals, ceilings and refusals."""

import numpy as np
import pytest

from neuropil.compare.cka import linear_cka
from neuropil.compare.representations import MEASURES, compare_representations

FEW = {"resamples": 20, "permutations": 19}
SETTINGS = {"svcca": {"k": 3}}


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5))
    return x, x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] + 0.3 * rng.normal(size=(30, 5))


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_every_measure_finds_a_relation_and_says_how_sure_it_is(pair, measure):
    s = compare_representations(*pair, measure, **FEW, **SETTINGS.get(measure, {}))
    # single units have no like after a rotation, so soft matching may miss it
    assert s.p == 0.05 or measure == "soft_matching"
    assert s.interval[0] < s.interval[1]
    assert s.tail == MEASURES[measure][1]


def test_units_and_stimuli_can_both_be_resampled(pair):
    both = compare_representations(*pair, resample=("stimuli", "units"), **FEW)
    one = compare_representations(*pair, resample=("units",), **FEW)
    assert both.value == one.value
    assert np.ptp(both.interval) > 0
    assert np.ptp(one.interval) > 0
    same = compare_representations(*pair, resample=("units",), **FEW)
    assert one.minus(same).interval == (0, 0)  # equal seeds pair


def test_repeats_give_a_ceiling(pair):
    x, y = pair
    repeats = y + 2 * np.random.default_rng(1).normal(size=(6, *y.shape))
    repeats[0, 3] = np.nan
    s = compare_representations(x, repeats, **FEW)
    clean = compare_representations(x, y, **FEW)
    assert s.value < clean.value
    assert 0 < s.ceiling < 1


def test_a_function_of_ones_own_is_a_measure(pair):
    s = compare_representations(*pair, linear_cka, **FEW)
    assert s.value == pytest.approx(float(linear_cka(*pair)))


@pytest.mark.slow
def test_intervals_cover_and_nulls_are_calibrated():
    """500 experiments: CKA's interval covers about 95 % of the population's value, and Procrustes' of its own
    mean at that number of stimuli; a null of no relation is rejected at 5 %."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 8))

    def experiment(n, related):
        x = rng.normal(size=(n, 6))
        y = related * x @ mix + 3 * rng.normal(size=(n, 8))
        return x, y

    truth = compare_representations(*experiment(8000, 1.0), resamples=0, permutations=0).value
    covered, rejected, angles = [], [], []
    for seed in range(500):
        s = compare_representations(*experiment(60, 1.0), resamples=100, permutations=0, seed=seed)
        covered.append(s.interval[0] <= truth <= s.interval[1])
        if seed < 200:
            more = {"resamples": 100, "permutations": 0, "seed": seed}
            angles.append(compare_representations(*experiment(60, 1.0), "procrustes", **more))
        s = compare_representations(*experiment(40, 0.0), resamples=0, permutations=39, seed=seed)
        rejected.append(s.p <= 0.05)
    assert 0.88 < np.mean(covered) < 0.985
    assert 0.03 < np.mean(rejected) < 0.075
    mean = np.mean([s.value for s in angles])
    assert np.mean([s.interval[0] <= mean <= s.interval[1] for s in angles]) > 0.88


def test_what_cannot_be_compared_says_why(pair):
    x, y = pair
    with pytest.raises(ValueError, match="same stimuli"):
        compare_representations(x, y[1:])
    with pytest.raises(ValueError, match="NaN"):
        compare_representations(np.where(x > 2, np.nan, x), y)
    with pytest.raises(ValueError, match="measure"):
        compare_representations(x, y, "rsa")
    with pytest.raises(ValueError, match="resample"):
        compare_representations(x, y, resample=("subjects",))
    with pytest.raises(ValueError, match="too few"):
        compare_representations(x[:4], y[:4])
    # a constant unit, a repeated stimulus and fewer stimuli than units all have an answer
    wide = np.concatenate([x[:8], np.ones((8, 4)), x[:8] ** 2], 1)
    assert np.isfinite(compare_representations(wide, y[:8], resample=("units",), **FEW).value)
