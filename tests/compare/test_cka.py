"""Linear CKA against its closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.compare.cka import linear_cka


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
