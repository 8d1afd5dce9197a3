"""The benchmark's scores against its formulas written out with SciPy and scikit-learn; intervals that cover."""

import numpy as np
import pytest
from scipy.stats import poisson
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV

from neuropil.stats import (
    balanced_accuracy,
    co_smoothing,
    forward_prediction,
    information_transfer_rate,
    psth_r2,
    transfer_rate,
    velocity_r2,
    wilson_interval,
)

RNG = np.random.default_rng(0)


def formula(counts, rates):
    """Difference of negative log-likelihoods over spikes and log 2, NaN bins left out."""
    seen = ~np.isnan(counts)
    mean = np.broadcast_to(np.nanmean(counts, (0, 1), keepdims=True), counts.shape)
    loss = lambda r: -poisson.logpmf(counts[seen], np.where(r == 0, 1e-9, r)[seen]).sum()
    return (loss(mean) - loss(rates)) / np.nansum(counts) / np.log(2)


def population(trials=30, bins=12, units=6):
    rates = np.exp(RNG.normal(size=(trials, bins, 1)) * RNG.normal(size=units) * 0.7)
    return RNG.poisson(rates).astype(float), rates


def test_bits_per_spike_of_held_out_units_and_of_bins_to_come():
    counts, rates = population()
    counts[3, 5:] = np.nan
    said = rates * np.exp(0.2 * RNG.normal(size=rates.shape))
    said[0, 0] = 0.0
    heldout = np.arange(6) >= 4
    score = co_smoothing(counts, said, heldout, draws=300)
    assert score.value == pytest.approx(formula(counts[..., 4:], said[..., 4:]), rel=1e-9)
    assert score.interval[0] < score.value < score.interval[1]
    assert score.p < 0.01
    ahead = forward_prediction(counts, said, 3, draws=100)
    assert ahead.value == pytest.approx(formula(counts[:, -3:], said[:, -3:]), rel=1e-9)
    counts, rates = population()
    flat = np.broadcast_to(counts.mean((0, 1)), counts.shape)
    assert co_smoothing(counts, flat, draws=20).value == pytest.approx(0, abs=1e-12)
    order = np.random.default_rng(1).permutation(30)
    assert (
        co_smoothing(counts, rates[order], draws=300).p > 0.01
    )  # trials that know of each other nothing


def test_resampled_bits_are_those_of_resampled_data():
    counts, rates = population(8)
    score = co_smoothing(counts, rates, draws=3, seed=4)
    weights = np.random.default_rng(4).multinomial(8, np.full(8, 1 / 8), 3)
    picks = [np.repeat(np.arange(8), w) for w in weights]
    want = [formula(counts[p], rates[p]) for p in picks]
    np.testing.assert_allclose(score.draws, want, rtol=1e-9)


def test_velocity_is_decoded_by_the_benchmarks_ridge():
    rates = RNG.normal(size=(40, 10, 5))
    velocity = rates[..., :2] @ RNG.normal(size=(2, 2)) + RNG.normal(size=(40, 10, 2)) + 1.0
    velocity[2, :4] = velocity[33, 6:] = np.nan
    score = velocity_r2(rates[:30], velocity[:30], rates[30:], velocity[30:], draws=200)
    flat = lambda a: a.reshape(-1, a.shape[2])
    x, y, z, v = map(flat, (rates[:30], velocity[:30], rates[30:], velocity[30:]))
    fit, held = ~np.isnan(y[:, 0]), ~np.isnan(v[:, 0])
    decoder = GridSearchCV(Ridge(), {"alpha": np.logspace(-4, 0, 9)}).fit(x[fit], y[fit])
    assert score.value == pytest.approx(decoder.score(z[held], v[held]), rel=1e-9)
    assert score.p < 0.05
    assert score.interval[0] < score.value < score.interval[1]


