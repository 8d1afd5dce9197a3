"""The search over penalties against a plain one: a solve for every penalty, fold and target."""

import numpy as np
import pytest

from neuropil.compare.ridge import RidgeSearch, blocks
from neuropil.learn import ridge_search
from neuropil.learn.ridge_search import Dual, Primal, centred, penalty_basis

ALPHAS = np.logspace(-2, 5, 15)


def problem(n, p, targets=5, seed=0):
    """Features of falling variance and a mean, targets from nothing to nearly all signal."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * np.logspace(0, -2, p) + 3
    w = rng.normal(size=(p, targets)) * np.array([0, 0.1, 1, 3, 30])[:targets]
    return x, x @ w + rng.normal(size=(n, targets)) + 7


def plain(x, y, labels, intercept=True):
    """Mean squared errors (alpha, target) of held-out samples by direct solves."""
    errors = np.zeros((len(ALPHAS), y.shape[1]))
    for fold in np.unique(labels):
        out = labels == fold
        mx, my = (a[~out].mean(0) if intercept else np.zeros(a.shape[1]) for a in (x, y))
        inside, held = x[~out] - mx, x[out] - mx
        for i, a in enumerate(ALPHAS):
            w = inside.T @ np.linalg.solve(
                inside @ inside.T + a * np.eye(len(inside)), y[~out] - my
            )
            errors[i] += ((y[out] - my - held @ w) ** 2).sum(0)
    return errors / len(x)


@pytest.mark.parametrize(("n", "p"), [(40, 12), (24, 50)])
@pytest.mark.parametrize("intercept", [True, False])
def test_least_errors_and_their_penalties_are_those_of_the_full_search(n, p, intercept, x64):
    x, y = problem(n, p)
    labels = blocks(n, 4)
    found = RidgeSearch(x, ALPHAS, labels, intercept=intercept).fit(y)
    errors = plain(x, y, labels, intercept)
    np.testing.assert_allclose(found.error, errors.min(0), rtol=1e-9)
    np.testing.assert_allclose(found.alpha, ALPHAS[errors.argmin(0)])


def test_single_precision_misses_no_target_that_matters():
    """Where it takes another penalty, that one is as good to 1e-5."""
    x, y = problem(40, 12, seed=1)
    labels = blocks(40, 4)
    found = RidgeSearch(x, ALPHAS, labels).fit(y)
    errors = plain(x, y, labels)
    chosen = errors[np.abs(np.log(ALPHAS[:, None] / found.alpha[None])).argmin(0), np.arange(5)]
    np.testing.assert_allclose(chosen, errors.min(0), rtol=1e-5)
    np.testing.assert_allclose(found.error[1:], errors.min(0)[1:], rtol=1e-4)


def test_few_functions_stand_for_all_penalties():
    power = np.linspace(80, 3000, 300)
    tried = np.logspace(-1, 5, 40)
    mix, basis = penalty_basis(power, power, tried, 1e-6)
    assert len(basis) <= 10
    assert mix.shape == (40, len(basis))
    assert np.abs(power * (mix @ basis - 1 / (power + tried[:, None]))).max() < 1e-6
    assert np.abs(penalty_basis(np.zeros(3), np.zeros(3), tried, 1e-6)[0]).max() == 0


def test_many_targets_hold_the_axes_and_few_turn(x64):
    """Both ways to predict give the same errors."""
    x, y = problem(40, 12)
    few, many = RidgeSearch(x, ALPHAS, 4), RidgeSearch(x, ALPHAS, 4)
    few.prepare(5)
    many.prepare(10**6)
    assert few.plans[0].maps is None
    assert many.plans[0].seen is None
    np.testing.assert_allclose(few.fit(y).error, many.fit(y).error, rtol=1e-9)


def test_primal_and_dual_folds_agree():
    """Gram matrices of training sets, as the total less a part, and centred kernels."""
    x, _ = problem(20, 6)
    train, test = np.arange(5, 20), np.arange(5)
    one, two = Primal(x).fold(train, test), Dual((x @ x.T)[None]).fold(train, test)
    inside = x[train] - x[train].mean(0)
    np.testing.assert_allclose(one.power, np.linalg.eigvalsh(inside.T @ inside), atol=1e-9)
    np.testing.assert_allclose(two.power[-6:], one.power, atol=1e-9)
    held = x[test] - x[train].mean(0)
    np.testing.assert_allclose(one.seen @ one.axes.T, held, atol=1e-9)
    np.testing.assert_allclose(
        centred(x[test] @ x[train].T, x[train] @ x[train].T), held @ inside.T, atol=1e-9
    )


def test_a_second_call_with_the_same_shapes_compiles_nothing():
    """Though its spectrum needs another number of basis functions, and its last piece is narrow."""
    x, y = problem(30, 8)
    RidgeSearch(x, ALPHAS, 3).fit(y)
    before = ridge_search.fold_errors._cache_size(), ridge_search.solved._cache_size()
    other = RidgeSearch(np.random.default_rng(5).normal(size=x.shape) * 30, ALPHAS, 3)
    other.fit(y[:, ::-1])
    assert (ridge_search.fold_errors._cache_size(), ridge_search.solved._cache_size()) == before


def test_targets_come_in_pieces_from_a_file(tmp_path, monkeypatch):
    x, y = problem(30, 8)
    y = np.tile(y, (1, 3)).astype(np.float32)[:, :13]
    whole = RidgeSearch(x, ALPHAS, 3).fit(y)
    path = tmp_path / "y.npy"
    np.save(path, y)
    monkeypatch.setattr(RidgeSearch, "width", lambda self, targets: 5)
    out = np.lib.format.open_memmap(tmp_path / "w.npy", "w+", np.float32, (8, 13))
    pieces = RidgeSearch(x, ALPHAS, 3).fit(np.load(path, mmap_mode="r"), out)
    np.testing.assert_allclose(pieces.weights, whole.weights, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(pieces.alpha, whole.alpha)
    assert pieces.weights is out


def test_degenerate_input_has_an_answer_or_a_reason():
    x, y = problem(20, 4)
    x[:, 1] = 5  # a feature that never changes
    x[3] = x[2]  # a duplicate sample
    y[:, 0] = 2  # a target that never changes
    found = RidgeSearch(x, ALPHAS, 4).fit(y)
    assert np.isfinite(found.weights).all()
    np.testing.assert_allclose(found.weights[1], 0, atol=1e-5)
    np.testing.assert_allclose(found.weights[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(found.intercept[0], 2, rtol=1e-5)
    assert np.isfinite(RidgeSearch(np.ones((6, 2)), ALPHAS, 3).fit(y[:6]).weights).all()
    y[7, 2] = np.nan
    with pytest.raises(ValueError, match="target 2 is not finite at sample 7"):
        RidgeSearch(x, ALPHAS, 4).fit(y)
    with pytest.raises(ValueError, match="20 samples"):
        RidgeSearch(x, ALPHAS, 4).fit(y[:5])
    with pytest.raises(ValueError, match="first at sample 1"):
        RidgeSearch(np.array([[1.0], [np.inf]]), ALPHAS)
