import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from neuropil.stats import auroc, midranks


def test_value_is_that_of_sklearn_also_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.random(30) < 0.4
        labels[:2] = [True, False]
        scores = rng.integers(0, 6, 30).astype(float)
        ours = auroc(labels, scores, permutations=1)
        assert ours.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    np.testing.assert_allclose(midranks(scores), stats.rankdata(scores))


def test_interval_is_delong_by_its_definition():
    rng = np.random.default_rng(1)
    labels = np.repeat([True, False], [12, 20])
    scores = rng.normal(size=32) + labels
    kernel = (scores[:12, None] > scores[None, 12:]).astype(float)
    var = kernel.mean(1).var(ddof=1) / 12 + kernel.mean(0).var(ddof=1) / 20
    a = kernel.mean()
    half = stats.norm.ppf(0.975) * np.sqrt(var) / (a * (1 - a))
    expected = 1 / (1 + np.exp(-(np.log(a / (1 - a)) + np.array([-half, half]))))
    np.testing.assert_allclose(auroc(labels, scores, permutations=1).interval, expected)


def test_interval_covers_the_true_area():
    rng = np.random.default_rng(2)
    truth = stats.norm.cdf(1.5 / np.sqrt(2))
    labels = np.repeat([True, False], [20, 60])
    hits = 0
    for _ in range(1000):
        low, high = auroc(labels, rng.normal(size=80) + 1.5 * labels, permutations=0).interval
        hits += low <= truth <= high
    assert 0.93 < hits / 1000 < 0.98


def test_p_under_the_null_and_a_perfect_separation():
    rng = np.random.default_rng(3)
    labels = np.repeat([True, False], [8, 20])
    p = np.array(
        [auroc(labels, rng.normal(size=28), permutations=39, seed=i).p for i in range(400)]
    )
    assert abs(p.mean() - 0.5) < 0.05
    assert np.mean(p <= 0.05) < 0.09
    perfect = auroc(labels, labels.astype(float))
    assert perfect.value == 1
    assert 0.5 < perfect.interval[0] < 1
    assert perfect.interval[1] == 1
    assert perfect.p == pytest.approx(0.001)


def test_refusals():
    with pytest.raises(ValueError, match="needs positives and negatives"):
        auroc(np.ones(4), np.arange(4.0))
    with pytest.raises(ValueError, match="do not match"):
        auroc(np.ones(4), np.arange(3.0))
    with pytest.raises(ValueError, match="NaN"):
        auroc(np.array([0, 1]), np.array([np.nan, 1.0]))
