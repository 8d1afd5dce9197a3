"""transformer-brain-encoder: its counts, the planted world, what arms share and what they are scored on."""

from functools import partial

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from neuropil.compare.readouts import AttentionPool
from neuropil.papers.compare import _brain_encoder as b
from neuropil.papers.compare._brain_encoder_score import score
from neuropil.papers.compare.transformer_brain_encoder import STUDY, check

SMOKE = STUDY.scales["smoke"] | dict(train=300, test=100, voxels=4)
WORLD = b.simulate(np.random.default_rng(0), SMOKE)


def test_counts_are_those_of_the_official_decoder_but_for_what_we_leave_out():
    region = np.repeat(np.arange(50), 1)
    make = partial(AttentionPool.init_normal, (31, 31), 768, region, heads=16, hidden=1024)
    part = eqx.filter_eval_shape(make, key=jr.key(0))
    count = lambda tree: sum(
        a.size for a in jax.tree.leaves(tree) if hasattr(a, "dtype") and a.dtype.kind == "f"
    )
    assert part.query.size == 38_400
    layer = count((part.look, part.norm, part.mlp, part.last))
    official = 6_304_000 - 4 * (768**2 + 768)  # without the self-attention that is not used
    assert layer == official - (768**2 + 768) - 2 * 768  # nor a map of queries and its norm
    assert count(part.linear) == 50 * 769  # for 39,548 vertices 30.41 million


def test_the_planted_world():
    n, places = SMOKE["train"] + SMOKE["test"], 9
    assert WORLD.maps.shape == (n, places, 8)
    assert WORLD.responses.shape == (n, 4 * 4)
    there = WORLD.place >= 0
    assert abs(there.mean() - 0.5) < 0.1
    both = there.all(1)
    assert (WORLD.place[both, 0] != WORLD.place[both, 1]).all()  # one object a place
    np.testing.assert_allclose(WORLD.field.sum(1), 1)
    assert WORLD.field.argmax(1).tolist() == [4, 4]  # rows 1 and -2 of 3
    # an object is its category's code, three long, and an identity at right angles to all codes
    mean = WORLD.oracle[there[:, 0], 0].mean(0)
    assert abs(np.linalg.norm(mean) - 3) < 0.5
    assert np.abs(WORLD.oracle[~there[:, 0], 0]).max() == 0
    # noise has as much variance as the signal, so the ceiling of a correlation is its root
    made = b.by_oracle(WORLD)
    np.testing.assert_allclose(b.correlate(made, WORLD.parts[3]).mean(), 0.5**0.5, atol=0.06)


def test_ridge_reads_training_images_only_and_pools_what_it_says():
    x = WORLD.maps
    assert b.flat(x).shape == (len(x), 72)
    np.testing.assert_allclose(b.pooled(x)[:, 8:16], x.max(1))
    made = b.by_ridge(WORLD, b.pooled)
    changed = WORLD.responses.copy()
    changed[WORLD.train :] = 1e6  # test responses do not matter
    np.testing.assert_array_equal(made, b.by_ridge(WORLD._replace(responses=changed), b.pooled))


def test_maps_of_images():
    grating = np.cos(2 * np.pi * np.arange(112) / 16)[None, None, :, None] * np.ones((1, 112, 1, 3))
    maps = b.features((127 * (1 + grating)).astype(np.uint8))
    assert maps.shape == (1, 49, 16)
    assert (
        int(maps[0, :, :12].mean(0).argmax()) == 4
    )  # 8 of the pixels it is shown at, along columns
    assert np.abs(maps[0, :, 12:14]).max() < 1e-6  # grey


def test_arms_are_measured_alike():
    s = SMOKE | dict(epochs=2)
    rng = np.random.default_rng
    got = {arm: b.measure(arm, WORLD, s, rng(0)) for arm in ("attention", "factorised", "oracle")}
    assert np.isfinite(got["attention"]["found"][:5]).all()
    assert np.isnan(got["oracle"]["found"][3:]).all()
    # masks that have hardly moved look everywhere alike
    assert abs(got["factorised"]["found"][3] - 1 / 9) < 0.03
    history = {"found": np.stack([got["oracle"]["found"], np.full(6, np.nan)])}
    assert set(score(s, history)) == {"category", "retinotopic", "explained", "v4"}
    real = WORLD._replace(place=None, field=None, oracle=None)
    found = b.measure("ridge", real, s, rng(0))["found"]
    assert np.isnan(found[:5]).all() and np.isfinite(found[5])  # noqa: PT018


def test_settings_that_make_no_sense():
    for wrong in (dict(width=6), dict(categories=10), dict(batch=100), dict(worlds=3)):
        with pytest.raises(ValueError, match=r"width|categories|batch|worlds"):
            check(STUDY.scales["smoke"] | wrong)
    check(STUDY.scales["small"])
    check(STUDY.scales["paper"])
