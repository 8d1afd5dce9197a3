"""Banded ridge: plain ridge on scaled features; penalties found by draws and by descent."""

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.utils.estimator_checks import check_estimator

from neuropil.compare.banded import BandedRidge, band_draws
from neuropil.compare.ridge import Ridge

ALPHAS = np.logspace(-1, 3, 5)
SHARES = np.array([[0.5, 0.5], [0.9, 0.1], [0.01, 0.99]])


def problem(n=40, sizes=(4, 6), targets=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, sum(sizes))) + 1
    w = rng.normal(size=(sum(sizes), targets))
    w[sizes[0] :, 0] = 0  # the first target needs the first band only, the second the second
    w[: sizes[0], 1] = 0
    return x, x @ w + rng.normal(size=(n, targets)), np.repeat([0, 1], sizes)


@pytest.mark.parametrize("sizes", [(4, 6), (30, 40)])
def test_weights_and_errors_are_those_of_ridge_on_scaled_features(sizes, x64):
    x, y, groups = problem(sizes=sizes)
    ours = BandedRidge(groups, ALPHAS, 4, SHARES).fit(x, y)
    errors, coefs = [], []
    for share in SHARES:
        scale = np.sqrt(share)[groups]
        plain = Ridge(ALPHAS, cv=4).fit(x * scale, y)
        errors.append(plain.error_)
        coefs.append(plain.coef_ * scale)
    best = np.argmin(errors, 0)
    np.testing.assert_allclose(ours.error_, np.min(errors, 0), rtol=1e-8)
    np.testing.assert_allclose(
        ours.coef_, np.array(coefs)[best, np.arange(3)], rtol=1e-6, atol=1e-9
    )
    # with its own penalties the weights solve the normal equations
    for i in range(3):
        scale = 1 / np.sqrt(ours.penalties_[i])[groups]
        again = linear_model.Ridge(1.0, solver="svd").fit(x * scale, y[:, i])
        np.testing.assert_allclose(again.coef_ * scale, ours.coef_[i], rtol=1e-6, atol=1e-9)


def test_bands_that_do_not_matter_are_held_down():
    x, y, groups = problem()
    model = BandedRidge(groups, ALPHAS, 4, draws=10).fit(x, y)
    assert model.penalties_[0, 0] < model.penalties_[0, 1]
    assert model.penalties_[1, 1] < model.penalties_[1, 0]
    assert model.score(x, y) > 0.7


def test_descent_goes_down_and_its_weights_have_its_penalties(x64):
    x, y, groups = problem()
    first = BandedRidge(groups, ALPHAS, 4, SHARES).fit(x, y)
    then = BandedRidge(groups, ALPHAS, 4, SHARES, steps=15).fit(x, y)
    assert np.all(then.error_ < first.error_)
    for i in range(3):
        scale = 1 / np.sqrt(then.penalties_[i])[groups]
        again = Ridge(1.0, cv=4).fit(x * scale, y[:, i])
        np.testing.assert_allclose(again.coef_ * scale, then.coef_[i], rtol=1e-6, atol=1e-9)


def test_draws_lie_on_the_simplex():
    draws = band_draws(3, 7)
    np.testing.assert_allclose(draws.sum(1), 1)
    assert draws.shape == (7, 3)
    assert (draws[0] == 1 / 3).all()
    assert draws.min() > 0


def test_refusals():
    x, y, groups = problem()
    with pytest.raises(ValueError, match="the band of each of 10 features"):
        BandedRidge(groups[:4]).fit(x, y)
    with pytest.raises(ValueError, match="positive shares of 2 bands"):
        BandedRidge(groups, draws=np.array([[1.0, 0.0]])).fit(x, y)
    with pytest.raises(ValueError, match="NaN"):
        BandedRidge(groups).fit(np.where(x > 3, np.nan, x), y)


@pytest.mark.slow  # it compiles for about 40 shapes
def test_it_passes_every_check_of_scikit_learn():
    check_estimator(BandedRidge(alphas=(0.1, 10.0), cv=2))
