"""Weight changes that leave protected activity alone."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Managed, System, run, start
from neuropil.learn.projection import Projected, guarded_linear, project_update
from neuropil.plasticity.subspace import orthogonal_part
from neuropil.wiring import Dense

DRAW = np.random.default_rng(0)
normal = lambda *shape: jnp.asarray(DRAW.normal(size=shape), float)
H = jnp.asarray(np.linalg.qr(DRAW.normal(size=(8, 3)))[0].T, float)
W, X, E = (
    normal(5, 8),
    normal(4, 6, 8),
    normal(4, 6, 5),
)  # weights; activity, error (time, batch, .)


def gradients(trace=None, back=None):
    return jax.grad(lambda x, w: jnp.sum(E * guarded_linear(x, w, trace, back)), (0, 1))(X, W)


def test_value_is_the_plain_product_and_so_is_the_default_gradient():
    np.testing.assert_array_equal(guarded_linear(X, W, jnp.zeros_like(X), 0 * W), X @ W.T)
    plain = jax.grad(lambda x, w: jnp.sum(E * (x @ w.T)), (0, 1))(X, W)
    for got, want in zip(gradients(), plain, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_protected_activity_is_answered_as_before():
    _, dW = gradients(trace=orthogonal_part(X, H))
    old = normal(10, 3) @ H  # anything in the span
    np.testing.assert_allclose(old @ (W - 0.1 * dW).T, old @ W.T, atol=1e-5)
    assert float(jnp.abs(X @ (0.1 * dW).T).max()) > 0.1  # the rest still learns


def test_protection_to_1e6_for_unit_vectors():
    _, dW = gradients(trace=orthogonal_part(X, H))
    np.testing.assert_allclose(0.01 * dW @ H.T, 0, atol=1e-6)


def test_projecting_the_update_equals_projecting_every_trace():
    _, dW = gradients()
    _, want = gradients(trace=orthogonal_part(X, H))
    np.testing.assert_allclose(project_update(dW, H), want, atol=1e-5)


def test_errors_going_down_are_not_projected_and_may_take_another_way():
    down, _ = gradients(trace=orthogonal_part(X, H))
    np.testing.assert_allclose(down, E @ W, rtol=1e-5, atol=1e-5)
    B = normal(*W.shape)
    down, dW = gradients(back=B)
    np.testing.assert_allclose(down, E @ B, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dW, jnp.einsum("tbi,tbj->ij", E, X), rtol=1e-5, atol=1e-5)


class Delta(System):
    """dW = rate (target - y) pre."""

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        return state, event.theta + 0.1 * jnp.outer(1.0 - event.y, event.reads["pre"])


def test_any_rule_of_the_form_signal_times_trace_can_be_wrapped():
    net = Managed(Dense(W), Projected(Delta(), H), "weight", {"pre": "input"})
    carry, _ = run(net, start(net, 1.0, jr.key(0)), X[:, 0])
    np.testing.assert_allclose(carry.state.theta @ H.T, W @ H.T, atol=1e-5)
    assert float(jnp.abs(carry.state.theta - W).max()) > 0.1
    wrong = Managed(Dense(W), Projected(Delta(), H), "weight", {"post": "output"})
    with pytest.raises(KeyError, match="'pre'"):
        run(wrong, start(wrong, 1.0, jr.key(0)), X[:, 0])
