"""Kernel analysis against its closed forms."""

import numpy as np
import pytest

from neuropil.compare.kernel_analysis import (
    ceiling,
    chance,
    generalisation,
    kernel_analysis,
    kernel_curves,
    targets,
    widths,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_labels_themselves_reach_the_ceiling():
    y = np.arange(70) % 7
    c = kernel_curves(np.eye(7)[y], y)
    np.testing.assert_allclose(c.error[:7], 1 - np.arange(7) / 6, atol=1e-12)
    assert c.area == pytest.approx(ceiling(7, 70), rel=1e-12)


def test_labels_that_mean_nothing_are_at_chance(rng):
    x, areas = rng.normal(size=(80, 10)), []
    for _ in range(30):
        areas.append(kernel_curves(x, rng.permutation(np.arange(80) % 4)).area)
    assert np.mean(areas) == pytest.approx(chance(80), abs=0.01)


def test_parsevals_sum_is_the_error_of_explicit_predictions(rng):
    x, y = rng.normal(size=(20, 4)), np.arange(20) % 3
    found = kernel_curves(x, y, quantiles=(0.5,))
    d = ((x[:, None] - x[None]) ** 2).sum(2)
    k = np.exp(-d / np.sort(d, None)[int(0.5 * 400)])
    h = np.eye(20) - 1 / 20
    w, v = np.linalg.eigh(h @ k @ h)
    v, t = v[:, np.argsort(-np.abs(w))], targets(y)
    want = [np.mean((t - v[:, :i] @ v[:, :i].T @ t) ** 2) for i in range(21)]
    np.testing.assert_allclose(found.error, want, atol=1e-10)
    assert found.error[0] == 1
    assert abs(found.error[-1]) < 1e-9
    assert np.all(np.diff(found.error) <= 1e-12)


def test_targets_have_one_scale_for_all_classes():
    t = targets(np.array([0] * 6 + [1] * 3 + [2]))
    np.testing.assert_allclose(t.mean(0), 0, atol=1e-12)
    assert np.mean(t**2) == pytest.approx(1)
    assert t[:, 0].std() > 1.2 * t[:, 2].std()


def test_rotation_shift_scale_order_and_copies_of_features_change_nothing(rng):
    x, y = rng.normal(size=(30, 5)), np.arange(30) % 3
    want = kernel_curves(x, y).area
    turn, order = np.linalg.qr(rng.normal(size=(5, 5)))[0], rng.permutation(30)
    for moved in (4 * x @ turn + 7, np.concatenate([x, x], 1)):
        assert kernel_curves(moved, y).area == pytest.approx(want, rel=1e-9)
    assert kernel_curves(x[order], y[order]).area == pytest.approx(want, rel=1e-9)


def test_quantiles_count_the_diagonal_and_are_never_zero():
    d = np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 9.0], [4.0, 9.0, 0.0]])
    assert widths(d, (0.1, 0.5, 0.9)).tolist() == [1.0, 1.0, 9.0]
    with pytest.raises(ValueError, match="same response"):
        widths(np.zeros((3, 3)))


def test_left_out_samples_are_predicted_and_noise_is_not(rng):
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 6)) + 4 * np.eye(6)[y]
    train = np.arange(90) < 60
    good = generalisation(x, y, train)
    assert len(good) == 61
    assert good[0] == 0
    assert good[2:6].max() > 0.8
    assert generalisation(x, rng.permutation(y), train)[2:10].max() < 0.2


def test_scores_and_reasons(rng):
    y = np.arange(42) % 3
    x = rng.normal(size=(42, 8)) + 1.5 * np.eye(8)[y]
    s = kernel_analysis(x, y, resamples=20, permutations=99)
    assert s.p == 0.01
    assert s.interval[0] < s.value < s.ceiling
    assert s.null.mean() == pytest.approx(chance(42), abs=0.02)
    with pytest.raises(ValueError, match="2 or more kinds"):
        kernel_curves(x, np.zeros(42))
    with pytest.raises(ValueError, match="labels"):
        kernel_curves(x, y[1:])
    with pytest.raises(ValueError, match="not among"):
        generalisation(x, np.where(np.arange(42) < 30, y % 2, 2), np.arange(42) < 20)
