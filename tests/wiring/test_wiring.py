"""Wiring: every kind against its dense matrix, its transpose, its gradient."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.signal import correlate2d

from neuropil.core import Batched, run, start
from neuropil.wiring import Conv, Dense, LowRank, Sparse

TARGETS = jnp.array([[0, 1], [1, 1], [3, 0]])  # cell 1 has the same target twice


def kinds():
    return {
        "dense": (Dense(jr.normal(jr.key(1), (4, 3))), (3,), (4,)),
        "low rank": (LowRank.init_normal(3, 4, 2, jr.key(2)), (3,), (4,)),
        "sparse": (Sparse(TARGETS, jr.normal(jr.key(3), (3, 2)), 4), (3,), (4,)),
        "conv": (Conv(jr.normal(jr.key(4), (2, 3, 3, 3))), (3, 5, 4), (2, 5, 4)),
        "conv valid": (Conv(jr.normal(jr.key(4), (2, 1, 3)), padding="VALID"), (1, 7), (2, 5)),
        "conv stride": (Conv(jr.normal(jr.key(4), (2, 1, 3)), stride=2), (1, 8), (2, 4)),
    }


@pytest.fixture(params=kinds())
def kind(request, x64):
    return kinds()[request.param]


def test_forward_is_its_matrix_and_transpose_is_the_adjoint(kind):
    wires, pre, post = kind
    x, y = jr.normal(jr.key(5), pre), jr.normal(jr.key(6), post)
    basis = jnp.eye(int(np.prod(pre))).reshape(-1, *pre)
    matrix = jax.jit(jax.vmap(wires.forward))(basis).reshape(len(basis), -1).T
    np.testing.assert_allclose(wires.forward(x).ravel(), matrix @ x.ravel(), atol=1e-12)
    if isinstance(wires, Conv) and wires.padding == "VALID":
        back = wires.transpose(y, space=pre[1:])
    else:
        back = wires.transpose(y)
    assert back.shape == pre
    np.testing.assert_allclose(back.ravel(), matrix.T @ y.ravel(), atol=1e-12)


def test_whole_time_axis_equals_tick_by_tick_also_in_a_batch(kind):
    wires, pre, post = kind
    xs = jr.normal(jr.key(7), (5, 2, *pre))
    many = Batched(wires, 2)
    _, ys = run(many, start(many, 1.0, jr.key(0)), xs)
    assert ys.shape == (5, 2, *post)
    for t, b in ((0, 0), (4, 1)):
        np.testing.assert_allclose(ys[t, b], wires.forward(xs[t, b]), atol=1e-12)


def test_bias_is_added_once_forwards_and_not_backwards(x64):
    weight = jr.normal(jr.key(0), (4, 3))
    wires, plain = Dense(weight, jnp.arange(4.0)), Dense(weight)
    xs = jr.normal(jr.key(1), (5, 3))
    _, ys = run(wires, start(wires, 1.0, jr.key(0)), xs)
    np.testing.assert_allclose(ys, xs @ weight.T + np.arange(4.0)[None], atol=1e-12)
    np.testing.assert_array_equal(wires.rest(), np.arange(4.0))
    np.testing.assert_array_equal(wires.transpose(jnp.ones(4)), plain.transpose(jnp.ones(4)))
    image = Conv(jr.normal(jr.key(2), (2, 1, 3)), jnp.array([1.0, -1.0]))
    moved = image.forward(xs[:1]) - Conv(image.weight).forward(xs[:1])
    np.testing.assert_allclose(moved, [[1.0] * 3, [-1.0] * 3], atol=1e-12)


def test_sparse_adds_repeated_targets_and_never_builds_the_matrix(x64):
    wires = Sparse(TARGETS, jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 4)
    want = np.array([[1.0, 0, 6], [2, 7, 0], [0, 0, 0], [0, 0, 5]])
    np.testing.assert_array_equal(wires.dense(), want)
    x, y = jnp.array([1.0, -2.0, 0.5]), jnp.arange(4.0)
    np.testing.assert_allclose(wires.forward(x), want @ x, rtol=1e-14)
    # d<y, W x>/dw_{jm} = y_{target jm} x_j, for both of a pair of repeated targets
    slope = jax.grad(lambda w: y @ Sparse(TARGETS, w, 4).forward(x))(wires.weight)
    np.testing.assert_allclose(slope, np.asarray(y)[np.asarray(TARGETS)] * np.asarray(x)[:, None])
    big = Sparse.random(5000, 300_000, 3, jr.key(0))  # as a matrix it would take 6 GB
    assert big.forward(jnp.ones(5000)).shape == (300_000,)


def test_sparse_fan_out_is_fixed_and_without_repetition():
    wires = Sparse.random(50, 20, 7, jr.key(0))
    assert wires.target.shape == (50, 7)
    assert all(len(set(row)) == 7 for row in np.asarray(wires.target).tolist())
    again = Sparse.random(50, 20, 7, jr.key(0))
    np.testing.assert_array_equal(wires.target, again.target)
    assert (Sparse.random(5, 20, 7, jr.key(0), weight=0.5).weight == 0.5).all()


def test_conv_is_a_correlation_over_channels(x64):
    weight, x = jr.normal(jr.key(0), (2, 3, 3, 3)), jr.normal(jr.key(1), (3, 6, 5))
    for padding, mode in (("SAME", "same"), ("VALID", "valid")):
        want = [sum(correlate2d(x[i], weight[o, i], mode) for i in range(3)) for o in range(2)]
        np.testing.assert_allclose(Conv(weight, padding=padding).forward(x), want, atol=1e-12)


@pytest.mark.parametrize(
    ("stride", "padding"), [(1, "SAME"), (2, "SAME"), (3, "SAME"), (2, "VALID")]
)
def test_a_product_of_patches_is_the_convolution(stride, padding, x64):
    weight, x = jr.normal(jr.key(0), (2, 3, 3, 2)), jr.normal(jr.key(1), (4, 3, 7, 6))
    plain = Conv(weight, jnp.ones(2), stride, padding)
    product = Conv(weight, jnp.ones(2), stride, padding, patches=True)
    ys, back = jax.vjp(plain._many, x)
    got, again = jax.vjp(product._many, x)
    np.testing.assert_allclose(got, ys, atol=1e-12)
    np.testing.assert_allclose(again(ys)[0], back(ys)[0], atol=1e-10)


def test_low_rank_has_that_rank_and_the_stated_size():
    wires = LowRank.init_normal(200, 300, 3, jr.key(0))
    weight = np.asarray(wires.weight)
    assert np.linalg.matrix_rank(weight) == 3
    assert weight.std() == pytest.approx(1 / np.sqrt(200), rel=0.2)


def test_starting_weights_have_the_stated_spread():
    uniform = np.asarray(Dense.init_uniform(100, 400, jr.key(0)).weight)
    assert abs(uniform).max() <= 0.1
    assert uniform.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
    normal = np.asarray(Dense.init_normal(100, 400, jr.key(0), gain=2.0).weight)
    assert normal.std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(jnp.ones(3)), r"must be \(post, pre\)"),
        (lambda: Dense(jnp.full((2, 2), jnp.nan)), "not finite"),
        (lambda: LowRank(jnp.ones((3, 2)), jnp.ones((4, 3))), "rank 2, right 3"),
        (lambda: Sparse(jnp.array([[0, 9]]), jnp.ones((1, 2)), 4), r"targets 0\.\.9"),
        (lambda: Sparse(jnp.array([[0, 1]]), jnp.ones((1, 3)), 4), "differ"),
        (lambda: Sparse.random(3, 4, 5, jr.key(0)), "fan_out = 5"),
        (lambda: Conv(jnp.ones((2, 2))), "kernel"),
        (lambda: Conv(jnp.ones((1, 1, 3)), padding="FULL"), "SAME"),
        (lambda: Conv(jnp.ones((1, 1, 3)), patches=True), "two spatial axes"),
    ],
)
def test_bad_weights_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
