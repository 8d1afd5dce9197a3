import jax
import numpy as np
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from neuropil.compare.ridge import ALPHAS, Ridge, blocks


def problem(n, p, targets=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + 3
    w = rng.normal(size=(p, targets)) * np.array([0.0, 0.1, 1.0, 3.0])[:targets]
    return x, x @ w + 2 * rng.normal(size=(n, targets)) + 7


@pytest.mark.parametrize(("n", "p"), [(40, 12), (20, 50)])
def test_weights_are_those_of_sklearn(n, p):
    x, y = problem(n, p)
    with jax.enable_x64(True):
        ours = Ridge(alphas=2.5).fit(x, y)
    ref = linear_model.Ridge(alpha=2.5, solver="svd").fit(x, y)
    np.testing.assert_allclose(ours.coef_, ref.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.intercept_, ref.intercept_, atol=1e-8)
    np.testing.assert_allclose(ours.predict(x), ref.predict(x), atol=1e-8)


@pytest.mark.parametrize(("n", "p"), [(40, 12), (20, 50)])
def test_leave_one_out_choice_is_that_of_sklearn(n, p):
    x, y = problem(n, p)
    alphas = np.logspace(-1, 4, 12)
    with jax.enable_x64(True):
        ours = Ridge(alphas=alphas).fit(x, y)
    ref = linear_model.RidgeCV(alphas=alphas, alpha_per_target=True, gcv_mode="svd").fit(x, y)
    np.testing.assert_allclose(ours.alpha_, ref.alpha_)
    assert len(np.unique(ours.alpha_)) > 1
    np.testing.assert_allclose(ours.coef_, ref.coef_, atol=1e-8)


def test_choice_on_folds_is_that_of_a_search_by_hand():
    x, y = problem(40, 10)
    alphas, labels = np.logspace(-1, 4, 8), blocks(40, 4)
    with jax.enable_x64(True):
        ours = Ridge(alphas=alphas, cv=4).fit(x, y)
        same = Ridge(alphas=alphas, cv=labels).fit(x, y)
    errors = [
        (
            (y - cross_val_predict(linear_model.Ridge(a), x, y, cv=PredefinedSplit(labels))) ** 2
        ).mean(0)
        for a in alphas
    ]
    np.testing.assert_allclose(ours.alpha_, alphas[np.argmin(errors, 0)])
    np.testing.assert_array_equal(ours.alpha_, same.alpha_)


@pytest.mark.slow  # it compiles for about 40 shapes
def test_it_passes_every_check_of_scikit_learn():
    check_estimator(Ridge(alphas=(0.1, 1.0, 10.0)))


def test_it_is_a_scikit_learn_estimator():
    x, y = problem(20, 5)
    pipe = make_pipeline(StandardScaler(), Ridge(alphas=1.0))
    assert clone(pipe).fit(x, y[:, 3]).score(x, y[:, 3]) > 0.9
    assert pipe.fit(x, y[:, 3]).predict(x).shape == (20,)
    with pytest.raises(NotFittedError):
        Ridge().predict(x)


def test_float32_is_close_enough():
    x, y = problem(60, 20)
    ours = Ridge(alphas=1.0).fit(x, y)
    ref = linear_model.Ridge(alpha=1.0).fit(x, y)
    np.testing.assert_allclose(ours.coef_, ref.coef_, atol=1e-4)


def test_refusals():
    x, y = problem(10, 3)
    with pytest.raises(ValueError, match="alphas must be positive"):
        Ridge(alphas=(0.0, 1.0)).fit(x, y)
    with pytest.raises(ValueError, match="folds must lie between 2"):
        Ridge(cv=11).fit(x, y)
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(np.where(x > 4, np.nan, x), y)
    assert len(ALPHAS) == 17
