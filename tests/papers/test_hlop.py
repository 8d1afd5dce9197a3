"""hlop: counts, the four gradients against closed forms, the order of events, what arms share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import Surrogate
from neuropil.cells.lif import LIF
from neuropil.cells.parts import SubtractReset
from neuropil.core import advance, start
from neuropil.learn.projection import project_update
from neuropil.learn.rate_gradient import rate_weights
from neuropil.papers.build import _hlop_net as hlop_net
from neuropil.papers.build._hlop_net import RULES, Bptt, Dsr, Net, Online
from neuropil.papers.build.hlop import STUDY, check, rows
from neuropil.plasticity.subspace import orthogonal_part

DRAW = np.random.default_rng(0)
B, PIXELS, HIDDEN, CLASSES = 5, 8, 6, 3


def toy(dtype=jnp.float32):
    """A small net with weights large enough to spike, and a batch."""
    size = Net.size(PIXELS, HIDDEN, CLASSES)
    net = Net.of(jnp.asarray(DRAW.uniform(size=size), dtype), PIXELS, HIDDEN, CLASSES)
    net = jax.tree.map(lambda a: 2 * a if a.ndim == 2 else a.astype(dtype), net)
    x = jnp.asarray(DRAW.normal(size=(B, PIXELS)), dtype)
    return net, x, jnp.asarray(DRAW.integers(0, CLASSES, B)), jnp.full(B, 1 / B, dtype)


def test_counts_of_weights_and_lateral_rows():
    shapes = Net.shapes(784, 800, 10)
    assert sum(a * b for a, b in shapes[:3]) == 1_275_200  # and two thresholds
    plan = np.array(rows(STUDY.scales["paper"], 784))
    assert plan.sum(0).tolist() == [470, 590, 490]
    assert (plan.sum(0) * [784, 800, 800]).sum() == 1_232_480
    assert np.array(rows(STUDY.scales["small"], 784)).sum(0).tolist() == [470, 149, 124]
    assert np.array(rows(STUDY.scales["small"], 64)).sum(0).tolist() == [38, 149, 124]  # digits


def test_lif_of_the_bptt_variant_halves_adds_and_subtracts():
    spikes = Bptt().spikes(jnp.array([[0.6, 1.0, -1.0]]))[:, 0]  # v = .6 .9 1.05: the third step
    assert spikes[:, 0].tolist() == [0, 0, 1, 0, 0, 1]  # v = .05 .625 .9125 1.056
    assert spikes[:, 1].tolist() == [1] * 6  # closed threshold: v = 1 spikes
    assert spikes[:, 2].tolist() == [0] * 6


class Smooth(Surrogate):
    """A sigmoid in both directions, so that finite differences see what the gradient sees."""

    def __call__(self, u):
        return jax.nn.sigmoid(4 * u)


class SmoothBptt(Bptt):
    def cell(self, n, surrogate=Smooth()):
        return LIF(n, tau=1 / np.log(2), reset=SubtractReset(), surrogate=surrogate, drive="jump")


def test_backpropagation_through_time_against_finite_differences(x64):
    net, x, y, share = toy(jnp.float64)
    rule, nothing = SmoothBptt(), jax.tree.map(jnp.zeros_like, net)
    towards = tuple(jnp.asarray(DRAW.normal(size=w.shape)) for w in net.weights)

    @jax.jit
    def loss(e):
        weights = tuple(w + e * d for w, d in zip(net.weights, towards, strict=True))
        return rule.gradient(Net(weights, net.back, net.threshold), x, y, share, x)[:2]

    (up, _), (down, _), (_, gradient) = loss(1e-5), loss(-1e-5), loss(0.0)
    slope = sum(jnp.vdot(g, d) for g, d in zip(gradient.weights, towards, strict=True))
    assert float(slope) == pytest.approx(float(up - down) / 2e-5, rel=1e-6)
    assert jax.tree.all(jax.tree.map(lambda g, z: (g == z).all(), gradient.back, nothing.back))


def by_hand(net, x, steps):
    """The two layers of cells by the recursion itself, in numpy."""
    w1, w2, w3 = (np.asarray(w, float) for w in net.weights)
    sg = lambda u: 4 * (s := 1 / (1 + np.exp(-4 * u))) * (1 - s)

    def cells(currents):
        v, vs, ss = 0.0, [], []
        for c in currents:
            v = v / 2 + c
            vs, ss = [*vs, v], [*ss, (v >= 1) * 1.0]
            v = v - ss[-1]
        return np.array(vs), np.array(ss)

    v1, s1 = cells([np.asarray(x, float) @ w1.T] * steps)
    v2, s2 = cells(s1 @ w2.T)
    return v1, s1, v2, s2, sg, w2, w3


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("aligned", [False, True])
def test_surrogate_gradient_and_feedback_alignment_by_hand(aligned):
    net, x, y, share = toy()
    rule = Bptt(aligned=aligned)
    _, gradient, seen = rule.gradient(net, x, y, share, x)
    v1, s1, v2, s2, sg, w2, w3 = by_hand(net, x, 6)
    back2, back3 = (np.asarray(b, float) for b in net.back) if aligned else (w2, w3)
    e3 = (softmax(s2.mean(0) @ w3.T) - np.eye(CLASSES)[np.asarray(y)]) / B

    def through(error, v):  # error at the spikes of each step -> at the currents of each step
        carried, out = 0.0, []
        for e, v_t in zip(error[::-1], v[::-1], strict=True):
            carried = carried / 2 + e * sg(v_t - 1)
            out.append(carried)
        return np.array(out[::-1])

    e2 = through(np.broadcast_to(e3 @ back3 / 6, s2.shape), v2)
    e1 = through(e2 @ back2, v1)
    want = [e1.sum(0).T @ np.asarray(x), np.einsum("tbi,tbj->ij", e2, s1), e3.T @ s2.mean(0)]
    assert s1.sum() * s2.sum() > 0
    for got, w in zip(gradient.weights, want, strict=True):
        np.testing.assert_allclose(got, w, atol=2e-6)
    np.testing.assert_array_equal(seen[1][0], s1.reshape(-1, HIDDEN))


def test_online_rule_is_error_times_trace_and_equals_bptt_in_one_step():
    net, x, y, share = toy()
    loss, gradient, seen = Online().gradient(net, x, y, share, x)
    assert float(loss) > 0
    v1, s1, v2, s2, sg, w2, w3 = by_hand(net, x, 6)
    trace = lambda s: np.array([sum(0.5 ** (t - k) * s[k] for k in range(t + 1)) for t in range(6)])
    a1, a2 = trace(s1), trace(s2)
    e3 = (softmax(s2 @ w3.T) - np.eye(CLASSES)[np.asarray(y)]) / B / 6
    e2 = (e3 @ w3) * sg(v2 - 1)
    e1 = (e2 @ w2) * sg(v1 - 1)
    want = [e1.sum(0).T @ np.asarray(x)]
    want += [np.einsum("tbi,tbj->ij", e, a) for e, a in ((e2, a1), (e3, a2))]
    for got, w in zip(gradient.weights, want, strict=True):
        np.testing.assert_allclose(got, w, atol=2e-6)
    np.testing.assert_allclose(seen[2], np.concatenate([s2, a2], 1), atol=1e-6)
    one, through = (r(steps=1).gradient(net, x, y, share, x) for r in (Online, Bptt))
    for got, w in zip(one[1].weights, through[1].weights, strict=True):
        np.testing.assert_allclose(got, w, atol=2e-6)
    assert float(one[0]) == pytest.approx(float(through[0]), rel=1e-5)


def test_rate_rule_layer_by_layer():
    """W3 sees the weighted rate, W2 the plain mean of spikes; the factor 1.08175 is in layer 2 alone."""
    net, x, y, share = toy()
    rule = Dsr()
    logits, seen = rule.answer(net, x)
    _, gradient, _ = rule.gradient(net, x, y, share, x)
    w1, w2, w3 = (np.asarray(w, float) for w in net.weights)
    e3 = (softmax(np.asarray(logits)) - np.eye(CLASSES)[np.asarray(y)]) / B
    np.testing.assert_allclose(gradient.weights[2], e3.T @ seen[2][0], atol=1e-5)
    cell = lambda c: hlop_net.RateLIF()(jnp.asarray(c), 0.05)
    s1 = np.asarray(cell(np.broadcast_to(np.asarray(x) @ w1.T, (20, B, HIDDEN)).astype("f4")))
    I2 = np.tensordot(np.asarray(rate_weights(20, 1.0, 0.05)), s1 @ w2.T, 1)
    e2 = 1.08175 * (e3 @ w3) * ((I2 > 0) & (I2 < 6))
    np.testing.assert_allclose(gradient.weights[1], e2.T @ s1.mean(0), rtol=1e-3, atol=1e-4)
    I1 = np.asarray(x) @ w1.T
    e1 = (e2 @ w2) * ((I1 > 0) & (I1 < 6))
    np.testing.assert_allclose(gradient.weights[0], e1.T @ np.asarray(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", list(RULES))
def test_every_rule_learns_and_leaves_protected_activity_alone(name):
    rule, (net, *_) = RULES[name], toy()
    centres = 3 * np.eye(CLASSES, PIXELS)
    y = jnp.asarray(np.arange(48) % CLASSES)
    x = jnp.asarray(centres[np.asarray(y)] + DRAW.normal(size=(48, PIXELS)), jnp.float32)
    H = jnp.asarray(np.linalg.qr(DRAW.normal(size=(PIXELS, 2)))[0].T, jnp.float32)
    H2 = jnp.asarray(np.linalg.qr(DRAW.normal(size=(HIDDEN, 2)))[0].T, jnp.float32)
    share, trace = jnp.full(48, 1 / 48), orthogonal_part(x, H)

    def step(_, net):
        gradient = rule.gradient(net, x, y, share, trace)[1]
        w1, w2, w3 = gradient.weights
        weights = (w1, project_update(w2, H2), project_update(w3, H2))
        gradient = Net(weights, gradient.back, gradient.threshold)
        rate = 0.05 if name == "dsr" else 0.5
        return net.moved(gradient, jnp.asarray(rate), jnp.asarray(True))

    first = rule.gradient(net, x, y, share, trace)[0]
    after = jax.jit(lambda net: jax.lax.fori_loop(0, 150, step, net))(net)
    last = rule.gradient(after, x, y, share, trace)[0]
    assert float(last) < 0.8 * float(first)
    for rows_, old, new in zip((H, H2, H2), net.weights, after.weights, strict=True):
        np.testing.assert_allclose(new @ rows_.T, old @ rows_.T, atol=2e-5)
    assert bool((after.threshold == net.threshold).all()) == (name != "dsr")


@pytest.fixture(scope="module")
def smoke():
    """Two tasks of every arm at scale smoke: {arm: (state before, after one, after two, records)}."""
    settings = dict(STUDY.scales["smoke"])
    data = STUDY.load(settings)
    step = eqx.filter_jit(advance)
    out = {}
    for name, arm in STUDY.arms.items():
        system = arm.build(settings, data)
        carry = start(system, 1.0, jr.key(0))
        states, records = [carry.state], []
        for _ in range(2):
            carry, record = step(system, carry)
            states.append(carry.state)
            records.append({k: np.asarray(v) for k, v in record.items()})
        history = {k: np.stack([r[k] for r in records]) for k in records[0]}
        out[name] = (system, states, history)
    return settings, out


def test_arms_share_one_program_and_one_start(smoke):
    _, out = smoke
    system, states, history = out["hlop"]
    for other, others, _ in out.values():
        assert jax.tree.structure(other) == jax.tree.structure(system)
        assert (others[0]["order"] == states[0]["order"]).all()
        assert (others[0]["net"].weights[0] == states[0]["net"].weights[0]).all()
    for name in ("sequential", "replay", "svd", "random"):  # nothing to protect in the first task
        assert out[name][2]["loss"][0] == history["loss"][0]
        assert out[name][2]["accuracy"][0, 0] == history["accuracy"][0, 0]
    assert out["joint"][2]["loss"][0] != history["loss"][0]


def test_rows_are_frozen_to_the_bit_and_grow_by_plan(smoke):
    settings, out = smoke
    plan = np.array(rows(settings, 64))
    for name in ("hlop", "svd", "random"):
        _, (_, one, two), _ = out[name]
        assert two["used"].tolist() == plan.sum(0).tolist()
        for c in range(3):
            first, both = plan[0, c], plan[:, c].sum()
            assert (one["rows"][c][:first] == two["rows"][c][:first]).all()
            lengths = np.linalg.norm(two["rows"][c], axis=1)
            assert (lengths[:both] > 0.5).all()
            assert (lengths[both:] == 0).all()
    assert all(float(jnp.abs(r).max()) == 0 for r in out["sequential"][1][2]["rows"])


def test_exact_and_random_rows_are_orthonormal_and_exact_ones_are_the_principal_ones(smoke):
    _, out = smoke
    for name in ("svd", "random"):
        assert out[name][2]["orthonormality"].max() < 1e-5
    assert out["svd"][2]["angle"].max() < 0.5
    assert (out["svd"][2]["uncovered"] < out["random"][2]["uncovered"]).all()
    assert (out["svd"][2]["uncovered"] < out["hlop"][2]["uncovered"] + 1e-6).all()


def test_protected_inputs_are_answered_as_before_through_a_whole_task(smoke):
    _, out = smoke
    _, (_, one, two), _ = out["svd"]
    for c in range(3):
        H, old, new = one["rows"][c], one["net"].weights[c], two["net"].weights[c]
        np.testing.assert_allclose(new @ H.T, old @ H.T, atol=1e-5)
        assert float(jnp.abs(new - old).max()) > 1e-4


def test_replay_keeps_images_of_every_class_of_each_task(smoke):
    settings, out = smoke
    system, (_, one, two), _ = out["replay"]
    kept = np.asarray(system.stream.train.y)[np.asarray(two["memory"])]
    assert kept.shape == (2, 10 * settings["memory"])
    for labels in kept:
        assert np.bincount(labels, minlength=10).tolist() == [settings["memory"]] * 10
    assert (one["memory"][0] == two["memory"][0]).all()
    assert float(out["replay"][2]["loss"][1]) == float(out["sequential"][2]["loss"][1])


def test_scores_leave_out_what_an_arm_does_not_have(smoke):
    settings, out = smoke
    score = {name: STUDY.score(settings, history) for name, (_, _, history) in out.items()}
    A = out["hlop"][2]["accuracy"]
    assert score["hlop"]["forgetting"] == pytest.approx(A[0, 0] - A[1, 0])
    assert score["hlop"]["accuracy"] == pytest.approx(A[1].mean())
    assert set(score["sequential"]) == {"accuracy", "forgetting"}
    assert set(score["joint"]) == {"accuracy"}
    assert set(score["svd"]) == set(STUDY.metrics)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rule": "bbtt"}, "rule"),
        ({"tasks": 1}, "tasks"),
        ({"tasks": 12}, "tasks"),
        ({"hidden": 100}, "do not fit"),
        ({"batch": 32}, "batch"),
        ({"first": (80, 50)}, "three"),
        ({"grow": (100,) * 9}, "do not fit 784"),
        ({"images": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
