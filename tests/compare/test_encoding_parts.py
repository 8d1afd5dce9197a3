"""Features in time, shares of what noise allows, partitions of variance, kernel ridge, any estimator."""

import numpy as np
import pytest
from sklearn import kernel_ridge, linear_model
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator

from neuropil.compare.banded import BandedRidge
from neuropil.compare.encoding import cross_predict, encode
from neuropil.compare.features import delayed, haemodynamic
from neuropil.compare.normalised import (
    ceiling_normalised,
    explainable,
    explained_of_explainable,
    noise_normalised,
    noise_variance,
)
from neuropil.compare.partition import split_r2, variance_partition
from neuropil.compare.ridge import KernelRidge, Ridge
from neuropil.stats import Score

RNG = np.random.default_rng(0)


def test_delays_shift_within_runs_only():
    x = np.arange(1.0, 7)[:, None]
    made = delayed(x, [0, 2, -1], starts=[0, 4])
    assert made.T.tolist() == [[1, 2, 3, 4, 5, 6], [0, 0, 1, 2, 0, 0], [2, 3, 4, 0, 6, 0]]
    assert delayed(x, [9]).max() == 0
    with pytest.raises(ValueError, match="runs begin at rows 0 to 5"):
        delayed(x, [0], starts=[6])
    with pytest.raises(ValueError, match=r"\(time, feature\)"):
        delayed(x[:, 0], [0])


def test_delays_recover_a_planted_response():
    stimulus = RNG.normal(size=(300, 1))
    kernel = np.array([0.0, 0.5, 1.0, 0.3])
    y = np.convolve(stimulus[:, 0], kernel)[:300]
    found = Ridge(1e-3).fit(delayed(stimulus, range(4)), y)
    np.testing.assert_allclose(found.coef_, kernel, atol=1e-3)


def test_blood_answers_late_and_runs_do_not_touch():
    impulse = np.zeros((60, 2))
    impulse[0, 0] = impulse[30, 1] = 1
    made = haemodynamic(impulse, 1.0, starts=[0, 30], derivative=True)
    assert made.shape == (60, 4)
    assert int(made[:, 0].argmax()) == 5  # the mode of a gamma of shape 6
    np.testing.assert_allclose(made[:30, 0].sum(), 1, atol=0.02)
    np.testing.assert_allclose(made[30:, 1], made[:30, 0])
    assert np.abs(made[30:, 0]).max() == 0
    # half a second early is the response plus half the derivative, to first order
    fine = haemodynamic(np.eye(300)[:, :1], 0.1)[:, 0] * 10
    early = fine[5::10][:25]
    np.testing.assert_allclose(made[:25, 0] + 0.5 * made[:25, 2], early, atol=0.02)
    with pytest.raises(ValueError, match="tr = 0"):
        haemodynamic(impulse, 0)


def test_noise_is_told_from_signal_with_missing_repeats():
    signal = np.array([2.0, 1.0, 0.0]) * RNG.normal(size=(1, 4000, 3))
    repeats = signal + RNG.normal(size=(4, 4000, 3))
    repeats[2:, ::2] = np.nan
    noise, found = noise_variance(repeats)
    np.testing.assert_allclose(noise, 1, rtol=0.05)
    np.testing.assert_allclose(found, [4, 1, 0], atol=0.2)
    np.testing.assert_allclose(explainable(repeats, 3), [12 / 13, 3 / 4, 0], atol=0.1)
    # the signal itself explains all that can be, half of it three quarters
    share = explained_of_explainable(signal[0], repeats)
    np.testing.assert_allclose(share[:2], 1, atol=0.05)
    np.testing.assert_allclose(explained_of_explainable(signal[0] / 2, repeats)[0], 0.75, atol=0.05)
    with pytest.raises(ValueError, match="noise is unknown"):
        noise_variance(repeats[:1])


def test_shares_of_the_ceiling():
    score = Score(
        np.array([0.4, -0.2]),
        (np.array([0.3, -0.3]), np.array([0.5, 0.1])),
        ceiling=np.array([0.8, 0.0]),
        null=np.zeros((3, 2)),
        name="r",
    )
    share = ceiling_normalised(score)
    np.testing.assert_allclose(share.value, [0.5, np.nan])
    np.testing.assert_allclose(share.interval[1], [0.625, np.nan])
    assert share.null.shape == (3, 2)
    np.testing.assert_allclose(noise_normalised(score).value, [0.25, np.nan])
    with pytest.raises(ValueError, match="has no ceiling"):
        noise_normalised(Score(0.3, name="r"))


