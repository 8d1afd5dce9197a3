"""Dimensions of clouds whose dimension is known."""

import numpy as np
import pytest

from neuropil.compare.dimension import (
    dimension,
    explained_dimension,
    likelihood_dimension,
    participation_ratio,
    spectrum,
    two_nn,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_participation_ratio_of_a_known_spectrum(rng):
    x = np.linalg.qr(rng.normal(size=(50, 5)) - 0.0)[0]
    x = x - x.mean(0)
    x = np.linalg.qr(x)[0] * [3, 2, 2, 1, 1]  # covariance with eigenvalues 9, 4, 4, 1, 1 (over 49)
    np.testing.assert_allclose(spectrum(x - x.mean(0)) * 49, [9, 4, 4, 1, 1], rtol=1e-9)
    assert participation_ratio(x) == pytest.approx(19**2 / (81 + 16 + 16 + 1 + 1))
    assert [explained_dimension(x, s) for s in (0.4, 0.5, 0.9, 1.0)] == [1, 2, 4, 5]


def test_few_samples_bias_it_and_the_correction_takes_that_away(rng):
    plain, fair = [], []
    for _ in range(200):
        x = rng.normal(size=(20, 30))
        plain.append(participation_ratio(x))
        w = spectrum(x)
        assert plain[-1] <= len(w)
        fair.append(
            1 / participation_ratio(x, corrected=True)
        )  # its inverse is the ratio of two means
    assert np.mean(plain) < 13
    assert 1 / np.mean(fair) == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_both_neighbour_estimates_find_a_curved_sheet(rng, d):
    flat = rng.uniform(size=(600, d))
    x = np.concatenate([np.cos(2 * flat), np.sin(2 * flat)], 1) @ rng.normal(size=(2 * d, 20))
    assert two_nn(x) == pytest.approx(d, rel=0.15)
    assert likelihood_dimension(x) == pytest.approx(d, rel=0.15)


def test_scores_and_reasons(rng):
    x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 10)) + 0.1 * rng.normal(size=(60, 10))
    for method in ("participation", "two_nn", "likelihood", "explained"):
        s = dimension(x, method, resamples=20, permutations=19)
        assert s.p == 0.05, method
        assert s.ceiling == 10
    with pytest.raises(ValueError, match="copy"):
        two_nn(np.concatenate([x, x]))
    with pytest.raises(ValueError, match="no unit varies"):
        participation_ratio(np.ones((5, 2)))
    with pytest.raises(ValueError, match="method"):
        dimension(x, "box")
