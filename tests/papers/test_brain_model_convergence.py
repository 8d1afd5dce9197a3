"""brain-model-convergence: the planted brain holds its hierarchy, samples are those of a seed."""

import jax.random as jr
import numpy as np
import pytest

from neuropil.compare.hierarchy import level_encoding
from neuropil.papers.compare import _convergence_arms as arms
from neuropil.papers.compare import _convergence_data as data
from neuropil.papers.compare import _convergence_net as net
from neuropil.papers.compare._convergence_score import METRICS, score
from neuropil.papers.compare.brain_model_convergence import STUDY, check

TINY = STUDY.scales["smoke"] | dict(depth=3, mixed=5, voxels=4, sensors=4, noise=0.3, components=5)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(100, 5)) for _ in range(4)]
    return data.Data({}, np.zeros((100, 48, 48)), levels)


def test_the_planted_network_finds_its_own_order_and_other_images_do_not(world):
    found = arms.measured(world.levels, None, None, world, TINY, 0)
    assert found["spatial"] == pytest.approx(1.0)
    assert found["temporal"] > 0.9
    assert found["best_level"].tolist() == [0, 1, 2, 3]
    assert found["planted"] > 0.8
    assert np.isnan(found["v4"])
    order = np.random.default_rng(1).permutation(100)
    other = arms.measured([x[order] for x in world.levels], None, None, world, TINY, 0)
    assert abs(other["planted"]) < 0.2


def test_components_are_white_and_span_the_features():
    x = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([9.0, 3.0, 1.0, 0.1])
    white = data.components(x, 4)
    np.testing.assert_allclose(white.T @ white / 50, np.eye(4), atol=1e-10)
    assert level_encoding([white], x, components=4).correlation(x).min() > 0.99


def test_a_sensor_answers_when_its_level_does(world):
    planted = data.plant(world.levels, TINY | dict(noise=0.0), 3)
    felt = planted.sensors.reshape(100, 4, len(data.TIMES))
    power = felt.std((0, 1))
    assert (
        power[data.TIMES < 20].max() < 0.5 * power[(data.TIMES >= 60) & (data.TIMES <= 180)].min()
    )
    again = data.plant(world.levels, TINY | dict(noise=0.0), 3)
    np.testing.assert_array_equal(planted.voxels, again.voxels)


def test_a_seeds_sample_is_the_same_in_every_arm(world):
    key = jr.key(5)
    fixed = STUDY.arms["pixels"].build(TINY, world).init(1.0, key)
    learning = STUDY.arms["trained"].build(TINY, world).init(1.0, key)[1]
    assert int(fixed) == int(learning)
    one, other = arms.Sample(50, 640, int(fixed)), arms.Sample(50, 640, int(fixed))
    np.testing.assert_array_equal(one.neurons, other.neurons)
    assert one.images.sum() == 640


def test_images_of_a_step_depend_on_its_number_alone():
    carry, trainer = net.fresh(TINY, TINY["width"], jr.key(0))
    images = np.random.default_rng(0).normal(size=(16, 64, 64)).astype(np.float32)
    whole = net.trained(trainer, carry, images, 0, 8, 4)
    half = net.trained(trainer, net.trained(trainer, carry, images, 0, 4, 4), images, 4, 8, 4)
    a, b = (trainer.model(c).student.head.prototypes for c in (whole, half))
    np.testing.assert_array_equal(a, b)
    start = trainer.model(carry).student.head.prototypes
    assert not np.allclose(a, start)


def test_scores_of_one_checkpoint_have_no_half_time():
    history = {name: np.array([0.5]) for name in arms.SCORES}
    found = score(STUDY.scales["small"], history)
    assert set(found) == set(METRICS)
    assert np.isnan(found["half_planted"])
    history = {name: np.array([0.0, 0.0, 0.2, 0.8, 1.0]) for name in arms.SCORES}
    assert 10 < score(STUDY.scales["small"], history)["half_planted"] < 30


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(steps=(4, 0)), "must rise"),
        (dict(batch=2000), "batch"),
        (dict(stimuli=10), "stimuli"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