def test_variance_is_parted_as_it_was_planted():
    a, b, shared = RNG.normal(size=(3, 400, 1))
    y = 0.6 * a + 0.8 * shared
    parts = variance_partition(
        {"a": np.hstack([a, shared]), "b": np.hstack([b, shared])},
        y,
        alphas=(1.0, 10.0),
        permutations=3,
        resamples=20,
    )
    assert abs(parts.unique["a"].value[0] - 0.36) < 0.06
    assert abs(parts.unique["b"].value[0]) < 0.02
    assert abs(parts.common[("a", "b")].value[0] - 0.64) < 0.06
    total = sum(score.value for score in parts.common.values())
    np.testing.assert_allclose(total, parts.total.value)
    assert parts.unique["a"].null.shape == (3, 1)
    assert parts.unique["a"].draws.shape == (20, 1)
    with pytest.raises(ValueError, match="2 to 4 bands"):
        variance_partition({"a": a}, y)


def test_shares_of_a_sum_of_parts_add_up():
    y, parts = RNG.normal(size=(50, 3)), RNG.normal(size=(2, 50, 3))
    whole = parts.sum(0) - parts.sum(0).mean(0)
    centred = y - y.mean(0)
    r2 = 1 - ((centred - whole) ** 2).sum(0) / (centred**2).sum(0)
    np.testing.assert_allclose(split_r2(y, parts).sum(0), r2)


def test_kernel_ridge_is_that_of_scikit_learn_and_linear_is_ridge(x64):
    x, y = RNG.normal(size=(30, 3)), RNG.normal(size=(30, 2))
    ours = KernelRidge("rbf", gamma=0.3, alphas=0.5, fit_intercept=False).fit(x, y)
    ref = kernel_ridge.KernelRidge(alpha=0.5, kernel="rbf", gamma=0.3).fit(x, y)
    np.testing.assert_allclose(ours.predict(x[:5] + 1), ref.predict(x[:5] + 1), atol=1e-9)
    linear = KernelRidge(alphas=(0.1, 1.0, 10.0), cv=3).fit(x + 2, y + 1)
    plain = Ridge(alphas=(0.1, 1.0, 10.0), cv=3).fit(x + 2, y + 1)
    np.testing.assert_allclose(linear.alpha_, plain.alpha_)
    np.testing.assert_allclose(linear.predict(x), plain.predict(x), atol=1e-9)
    kernel = (x + 2) @ (x + 2).T
    given = KernelRidge("precomputed", alphas=(0.1, 1.0, 10.0), cv=3).fit(kernel, y + 1)
    np.testing.assert_allclose(given.predict(kernel), plain.predict(x + 2), atol=1e-9)


class Spy(BaseEstimator):
    """Remembers what it was fitted on; predicts the mean."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y):
        Spy.seen.append(set(X[:, 0]))
        self.mean_ = y.mean(0)
        return self

    def predict(self, X):
        assert not Spy.seen[-1] & set(X[:, 0])
        return np.tile(self.mean_, (len(X), 1))


def test_any_estimator_is_fitted_on_training_folds_only():
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
    labels = np.arange(40) % 4
    made, offset, alphas = cross_predict(Spy(), x, y, labels)
    assert len(Spy.seen) == 4
    np.testing.assert_allclose(made, offset)
    assert np.isnan(alphas).all()
    # a prediction of the training mean says nothing, and the score says so
    result = encode(x, y, model=Spy(), folds=labels, permutations=9, resamples=20)
    assert result.correlation.value.tolist() == [0, 0]


def test_bands_in_nested_folds_find_the_signal():
    x, y = RNG.normal(size=(60, 6)), RNG.normal(size=(60, 2))
    y[:, 0] += 2 * x[:, 0]
    model = BandedRidge([0, 0, 0, 1, 1, 1], alphas=(1.0, 100.0), cv=2, draws=2)
    result = encode(x, y, model=model, folds=3, permutations=19, resamples=20)
    assert result.correlation.value[0] > 0.8
    assert result.correlation.p[0] == 0.05
    ref = linear_model.LinearRegression().fit(x, y).score(x, y)
    assert ref > result.r2.value.mean()


@pytest.mark.slow  # it compiles for about 40 shapes
def test_kernel_ridge_passes_every_check_of_scikit_learn():
    check_estimator(KernelRidge(alphas=(0.1, 10.0)))
