"""CSP, tangent space and evoked responses: invariances of the geometry, planted sources found."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from neuropil.fit.classical import (
    TangentSpace,
    covariances,
    csp_lda,
    evoked_lda,
    geometric_mean,
    tangent_logistic,
)

DRAW = np.random.default_rng(0)
MIXING = DRAW.normal(size=(6, 6))


def planted(n=60):
    """Classes differ in the power of one of six mixed sources."""
    y = np.resize([0, 1], n)
    source = DRAW.normal(size=(n, 6, 80))
    source[y == 0, 2] *= 3
    return np.einsum("cs,nst->nct", MIXING, source), y


def test_geometric_mean_moves_with_the_channels_and_centres_the_tangent_space():
    C = covariances(planted()[0], 0.0)
    mean = geometric_mean(C)
    A = DRAW.normal(size=(6, 6))
    np.testing.assert_allclose(geometric_mean(A @ C @ A.T), A @ mean @ A.T, rtol=1e-6)
    one = np.array([[[2.0, 0.5], [0.5, 1.0]]])
    np.testing.assert_allclose(
        geometric_mean(np.concatenate([one, np.linalg.inv(one)])), np.eye(2), atol=1e-7
    )
    x = planted()[0]
    tangent = TangentSpace(0.0).fit(x).transform(x)
    np.testing.assert_allclose(tangent.mean(0), 0, atol=1e-7)
    # lengths are distances: sum of squared logs of the generalised eigenvalues
    values = np.linalg.eigvals(np.linalg.solve(geometric_mean(C := covariances(x, 0.0)), C[3])).real
    assert np.linalg.norm(tangent[3]) == pytest.approx(
        np.sqrt((np.log(values) ** 2).sum()), rel=1e-6
    )
    mixed = np.einsum("cd,ndt->nct", A, x)
    there = TangentSpace(0.0).fit(mixed).transform(mixed)
    np.testing.assert_allclose(
        np.linalg.norm(there, axis=1), np.linalg.norm(tangent, axis=1), rtol=1e-6
    )


def test_a_planted_source_is_decoded():
    x, y = planted()
    assert cross_val_score(tangent_logistic(), x, y, cv=3).mean() > 0.9
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    assert cross_val_score(csp_lda(2), x, y, cv=3).mean() > 0.95
    clone(csp_lda(2)).fit(x, np.array(["a", "b"])[y])


def test_an_evoked_response_is_decoded():
    y = np.resize([0, 1], 80)
    x = DRAW.normal(size=(80, 3, 40))
    x[y == 1, 1, 12:20] += 1.0
    assert cross_val_score(evoked_lda(), x, y, cv=4).mean() > 0.8
    with pytest.raises(ValueError, match="longer than"):
        evoked_lda(50).fit(x, y)
    with pytest.raises(ValueError, match="trial, channel, time"):
        evoked_lda().fit(x[:, 0], y)
