"""Linear Gaussian state-space models against dynamax: what it said is in `dynamax.npz` (`make_dynamax.py`)."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.fit import lds
from neuropil.fit.lds import LDS, checked_bins
from neuropil.fit.observations import LinearGaussian

FILE = Path(__file__).with_name("dynamax.npz")


@pytest.fixture(scope="module")
def said():
    return dict(np.load(FILE))


def begin(said):
    weights = np.concatenate([said["C"], said["D"], said["d"][:, None]], axis=1)
    return {k: said[k] for k in ("A", "B", "Q", "mean", "cov")} | {
        "weights": weights,
        "noise": said["R"],
    }


def test_smoother_and_evidence(said, x64):
    part = LinearGaussian("full")
    bins, _ = checked_bins(part, said["y"][0], said["u"][0], None)
    params = {k: jnp.asarray(a) for k, a in begin(said).items()}
    path, evidence, _ = lds._believe(part, params, bins)
    np.testing.assert_allclose(path.mean, said["means"], atol=1e-8)
    np.testing.assert_allclose(path.cov, said["covs"], atol=1e-8)
    assert float(evidence) == pytest.approx(float(said["evidence"]), rel=1e-9)


def test_expectation_maximisation_of_a_sequence_with_an_input(said, x64):
    part = LinearGaussian("full", floor=0.0)
    model = LDS(2, part, iterations=5, tolerance=0, start=begin(said))
    model.fit(said["y"][0], inputs=said["u"][0])
    # ours adds a millionth to what it inverts
    np.testing.assert_allclose(model.history_, said["history"], rtol=1e-4)
    found = np.linalg.eigvals(np.asarray(model.params_["A"]))
    order = lambda a: a[np.argsort(a.imag)]
    np.testing.assert_allclose(order(found), order(said["eigenvalues"]), atol=1e-3)


def test_the_record_is_what_dynamax_says_today(said):
    pytest.importorskip("dynamax", reason="dynamax is not installed (a peer, optional)")
    import importlib.util

    import jax

    spec = importlib.util.spec_from_file_location("make", FILE.with_name("make_dynamax.py"))
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    with jax.enable_x64(True):
        for name, value in make.recorded().items():
            np.testing.assert_allclose(value, said[name], rtol=1e-6, atol=1e-9)
