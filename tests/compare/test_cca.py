"""Canonical correlations against regression, and their level of chance."""

import numpy as np
import pytest

from neuropil.compare.cca import basis, canonical_correlations, cca, chance_level, pwcca, svcca


@pytest.fixture
def draw():
    return np.random.default_rng(0).normal


def test_one_unit_each_is_pearsons_r(draw):
    x = draw(size=(40, 1))
    y = x + draw(size=(40, 1))
    r = abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
    for found in (cca(x, y), svcca(x, y, 1), pwcca(x, y)):
        assert found == pytest.approx(r, rel=1e-12)
    assert cca(x, y, squared=True) == pytest.approx(r**2, rel=1e-12)


def test_one_unit_against_many_is_the_multiple_correlation(draw):
    x, y = draw(size=(40, 3)), draw(size=(40, 1))
    one = np.concatenate([x, np.ones((40, 1))], 1)
    left = y - one @ np.linalg.lstsq(one, y, rcond=None)[0]
    r2 = 1 - (left**2).sum() / ((y - y.mean()) ** 2).sum()
    assert canonical_correlations(x, y)[0] ** 2 == pytest.approx(r2, rel=1e-10)


def test_any_invertible_map_changes_nothing_where_all_components_are_kept(draw):
    x, y, mix = draw(size=(40, 4)), draw(size=(40, 6)), draw(size=(4, 4))
    assert cca(x @ mix + 3, y) == pytest.approx(cca(x, y), rel=1e-9)
    turn = np.linalg.qr(mix)[0]
    assert svcca(5 * x @ turn + 1, y, 2) == pytest.approx(svcca(x, y, 2), rel=1e-9)
    assert svcca(x, x @ mix, 4) == pytest.approx(1, rel=1e-9)


def test_chance_is_far_from_zero_and_all_components_give_one(draw):
    for k, n, want in ((10, 118, 0.25), (20, 118, 0.355), (20, 30, 0.77)):
        assert chance_level(k, n, draws=20) == pytest.approx(want, abs=0.015)
    assert svcca(draw(size=(12, 30)), draw(size=(12, 40)), 11) == pytest.approx(1, rel=1e-9)


def test_a_share_of_the_variance_keeps_as_many_components_as_it_takes(draw):
    x = draw(size=(200, 4)) * [3, 2, 1, 0.1]
    assert [basis(x, share=share).shape[1] for share in (0.6, 0.99, 1.0)] == [1, 3, 4]
    assert svcca(x, x[:, :3], share=0.99) == pytest.approx(1, rel=1e-3)


def test_projection_weights_count_what_a_variate_explains(draw):
    # y shares x's large unit only: a plain mean says half, the weighted one nearly all
    x = draw(size=(500, 2)) * [10, 0.1]
    y = np.stack([x[:, 0], draw(size=500)], 1)
    assert pwcca(x, y) > 0.95
    assert cca(x, y) < 0.6


def test_what_cannot_be_compared_says_why(draw):
    x = draw(size=(10, 3))
    with pytest.raises(ValueError, match="3 components"):
        svcca(x, x, 5)
    with pytest.raises(ValueError, match="same stimuli"):
        svcca(x, x[1:], 2)
    with pytest.raises(ValueError, match="no unit varies"):
        cca(x, np.ones((10, 2)))
    with pytest.raises(ValueError, match="NaN"):
        cca(x, np.where(x > 1, np.nan, x))
    # a constant unit and a repeated stimulus have a defined answer
    more = np.concatenate([x, np.ones((10, 1))], 1)
    assert cca(more[[0, *range(10)]], x[[0, *range(10)]]) == pytest.approx(1)
