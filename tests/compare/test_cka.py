"""Linear CKA against its closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.compare.cka import cka, linear_cka


@pytest.fixture
def draws(x64):
    rng = np.random.default_rng(0)
    return lambda *shape: jnp.asarray(rng.standard_normal(shape))


def test_for_one_feature_each_it_is_the_squared_correlation(draws):
    x = draws(50, 1)
    y = x + 2 * draws(50, 1)
    r = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
    assert float(linear_cka(x, y)) == pytest.approx(r**2, rel=1e-12)


@pytest.mark.parametrize("features", [6, 60])  # through features, and through samples
def test_rotation_scale_and_shift_change_nothing(draws, features):
    x, y = draws(40, features), draws(40, 3)
    turn = jnp.asarray(np.linalg.qr(np.asarray(draws(features, features)))[0])
    moved = 3 * x @ turn + draws(1, features)
    assert float(linear_cka(x, moved)) == pytest.approx(1, rel=1e-9)
    assert float(linear_cka(moved, y)) == pytest.approx(float(linear_cka(x, y)), rel=1e-9)
    # the same number both ways of adding up
    k, l = (a - a.mean(0, keepdims=True) for a in (x, y))
    want = np.linalg.norm(l.T @ k) ** 2 / np.linalg.norm(k.T @ k) / np.linalg.norm(l.T @ l)
    assert float(linear_cka(x, y)) == pytest.approx(want, rel=1e-9)


def test_features_that_do_not_vary_are_like_nothing(draws):
    assert float(linear_cka(draws(9, 2), jnp.ones((9, 3)))) == 0


def test_numpy_stays_numpy_in_double(draws):
    x, y = np.asarray(draws(20, 3)), np.asarray(draws(20, 4))
    assert isinstance(linear_cka(x, y), np.ndarray | np.floating)
    assert float(cka(x, y)) == pytest.approx(float(linear_cka(jnp.asarray(x), jnp.asarray(y))))


def test_debiased_hsic_is_the_formula_of_song_and_others(draws):
    x, y = np.asarray(draws(12, 3)), np.asarray(draws(12, 4))
    n = 12

    def hsic(k, l):
        k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
        one = np.ones(n)
        parts = (k * l).sum() + k.sum() * l.sum() / (n - 1) / (n - 2)
        return (parts - 2 / (n - 2) * one @ k @ l @ one) / n / (n - 3)

    k, l = x @ x.T, y @ y.T
    want = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    assert float(cka(x, y, debiased=True)) == pytest.approx(want, rel=1e-9)


def test_unrelated_wide_representations_score_zero_only_without_the_bias(draws):
    pairs = [(np.asarray(draws(20, 100)), np.asarray(draws(20, 100))) for _ in range(40)]
    assert np.mean([cka(*p) for p in pairs]) > 0.8
    fair = [float(cka(*p, debiased=True)) for p in pairs]
    assert abs(np.mean(fair)) < 4 * np.std(fair) / np.sqrt(40)


def test_a_wide_gaussian_kernel_is_nearly_linear_and_any_is_blind_to_scale(draws):
    x, y = np.asarray(draws(15, 3)), np.asarray(draws(15, 3))
    assert float(cka(x, y, kernel="rbf", width=50.0)) == pytest.approx(float(cka(x, y)), rel=1e-3)
    found = cka(3 * x + 1, y, kernel="rbf")
    assert float(found) == pytest.approx(float(cka(x, y, kernel="rbf")), rel=1e-9)
    with pytest.raises(ValueError, match="kernel"):
        cka(x, y, kernel="cubic")
    with pytest.raises(ValueError, match="4 or more"):
        cka(x[:3], y[:3], debiased=True)
