"""RSA against rsatoolbox 0.3.2: its recorded answers, or its own where it is installed."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from neuropil.compare import geometry as g
from neuropil.compare.resampled import resampled

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("make_rsatoolbox", HERE / "make_rsatoolbox.py")
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)
CLOSE = {"rtol": 1e-5, "atol": 1e-9}


@pytest.fixture(scope="module")
def said():
    if importlib.util.find_spec("rsatoolbox"):
        return peer.answers()
    return json.loads((HERE / "rsatoolbox.json").read_text())


@pytest.fixture(scope="module")
def data():
    return peer.data()


def test_dissimilarities(said, data):
    runs, counts = data["runs"], data["counts"]
    precision = g.noise_precision(data["residuals"])
    np.testing.assert_allclose(precision, said["precision"], **CLOSE)
    mean = runs.mean(0)
    np.testing.assert_allclose(g.rdm(mean), said["correlation"], **CLOSE)
    np.testing.assert_allclose(g.rdm(mean, "sqeuclidean") / 12, said["sqeuclidean"], **CLOSE)
    found = g.rdm(mean, "mahalanobis", precision=precision)
    np.testing.assert_allclose(found, said["mahalanobis"], **CLOSE)
    np.testing.assert_allclose(g.rdm(counts.mean(0), "poisson"), said["poisson"], **CLOSE)
    np.testing.assert_allclose(g.crossnobis(runs), said["crossnobis"], **CLOSE)
    found = g.crossnobis(runs, precision)
    np.testing.assert_allclose(found, said["crossnobis with precision"], **CLOSE)
    np.testing.assert_allclose(g.cross_poisson(counts), said["cross poisson"], **CLOSE)


def test_single_precision_is_close_too(said, data):
    runs = np.stack([data["runs"]] * 2).astype(np.float32)
    for offset in (0, 100):  # the mean is taken off where it would eat digits
        for precision, name in (
            (None, "crossnobis"),
            (said["precision"], "crossnobis with precision"),
        ):
            found = g.crossnobis(
                runs + np.float32(offset), None if precision is None else np.asarray(precision)
            )
            scale = np.abs(said[name]).mean()
            assert found.dtype == np.float32
            assert found.shape == (2, 36)
            np.testing.assert_allclose(found[1], said[name], atol=(5e-6 + 1e-6 * offset) * scale)


@pytest.mark.parametrize("shrink", peer.COVARIANCES)
def test_noise_covariance(said, data, shrink):
    found = g.noise_covariance(data["residuals"], None if shrink == "none" else shrink)
    np.testing.assert_allclose(found, said[f"covariance {shrink}"], **CLOSE)
    if shrink == "diagonal":
        np.testing.assert_allclose(
            g.noise_covariance(data["runs"]), said["covariance of runs"], **CLOSE
        )


@pytest.mark.parametrize("method", peer.SIMILARITIES)
def test_similarity_ceiling_and_draws(said, data, method):
    models, subjects = data["models"], data["subjects"]
    np.testing.assert_allclose(g.similarity(models, subjects, method), said[method], **CLOSE)
    np.testing.assert_allclose(
        g.noise_ceiling(subjects, method), said[f"{method} ceiling"], **CLOSE
    )
    counts = np.array([np.bincount(x, minlength=9) for x in data["stimuli"]])
    people = np.array([np.bincount(x, minlength=5) for x in data["people"]])
    found = resampled(models, subjects, counts, people[None], method)
    np.testing.assert_allclose(found.value[0], said[f"{method} draws"], **CLOSE)
    np.testing.assert_allclose(found.ceiling[0], said[f"{method} draws ceiling"], **CLOSE)
    if method.startswith("whitened"):
        found = g.similarity(models, subjects, method, data["noise"])
        # it solves by conjugate gradients, to 1e-5 (test_rsa.py has the exact inverse)
        np.testing.assert_allclose(found, said[f"{method} noise"], atol=3e-5)


@pytest.mark.parametrize("method", ["pearson", "cosine", "whitened-pearson", "whitened-cosine"])
@pytest.mark.parametrize("kind", ["any", "positive"])
def test_weights_of_a_model(said, data, method, kind):
    model = g.Weighted(data["models"], positive=kind == "positive")
    found = g.fitted(model, data["subjects"], method)
    theirs = np.array(said[f"{method} weights {kind}"])
    close = 1e-4 if method.startswith("whitened") else 1e-6  # conjugate gradients again
    np.testing.assert_allclose(found / found.sum(), theirs / theirs.sum(), atol=close)


def test_variance_of_the_dual_bootstrap(said):
    found = [g.dual_variance(3.0, 1.2, 0.9, 8, 20), g.dual_variance(2.0, 1.5, 0.6, 8, 20)]
    np.testing.assert_allclose(found, said["dual"], **CLOSE)
