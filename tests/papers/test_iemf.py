"""IEMF: the rule against its closed form, what it changes in a step, and the two cues."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.build import _iemf as net
from neuropil.papers.build import _iemf_data as data
from neuropil.papers.build._iemf_score import enhancement
from neuropil.papers.build.iemf import STUDY


@pytest.fixture(scope="module")
def cues():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    images = np.zeros((60, 8, 8), np.uint8)
    images[np.arange(60), 2 + labels, 2:6] = rng.integers(100, 255, (60, 1))
    return data.pool(images, labels)


def test_xi_is_its_closed_form():
    r = jnp.array([0.0, 0.5, 1.0, 1.5, 2.0, 4.0])
    wanted = [1.7616, 1.4621, 1.0, 0.5379, 0.2384, 0.0049]  # of the method card
    np.testing.assert_allclose(net.effectiveness(r), wanted, atol=1e-4)


def test_equal_logits_give_a_ratio_of_one():
    logits = jr.normal(jr.key(0), (5, 3))
    assert float(net.ratio((logits,) * 3, jnp.arange(5) % 3)) == pytest.approx(1.0, rel=1e-6)


@pytest.fixture(scope="module")
def one_step(cues):
    """A step from one start by several rules: {name: change of the parameters}."""
    pairs = data.standardised([cues.draw(jr.key(1), 16)])[0]
    start = net.Fusion.init(pairs, 6, 3, False, jr.key(2))
    learned, fixed = eqx.partition(start, eqx.is_inexact_array)
    fit = net.Fit(False, 1, 16, 0.1)
    zero = jax.tree.map(jnp.zeros_like, learned)

    @jax.jit
    def step(rule, constant):
        new, _, xi = fit.update(learned, fixed, zero, pairs, rule, constant, jr.key(3))
        return jax.tree.map(jnp.subtract, new, learned), xi

    rules = {
        "static": (net.Rule.of(False), 1.0),
        "joint": (net.Rule.of(True), 1.0),
        "xi": (net.Rule.of(True, "inverse"), 1.0),
        "noise": (net.Rule.of(True, noise=True), 1.0),
        "half": (net.Rule.of(True, "constant"), 0.5),
        "one": (net.Rule.of(True, "constant"), 1.0),
    }
    return {name: step(rule, jnp.asarray(c)) for name, (rule, c) in rules.items()}, learned


def test_only_the_fusion_head_differs_from_joint(one_step):
    steps, _ = one_step
    for name in ("xi", "noise"):
        for path, change in jax.tree_util.tree_leaves_with_path(steps[name][0]):
            joint = dict(jax.tree_util.tree_leaves_with_path(steps["joint"][0]))[path]
            same = np.array_equal(change, joint)
            assert same != (".fused" in jax.tree_util.keystr(path)), (name, path)


def test_xi_is_a_rate_of_the_fusion_head(one_step):
    steps, start = one_step
    decay = net.DECAY * start.fused.weight
    free = lambda name: steps[name][0].fused.weight / -0.1 - decay  # the gradient that was used
    np.testing.assert_allclose(free("half"), 0.5 * free("joint"), atol=1e-5)
    np.testing.assert_allclose(free("one"), free("joint"), atol=1e-6)
    xi = float(steps["xi"][1])
    np.testing.assert_allclose(free("xi"), xi * free("joint"), atol=1e-5)
    assert xi != pytest.approx(1.0, abs=1e-3)


def test_without_auxiliary_losses_the_single_heads_only_decay(one_step):
    steps, start = one_step
    moved = steps["static"][0].alone[0].weight
    np.testing.assert_allclose(moved, -0.1 * net.DECAY * start.alone[0].weight, atol=1e-7)


def test_noise_has_the_deviation_of_the_gradient(cues):
    pairs = cues.draw(jr.key(1), 4)
    shape = net.Fusion.init(pairs, 200, 3, False, jr.key(2))
    gradient = jax.tree.map(
        lambda a: 0.3 * jr.normal(jr.key(5), a.shape) + 0.1, eqx.filter(shape, eqx.is_array)
    )
    new = net.modulated(gradient, jnp.asarray(2.0), jnp.asarray(True), jr.key(6))
    added = new.fused.weight - 2 * gradient.fused.weight
    assert float(added.std() / gradient.fused.weight.std()) == pytest.approx(1, abs=0.05)
    assert abs(float(added.mean())) < 0.03


def test_events_are_on_before_and_off_behind_a_moving_edge():
    image = np.zeros((1, 8, 8), np.float32)
    image[0, :, 4] = 1  # a bright column
    events = data.events_of(image, steps=1).reshape(len(data.SACCADE), 2, 4, 4)
    # the eye moves one pixel right: the column moves from 4 to 3
    on, off = events[0]
    assert on[:, 1].sum() == 8
    assert on.sum() == 8
    assert off[:, 2].sum() == 8
    assert off.sum() == 8
    back = events[2][::-1]  # the other way; the last rows see the border of the picture
    np.testing.assert_array_equal(events[0][:, :3], back[:, :3])


def test_pairs_share_a_class_and_nothing_else(cues):
    pairs = cues.draw(jr.key(0), 500)
    row = pairs.image.reshape(-1, 8, 8).sum(2).argmax(1) - 2
    np.testing.assert_array_equal(row, pairs.label)
    assert set(np.asarray(pairs.label)) == {0, 1, 2}
    # with every sample's number in place of its cues: any two of a class meet
    number = jnp.arange(60.0)
    numbered = data.Pool(number[:, None], number[:, None, None], cues.first)
    drawn = numbered.draw(jr.key(0), 500)
    first, second = drawn.image[:, 0], drawn.events[:, 0, 0]
    np.testing.assert_array_equal(first // 20, second // 20)
    assert 0.01 < float((first == second).mean()) < 0.12  # one in twenty


def test_noise_has_the_power_that_its_decibels_say(cues):
    pairs = cues.draw(jr.key(0), 400)
    noisy = data.degraded(pairs, jnp.asarray(3.0), jr.key(1))
    for cue in ("image", "events"):
        clean, dirty = getattr(pairs, cue), getattr(noisy, cue)
        ratio = (clean**2).mean() / (dirty - clean).var()
        assert 10 * np.log10(float(ratio)) == pytest.approx(3.0, abs=0.15)
    assert float((noisy.events - pairs.events).min()) == 0


def test_enhancement_is_relative_to_the_best_cue():
    np.testing.assert_allclose(
        enhancement(np.array([0.9, 0.5]), np.array([[0.6, 0.3], [0.2, 0.4]])), [0.5, 0.25]
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [({"snr": (1.0,)}, "two strengths"), ({"snr": (0.0, 5.0)}, "strong to weak"), ({"batch": 0}, "batch")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
