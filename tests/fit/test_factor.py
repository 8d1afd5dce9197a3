"""Non-negative factorisation: known factors, missing entries, symmetries, a loss that never rises."""

import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.factor import factor_match, nonnegative_cp, rebuild

RNG = np.random.default_rng(0)
TRUTH = tuple(RNG.gamma(0.7, size=(n, 3)) for n in (12, 6, 20))
X = np.asarray(rebuild(TRUTH))
MASK = RNG.random(X.shape) > 0.2
FIT = dict(sweeps=300, starts=3)


@pytest.fixture(scope="module")
def found():
    return nonnegative_cp(np.where(MASK, X, np.nan), 3, jr.key(0), mask=MASK, **FIT)


def test_known_factors_come_back_with_a_fifth_missing(found):
    _, alike = factor_match(found.factors, TRUTH)
    assert (alike > 0.99).all()
    assert all(bool((f >= 0).all()) for f in found.factors)
    for f in found.factors[:-1]:
        np.testing.assert_allclose(np.linalg.norm(f, axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(rebuild(found.factors)[~MASK], X[~MASK], atol=0.05 * X.max())


def test_the_loss_never_rises_and_is_that_of_observed_entries(found):
    losses = np.asarray(found.loss)
    assert (np.diff(losses) <= 1e-4 * losses[:-1] + 1e-6 * losses[0]).all()
    gap = np.where(MASK, X - rebuild(found.factors), 0)
    assert float(losses[-1]) == pytest.approx(
        float((gap**2).sum()), rel=0.05, abs=1e-6 * float(losses[0])
    )


def test_missing_entries_may_hold_anything(found):
    again = nonnegative_cp(np.where(MASK, X, 7), 3, jr.key(0), mask=MASK, **FIT)
    for a, b in zip(again.factors, found.factors, strict=True):
        np.testing.assert_array_equal(a, b)


def test_permuting_an_axis_permutes_its_factor(found):
    order = RNG.permutation(20)
    held = np.where(MASK, X, 0)[..., order]
    moved = nonnegative_cp(held, 3, jr.key(0), mask=MASK[..., order], **FIT)
    a, b, c = found.factors
    assert (factor_match(moved.factors, (a, b, np.asarray(c)[order]))[1] > 0.99).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [(dict(rank=0), "at least 1"), (dict(x=-X), "negative"), (dict(x=X[0, 0]), "two axes")],
)
def test_refusals(change, says):
    with pytest.raises(ValueError, match=says):
        nonnegative_cp(**(dict(x=X, rank=2, key=jr.key(0)) | change))
    with pytest.raises(ValueError, match="1 components"):
        factor_match((X[0, :, :1],), (X[0, :, :2],))
