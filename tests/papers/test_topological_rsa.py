"""topological-rsa: the shapes its authors draw, what all arms share, and chance."""

import jax
import jax.random as jr
import numpy as np
import pytest

from neuropil.compare.geometry import rdm
from neuropil.compare.topology import gt_transform, rank_scaled
from neuropil.core import start
from neuropil.papers.compare import _topological_rsa as page
from neuropil.papers.compare.topological_rsa import STUDY, check

SETTINGS = STUDY.scales["smoke"]


def test_a_ring_folded_into_an_eight_keeps_its_neighbours():
    """Card: with u = 0.075 figures of one topology are nearer as RGTMs than as RDMs."""
    t = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    ring = np.stack([np.cos(t), np.sin(t), 0 * t], 1)
    eight = np.stack(
        [np.cos(t), 0.5 * np.sin(2 * t), 0.6 * np.sin(t)], 1
    )  # its halves do not touch
    a, b = rdm(ring, "euclidean"), rdm(eight, "euclidean")
    near = np.corrcoef(gt_transform(a, 0.0, 0.075), gt_transform(b, 0.0, 0.075))[0, 1]
    assert near > np.corrcoef(rank_scaled(a), rank_scaled(b))[0, 1]
    touching = np.stack([np.cos(t), 0.5 * np.sin(2 * t), 0 * t], 1)  # the crossing joins far points
    other = gt_transform(rdm(touching, "euclidean"), 0.0, 0.075)
    assert near > np.corrcoef(gt_transform(a, 0.0, 0.075), other)[0, 1]


def test_five_distances_of_the_card():
    d = np.arange(1.0, 7.0)
    np.testing.assert_allclose(gt_transform(d, 0.2, 0.6), [0, 0, 0.5, 1, 1, 1], atol=1e-9)


@pytest.fixture(scope="module")
def bank():
    return page.load(SETTINGS)


def test_training_makes_networks_better_and_their_bank_is_the_same_again(bank):
    again = page.load(SETTINGS | {"networks": 4})
    np.testing.assert_array_equal(bank.trained[0], again.trained[0])
    logits = bank.untrained[-1].argmax(2)
    assert len(bank.trained) == SETTINGS["depth"] + 1
    assert np.ptp(logits, 0).max() > 0  # networks differ
    assert (bank.trained[0] >= 0).all()


def found(arm, bank, **changes):
    settings = SETTINGS | changes
    system = STUDY.arms[arm].build(settings, bank)
    carry = start(system, 1.0, jr.key(0))
    _, out = system.step(carry.state, None, None)
    history = {k: np.asarray(v)[None] for k, v in out.items()}
    return out, STUDY.score(settings, history)


def test_arms_differ_by_their_summary_alone(bank):
    raw, score = found("raw", bank)
    clean, _ = found("noiseless", bank)
    assert raw["noise"][0] == clean["noise"][0]
    assert np.ptp(clean["noise"]) == 0
    rank, _ = found("rank", bank)
    np.testing.assert_array_equal(rank["example"][2:], raw["example"][2:])
    assert set(score) == set(STUDY.metrics)
    assert score["drop"] == pytest.approx(raw["noise"][0] - raw["noise"][-1])


def test_shuffled_layers_are_at_chance(bank):
    hits = [found("shuffled", bank, instances=n)[0]["noise"].mean() for n in (2, 3, 4)]
    assert np.mean(hits) == pytest.approx(1 / (SETTINGS["depth"] + 1), abs=0.15)


def test_regions_are_not_measured_without_their_data(bank):
    out, _ = found("topology", bank)
    assert bank.regions is None
    assert np.isnan(out["regions"]).all()


def test_a_brain_and_a_judge_are_told_apart_and_shuffled_ones_are_not(bank):
    rng = np.random.default_rng(0)
    kinds = rank_scaled(rng.uniform(size=(2, 45)))
    rdms = tuple(k + 0.1 * rng.normal(size=(n, 45)) for k, n in zip(kinds, (4, 9), strict=True))
    with_regions = page.Bank(bank.trained, bank.untrained, bank.accuracy, rdms)
    assert found("rank", with_regions)[0]["regions"][0] == 1
    assert found("shuffled", with_regions)[0]["regions"].mean() < 0.8
    assert np.isnan(found("untrained", with_regions)[0]["regions"]).all()


def test_networks_and_stimuli_are_drawn_by_the_seed(bank):
    system = STUDY.arms["raw"].build(SETTINGS | {"instances": 2}, bank)
    example = [system.step({"key": jr.key(k)}, None, None)[1]["example"] for k in (0, 1)]
    assert not np.allclose(*example)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"instances": 1}, "instances"), ({"stimuli": 1000}, "stimuli"), ({"noise": (0.1,)}, "noise"),
     ({"pairs": 0}, "pairs")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)


def test_gradients_move_every_layer():
    weights = page.begin(jr.key(0), (4, 5, 3))
    x = jr.normal(jr.key(1), (32, 4))
    after = page.trained(weights, x, (x[:, 0] > 0).astype(int), jr.key(2), 1, 16)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), weights, after)
    assert jax.tree.all(moved)
