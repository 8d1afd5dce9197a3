"""dnn-vs-mouse-cortex: what the two measures change under, their level of chance, areas, what arms share."""

import jax
import jax.random as jr
import numpy as np
import pytest

from neuropil.compare.cca import chance_level, svcca
from neuropil.core import start
from neuropil.papers.compare import _dnn_vs_mouse as page
from neuropil.papers.compare._dnn_vs_mouse_score import depth_rank, found_order
from neuropil.papers.compare.dnn_vs_mouse_cortex import STUDY, check

SETTINGS = STUDY.scales["smoke"]


def test_similarity_matrices_do_not_see_scale_and_shift_and_nearly_no_rotation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 200))
    np.testing.assert_allclose(page.ssm(3 * x + 2), page.ssm(x), atol=1e-12)
    turned = x @ np.linalg.qr(rng.normal(size=(200, 200)))[0]
    assert (
        0.9 < np.corrcoef(page.ssm(turned), page.ssm(x))[0, 1] < 1
    )  # it takes off the mean over units
    silent = x.copy()
    silent[3] = 0
    assert np.isfinite(page.ssm(silent)).all()


def test_svcca_of_the_card():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 12))
    turned = 2 * x @ np.linalg.qr(rng.normal(size=(12, 12)))[0] + 1
    assert svcca(x, turned, k=5) == pytest.approx(1, abs=1e-9)
    one, other = rng.normal(size=(2, 60, 1))
    assert svcca(one, other, k=1) == pytest.approx(abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]))
    assert chance_level(20, 118) == pytest.approx(0.355, abs=0.01)
    assert chance_level(20, 30) == pytest.approx(0.77, abs=0.02)


def test_a_rotation_of_a_layer_has_its_inner_products():
    x = np.random.default_rng(2).normal(size=(10, 40))
    centred = x - x.mean(0)
    turned = page.rotated(x)
    np.testing.assert_allclose(turned @ turned.T, centred @ centred.T, atol=1e-9)
    assert turned.shape == (10, 9)


def test_regression_leaves_each_image_out():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    best = []
    values = np.linalg.eigvalsh((x - x.mean(0)) @ (x - x.mean(0)).T)
    for alpha in np.mean(np.maximum(values, 0)) * 10.0 ** np.arange(-3, 4):
        left = []
        for i in range(12):
            keep = np.arange(12) != i
            # the mean and the penalised slopes of the others, by the normal equations with a free intercept
            a = np.column_stack([np.ones(11), x[keep] - x.mean(0)])
            w = np.linalg.solve(a.T @ a + alpha * np.diag([0, 1, 1, 1]), a.T @ y[keep])
            left.append(y[i] - np.concatenate([[1], x[i] - x.mean(0)]) @ w)
        best.append((1 - (np.array(left) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)).mean())
    assert page.explained(x, y) == pytest.approx(max(best))


def test_an_area_has_the_reliability_that_is_asked_for():
    stage = np.random.default_rng(4).normal(size=(300, 20))
    clean = page.area(np.random.default_rng(5), stage, 40, 0.0, 50)
    noisy = page.area(np.random.default_rng(5), stage, 40, 0.1, 50)
    ratio = (noisy - clean).var(0) / clean.var(0)
    assert ratio.mean() == pytest.approx(1 / (0.1 * 50), rel=0.05)
    assert (clean >= 0).all()


def test_order_and_rank_of_found_layers():
    layer = np.array([[1, 3, 4, 4], [2, 2, 1, 5]])
    assert found_order(layer) == pytest.approx((3 + 1.5) / 6)
    true = np.array([2, 3, 4, 4])
    assert depth_rank(layer[:1], true) == pytest.approx(1)
    assert depth_rank(np.full((1, 4), 3), true) == 0


@pytest.fixture(scope="module")
def bank():
    return page.load(SETTINGS)


def test_arms_on_the_same_areas(bank):
    found = {}
    for name in ("svcca", "ceiling", "regression", "ssm"):
        system = STUDY.arms[name].build(SETTINGS, bank)
        _, out = system.step(start(system, 1.0, jr.key(0)).state, None, None)
        found[name] = out["profile"]
        history = {k: np.asarray(v)[None] for k, v in out.items()}
        assert set(STUDY.score(SETTINGS, history)) == set(STUDY.metrics)
        assert np.isfinite(out["profile"]).all()
    assert found["svcca"].shape == (2, 3, 2, 4, page.DEPTH)
    assert found["ceiling"][-1, -1].mean() > found["svcca"][-1, -1].mean()


def test_a_full_readout_of_a_layer_is_most_like_that_layer(bank):
    arm = STUDY.arms["svcca"].build(SETTINGS, bank)
    layers = [arm.seen(arm.prepared(a[0])) for a in bank.trained]
    rng = np.random.default_rng(6)
    for k, a in enumerate(bank.trained):
        whole = page.rotated(a[0])
        turned = whole @ np.linalg.qr(rng.normal(size=(whole.shape[1],) * 2))[0]
        profile = arm.compare(layers, turned)
        assert np.argmax(profile) == k
        assert profile[k] == pytest.approx(1)


def test_networks_learn_and_stages_get_smaller(bank):
    assert bank.accuracy.mean() > 0.2  # 16 steps; chance is 0.1
    assert len(bank.trained) == page.DEPTH
    weights = page.begin(jr.key(1), 28, 10)
    shapes = jax.eval_shape(page.stages, weights, np.zeros((2, 28, 28), np.float32))
    assert [a.shape[1] for a in shapes] == [1568, 1568, 784, 784, 288, 64, 10]


def test_settings_that_make_no_sense():
    for scale in STUDY.scales.values():
        check(scale)
    for wrong in ({"k": 11}, {"networks": 1}, {"stimuli": (30, 20)}, {"pool": 10}):
        with pytest.raises(ValueError, match=r"networks|k:|rise|pool"):
            check(SETTINGS | wrong)
