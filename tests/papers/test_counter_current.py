"""Counter-current: what an arm learns from, against closed forms and the counts of the method card."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.learn import layers
from neuropil.papers.build import _counter_current_net as net
from neuropil.papers.build._counter_current import Part, Sets
from neuropil.papers.build._counter_current_score import score
from neuropil.papers.build.counter_current import STUDY

SIDE = (4, 4)
MLP = net.Kind("mlp", (7, 5), 1)


def numbers(tree):
    return sum(a.size for a in jax.tree.leaves(tree))


def test_numbers_of_weights_are_the_papers():
    sizes = jax.eval_shape(
        lambda k: net.Learners.start(net.Kind("mlp", (256,) * 5, 1), (28, 28), k)[1:], jr.key(0)
    )
    assert [numbers(s) for s in sizes] == [465_408, 465_408]


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "x": jnp.asarray(rng.standard_normal((12, 16)), jnp.float32),
        "y": jnp.asarray(np.arange(12) % 10),
    }


@pytest.fixture(scope="module")
def directions(batch):
    """{arm: (forward weights', feedback weights' direction)} from one start, and the start."""
    learners, weights, back = net.Learners.start(MLP, SIDE, jr.key(0))
    go = jax.jit(lambda rule: learners.direction(weights, back, batch, rule))
    step = jax.jit(lambda rule: learners.moved(weights, back, batch, rule, jnp.float32(1.0)))
    rules = {
        "ccl": net.Rule.of("counter"),
        "fa": net.Rule.of("aligned"),
        "dfa": net.Rule.of("direct"),
        "frozen": net.Rule.of("counter", feedback=False),
        "last": net.Rule.of("aligned", hidden=False),
        "bp": net.Rule.of("aligned", symmetric=True),
    }
    of = lambda f: {name: f(rule) for name, rule in rules.items()}
    return of(go), of(step), (learners, weights, back)


def arrays(tree):
    return [np.asarray(a) for a in jax.tree.leaves(tree)]


def test_backpropagation_is_the_gradient(directions, batch):
    given, _, (learners, weights, _) = directions
    loss = lambda w: MLP.loss(eqx.combine(w, learners.fixed), batch, None)[0]
    for a, b in zip(arrays(given["bp"][0]), arrays(jax.grad(loss)(weights)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_all_arms_agree_on_the_last_layer_and_on_no_other(directions):
    given, _, _ = directions
    last = {name: arrays(g[0])[-1] for name, g in given.items()}
    for name in given:
        np.testing.assert_allclose(last[name], last["bp"], atol=1e-6)
    for name in ("ccl", "fa", "dfa"):
        assert abs(arrays(given[name][0])[0] - arrays(given["bp"][0])[0]).max() > 1e-4


def test_local_losses_have_the_cards_gradient(directions, batch):
    """dL_i/da_i = 2/(10 n) (S_i - Y) c_i 128/d_i, through elu', to the weights of layer i alone."""
    given, _, (learners, weights, back) = directions
    w = [layer.wiring.weight for layer in layers(eqx.combine(weights, learners.fixed))]
    c = eqx.combine(back, learners.counter).signals(jnp.eye(10))
    z = batch["x"] @ w[0].T
    a = jax.nn.elu(z)
    off = 2 * 128 / (10 * 12 * a.shape[1]) * (a @ c[1].T - jax.nn.one_hot(batch["y"], 10))
    slope = jnp.where(z > 0, 1.0, jnp.exp(z))
    want = ((off @ c[1]) * slope).T @ batch["x"]
    np.testing.assert_allclose(arrays(given["ccl"][0])[0], want, rtol=2e-4, atol=1e-5)


def test_a_step_is_clipped_and_the_controls_hold_still_what_they_should(directions):
    given, after, (_, weights, back) = directions
    moved = lambda name, k: [
        a - b for a, b in zip(arrays((weights, back)[k]), arrays(after[name][k]), strict=True)
    ]
    length = lambda parts: np.sqrt(sum((p**2).sum() for p in parts))
    for k in (0, 1):
        long = length(arrays(given["ccl"][k]))
        assert length(moved("ccl", k)) == pytest.approx(min(1, long), rel=1e-3)
    assert length(moved("frozen", 1)) == 0
    np.testing.assert_allclose(moved("frozen", 0)[0], moved("ccl", 0)[0], atol=1e-6)
    assert length(moved("last", 0)[:-1]) == 0 < length(moved("last", 0)[-1:])
    for name in ("bp", "fa", "dfa"):
        assert length(moved(name, 1)) == 0


def test_prototypes_are_the_same_whatever_the_batch(directions):
    _, _, (learners, _, back) = directions
    signals = eqx.combine(back, learners.counter).signals(jnp.eye(10))
    assert [c.shape for c in signals] == [(10, 16), (10, 7), (10, 5), (10, 10)]


def test_sets_are_standardised_on_training_images():
    rng = np.random.default_rng(0)
    image = lambda n: rng.integers(0, 255, (n, 4, 4)).astype(np.uint8)

    class Toy:
        train_x, train_y = image(30), np.arange(30) % 10
        test_x, test_y = image(10), np.arange(10)
        name, shape = "toy", SIDE

    sets = Sets.of([Toy, Toy], 20, 10, 10)
    seen = sets.batch(sets.train, jnp.int32(1), slice(None), MLP)["x"]
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-5)
    auto = sets.batch(sets.train, jnp.int32(0), slice(None), net.Kind("auto", (3,), 1))
    np.testing.assert_allclose(auto["x"].mean(0), 0, atol=1e-5)
    assert auto["y"] is auto["x"]
    assert isinstance(sets.test, Part)
    with pytest.raises(ValueError, match="toy has 30 and 10"):
        Sets.of([Toy], 25, 10, 10)


def test_score_takes_the_tasks_apart():
    cka = np.full((5, 3, 2), np.nan)
    cka[:2, :, 0] = [[0.1, 0.3, 0.5], [0.3, 0.5, 0.7]]
    cka[2:4, :2, 0], cka[4, :, 0] = [[0.2, 0.4]] * 2, [0.5, 0.6, 0.9]
    got = score({}, {"score": np.array([0.9, 0.8, 0.7, 0.6, 0.4]), "cka": cka})
    want = {
        "mlp-mnist": 0.9,
        "cnn-fashion": 0.6,
        "mlp": 0.85,
        "cnn": 0.65,
        "unexplained": 0.4,
        "cka": 0.6,
    }
    for name, value in (want | {"cka-gain": 0.4, "cka-cnn": 0.4, "cka-auto": 0.9}).items():
        assert got[name] == pytest.approx(value), name


@pytest.mark.parametrize(("change", "match"), [({"batch": 0}, "batch"), ({"cnn": ()}, "cnn")])
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
