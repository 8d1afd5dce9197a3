import numpy as np
import pytest

from neuropil.stats import Score, permutation_p


def test_p_counts_the_observed_value_as_one_draw():
    null = np.array([0.0, 1.0, 2.0, 3.0])
    assert permutation_p(5.0, null) == 1 / 5
    assert permutation_p(2.0, null) == 3 / 5
    assert permutation_p(-1.0, null, "less") == 1 / 5
    assert permutation_p(5.0, null, "two-sided") == 2 / 5
    np.testing.assert_array_equal(
        permutation_p(np.array([5.0, 0.0]), np.stack([null, null], 1)), [0.2, 1.0]
    )
    with pytest.raises(ValueError, match="tail must be one of"):
        permutation_p(1.0, null, "up")
    with pytest.raises(ValueError, match="at least one"):
        permutation_p(1.0, np.array([]))


def test_a_score_of_targets_picks_and_averages():
    rng = np.random.default_rng(0)
    value = np.array([0.2, 0.4, np.nan, 0.6])
    draws = value + 0.01 * rng.normal(size=(500, 4))
    null = 0.1 * rng.normal(size=(99, 4))
    score = Score(value, (value - 0.1, value + 0.1), np.full(4, 0.8), null, draws, name="r")
    one = score[1]
    assert one.value == 0.4
    assert one.interval == (pytest.approx(0.3), pytest.approx(0.5))
    assert one.of_ceiling == pytest.approx(0.5)
    assert one.p == 0.01
    mean = score.mean()
    assert mean.value == pytest.approx(0.4)
    assert mean.ceiling == pytest.approx(0.8)
    # resampling three targets of sd 0.163 dominates: half width about 1.96 * 0.163 / sqrt(3)
    low, high = mean.interval
    assert 0.12 < (high - low) / 2 < 0.22
    np.testing.assert_allclose(mean.null, null[:, [0, 1, 3]].mean(1))
    assert "mean r = 0.400" in repr(mean)
    assert "r of 4 targets" in repr(score)


def test_two_bounds_of_a_ceiling():
    score = Score(0.3, ceiling=(0.5, 0.6))
    assert score.of_ceiling == pytest.approx(0.5)
    assert "ceiling 0.500 to 0.600" in repr(score)
    assert np.isnan(Score(0.3, ceiling=0.0).of_ceiling)
    assert Score(0.3).of_ceiling is None
    assert Score(0.3).p is None


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="interval must be"):
        Score(np.zeros(3), (0.0, 1.0))
    with pytest.raises(ValueError, match="null must have shape"):
        Score(np.zeros(3), null=np.zeros((10, 2)))
    with pytest.raises(ValueError, match="paired difference"):
        Score(0.1).minus(Score(0.2))
    with pytest.raises(ValueError, match="one axis of targets"):
        Score(0.1).mean()
    with pytest.raises(ValueError, match="no target"):
        Score(np.array([np.nan])).mean()
