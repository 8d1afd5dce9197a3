"""BDH: recurrent equals parallel, the first token, the released sizes, and what is read off it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import System, Tick, start
from neuropil.papers.build import _dragon as bdh
from neuropil.papers.build import _dragon_score as scores
from neuropil.papers.build._dragon_train import in_name, selectivity
from neuropil.papers.build.dragon_hatchling import STUDY


@pytest.fixture(scope="module")
def net():
    """One with weights large enough that every part matters."""
    made = bdh.Hatchling.init_normal(11, 6, 16, 2, 2, jr.key(0))
    return jax.tree.map(lambda a: 20 * a if a.dtype == jnp.float32 else a, made)


@pytest.fixture(scope="module")
def look():
    """All tokens at once, compiled once."""
    return eqx.filter_jit(lambda net, state, tokens: net.look(state, tokens))


TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 11, 9), jnp.int32)


def test_the_recurrent_and_the_parallel_form_are_equal(x64, net):
    net = jax.tree.map(lambda a: a.astype(float) if a.dtype == jnp.float32 else a, net)
    ticks = lambda n: Tick(jnp.arange(n), jnp.ones(()), jr.split(jr.key(0), n))

    @eqx.filter_jit
    def both(net, state):
        middle, head = net.unroll(state, TOKENS[:4], ticks(4))
        end, tail = net.unroll(middle, TOKENS[4:], ticks(5))
        return System.unroll(net, state, TOKENS, ticks(9)), (end, jnp.concatenate([head, tail]))

    one, whole = both(net, start(net, 1.0, jr.key(0)).state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11), one, whole)
    assert float(jnp.abs(whole[1]).max()) > 0.1


def test_the_first_token_is_left_as_it_is_and_none_sees_the_future(net, look):
    _, seen = look(net, net.init(1.0, None), TOKENS)
    first = bdh.norm(net.embed[TOKENS[:1]])
    for _ in range(net.layers):
        first = bdh.norm(first)
    np.testing.assert_allclose(seen["logits"][0], (first @ net.head)[0], rtol=1e-3, atol=1e-4)
    assert not np.asarray(seen["gated"][0]).any()
    _, changed = look(net, net.init(1.0, None), TOKENS.at[5].add(1) % 11)
    np.testing.assert_array_equal(seen["logits"][:5], changed["logits"][:5])
    assert float(jnp.abs(seen["logits"][5:] - changed["logits"][5:]).max()) > 1e-3


def test_the_scale_of_the_encoder_does_not_matter(net, look):
    larger = eqx.tree_at(lambda n: n.encode, net, 3.0 * net.encode)
    a, b = (look(n, n.init(1.0, None), TOKENS)[1]["logits"] for n in (net, larger))
    np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)  # but for the norms' epsilon


def test_the_synapses_are_sums_of_outer_products_as_the_present_token_meets_them(net, look):
    state, seen = look(net, net.init(1.0, None), TOKENS)
    x = np.asarray(bdh.norm(net.embed[TOKENS]))
    n = np.asarray(seen["neurons"])[:, 0, 0]  # first layer, first head
    back = [bdh.rotary(jnp.asarray(n[t][None]), jnp.array([t - 8]), bdh.BASE)[0] for t in range(9)]
    total = sum(np.outer(back[t], x[t]) for t in range(9))
    np.testing.assert_allclose(net.unturned(state)[0, 0], total, atol=1e-4)
    wide = bdh.Hatchling.init_normal(11, 16, 400, 2, 1, jr.key(3))
    _, seen = look(wide, wide.init(1.0, None), jnp.tile(TOKENS, 5))
    assert float((seen["neurons"] > 0).mean()) == pytest.approx(0.5, abs=0.05)
    assert float((seen["gated"][1:] > 0).mean()) == pytest.approx(0.25, abs=0.08)


def test_released_size_and_equal_parameters():
    make = lambda s, n: bdh.Hatchling.init_normal(s, 256, n, 4, 6, jr.key(0))
    assert bdh.size(jax.eval_shape(lambda: make(256, 32_768))) == 25_296_896
    for name in ("small", "paper"):
        s = STUDY.scales[name]
        form = (s["symbols"], s["width"], s["neurons"], s["heads"], s["layers"], jr.key(0))
        one = bdh.size(
            jax.eval_shape(lambda form=form: bdh.Hatchling.init_normal(*form[:5], form[5]))
        )
        form = (s["symbols"], s["gpt_width"], s["gpt_layers"], s["gpt_heads"], s["length"])
        two = bdh.size(jax.eval_shape(lambda form=form: bdh.gpt(*form, jr.key(0))))
        assert 0.95 < one / two < 1.05, (name, one, two)


def test_a_synapse_of_a_concept_is_found(net):
    capital = jnp.asarray(np.arange(11) > 8)
    tokens = jr.randint(jr.key(1), (16, 12), 0, 9)
    tokens = tokens.at[:, 4:7].set(
        jnp.where(jr.bernoulli(jr.key(2), 0.5, (16, 1)), 9, tokens[:, 4:7])
    )
    label = in_name(tokens, capital)
    assert set(np.flatnonzero(np.asarray(label).any(0))) == {4, 5, 6}
    found = eqx.filter_jit(selectivity)(net, tokens, label)
    assert found["trace"].shape == (8, 12)
    assert scores.area(np.asarray(found["label"]), np.asarray(found["trace"])) > 0.8


def test_area_and_settings():
    assert scores.area(np.array([0, 0, 1, 1]), np.array([1, 2, 2, 3])) == pytest.approx(0.875)
    small = STUDY.scales["small"]
    for change, match in [({"neurons": 20}, "pairs"), ({"gpt_width": 31}, "heads"), ({"judge": "x"}, "judge"),
                          ({"batch": 0}, "batch")]:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            STUDY.check(small | change)
