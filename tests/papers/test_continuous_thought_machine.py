"""The continuous thought machine: parameters of the source, its equations by hand, halting, arms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.build import _ctm as ctm
from neuropil.papers.build import _ctm_train as train
from neuropil.papers.build._ctm_score import rank_correlation, right_by, score
from neuropil.papers.build.continuous_thought_machine import STUDY, check

FORM = dict(neurons=5, width=4, heads=2, chosen=3, memory=2, hidden=2)
FEATURES, TOKENS, ANSWERS, TICKS = 3, 4, 6, 4
numbers = lambda tree: [a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.floating)]


@pytest.mark.parametrize(
    ("memory", "parameters"),
    [(1, 4_908_706), (5, 5_043_874), (10, 5_212_834), (25, 5_719_714), (50, 6_564_514)],
)
def test_parameters_are_those_of_the_released_code(memory, parameters):
    form = dict(neurons=1024, width=512, heads=8, chosen=32, hidden=16, memory=memory)
    make = lambda key: ctm.CTM.init_uniform(4, 128, key, **form)
    net = jax.eval_shape(make, jr.key(0))
    assert sum(a.size for a in numbers(net)) == parameters


def test_parameters_of_the_lstm_are_those_of_the_released_code_with_one_bias():
    make = lambda key: ctm.Recurrent.init_uniform(4, 128, key, units=686, width=512, heads=8)
    net = jax.eval_shape(make, jr.key(0))
    assert sum(a.size for a in numbers(net)) == 5_050_716 - 4 * 686  # torch's LSTM has two biases


def shapes(tokens, content, where, positions, options):
    """A task of these shapes with one sample."""
    x, y = jnp.zeros((1, tokens, content), jnp.uint8), jnp.zeros((1, positions), jnp.int8)
    return train.Task(x, y, x, y, jnp.zeros((tokens, where)), options, None)


@pytest.mark.parametrize("name", ["parity", "mazes"])
@pytest.mark.parametrize("scale", ["small", "paper"])
def test_arms_of_a_task_have_equal_parameters(scale, name):
    s = STUDY.scales[scale]
    if name == "parity":
        ticks, task = s["ticks"], shapes(s["length"], 2, 2, s["length"], 2)
    else:
        ticks, task = s["maze_ticks"], shapes(s["side"] ** 2, 27, s["side"] ** 2, s["moves"], 5)

    def count(kind):
        spec = train.Spec.of(kind, task, s, ticks, name)
        return sum(a.size for a in numbers(jax.eval_shape(spec, jr.key(0))))

    assert count("lstm") == pytest.approx(count("ctm"), rel=0.03)
    assert count("feedforward") == pytest.approx(count("ctm"), rel=0.03)


@pytest.fixture(scope="module")
def small():
    """A machine of 5 neurons in double precision, drawn by numpy (nothing to compile), and a sample."""
    rng = np.random.default_rng(0)

    def drawn(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(rng.uniform(-1, 1, leaf.shape))
        whole = jnp.issubdtype(leaf.dtype, jnp.integer)
        return jnp.asarray(rng.integers(5, size=leaf.shape) if whole else True)

    with jax.enable_x64(True):
        make = lambda key: ctm.CTM.init_uniform(FEATURES, ANSWERS, key, **FORM)
        net = jax.tree.map(drawn, jax.eval_shape(make, jr.key(0)))
        go = eqx.filter_jit(lambda net, x: ctm.think(net, x, TICKS))
        yield net, jnp.asarray(rng.normal(size=(TOKENS, FEATURES))), go


def by_hand(net, x, shared=False, plain=False):
    """The recursion of the card in numpy: (tick, neuron) and (tick, answer)."""
    a = jax.tree.map(np.asarray, net)
    lin = lambda d, v: v @ d.weight.T + d.bias
    sig = lambda v: 1 / (1 + np.exp(-v))
    glu = lambda v: (lambda p, q: p * sig(q))(*np.split(v, 2, -1))

    def norm(n, v):
        centred = v - v.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + n.epsilon)
        return centred / spread * n.gain + n.shift

    r = a.reader
    seen = norm(r.norm, lin(r.into, lin(r.embed, np.asarray(x))))
    heads = lambda v: v.reshape(-1, 2, 2).swapaxes(0, 1)
    keys, values = heads(lin(r.key, seen)), heads(lin(r.value, seen))

    def sync(part, past):  # past z's, oldest first
        keep = np.exp(-np.clip(part.rate, 0, 15))
        power = np.stack([keep**k for k in range(len(past))][::-1])
        past = np.stack(past)
        products = past[:, part.left] * past[:, part.right]
        s = (power * products).sum(0) / np.sqrt(power.sum(0))
        return np.pad(past[-1], (0, 1)) if plain else s

    m, z, zs, ys = a.models, [a.first], [], []
    history = a.models.first
    for _ in range(TICKS):
        q = heads(lin(r.query, lin(a.asks, sync(a.ask, z)))[None])
        e = np.exp(np.einsum("hqp,hkp->hqk", q, keys) / np.sqrt(2))
        o = lin(r.out, ((e / e.sum(-1, keepdims=True)) @ values).swapaxes(0, 1).reshape(-1))
        new = norm(a.norm, glu(lin(a.synapse, np.concatenate([o, z[-1]]))))
        history = np.concatenate([history[:, 1:], new[:, None]], 1)
        now = []
        for d in range(5):
            k = 0 if shared else d
            hidden = glu((history[d] @ m.inner[k] + m.inner_bias[k]) / m.inner_scale)
            now.append(glu((hidden @ m.outer[k] + m.outer_bias[k]) / m.outer_scale)[0])
        z.append(np.array(now))
        zs.append(z[-1])
        ys.append(lin(a.speak, sync(a.say, z)))
    return np.array(zs), np.array(ys)


@pytest.mark.parametrize("control", ["none", "shared", "plain"])
def test_thoughts_equal_the_recursion_by_hand(x64, small, control):
    net, x, go = small
    flags = lambda n: (n.private, n.synchronised)
    values = (jnp.asarray(control != "shared"), jnp.asarray(control != "plain"))
    out = go(eqx.tree_at(flags, net, values), x)
    z, y = by_hand(net, x, shared=control == "shared", plain=control == "plain")
    np.testing.assert_allclose(out["z"], z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(out["logits"], y, rtol=1e-9, atol=1e-12)


def test_neurons_may_change_places_with_all_that_is_theirs(x64, small):
    net, x, go = small
    order = jnp.array([3, 0, 4, 1, 2])  # new neuron k is old neuron order[k]
    place = jnp.argsort(order)
    both = jnp.concatenate([order, 5 + order])  # GLU's two halves
    models = jax.tree.map(lambda a: a[order] if a.ndim else a, net.models)
    weight = net.synapse.weight[both]
    weight = jnp.concatenate([weight[:, :4], weight[:, 4:][:, order]], 1)
    ends = lambda s: eqx.tree_at(lambda p: (p.left, p.right), s, (place[s.left], place[s.right]))
    parts = lambda n: (
        n.first, n.models, n.synapse.weight, n.synapse.bias, n.norm.gain, n.norm.shift, n.ask, n.say
    )  # fmt: skip
    new = (net.first[order], models, weight, net.synapse.bias[both], net.norm.gain[order],
           net.norm.shift[order], ends(net.ask), ends(net.say))  # fmt: skip
    moved = eqx.tree_at(parts, net, new)
    one, two = go(net, x), go(moved, x)
    np.testing.assert_allclose(two["logits"], one["logits"], rtol=1e-10)
    np.testing.assert_allclose(two["z"], one["z"][:, order], rtol=1e-10)


@pytest.mark.slow
def test_gradient_reaches_what_is_asked_and_every_tick_looks_anew(x64, small):
    net, x, _ = small
    loss = lambda n: ctm.think(n, x, TICKS)["logits"][-1].sum()
    slope = eqx.filter_jit(eqx.filter_grad(loss))(net)
    for part in (slope.asks.weight, slope.reader.query.weight, slope.ask.rate, slope.first):
        assert float(jnp.abs(part).max()) > 0


def test_pairs_are_the_upper_triangle_of_two_draws():
    left, right = (np.asarray(a) for a in ctm.pairing(50, 4, jr.key(0)))
    assert len(left) == 10
    np.testing.assert_array_equal(left[:4], left[0])  # the first of one draw with all of the other
    np.testing.assert_array_equal(right[[3, 6, 8, 9]], right[3])
    assert (left != right).any()


def test_loss_counts_the_right_beginning_and_five_more():
    right = np.zeros((2, 20), bool)
    right[0, :3], right[1, :7], right[1, 9:] = True, True, True
    for rows, positions in ((right, 6 + 5), (right[:1], 2 + 5), (~right[:1], 5)):
        got = train.counted(jnp.asarray(rows), 5)
        np.testing.assert_array_equal(got, np.arange(20) < positions)
    assert train.counted(jnp.asarray(right), None).tolist() == [1.0] * 20


def test_loss_is_the_mean_of_the_best_and_the_chosen_tick():
    draw = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    logits, y = jnp.asarray(3 * draw), jnp.asarray([0, 2, 1, 1, 0])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -np.log(np.take_along_axis(p, np.asarray(y)[None, :, None], -1))[..., 0].mean(1)
    sure = 1 + (p * np.log(p)).sum(-1).mean(1) / np.log(3)
    assert each.argmin() not in (sure.argmax(), 5)
    for flag, chosen in ((True, sure.argmax()), (False, 5)):
        got = float(train.sample_loss(logits, y, None, flag))
        assert got == pytest.approx((each.min() + each[chosen]) / 2, rel=1e-5)
        assert got >= each.min()


def test_tasks_hold_out_what_is_tested():
    s = STUDY.scales["small"] | dict(length=8, held=32, mazes=40, held_mazes=8)
    task = train.parity(s)
    rows = lambda x: {a.tobytes() for a in np.asarray(x)}
    assert len(rows(task.x)) == 2**8 - 64
    assert not rows(task.x) & rows(task.held_x)
    tokens = np.asarray(task.tokens(task.x[:2]))
    assert tokens.shape == (2, 8, 4)
    np.testing.assert_allclose(np.linalg.norm(tokens[..., 2:], axis=-1), 1, rtol=1e-6)
    maze = train.mazes(s)
    assert (maze.features, maze.answers) == (27 + 16, 50)
    np.testing.assert_array_equal(maze.held_y, train.drawn_mazes(s).route[:8])
    for make, name in ((train.parity, "held"), (train.mazes, "held_mazes")):
        judged, valid = make(s), make(s | dict(judge="valid"))
        np.testing.assert_array_equal(judged.x, valid.x)
        assert len(valid.held_x) == s[name]
        assert rows(valid.held_x) != rows(judged.held_x)


def test_measures_of_stopping_by_hand():
    right = np.zeros((3, 4, 2), bool)
    right[0, 2:], right[1, 3:, 0], right[2] = True, True, True
    sure = np.array(
        [[0.1, 0.5, 0.9, 0.85], [0.2, 0.3, 0.4, 0.5], [0.97, 0.9, 0.9, 0.9]], np.float32
    )
    got = train.measured(jnp.asarray(right), jnp.asarray(sure))
    assert got["ticks"].tolist() == [3, 4, 1]
    assert float(got["chosen-right"]) == pytest.approx((2 + 1 + 2) / 6)
    assert float(got["halt-80-ticks"]) == pytest.approx(8 / 3)
    assert float(got["halt-95-whole"]) == pytest.approx(2 / 3)
    np.testing.assert_allclose(got["whole"], np.array([1, 1, 2, 2]) / 3, rtol=1e-6)
    shares = np.array([[0.95, 0.5, 0.4], [0.8, 0.95, 0.5], [0.95, 0.99, 0.6]])
    assert right_by(shares).tolist() == [3, 2, 4]
    assert rank_correlation(np.arange(4), np.array([1, 2, 2, 9])) == pytest.approx(0.9487, abs=1e-4)
    assert rank_correlation(np.arange(3), np.ones(3)) == 0.0


def test_an_lstm_is_scored_at_the_better_of_its_two_ticks():
    out = {"right": np.array([[0.5, 0.6], [0.9, 0.7]]), "whole": np.array([0.1, 0.6]),
           "chosen-right": 0.7, "chosen-whole": 0.4, "halt-80-right": 0.65, "halt-80-ticks": 1.5,
           "ticks": np.array([1, 2])}  # fmt: skip
    for flag, accuracy in ((True, 0.7), (False, 0.8)):
        history = {n: np.asarray(v)[None] for n, v in (out | {"by-certainty": flag}).items()}
        got = score({}, history)
        assert got["accuracy"] == pytest.approx(accuracy)
        assert got["gain"] == pytest.approx(0.8 - 0.55)
        assert got["halt-share"] == pytest.approx(0.75)
        assert got["halt-cost"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"updates": 100}, "multiple of chunks"),
        ({"held": 300}, "multiple"),
        ({"length": 4}, "only 2"),
        ({"chosen": 4}, "fewer pairs"),
        ({"fewer": (1, 2)}, "three"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    for settings in STUDY.scales.values():
        check(settings)
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
