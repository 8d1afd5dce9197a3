"""Filters against convolution primitives, rates and counts of the published sizes, who looks at whom."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import (
    CrissCross,
    CrossAttention,
    SEANetDecoder,
    SEANetEncoder,
    StridedFilter,
    TransposedFilter,
)

X = jr.normal(jr.key(1), (2, 12, 3))


@pytest.mark.parametrize(("taps", "stride"), [(5, 1), (4, 2), (8, 4)])
def test_a_strided_filter_is_the_convolution_of_the_mirrored_signal(taps, stride):
    part = StridedFilter.init(3, 4, taps, key=jr.key(0), stride=stride)
    right = (taps - stride) // 2
    x = np.pad(X, ((0, 0), (taps - stride - right, right), (0, 0)), mode="reflect")
    axes = ("NWC", "WIO", "NWC")
    w = part.weight.transpose(1, 2, 0)
    y = jax.lax.conv_general_dilated(jnp.asarray(x), w, (stride,), "VALID", dimension_numbers=axes)
    np.testing.assert_allclose(
        part(X), y, atol=1e-5
    )  # at the start the gain is the weight's length


def test_a_transposed_filter_is_the_adjoint_of_a_strided_one_without_margins():
    taps, stride = 8, 4
    back = TransposedFilter.init(3, 2, taps, key=jr.key(0), stride=stride)
    y = back(X)
    assert y.shape == (2, 48, 2)
    told = np.zeros((2, (12 - 1) * stride + taps, 2))
    for i in range(12):
        told[:, i * stride : i * stride + taps] += np.einsum("bf,fto->bto", X[:, i], back.weight)
    left = taps - stride - (taps - stride) // 2
    np.testing.assert_allclose(y, told[:, left : left + 48], atol=1e-5)


def test_filters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no multiple"):
        StridedFilter.init(3, 4, 5, key=jr.key(0), stride=2)
    with pytest.raises(ValueError, match="12 samples"):
        StridedFilter.init(3, 4, 10, key=jr.key(0), stride=5)(X)


def test_published_sizes_make_8_steps_of_512_samples_and_give_them_back():
    x = jax.ShapeDtypeStruct((2, 512), jnp.float32)
    call = lambda part, x: part(x)
    encoder = eqx.filter_eval_shape(lambda k: SEANetEncoder.init(256, lstm=2, key=k), jr.key(0))
    decoder = eqx.filter_eval_shape(lambda k: SEANetDecoder.init(256, lstm=2, key=k), jr.key(0))
    steps = eqx.filter_eval_shape(call, encoder, x)
    assert steps.shape == (2, 8, 256)
    assert eqx.filter_eval_shape(call, decoder, steps).shape == (2, 512)


def test_cross_attention_does_not_ask_in_which_order_keys_come():
    part = CrossAttention.init_normal(8, 2, key=jr.key(0))
    q, k, v = (jr.normal(jr.key(i), (n, 8)) for i, n in enumerate((3, 5, 5)))
    order = jnp.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(part(q, k[order], v[order]), part(q, k, v), atol=1e-5)
    with pytest.raises(ValueError, match="heads"):
        CrossAttention.init_normal(8, 3, key=jr.key(0))


@pytest.mark.parametrize(("width", "heads", "count"), [(256, 8, 658_176), (512, 16, 2_627_072)])
def test_a_criss_cross_layer_has_as_many_weights_as_the_published_ones(width, heads, count):
    part = eqx.filter_eval_shape(lambda k: CrissCross.init_normal(width, heads, key=k), jr.key(0))
    assert sum(a.size for a in jax.tree.leaves(part)) == count


def test_a_criss_cross_layer_looks_along_rows_and_columns_and_its_halves_change_places():
    part = CrissCross.init_normal(8, 2, key=jr.key(0))
    x = jr.normal(jr.key(1), (3, 4, 8))
    change = part(x.at[1, 2].add(1.0)) - part(x)
    moved = jnp.abs(change).max(-1) > 1e-5
    cross = np.zeros((3, 4), bool)
    cross[1], cross[:, 2] = True, True
    assert moved.tolist() == cross.tolist()
    # without the MLP: what comes along latents is in the first half, along time in the second
    plain = eqx.tree_at(lambda p: p.mlp.down.weight, part, jnp.zeros_like(part.mlp.down.weight))
    change = jnp.abs(plain(x.at[1, 2].add(1.0)) - plain(x)) > 1e-6
    assert not change[0, 2, 4:].any()
    assert not change[1, 0, :4].any()
    assert change[0, 2, :4].any()
    assert change[1, 0, 4:].any()
