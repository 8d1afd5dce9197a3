"""Moments and readouts against the eigendecomposition (which is tested in tests/compare against sklearn)."""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.learn.ridge import Moments, decompose, ridge_readout, solve


def samples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)) + 2
    return x, x @ rng.normal(size=(4, 2)) + 5 + rng.normal(size=(30, 2))


def test_moments_and_readout_are_the_decomposition(x64):
    x, y = samples()
    weights, intercept = solve(decompose(jnp.asarray(x)), jnp.asarray(y), jnp.full(2, 0.3))
    parts = [Moments.of(jnp.asarray(x[s]), jnp.asarray(y[s])) for s in (slice(11), slice(11, 30))]
    for found in (
        parts[0].join(parts[1]).solve(0.3),
        Moments.of(jnp.asarray(x), jnp.asarray(y)).solve(0.3),
        (ridge_readout(x, y, 0.3).weight.T, ridge_readout(x, y, 0.3).bias),
    ):
        np.testing.assert_allclose(found[0], weights, atol=1e-10)
        np.testing.assert_allclose(found[1], intercept, atol=1e-10)
    late = ridge_readout(x[5:], y[5:], 0.3)
    np.testing.assert_array_equal(ridge_readout(x, y, 0.3, washout=5).weight, late.weight)


def test_nonsense_is_refused():
    x, y = samples()
    for bad in ((x, y[:5]), (x, y[:, 0]), (x[:1], y[:1])):
        with pytest.raises(ValueError, match="ridge_readout"):
            ridge_readout(*bad)
    with pytest.raises(ValueError, match="alpha"):
        ridge_readout(x, y, 0.0)
