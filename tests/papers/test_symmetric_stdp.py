"""Symmetric STDP: the card's numbers for rule, thresholds, spikes, inhibition, scaling; decisions by hand."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells.parts import relaxed
from neuropil.core import Drive, Managed, run, start
from neuropil.papers.build import _symmetric_stdp as arms
from neuropil.papers.build import _symmetric_stdp_layer as layer
from neuropil.papers.build.symmetric_stdp import STUDY, check
from neuropil.plasticity import normalised, symmetric_stdp
from tests.plasticity.ends import Ends

NUMBERS = layer.Numbers(*(jnp.asarray(n) for n in layer.MNIST))


@pytest.fixture(scope="module")
def image():
    """Spikes of an image of 6 pixels and of 4 hidden cells, and weights."""
    rng = np.random.default_rng(0)
    pre = (rng.random((700, 6)) < 0.03).astype("float32")
    post = (rng.random((700, 4)) < 0.01).astype("float32")
    return jnp.asarray(pre), jnp.asarray(post), jnp.asarray(rng.uniform(0, 0.3, (4, 6)), "float32")


def test_a_pair_adds_nu_times_its_trace_in_either_order():
    for gap in (-20, -4, 4, 20):
        pre, post = (
            jnp.zeros((1, 60, 1)).at[0, 30].set(1.0),
            jnp.zeros((1, 60, 1)).at[0, 30 + gap].set(1.0),
        )
        w = layer.grown(jnp.full((1, 1), 0.2), pre, post, jnp.asarray(0.005))
        assert float(w[0, 0]) - 0.2 == pytest.approx(
            0.0005 * np.exp(-abs(gap) * 0.5 / 20), rel=1e-3
        )
    # the Euler decay of the code differs by 1.5 % at 20 ms
    assert (1 - 0.5 / 20) ** 40 == pytest.approx(np.exp(-1), rel=0.015)


def test_an_image_at_once_is_the_rule_tick_by_tick(image):
    pre, post, w = image
    rule = symmetric_stdp(6, 4, 0.02 * layer.GROW, layer.WINDOW)
    system = Managed(Ends(w), rule, "weight", {"pre": "input.pre", "post": "input.post"})
    slow = run(system, start(system, 0.5, jr.key(0)), {"pre": pre, "post": post}, record=None)[0]
    fast = layer.grown(w, pre[None], post[None], jnp.asarray(0.02))
    np.testing.assert_allclose(fast, slow.state.theta, rtol=1e-5)
    assert float((fast - w).min()) > 1e-3


def test_the_teacher_adds_both_orders_and_asymmetric_takes_one(image):
    hidden, teacher = image[1], image[0][:, 0]
    at = lambda s: 0.5 * np.flatnonzero(np.asarray(s))
    lag = [at(teacher)[:, None] - at(hidden[:, k])[None, :] for k in range(4)]
    kernel = [0.1 * np.exp(-np.abs(d) / 20) for d in lag]
    for order in (1.0, -1.0):
        expected = [
            (k * np.where(d > 0, 1, np.where(d < 0, order, 0))).sum()
            for k, d in zip(kernel, lag, strict=True)
        ]
        found = layer.coincidence(hidden, teacher, jnp.asarray(order))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_scaling_makes_the_sums_of_the_card():
    w = normalised(jr.uniform(jr.key(0), (5, 784)), NUMBERS.total)
    np.testing.assert_allclose(w.sum(1), 78.4, rtol=1e-5)
    out = layer.taught(jnp.ones((10, 100)), jnp.zeros(100), jnp.int32(3), NUMBERS, jnp.int32(1))
    np.testing.assert_allclose(out.sum(1), 0.1 * 100 * 8, rtol=1e-5)
    out = layer.taught(out, 1e4 * jnp.ones(100), jnp.int32(3), NUMBERS, jnp.int32(1))
    np.testing.assert_allclose(out[3], 8.0)  # at its bound; the others as they were
    np.testing.assert_allclose(out[:3], 0.8, rtol=1e-5)


def test_thresholds_grow_less_the_higher_they_are():
    cells = layer.rested(jnp.zeros(2), jnp.array([20.0, 30.0]))  # far above either threshold
    after, s = layer.hidden_tick(cells, jnp.zeros(2), NUMBERS.base, NUMBERS.plus)
    assert s.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(after.theta - cells.theta, [0.07, 0.035], rtol=1e-3)
    assert after.v.tolist() == [-65.0, -65.0]
    for _ in range(4):  # dead for 2 ms, whatever arrives
        after, s = layer.hidden_tick(after, jnp.full(2, 99.0), NUMBERS.base, NUMBERS.plus)
        assert float(s.sum()) == 0.0
    assert (
        float(layer.hidden_tick(after, jnp.full(2, 99.0), NUMBERS.base, NUMBERS.plus)[1].sum())
        == 2.0
    )


def test_a_spike_calms_the_others_by_a_third_of_the_way_and_not_itself():
    cells = layer.rested(jnp.full(2, -65.0), jnp.full(2, 20.0))._replace(last=jnp.array([1.0, 0.0]))
    for _ in range(60):
        cells, _ = layer.hidden_tick(cells, jnp.zeros(2), NUMBERS.base, NUMBERS.plus)
        cells = cells._replace(last=jnp.zeros(2))
    assert float(cells.v[0]) == pytest.approx(-65.0)
    moved = 1 - np.exp(
        -17 * 0.5 / (1 - np.exp(-0.25)) / 100
    )  # about 17 x 2 / 100, as the card says
    assert moved == pytest.approx(0.30, abs=0.03)
    low = -65.0 - moved * 35.0
    assert low - 1 < float(cells.v[1]) < low + 35.0 * moved * 0.3  # and it drifts back with 100 ms


def test_one_spike_of_its_cell_makes_the_partner_fire_once():
    """The inhibitory cell of the code: 10.4 through 1 ms to 0 mV, threshold -40 mV, dead for 2 ms."""
    v, g, dead, fired = jnp.asarray(-60.0), 10.4, 0, []
    for t in range(60):
        if not dead:
            drive = Drive(jnp.zeros(()), jnp.asarray(g))
            v = relaxed(v, drive, jnp.asarray(0.5), jnp.asarray(10.0), -60.0)
        dead = max(dead - 1, 0)
        if float(v) > -40:
            fired.append(t)
            v, dead = jnp.asarray(-45.0), 4
        g *= np.exp(-0.5)
    assert fired == [0]


def test_spikes_of_an_image_have_the_rates_of_the_card():
    images = jnp.asarray([[255, 0, 128]], jnp.uint8)
    p = layer.chances(images, jnp.zeros(()))
    assert float(p[0, 0]) == pytest.approx(0.0319 / 1.0319, rel=2e-3)
    assert float(p[0, 0]) * 700 == pytest.approx(21.6, abs=0.05)
    teacher = layer.TEACHER * layer.DT / 1000
    assert teacher / (1 + teacher) * 700 == pytest.approx(63.6, abs=0.05)
    trains = jax.jit(jax.vmap(lambda k: layer.drawn(k, p[0], 700, 120)))(jr.split(jr.key(0), 200))
    mean = np.asarray(trains.sum(1).mean(0))
    assert mean[1] == 0
    np.testing.assert_allclose(mean[[0, 2]], np.asarray(p[0, [0, 2]]) * 700, rtol=0.05)
    assert set(np.unique(trains)) == {0.0, 1.0}
    bright = layer.chances(images, jnp.asarray(30.0))
    np.testing.assert_allclose(
        (bright / (1 - bright)).sum() / (p / (1 - p)).sum(), 90 / 383, rtol=1e-4
    )


def test_decisions_by_hand():
    labels = jnp.asarray([0, 0, 1, 1, 2] * 4)
    counts = jnp.asarray(
        [[5, 0, 1, 0], [4, 1, 0, 0], [0, 6, 0, 0], [1, 5, 2, 0], [0, 0, 7, 0]] * 4, float
    )
    shown = jnp.asarray([[3, 0, 0, 0], [0, 2, 1, 0], [0, 1, 4, 0]], float)
    assert arms.assigned(counts, labels, shown).tolist() == [0, 1, 2]
    assert arms.readout(counts, labels, counts[jnp.array([0, 2, 4])]).tolist() == [0, 1, 2]


def test_arms_differ_in_arrays_alone_and_settings_are_checked():
    settings = STUDY.scales["smoke"]
    changes = ({}, {"shuffled": True}, {"symmetric": False}, {"decision": "readout"})
    made = [arms.Arm.of(**change) for change in changes]
    kinds = {tuple((a.shape, a.dtype) for a in jax.tree.leaves(arm)) for arm in made}
    assert len(kinds) == 1  # one compiled program
    check(settings)
    for name, value in (("train", 25), ("cells", 0), ("batch", 21)):
        with pytest.raises(ValueError, match=name):
            check(settings | {name: value})


def test_held_images_are_the_last_ones_of_the_training_images_and_none_is_learnt_from():
    settings = STUDY.scales["smoke"]
    usual, held = arms.load(settings), arms.load(settings | {"held": 30})
    many = usual.train_x.shape[1]
    np.testing.assert_array_equal(held.train_x, usual.train_x[:, : many - 30])
    np.testing.assert_array_equal(held.test_x, usual.train_x[:, many - 30 :])
    np.testing.assert_array_equal(held.test_y, usual.train_y[:, many - 30 :])
    with pytest.raises(ValueError, match="held"):
        check(settings | {"held": -1})
