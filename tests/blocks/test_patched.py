"""Patched causal attention: who sees whom, nothing of the future, the cache, the number of weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks.patched import PatchedAttention, PatchedLayer, patched_causal
from neuropil.blocks.sampling import nucleus

LENGTHS = dict(times=16, queries=8, patch=4, raw=4)


@pytest.fixture(scope="module")
def part():
    return PatchedAttention.init_normal(8, 2, key=jr.key(0), **LENGTHS)


def test_counts_of_keys_seen_are_those_of_the_paper_s_settings():
    first = np.asarray(patched_causal(80, 40, 4, 16))
    later = np.asarray(patched_causal(40, 40, 4, 16))
    assert first.shape == (40, 36)
    assert first.sum(1)[[0, 1, 2, 3, 39]].tolist() == [10, 10, 10, 11, 36]
    assert later.sum(1)[[0, 1, 2, 3, 39]].tolist() == [0, 0, 0, 1, 26]
    assert (first.sum(), later.sum()) == (726, 326)
    # the rule of the official code: patch i is hidden from latent query j below 4 (i + 1 - n) + 39
    j, i = np.arange(40)[:, None], np.arange(20)[None]
    assert (first[:, :20] == (j >= 4 * (i + 1 - 20) + 39)).all()


def test_a_layer_of_the_paper_has_as_many_weights_as_the_official_one():
    make = lambda key: PatchedLayer.init_normal(
        400, 4, 400, times=80, queries=40, patch=4, raw=16, key=key
    )
    shapes = eqx.filter_eval_shape(make, jr.key(0))
    assert sum(np.prod(a.shape) for a in jax.tree.leaves(shapes)) == 1_605_605


def test_nothing_of_the_future_is_seen_and_all_of_the_past_is(part):
    x = jr.normal(jr.key(1), (16, 2, 8))
    both = jnp.ones((2, 2), bool)
    reach = jax.jit(jax.jacrev(lambda x: part(x, both).sum((1, 2))))(
        x
    )  # (query, time, channel, width)
    felt = np.abs(np.asarray(reach)).sum((2, 3)) > 0
    for query in range(8):
        assert not felt[query, 8 + query + 1 :].any()
    # the last sees everything; one at time 11 sees whole patches 0 to 2
    assert felt[7].all()
    assert felt[3, :12].all()


def test_channels_stay_apart_to_the_bit_unless_they_may_mix(part):
    x = jr.normal(jr.key(1), (16, 2, 8))
    other = x.at[:, 1].add(jr.normal(jr.key(2), (16, 8)))
    run = eqx.filter_jit(part)
    apart = jnp.eye(2, dtype=bool)
    assert (run(x, apart)[:, 0] == run(other, apart)[:, 0]).all()
    assert (run(x, apart)[:, 1] != run(other, apart)[:, 1]).any()
    both = jnp.ones((2, 2), bool)
    assert (run(x, both)[3:, 0] != run(other, both)[3:, 0]).any()
    np.testing.assert_allclose(run(x, apart), run(x, None), atol=1e-6)


def test_a_query_that_sees_no_key_says_the_bias_alone():
    part = PatchedAttention.init_normal(8, 2, times=8, queries=8, patch=4, raw=2, key=jr.key(0))
    part = eqx.tree_at(lambda p: p.out.bias, part, jnp.arange(8.0))
    y = eqx.filter_jit(part)(jr.normal(jr.key(1), (8, 3, 8)))
    np.testing.assert_array_equal(y[:3], np.broadcast_to(np.arange(8.0), (3, 3, 8)))
    assert (np.asarray(y[3:]) != np.arange(8.0)).all()


def test_a_cache_that_grows_says_what_the_whole_sequence_says(part):
    x = jr.normal(jr.key(1), (16, 2, 8))
    layer = PatchedLayer.init_normal(8, 2, 8, key=jr.key(3), **LENGTHS)
    both = jnp.ones((2, 2), bool)
    whole = eqx.filter_jit(layer)(x, both)
    grow = jax.jit(lambda cache, x, at: layer.extend(cache, x, at, both))
    cache, _ = layer.begin(x.at[12:].set(7.0), both)
    for at in range(12, 16):
        cache, y = grow(cache, x[at], jnp.int32(at))
        np.testing.assert_allclose(y, whole[at - 8], atol=2e-6)


@pytest.mark.parametrize("lengths", [(10, 4, 4, 2), (8, 9, 4, 2), (8, 4, 4, 9)])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(ValueError, match="samples"):
        patched_causal(*lengths)


def test_nucleus_of_all_is_plain_sampling_of_nothing_the_likeliest_and_between_the_set_of_that_mass():
    logits = jnp.log(jnp.array([0.05, 0.5, 0.15, 0.3]))
    keys = jr.split(jr.key(0), 400)
    draw = jax.jit(jax.vmap(lambda k, p: nucleus(logits, k, p), (0, None)))
    plain = jax.vmap(lambda k: jr.categorical(k, logits))(keys)
    assert (draw(keys, 1.0) == plain).all()
    assert (draw(keys, 0.0) == 1).all()
    assert set(draw(keys, 0.6).tolist()) == {1, 3}
    got = np.bincount(draw(keys, 0.9), minlength=4) / 400
    assert got[0] == 0
    np.testing.assert_allclose(got[1:], np.array([0.5, 0.15, 0.3]) / 0.95, atol=0.08)
    with pytest.raises(ValueError, match="temperature"):
        nucleus(logits, keys[0], temperature=0.0)
