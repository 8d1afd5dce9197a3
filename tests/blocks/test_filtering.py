"""Filters against numpy's correlation, moments against all windows, norms and pools by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.blocks.filtering import (
    BatchNorm,
    clip_norm,
    convolve,
    filter_each,
    margins,
    pool,
    window_moments,
)

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("time", "taps", "padding"),
    [(50, 8, (4, 4)), (130, 64, "same"), (20, 20, "valid"), (20, 33, (32, 32)), (9, 1, "same")],
)
def test_filters_and_their_moments_equal_numpy(time, taps, padding):
    x, w = DRAW.normal(size=(4, 3, time)), DRAW.normal(size=(2, taps))
    W = DRAW.normal(size=(5, 4, taps))
    padded = np.pad(x, ((0, 0), (0, 0), margins(taps, padding)))
    each = [[np.correlate(padded[f, b], w[f // 2], "valid") for b in range(3)] for f in range(4)]
    full = [
        [sum(np.correlate(padded[f, b], W[o, f], "valid") for f in range(4)) for b in range(3)]
        for o in range(5)
    ]
    x = jnp.asarray(x, jnp.float32)

    @jax.jit
    def all_three(x, w, W):
        return filter_each(x, w, padding), convolve(x, W, padding), window_moments(x, taps, padding)

    got, got_full, (mean, second) = all_three(x, jnp.asarray(w, x.dtype), jnp.asarray(W, x.dtype))
    np.testing.assert_allclose(got, each, atol=1e-4)
    np.testing.assert_allclose(got_full, full, atol=1e-4)
    n = padded.shape[-1] - taps + 1
    windows = np.stack([padded[..., k : k + n].ravel() for k in range(taps)])
    np.testing.assert_allclose(mean, windows.mean(1), atol=1e-5)
    np.testing.assert_allclose(second, windows @ windows.T / windows.shape[1], atol=1e-5)


def test_a_filter_that_does_not_fit_is_refused():
    x = jnp.zeros((4, 2, 5))
    with pytest.raises(ValueError, match="6 taps is longer than the 5 samples"):
        filter_each(x, jnp.zeros((4, 6)), "valid")
    with pytest.raises(ValueError, match="3 filters"):
        filter_each(x, jnp.zeros((3, 2)))


def test_pools_of_overlapping_windows():
    x = jnp.asarray(DRAW.normal(size=(2, 3, 31)), jnp.float32)
    windows = np.stack([x[..., i : i + 6] for i in range(0, 26, 3)], axis=2)
    np.testing.assert_allclose(pool(x, 6, 3), windows.mean(-1), atol=1e-6)
    np.testing.assert_allclose(pool(x, 6, 3, "max"), windows.max(-1))
    for bad in ((6, 4), (32, 32)):
        with pytest.raises(ValueError, match="pool"):
            pool(x, *bad)


def test_a_step_on_the_pull_is_the_usual_moving_average():
    x = jnp.asarray(3 + 2 * DRAW.normal(size=(2, 4, 50)), jnp.float32)
    norm = BatchNorm(2, momentum=0.9)
    y, _ = norm(x, True)
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), 1, rtol=1e-3)
    gradient = jax.grad(lambda n: n(x, True)[1])(norm)
    np.testing.assert_allclose(norm.mean - gradient.mean, 0.1 * x.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.var - gradient.var, 0.9 + 0.1 * x.var((1, 2)), rtol=1e-5)
    assert float(jnp.abs(gradient.gain).max()) == 0
    one, whole = norm(x[:, :1], False)[0], norm(x, False)[0]
    np.testing.assert_array_equal(one, whole[:, :1])  # evaluation does not see the batch


def test_clipping_leaves_short_weights_and_their_gradient_alone():
    w = jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(
        jnp.linalg.norm(clip_norm(w, 1.0, 1), axis=1), [1, 0.5, 0], rtol=1e-6
    )
    assert jnp.isfinite(jax.grad(lambda w: clip_norm(w, 1.0, 1).sum())(w)).all()
