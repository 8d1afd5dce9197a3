"""Titans: memory as context token by token and at once, causal, equal parameters, and the needles."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Tick
from neuropil.memory import NeuralMemory
from neuropil.papers.build import _titans as titans
from neuropil.papers.build import _titans_data as data
from neuropil.papers.build._titans_mix import Context
from neuropil.papers.build.titans import STUDY


def ticks(begin, n):
    return Tick(begin + jnp.arange(n), jnp.ones(()), jr.split(jr.key(0), n))


@pytest.fixture(scope="module")
def context():
    """Segments of 3 tokens; outputs and states of a run at once, in parts, and one by one."""
    with jax.enable_x64(True):
        memory = NeuralMemory.init_normal(4, hidden=(3,), chunk=3, residual=True, key=jr.key(0))
        part = Context.init_normal(4, memory, 2, 2, jr.key(1))

        @eqx.filter_jit
        def go(part, xs):
            state = part.init(1.0, jr.key(0))
            end, whole = part.unroll(state, xs, ticks(0, 7))
            body = lambda s, now: part.step(s, now[0], Tick(now[1], jnp.ones(()), jr.key(0)))
            last, one = jax.lax.scan(body, state, (xs, jnp.arange(7)))
            return (end, whole), (last, one)

        xs = jr.normal(jr.key(2), (7, 4))
    return part, xs, go


def test_context_at_once_is_token_by_token_and_sees_no_future(x64, context):
    part, xs, go = context
    (end, whole), (last, one) = go(part, xs)
    np.testing.assert_allclose(whole, one, atol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), end["memory"], last["memory"]
    )
    changed = go(part, xs.at[4].add(1.0))[0][1]
    np.testing.assert_array_equal(whole[:4], changed[:4])
    assert float(jnp.abs(whole[4:] - changed[4:]).max()) > 1e-3


def test_a_memory_that_learns_nothing_tells_the_same_in_every_segment(x64, context):
    part, xs, go = context
    still = eqx.tree_at(lambda p: p.memory.limits, part, jnp.array([0.0, 1.0, 0.0]))
    (end, _), _ = go(still, xs)
    jax.tree.map(np.testing.assert_array_equal, end["memory"]["weights"], part.memory.initial)


@pytest.mark.parametrize("name", ["small", "paper"])
def test_arms_of_a_scale_have_equal_parameters(name):
    s = STUDY.scales[name] | {"blocks": 1, "length": 64, "chunk": 16}  # blocks are alike
    make = lambda kind: titans.network(kind, s["hidden_" + kind], s, 64, None, jr.key(0))
    sizes = {}
    for kind in titans.MIXERS:
        sizes[kind] = titans.size(eqx.filter_eval_shape(make, kind))
    assert max(sizes.values()) / min(sizes.values()) < 1.02, sizes


@pytest.mark.parametrize("hard", [False, True])
def test_needles_ask_for_what_was_marked(hard):
    draw = jax.jit(lambda key, hard: data.needles(key, 40, 40, 3, hard))
    tokens, wanted, weight = map(np.asarray, draw(jr.key(0), hard))
    assert weight.sum() == 120
    others = []
    for t, w, counts in zip(tokens, wanted, weight, strict=True):
        marked = np.flatnonzero(t == data.NEEDLE)
        assert len(marked) == 3
        told = {t[m + 1]: t[m + 2] for m in marked}
        assert len(told) == 3
        asked = np.flatnonzero(counts)
        np.testing.assert_array_equal(t[asked - 1], data.ASK)
        assert {t[a]: w[a] for a in asked} == told
        keep = np.ones(40, bool)
        keep[[*marked, *(marked + 1), *(marked + 2), *asked, *(asked - 1)]] = False
        others.append(t[keep])
    share = (np.concatenate(others) < data.FIRST_FILLER).mean()
    assert share == pytest.approx(0.5 if hard else 0.0, abs=0.06)


def test_settings_that_make_no_sense_are_refused():
    small = STUDY.scales["small"]
    changes = [({"heads": 3}, "heads"), ({"needles": 17}, "16 keys"), ({"lengths": (10,)}, "tokens"),
               ({"judge": "x"}, "judge"), ({"batch": 0}, "batch")]  # fmt: skip
    for change, match in changes:
        with pytest.raises(ValueError, match=match):
            STUDY.check(small | change)
    with pytest.raises(ValueError, match="do not fit"):
        data.needles(jr.key(0), 1, 12, 4, False)
