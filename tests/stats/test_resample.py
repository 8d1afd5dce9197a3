import numpy as np
import pytest
from scipy import stats

from neuropil.stats import bootstrap, permutation, shifts


def misses(method, runs=400, n=20):
    """Shares of intervals for the mean of a skewed (exponential) sample that lie wholly below
    and wholly above the truth."""
    rng = np.random.default_rng(0)
    ends = np.array(
        [
            bootstrap(
                np.mean, rng.exponential(size=n), resamples=300, method=method, seed=seed
            ).interval
            for seed in range(runs)
        ]
    )
    return np.mean(ends[:, 1] < 1), np.mean(ends[:, 0] > 1)


def test_intervals_cover_and_bca_balances_the_two_ways_to_miss():
    bca, percentile = misses("bca"), misses("percentile")
    # at n = 20 neither reaches 0.95 on so skewed a sample (Monte-Carlo error 0.015)
    assert 0.85 < 1 - sum(percentile) < 0.96
    assert 0.85 < 1 - sum(bca) < 0.96
    assert bca[0] - bca[1] < percentile[0] - percentile[1]


def test_bca_agrees_with_scipy():
    x = np.random.default_rng(3).exponential(size=40)
    ours = bootstrap(np.mean, x, resamples=6000).interval
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=6000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=0.03)


def test_paired_samples_are_resampled_together():
    x = np.random.default_rng(0).normal(size=60)
    score = bootstrap(lambda a, b: np.corrcoef(a, b)[0, 1], x, 2 * x, resamples=50)
    np.testing.assert_allclose(score.draws, 1)


def test_p_is_uniform_under_the_null_and_small_when_there_is_something():
    rng = np.random.default_rng(0)

    def dot(a, b):
        return a @ b

    p = [
        permutation(dot, rng.normal(size=12), rng.normal(size=12), draws=39, seed=i).p
        for i in range(600)
    ]
    # p takes the values 1/40 .. 40/40, each as often under the null
    counts = np.bincount(np.round(np.array(p) * 40).astype(int), minlength=41)[1:]
    assert stats.chisquare(counts).pvalue > 0.001
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)
    x = rng.normal(size=30)
    assert permutation(dot, x, x, draws=199).p == 1 / 200


def test_shifts_keep_the_order_and_never_stay():
    order = shifts(10, 50, at_least=3)
    assert np.all(np.sort(order, 1) == np.arange(10))
    assert np.all((np.diff(order, axis=1) % 10) == 1)
    assert order[:, 0].min() >= 3
    assert order[:, 0].max() <= 7
    with pytest.raises(ValueError, match="needs more than"):
        shifts(10, 5, at_least=5)


def test_refusals():
    with pytest.raises(ValueError, match="equally long"):
        bootstrap(np.mean, np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="at least 3"):
        bootstrap(np.mean, np.zeros(2))
    with pytest.raises(ValueError, match="'bca' or 'percentile'"):
        bootstrap(np.mean, np.zeros(5), method="t")
    with pytest.raises(ValueError, match="equally long"):
        permutation(np.dot, np.zeros(3), np.zeros(4))
