"""The coupled GLM against NeMoS 0.2.8; its coefficients are recorded here, and made anew where it is.

PYTHONPATH=<its site-packages> python -m pytest tests/against/test_nemos.py
"""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.fit.glm import GLM, raised_cosines

UNITS, LAGS, FEATURES, T, PENALTY = 3, 8, 2, 400, 2.0
t = np.arange(T)
COUNTS = np.stack([((t * t + 5 * u * t) % 7 < 2) + 2 * ((t + 3 * u) % 11 == 0) for u in range(UNITS)],
                  axis=1)  # fmt: skip
BASIS = raised_cosines(FEATURES, LAGS)

# row 0 the offsets, then (cell, feature) rows
RECORDED = np.array([
    [-2.0753842, 0.6377317, 0.2968733], [-0.1881817, -0.0711142, -0.3120616],
    [0.2537895, 0.3239255, 0.6787802], [0.3094208, -0.7641195, -0.5346563],
    [-0.0250499, -0.4069613, -0.1934737], [-0.2465014, -0.2899148, -1.4643961],
    [0.3063677, 0.5651431, 0.1173115],
])  # fmt: skip


def ours():
    """(1 + cell x feature, cell)."""
    fitted = GLM(penalty=PENALTY, basis=BASIS).fit(COUNTS)
    kernels = np.asarray(fitted.kernels)  # (post, pre, lag) = basis x weights
    weights = np.einsum("fl,ijl->jfi", np.linalg.pinv(BASIS), kernels).reshape(-1, UNITS)
    return np.vstack([np.asarray(fitted.bias)[None], weights])


def test_recorded_coefficients(x64):
    np.testing.assert_allclose(ours(), RECORDED, atol=2e-5)


def test_nemos_says_so_now(x64):
    nemos = pytest.importorskip("nemos", reason="NeMoS is not installed (a peer, optional)")
    past = np.pad(COUNTS, ((LAGS, 0), (0, 0)))
    rows = np.stack([past[LAGS - k : LAGS - k + T] for k in range(1, LAGS + 1)])
    design = np.einsum("ltc,lf->tcf", rows, BASIS).reshape(T, -1)
    model = nemos.glm.PopulationGLM(
        observation_model="Poisson", inverse_link_function=jnp.exp, regularizer="Ridge",
        regularizer_strength=PENALTY / T, solver_name="LBFGS",
        solver_kwargs={"maxiter": 5000, "tol": 1e-12},
    )  # fmt: skip
    model.fit(design, COUNTS.astype(float))
    theirs = np.vstack([np.asarray(model.intercept_)[None], np.asarray(model.coef_)])
    np.testing.assert_allclose(ours(), theirs, atol=2e-5)
    np.testing.assert_allclose(RECORDED, theirs, atol=2e-5)