def test_psths_of_conditions():
    psth = RNG.normal(size=(3, 8, 4)) + np.arange(4)
    psth[:, 6:] = np.nan
    condition = np.array([0, 1, 2, 0, 1, 2, 0, -1, 1])
    rates = np.nan_to_num(psth)[condition] + 0.3 * RNG.normal(size=(9, 8, 4))
    score = psth_r2(psth, rates, condition, draws=99)
    said = np.stack([rates[condition == c].mean(0) for c in range(3)])
    want = r2_score(psth[:, :6].reshape(-1, 4), said[:, :6].reshape(-1, 4))
    assert score.value == pytest.approx(want, rel=1e-9)
    assert score.p < 0.05
    late = np.concatenate([rates[:, 1:], rates[:, :1]], axis=1)  # what came one bin early
    psth[:, 0] = np.nan
    moved = psth_r2(psth, late, condition, jitter=np.ones(9, int), draws=9)
    assert moved.value == pytest.approx(psth_r2(psth, rates, condition, draws=9).value, rel=1e-9)


def test_balanced_accuracy_and_its_interval():
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    said = np.where(RNG.random(100) < 0.6, truth, RNG.integers(0, 3, 100))
    score = balanced_accuracy(truth, said, draws=199)
    assert score.value == pytest.approx(balanced_accuracy_score(truth, said))
    assert score.p < 0.01
    assert np.mean(score.null) == pytest.approx(1 / 3, abs=0.02)
    low, high = balanced_accuracy(truth, truth, draws=9).interval
    assert 0.85 < low < high == 1
    covered, sizes, shares = 0, np.array([12, 30, 60]), np.array([0.95, 0.7, 0.5])
    for _ in range(300):
        hits = RNG.binomial(sizes, shares)
        truth = np.repeat(np.arange(3), sizes)
        right = np.concatenate([np.arange(n) < h for n, h in zip(sizes, hits, strict=True)])
        low, high = balanced_accuracy(truth, np.where(right, truth, 9), draws=1).interval
        covered += low <= shares.mean() <= high
    assert 0.91 < covered / 300 <= 0.99


def test_transfer_rate_is_the_formula_of_the_accuracy():
    truth = np.tile(np.arange(4), 25)
    said = np.where(np.arange(100) < 80, truth, (truth + 1) % 4)
    score = transfer_rate(truth, said, 1.5, classes=8, draws=99)
    assert score.value == pytest.approx(information_transfer_rate(0.8, 8, 1.5))
    ends = [information_transfer_rate(float(p), 8, 1.5) for p in wilson_interval(80, 100)]
    assert list(score.interval) == pytest.approx(ends)
    assert score.p == 0.01


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: co_smoothing(np.ones((3, 4, 2)), -np.ones((3, 4, 2))), "not negative"),
        (lambda: co_smoothing(np.ones((3, 4)), np.ones((3, 4))), "trial, bin, unit"),
        (lambda: co_smoothing(np.zeros((3, 4, 2)), np.ones((3, 4, 2))), "no spike"),
        (lambda: co_smoothing(np.ones((1, 4, 2)), np.ones((1, 4, 2))), "2 trials"),
        (lambda: co_smoothing(*[np.ones((3, 4, 2))] * 2, np.zeros(2, bool)), "heldout"),
        (lambda: forward_prediction(*[np.ones((3, 4, 2))] * 2, 5), "bins = 5"),
        (lambda: velocity_r2(*[np.ones((3, 4, 2))] * 2, *[np.ones((3, 4))] * 2), "velocity"),
        (lambda: psth_r2(np.ones((2, 4, 2)), np.ones((3, 4, 2)), np.array([0, 1, 2])), "condition"),
        (lambda: balanced_accuracy(np.ones(3), np.ones(3)), "2 classes"),
        (lambda: transfer_rate(np.arange(4), np.arange(4), 1.0, classes=3), "classes = 3"),
    ],
)
def test_bad_requests_say_why(make, says):
    with pytest.raises(ValueError, match=says):
        make()
