import numpy as np
import pytest
from scipy import stats

from neuropil.compare.connectivity import direction, edges


def test_scores_that_know_the_circuit_and_its_transpose():
    rng = np.random.default_rng(0)
    a = rng.random((12, 12)) < 0.15
    a &= ~a.T  # one way only
    np.fill_diagonal(a, False)
    scores = a + 0.1 * rng.random((12, 12))
    np.fill_diagonal(scores, np.nan)  # the diagonal is never looked at
    assert edges(scores, a).value == 1
    assert direction(scores, a).value == 1
    assert direction(scores.T, a).value == 0
    # a symmetric score finds the pair but not the direction
    both = scores + scores.T
    assert direction(both, a).value == 0.5
    assert 0.85 < edges(both, a).value < 1


def test_direction_interval_is_the_exact_binomial_one():
    rng = np.random.default_rng(1)
    a = np.zeros((9, 9), bool)
    a[1:, 0] = True
    scores = rng.normal(size=(9, 9))
    score = direction(scores, a)
    exact = stats.binomtest(round(score.value * 8), 8).proportion_ci()
    np.testing.assert_allclose(score.interval, (exact.low, exact.high), atol=1e-12)
    assert abs(score.null.mean() - 0.5) < 0.03


def test_refusals():
    with pytest.raises(ValueError, match="same square"):
        edges(np.zeros((3, 4)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="no one-way edge"):
        direction(np.zeros((3, 3)), np.eye(3))
    with pytest.raises(ValueError, match="NaN"):
        edges(np.full((3, 3), np.nan), np.ones((3, 3)))
