"""AstroSNN: the unit step by step and at once, without its memory, equal parameters, and the recall task."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import run, start
from neuropil.core.system import System, Tick
from neuropil.papers.build import _astro_snn as net
from neuropil.papers.build._astro_snn_data import BLANK, KEYS, QUERY, VALUES, Tasks
from neuropil.papers.build.astro_snn import STUDY

FLAG = lambda b: jnp.asarray(b, bool)


@pytest.fixture(scope="module")
def tasks():
    text = jnp.asarray(np.random.default_rng(0).integers(0, 20, (2, 300)), jnp.int32)
    return Tasks(text, text[:, :60], (3, 7), 4, 20)


@pytest.fixture(scope="module")
def small():
    """A network of one block, as a function of symbols (time, 2) and of the kind of network."""
    kinds = {"with": net.Kind.of(8, True, "remembers"), "present": net.Kind.of(8, True)}
    made = {n: net.network(k, 20, 1, 2, 7.0, jr.key(0)) for n, k in kinds.items()}
    go = jax.jit(lambda part, xs: run(part, start(part, 1.0, jr.key(1)), xs)[1])
    return made, go


def unit_of(part):
    """The tripartite unit of a network."""
    return part.parts["1"].part.parts["1"]


def test_all_ticks_at_once_are_one_after_the_other(small):
    unit = unit_of(small[0]["with"])
    xs = jr.normal(jr.key(2), (9, 8))
    state = unit.init(1.0, jr.key(0))
    ticks = Tick(jnp.arange(9), jnp.asarray(1.0), jr.split(jr.key(3), 9))
    first = jax.tree.map(lambda a: a[:4], ticks.i)
    part = lambda a, b: Tick(ticks.i[a:b], ticks.dt, ticks.key[a:b])
    graded = eqx.tree_at(lambda u: u.graded, unit, FLAG(True))  # no threshold hides a difference
    state, head = graded.unroll(state, xs[:4], part(0, 4))
    _, tail = graded.unroll(state, xs[4:], part(4, 9))
    _, whole = System.unroll(graded, graded.init(1.0, jr.key(0)), xs, ticks)
    assert len(first) == 4
    np.testing.assert_allclose(jnp.concatenate([head, tail]), whole, atol=1e-5)


def test_without_values_the_unit_is_a_plain_leaky_one(small):
    unit = unit_of(small[0]["with"])
    deaf = eqx.tree_at(lambda u: u.memory.value.weight, unit, jnp.zeros((8, 8)))
    alone = net.TripartiteUnit(unit.wires, unit.logit, None, FLAG(False), FLAG(False))
    xs = jr.normal(jr.key(2), (9, 8))
    spikes = [run(u, start(u, 1.0, jr.key(0)), xs)[1] for u in (deaf, alone)]
    np.testing.assert_array_equal(*spikes)
    assert 0 < float(spikes[0].mean()) < 1


def test_a_membrane_of_two_ticks_halves_its_distance(small):
    unit = unit_of(small[0]["with"])
    assert float(net.jax.nn.sigmoid(unit.logit)[0]) == pytest.approx(0.5)
    alone = net.TripartiteUnit(unit.wires, unit.logit, None, FLAG(True), FLAG(False))
    _, y = run(alone, start(alone, 1.0, jr.key(0)), jnp.zeros((6, 8)))
    u = np.asarray(y) + net.THRESHOLD
    np.testing.assert_allclose(u[:, 0], 0.5 * (1 - 0.5 ** np.arange(1, 7)), atol=1e-6)


def test_no_symbol_changes_what_came_before_it(small):
    made, go = small
    xs = jnp.stack([jr.randint(jr.key(4), (10,), 1, 20), jnp.full(10, BLANK)], 1)
    changed = xs.at[6, 0].set((xs[6, 0] % 19) + 1)
    a, b = go(made["with"], xs), go(made["with"], changed)
    np.testing.assert_array_equal(a[:6], b[:6])
    assert float(jnp.abs(a[6:] - b[6:]).max()) > 0


def test_an_astrocyte_without_memory_knows_the_present_tick_alone(small):
    unit = unit_of(small[0]["present"])
    xs = jr.normal(jr.key(2), (5, 8))
    memory = unit.memory
    _, o = run(memory, start(memory, 1.0, jr.key(0)), xs)
    q, k, v = (p.weight @ xs[-1] for p in (memory.query, memory.key, memory.value))
    each = [(k[h] @ q[h]) / 2 * v[h] for h in (slice(0, 4), slice(4, 8))]
    np.testing.assert_allclose(o[-1], jnp.concatenate(each), atol=1e-5)


def test_arms_of_a_scale_have_equal_parameters():
    for name in ("small", "paper"):
        s = STUDY.scales[name]
        kinds = [net.Kind.of(s["width"], True, "remembers"), net.Kind.of(s["wider"], False)]
        kinds.append(net.Kind.of(s["wider"], False, "spread"))
        sizes = [net.size(kind, s["symbols"], s["blocks"], s["heads"]) for kind in kinds]
        assert max(sizes) / min(sizes) < 1.02, (name, sizes)


def test_recall_asks_for_what_it_told_and_counts_only_the_answer(tasks):
    seen, wanted, weight = map(np.asarray, tasks.recall(jr.key(0), 60))
    assert seen.shape == (60, tasks.length, 2)
    assert tasks.length == 4 + 7 + 1
    assert weight.sum() == 60
    assert (weight[:, -1] == 1).all()
    for s, w in zip(seen, wanted, strict=True):
        told = s[:-1][s[:-1, 0] > 0]
        assert len(told) == 4
        assert len(set(told[:, 0])) == 4
        assert set(told[:, 0]) <= set(range(1, KEYS + 1))
        assert set(told[:, 1]) <= set(range(VALUES))
        assert dict(told)[s[-1, 0]] == w[-1]
        assert s[-1, 1] == QUERY
    assert set(np.asarray(tasks.delay_of(jnp.asarray(seen)))) == {3, 7}


def test_texts_are_windows_and_the_next_symbol(tasks):
    seen, wanted, weight = map(np.asarray, tasks.batch(jr.key(0), 5, jnp.int32(2), "train"))
    np.testing.assert_array_equal(seen[:, 1:, 0], wanted[:, :-1])
    assert (seen[:, :, 1] == BLANK).all()
    assert weight.all()
    text = np.asarray(tasks.train)[1]
    window = np.concatenate([seen[0, :, 0], wanted[0, -1:]])
    places = [k for k in range(300 - tasks.length) if (text[k : k + len(window)] == window).all()]
    assert places


@pytest.mark.parametrize(
    ("change", "match"),
    [({"heads": 3}, "heads"), ({"pairs": 17}, "16 keys"), ({"delays": ()}, "delays"), ({"batch": 0}, "batch")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
