"""Levels of a network beside the order of a brain: closed forms of each score."""

import numpy as np
import pytest

from neuropil.compare.hierarchy import (
    half_time,
    level_encoding,
    order_p,
    order_score,
)
from neuropil.stats.ceiling import weighted_correlation


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(120, 6)) for _ in range(3)]
    y = np.concatenate([x @ rng.normal(size=(6, 4)) for x in levels], 1)
    y = y / y.std(0) + 0.3 * rng.normal(size=y.shape)
    return levels, y.astype(np.float32), np.repeat(np.arange(3), 4)


def test_each_area_is_predicted_best_by_the_level_it_reads(planted):
    levels, y, area = planted
    found = level_encoding(levels, y, components=6)
    table = found.correlation(y)
    best = np.array([table[:, area == a].mean(1).argmax() for a in range(3)])
    assert best.tolist() == [0, 1, 2]
    assert order_score(best, np.arange(3)) == pytest.approx(1.0)
    assert (found.best(y, area) > 0.9).all()
    assert np.abs(np.delete(table[0], np.s_[:4])).max() < 0.5


def test_predictions_are_ridge_of_the_training_folds(planted):
    levels, y, _ = planted
    labels = np.arange(120) % 4
    found = level_encoding(levels[:1], y, folds=labels, components=6, alphas=(0.01,))
    x = levels[0] / np.sqrt(levels[0].var(0).mean() * 6)
    train, test = labels != 2, labels == 2
    centre, mean = x[train].mean(0), y[train].mean(0)
    gram = (x[train] - centre).T @ (x[train] - centre) + 0.01 * 120 * np.eye(6)
    w = np.linalg.solve(gram, (x[train] - centre).T @ (y[train] - mean))
    np.testing.assert_allclose(found.moved[0, test], (x[test] - centre) @ w, atol=2e-5)


def test_the_choice_of_a_level_never_sees_the_fold_it_predicts(planted):
    levels, y, _ = planted
    found = level_encoding(levels, y, components=6)
    twisted = y.copy()
    out = found.labels == 0
    twisted[out] = twisted[out][
        ::-1
    ]  # other responses in the fold left out change nothing it was made by
    again = level_encoding(levels, twisted, components=6)
    np.testing.assert_array_equal(again.left_out[0], found.left_out[0])
    np.testing.assert_array_equal(again.moved[:, out], found.moved[:, out])


def test_more_features_than_components_are_cut_and_images_out_of_order_say_nothing(planted):
    levels, y, area = planted
    order = np.random.default_rng(1).permutation(120)
    found = level_encoding([x[order] for x in levels], y, components=3)
    assert np.abs(found.best(y, area)).mean() < 0.15


def test_weighted_correlation_counts_a_sample_as_often_as_it_was_drawn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10, 1))
    counts = rng.integers(0, 3, 10)
    rows = np.repeat(np.arange(10), counts)
    want = np.corrcoef(x[rows, 0], y[rows, 0])[0, 1]
    assert weighted_correlation(x, y, counts.astype(float))[0] == pytest.approx(want)


def test_orders_by_hand():
    assert np.isnan(order_score(np.ones(4), np.arange(4)))
    assert order_p(np.array([0, 1, 2, 3, 4]), np.arange(5.0)) == pytest.approx(1 / 120)
    with pytest.raises(ValueError, match="3 or more"):
        order_score(np.arange(2), np.arange(2))
    with pytest.raises(ValueError, match="too many orders"):
        order_p(np.arange(9), np.arange(9))


def test_half_time_of_an_exponential_is_its_constant_times_ln_2():
    steps = np.arange(0, 4000)
    scores = 1 - np.exp(-steps / 300)
    assert half_time(steps, scores) == pytest.approx(300 * np.log(2), rel=0.01)
    assert half_time(np.array([0, 10]), np.array([0.8, 1.0])) == 0
    assert np.isnan(half_time(np.array([0, 10]), np.array([0.8, -0.1])))
    # half of the last value, though the score began below zero
    assert half_time(np.array([0, 1]), np.array([-1.0, 1.0])) == pytest.approx(2**0.75 - 1)
    with pytest.raises(ValueError, match="must rise"):
        half_time(np.array([1, 1]), np.array([0.1, 0.2]))


def test_levels_of_other_images_are_refused():
    with pytest.raises(ValueError, match="level 0"):
        level_encoding([np.ones((5, 2))], np.ones((6, 1)))
