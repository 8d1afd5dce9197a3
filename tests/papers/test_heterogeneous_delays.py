"""heterogeneous-delays: evidence against sums by hand, pruning, what the arms share, a planted motion."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build import _heterogeneous_delays as hd
from neuropil.papers.build._heterogeneous_delays import Layer, Motion, cone, evidence, pruned
from neuropil.papers.build.heterogeneous_delays import STUDY, check, films, score
from neuropil.worlds.moving import MovingImages

DRAW = np.random.default_rng(0)
evidence = eqx.filter_jit(evidence)


def test_counts_of_the_paper():
    paper = STUDY.scales["paper"]
    layer = jax.eval_shape(lambda k: Layer.start(k, 36, paper["depth"], paper["side"]), jr.key(0))
    assert layer.kernel.size == 436_968
    assert layer.kernel.size + layer.bias.size == 437_004
    small = STUDY.scales["small"]
    assert 2 * small["depth"] * small["side"] ** 2 == 2_662


def test_an_event_arrives_after_its_delay_at_its_offset_and_nowhere_before():
    kernel = np.zeros((2, 2, 3, 5, 5), np.float32)
    kernel[1, 1, 2, 0, 3] = 0.7  # class 1: an ON event 2 steps ago, 2 pixels up and 1 to the right
    events = np.zeros((6, 7, 7), np.int8)
    events[1, 2, 4] = 1
    b = np.asarray(evidence(Layer(jnp.asarray(kernel), jnp.zeros(2)), jnp.asarray(events)))
    want = np.zeros((6, 7, 7, 2))
    want[1 + 2, 2 + 2, 4 - 1, 1] = 0.7
    np.testing.assert_allclose(b, want, atol=1e-6)


def test_evidence_is_the_larger_of_two_sums_and_blind_to_polarity():
    kernel = DRAW.normal(size=(3, 2, 2, 3, 3)).astype("f4")
    layer = Layer(jnp.asarray(kernel), jnp.asarray(DRAW.normal(size=3), jnp.float32))
    events = DRAW.integers(-1, 2, (4, 5, 5)).astype(np.int8)
    b = np.asarray(evidence(layer, jnp.asarray(events)))
    wide = np.pad(events, ((1, 0), (1, 1), (1, 1)))
    for t, y, x in ((0, 0, 0), (1, 4, 2), (3, 2, 2)):
        seen = np.stack([wide[t + 1 - d, y : y + 3, x : x + 3] for d in range(2)])
        on, off = (seen == 1).astype(float), (seen == -1).astype(float)
        sums = [
            np.einsum("cpdab,pdab->c", kernel, np.stack(pair)) for pair in ((off, on), (on, off))
        ]
        np.testing.assert_allclose(b[t, y, x], np.maximum(*sums) + layer.bias, atol=1e-5)
    np.testing.assert_allclose(evidence(layer, jnp.asarray(-events)), b, atol=1e-5)
    untrained = Layer.start(jr.key(0), 3, 2, 3)
    untrained = Layer(jnp.where(jnp.abs(untrained.kernel) < 4, 0.0, untrained.kernel), jnp.zeros(3))
    b = np.asarray(evidence(untrained, jnp.asarray(events)))
    np.testing.assert_array_equal(b, 4.0 * np.abs(events)[..., None] * np.ones(3))


def test_cone_is_one_pixel_now_and_widens_with_the_delay():
    m = cone(11, 11)
    assert m.shape == (11, 11, 11)
    assert (m[:, 5, 5] == 1).all()
    assert np.delete(m[0].ravel(), 60).max() < 0.005
    reach = (m > 0.3).sum((1, 2))
    assert (np.diff(reach) >= 0).all()
    assert reach[-1] > 60
    r = 1 / 6  # next to the middle, at the longest delay
    want = ((np.cos(np.pi * r) + 1) / 2) ** 0.25 * np.exp(-0.5 * (r / 2.55) ** 2)
    assert m[-1, 5, 6] == pytest.approx(want, rel=1e-5)


def test_pruning_keeps_what_it_says():
    kernel = jnp.asarray(DRAW.normal(size=(3, 2, 4, 3, 3)), jnp.float32)
    levels = (1.0, 0.25, 0.1, 0.004)
    out = np.asarray(eqx.filter_jit(pruned)(kernel, levels, jr.key(0)))
    size = kernel.size
    for k, level in enumerate(levels):
        assert ((out[:, k] != 0).sum((1, 2, 3, 4, 5)) == round(level * size)).all()
    assert (out[:, 0] == np.asarray(kernel)).all()  # to the bit
    kept, dropped = np.abs(out[0, 1]), np.where(out[0, 1] == 0, np.abs(kernel), 0)
    assert kept[kept > 0].min() >= dropped.max()
    assert (
        out[2, 1][:, :, 0] == np.asarray(kernel)[:, :, 0]
    ).all()  # a quarter is one delay of four
    assert (out[2, 1][:, :, 1:] == 0).all()
    first = np.abs(np.asarray(kernel)[:, :, 0])
    assert np.abs(out[2, 2][out[2, 2] != 0]).min() >= np.sort(first.ravel())[-round(0.1 * size)]
    assert (out[1, 1] != out[0, 1]).any()


@pytest.fixture(scope="module")
def smoke():
    """Both ticks of every learning arm at scale smoke: {arm: (system, state, records)}."""
    settings = dict(STUDY.scales["smoke"])
    data = STUDY.load(settings)
    step = eqx.filter_jit(advance)
    out = {}
    for name in ("delays", "no-delay", "shuffled"):
        system = STUDY.arms[name].build(settings, data)
        carry, records = start(system, 1.0, jr.key(0)), []
        for _ in range(2):
            carry, record = step(system, carry)
            records.append({k: np.asarray(v) for k, v in record.items()})
        out[name] = system, carry.state, {k: np.stack([r[k] for r in records]) for k in records[0]}
    return settings, data, out


def test_arms_share_one_program_one_start_and_the_test_films(smoke):
    settings, _, out = smoke
    first = out["delays"]
    for system, _, history in out.values():
        assert jax.tree.structure(system) == jax.tree.structure(first[0])
        assert (history["events"][1] == first[2]["events"][1]).all()
        assert np.isnan(history["accuracy"][0]).all()  # only the last tick is judged
        assert np.isfinite(history["accuracy"][1]).all()
    assert first[2]["loss"][1] < first[2]["loss"][0]
    assert first[2]["loss"][1] < out["shuffled"][2]["loss"][1]
    assert set(score(settings, first[2])) <= set(STUDY.metrics)


def test_learnt_weights_follow_the_planted_motion(smoke):
    """Slopes of the kernels point where events of the class lie; no arm without delays finds them."""
    settings, _, out = smoke
    found = {name: score(settings, history)["velocity"] for name, (_, _, history) in out.items()}
    assert found["delays"] > 0.5
    assert found["delays"] > found["no-delay"] + 0.3
    most = np.abs(out["delays"][1]["layer"].kernel).max()
    bound = most * cone(settings["depth"], settings["side"])
    assert (np.abs(out["delays"][1]["layer"].kernel) <= bound + 1e-6).all()


def test_slope_of_a_planted_kernel_is_the_velocity():
    kernel = np.zeros((2, 2, 4, 9, 9), np.float32)
    for d in range(4):
        kernel[0, 1, d, 4 - d, 4] = 1.0  # class 0: moves down by one pixel a step
        kernel[1, 1, d, 4, 4 + d] = 1.0  # class 1: to the left
    np.testing.assert_allclose(hd.slopes(jnp.asarray(kernel)), [[-1, 0], [0, 1]], atol=1e-6)


def test_patches_without_delays_have_no_time(smoke):
    _, _, out = smoke
    system = out["no-delay"][0]
    ready = jnp.asarray(DRAW.integers(-1, 2, (1, 13, 16, 16)), jnp.int8)
    at = jnp.array([[0, 5, 2, 3]])
    s, v = eqx.filter_jit(Motion._seen)(system, ready, at)
    np.testing.assert_allclose(s, jnp.broadcast_to(s[:, :1], s.shape))
    block = np.asarray(ready[0, 5:9, 2:7, 3:8], float)
    np.testing.assert_allclose(s[0, 0].reshape(5, 5), block.mean(0), atol=1e-6)
    np.testing.assert_allclose(v[0, 0].reshape(5, 5), np.abs(block).mean(0), atol=1e-6)


def test_ceiling_reads_the_motion_of_the_frames(smoke):
    settings, data, _ = smoke
    settings = settings | {"crop": 24, "steps": 12, "tests": 24}
    world = films(settings | {"speeds": (1.0,)}, data[1])
    assert isinstance(world, MovingImages)
    system = hd.Correlation(world, settings["depth"], settings["tests"])
    _, record = eqx.filter_jit(advance)(system, start(system, 1.0, jr.key(0)))
    assert float(record["accuracy"]) > 0.8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"held": "train"}, "held"),
        ({"depth": 40}, "depth"),
        ({"side": 10}, "side odd"),
        ({"levels": (0.5,)}, "begin with 1"),
        ({"films": 0}, "films = 0"),
        ({"top": 0.0}, "top"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
