import jax
import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from neuropil.compare.encoding import _correlation, _r2, encode
from neuropil.compare.ridge import blocks


def planted(n=120, p=6, targets=3, noise=1.0, repeats=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    signal = x @ rng.normal(size=(p, targets)) / np.sqrt(p)
    return x, signal, signal + noise * rng.normal(size=(repeats, n, targets))


def test_predictions_are_those_of_sklearn_fold_by_fold():
    x, _, y = planted(repeats=1)
    alphas, labels = np.logspace(-2, 3, 6), blocks(120, 4)
    with jax.enable_x64(True):
        result = encode(x, y[0], folds=4, alphas=alphas, permutations=0)
    expected = np.zeros_like(y[0])
    for fold in range(4):
        out = labels == fold
        ref = RidgeCV(alphas=alphas, alpha_per_target=True, gcv_mode="svd").fit(x[~out], y[0][~out])
        expected[out] = ref.predict(x[out])
        np.testing.assert_allclose(result.alphas[fold], ref.alpha_)
    np.testing.assert_allclose(result.predictions, expected, atol=1e-8)
    r2 = 1 - ((y[0] - expected) ** 2).sum(0) / ((y[0] - y[0].mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(result.r2.value, r2, atol=1e-8)
    assert result.correlation.null is None


def test_the_right_features_reach_the_ceiling_and_their_mean_says_so():
    x, _, y = planted(n=400, targets=3, noise=2.0)
    y[6:, ::3] = np.nan  # some samples have fewer repeats
    result = encode(x, y, permutations=19, resamples=300)
    # reliability: 1 / (1 + 4 / k) for k = 8 or 6 repeats (signal variance near 1)
    assert np.all(np.abs(result.correlation.of_ceiling - 1) < 0.12)
    assert np.all(result.r2.value < result.r2.ceiling + 0.05)
    mean = result.correlation.mean()
    assert mean.p == 0.05
    assert mean.interval[0] < mean.value < mean.interval[1]
    assert abs(mean.null.mean()) < 0.1
    assert "mean r" in repr(result)


def test_p_is_uniform_when_features_say_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 150))
    p = encode(x, y, alphas=(1.0, 100.0), permutations=39, resamples=20).correlation.p
    assert abs(p.mean() - 0.5) < 0.1
    assert np.mean(p <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 150)
    shifted = encode(x, y, alphas=(1.0, 100.0), permutations=39, resamples=20, null="shift")
    assert np.mean(shifted.correlation.p <= 0.05) < 0.13


def test_bootstrap_by_weights_is_the_bootstrap_by_copies():
    rng = np.random.default_rng(1)
    p, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    pick = rng.integers(0, 30, 30)
    weights = np.bincount(pick, minlength=30)[None]
    r = [np.corrcoef(p[pick, i], y[pick, i])[0, 1] for i in range(2)]
    np.testing.assert_allclose(_correlation(p, y, weights)[0], r)
    spread = ((y[pick] - y[pick].mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(_r2(p, y, weights)[0], 1 - ((y - p)[pick] ** 2).sum(0) / spread)
    assert _correlation(np.ones((30, 2)), y)[0].tolist() == [0, 0]


def test_groups_are_left_out_whole_and_inner_folds_choose_alpha():
    x, _, y = planted(repeats=1)
    labels = np.arange(120) % 4
    result = encode(x, y[0], folds=labels, select="folds", permutations=3, resamples=50)
    assert result.alphas.shape == (4, 3)
    assert result.correlation.value.min() > 0.3
    assert len(np.unique(result.correlation.draws[:, 0])) > 10


def test_refusals():
    x, _, y = planted(n=20)
    with pytest.raises(ValueError, match="first at sample 3"):
        encode(np.where(np.arange(20)[:, None] == 3, np.nan, x), y)
    with pytest.raises(ValueError, match="target 1 never changes"):
        encode(x, y[0] * [1, 0, 1])
    with pytest.raises(ValueError, match="x has 19 samples but y has 20"):
        encode(x[:19], y)
    y[:, 4, 2] = np.nan
    with pytest.raises(ValueError, match="target 2 has no response to sample 4"):
        encode(x, y)
    with pytest.raises(ValueError, match="at least 2 kinds"):
        encode(x, y[0, :, :2], folds=np.zeros(20))
    with pytest.raises(ValueError, match="select is"):
        encode(x, y[0, :, :2], select="aic")
