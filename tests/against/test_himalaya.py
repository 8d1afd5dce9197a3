"""Ridge, banded ridge, kernel ridge and the product measure against himalaya 0.4.11.

`python tests/against/test_himalaya.py` records its numbers in himalaya.npz, for where it is not installed.
"""

from pathlib import Path

import numpy as np
import pytest

RECORDED = Path(__file__).parent / "himalaya.npz"
ALPHAS = np.logspace(-1, 4, 8)
SHARES = np.array([[0.5, 0.5], [0.9, 0.1], [0.05, 0.95], [0.3, 0.7]])
SHAPES = {"tall": (60, 12), "wide": (40, 70)}


def problem(shape):
    """Features with a mean, in two bands, and targets of falling signal."""
    n, p = SHAPES[shape]
    rng = np.random.default_rng(p)
    x = rng.normal(size=(n, p)) + 1
    w = rng.normal(size=(p, 4)) * np.array([2.0, 1.0, 0.3, 0.0])
    w[p // 2 :, 0] = 0
    return x, x @ w / np.sqrt(p) + rng.normal(size=(n, 4)) + 3


def theirs(shape) -> dict:
    """himalaya's numbers."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import GroupRidgeCV, RidgeCV
    from himalaya.scoring import r2_score_split

    set_backend("numpy")
    x, y = problem(shape)
    half = x.shape[1] // 2
    plain = RidgeCV(ALPHAS, cv=5, fit_intercept=True).fit(x, y)
    more = dict(alphas=ALPHAS, n_iter=SHARES, progress_bar=False)
    bands = [x[:, :half], x[:, half:]]
    group = GroupRidgeCV("input", cv=5, fit_intercept=True, solver_params=more).fit(bands, y)
    kernel = KernelRidgeCV(ALPHAS, "rbf", dict(gamma=0.02), cv=5).fit(x, y)
    weights = [plain.coef_[:half], plain.coef_[half:]]
    parts = np.stack([b @ w for b, w in zip(bands, weights, strict=True)])
    return {
        "alpha": plain.best_alphas_,
        "error": -plain.cv_scores_,
        "coef": plain.coef_.T,
        "intercept": plain.intercept_,
        "group_error": -group.cv_scores_.max(0),
        "group_coef": np.concatenate(group.coef_).T if isinstance(group.coef_, list) else group.coef_.T,
        "kernel_alpha": kernel.best_alphas_,
        "kernel_made": kernel.predict(x[:5] + 0.5),
        "split": r2_score_split(y - y.mean(0), parts - parts.mean(1, keepdims=True)),
    }  # fmt: skip


@pytest.fixture(params=SHAPES)
def case(request):
    """(features, responses, himalaya's numbers): computed where it is installed, else as recorded."""
    try:
        found = theirs(request.param)
    except ImportError:
        with np.load(RECORDED) as kept:
            head = request.param + " "
            found = {k.removeprefix(head): kept[k] for k in kept.files if k.startswith(head)}
    return *problem(request.param), found


def test_all_quantities(case, x64):
    """Penalties, held-out errors, weights and intercepts, kernels, bands and shares of R2."""
    from neuropil.compare.banded import BandedRidge
    from neuropil.compare.partition import split_r2
    from neuropil.compare.ridge import KernelRidge, Ridge

    x, y, found = case
    plain = Ridge(ALPHAS, cv=5).fit(x, y)
    np.testing.assert_allclose(plain.alpha_, found["alpha"], rtol=1e-6)
    close = dict(rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(plain.error_, found["error"], **close)
    np.testing.assert_allclose(plain.coef_, found["coef"], **close)
    np.testing.assert_allclose(plain.intercept_, found["intercept"], **close)
    half = x.shape[1] // 2
    groups = np.repeat([0, 1], [half, x.shape[1] - half])
    group = BandedRidge(groups, ALPHAS, 5, SHARES).fit(x, y)
    np.testing.assert_allclose(group.error_, found["group_error"], **close)
    np.testing.assert_allclose(group.coef_, found["group_coef"], **close)
    kernel = KernelRidge("rbf", gamma=0.02, alphas=ALPHAS, cv=5, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(kernel.alpha_, found["kernel_alpha"], rtol=1e-6)
    np.testing.assert_allclose(kernel.predict(x[:5] + 0.5), found["kernel_made"], **close)
    parts = np.stack([x[:, groups == b] @ plain.coef_[:, groups == b].T for b in (0, 1)])
    np.testing.assert_allclose(split_r2(y, parts), found["split"], **close)


if __name__ == "__main__":
    numbers = {f"{s} {k}": v for s in SHAPES for k, v in theirs(s).items()}
    np.savez_compressed(RECORDED, **numbers)
