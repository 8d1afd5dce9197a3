"""dead-salmons: the p value's exactness, what each null can see, the statistics by hand."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neuropil.papers.compare import _dead_salmons as ds
from neuropil.papers.compare._dead_salmons import FAMILIES, Seen, World
from neuropil.papers.compare.dead_salmons import STUDY, check
from neuropil.stats import permutation_p

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("draws", "rate"), [(99, 0.05), (19, 0.05), (20, 1 / 21)])
def test_a_network_drawn_like_its_null_is_found_at_the_level_exactly(draws, rate):
    t = np.random.default_rng(draws).normal(size=(20_000, draws + 1))
    p = permutation_p(t[:, 0], t[:, 1:].T)
    assert np.mean(p <= 0.05) == pytest.approx(rate, abs=0.005)
    assert permutation_p(9.0, t[0, 1:]) == 1 / (draws + 1)
    assert permutation_p(-9.0, t[0, 1:]) == 1
    assert permutation_p(1.0, np.array([1.0, 1.0, 0.0])) == 3 / 4  # ties count


def test_the_probe_is_a_ridge_regression_and_cannot_see_a_rotation():
    h, y = RNG.normal(size=(60, 7)), np.where(RNG.random((60, 3)) < 0.5, 1.0, -1.0)
    got = ds.probe(h, y, 5, 10.0)
    right = np.zeros(3)
    for fold in np.array_split(np.arange(60), 5):
        inside = np.setdiff1d(np.arange(60), fold)
        mean, sd = h[inside].mean(0), h[inside].std(0)
        z = (h - mean) / sd
        model = Ridge(10.0).fit(z[inside], y[inside])
        right += ((model.predict(z[fold]) > 0) == (y[fold] > 0)).sum(0)
    np.testing.assert_allclose(got, right / 60)
    turn = np.linalg.qr(RNG.normal(size=(7, 7)))[0]
    white = np.linalg.qr(h - h.mean(0))[0] * np.sqrt(60)  # scaling units must not undo the turn
    x = white - white.mean(0)
    ridge = lambda x: Ridge(10.0).fit(x[:40], y[:40]).predict(x[40:])
    np.testing.assert_allclose(ridge(x), ridge(x @ turn), atol=1e-12)


def test_components_and_correlations_by_hand():
    h, y = RNG.normal(size=(40, 6)) @ np.diag([9.0, 3, 1, 1, 1, 1]), RNG.normal(size=(40, 2))
    r = ds.correlations(ds.components(h, 2), y)
    u = np.linalg.svd(h - h.mean(0), full_matrices=False)[0][:, :2]
    want = np.abs([[np.corrcoef(a, b)[0, 1] for b in y.T] for a in u.T])
    np.testing.assert_allclose(r, want, rtol=1e-8)
    dead = np.c_[np.zeros(40), h[:, 0]]
    assert ds.correlations(dead, y)[0].tolist() == [0, 0]
    # the more features are looked at, the surer something is found in noise: 1 - 0.95^60
    noise = np.random.default_rng(1)
    hits = [
        ds.correlations(noise.normal(size=(200, 60)), noise.normal(size=(200, 1))).max() > 0.1388
        for _ in range(400)
    ]
    assert np.mean(hits) == pytest.approx(1 - 0.95**60, abs=0.03)


def test_attribution_is_gradient_times_input_of_the_largest_output():
    net = ds.build(jr.key(0), 9, 5)
    nets = jax.tree.map(lambda a: a[None] if hasattr(a, "shape") else a, net)
    x = RNG.random((4, 9)).astype(np.float32)
    got = np.asarray(ds.agreement(nets, x))[0]
    hidden, out = ds.layers(net, jnp.asarray(x[1]))
    assert hidden.shape == (3, 5)
    np.testing.assert_allclose(out, net(jnp.asarray(x[1])), rtol=1e-5)
    gradient = jax.grad(lambda i: net(i).max())(jnp.asarray(x[1]))
    want = np.corrcoef(np.abs(np.asarray(gradient) * x[1]), x[3])[0, 1]
    assert got[1, 3] == pytest.approx(want, abs=1e-5)


def seen(values, naive=None):
    return Seen({"probe": np.asarray(values, float)}, naive or {})


def test_tests_by_hand():
    observed = seen(
        [[[3.0, 0, 0], [1.0, 0, 0]], [[0.0, 5, 5], [0.5, 5, 5]]]
    )  # (net, place, column)
    null = seen(
        np.stack([np.arange(4.0), np.arange(4.0)[::-1]], 1)[..., None]
    )  # best place: 3 3 2 2...
    best = null.values["probe"][..., 0].max(1)
    assert best.tolist() == [3, 2, 2, 3]
    p = ds.p_values("corrected", observed, null)["probe"]
    assert p.tolist() == [3 / 5, 1.0]
    each = ds.p_values("per-place", observed, null)["probe"]
    assert each.tolist() == [2 / 5, 4 / 5]
    assert (p >= each - 1e-12)[0]
    assert ds.p_values("shuffled", observed, None)["probe"].tolist() == [1 / 3, 1.0]
    naive = seen([[[0.0]]], {"probe": np.array([[0.2, 0.03]])})
    assert ds.p_values("naive", naive, None)["probe"].tolist() == [0.03]


def test_labels_that_the_input_carries_are_found_by_shuffling_though_nothing_was_learned():
    y = RNG.integers(0, 2, 120)
    x = (RNG.random((120, 16)) + 0.5 * y[:, None] * (np.arange(16) < 8)).astype(np.float32)
    world = World(x, y, x, y, None, None)
    s = dict(STUDY.scales["smoke"]) | dict(folds=4, coded=40, features=4)
    import equinox as eqx

    many = lambda name, n: eqx.filter_vmap(lambda k: ds.build(k, 16, 12))(jr.split(jr.key(name), n))
    dead = many(1, 6)
    found = ds.statistics(dead, world, s, jr.key(0), 19)
    assert set(found.values) == set(FAMILIES) - {"alignment"}
    assert found.values["probe"].shape == (6, 3, 20)
    shuffled = ds.p_values("shuffled", found, None)
    null = ds.statistics(many(2, 19), world, s, jr.key(0))
    corrected = ds.p_values("corrected", found, null)
    assert (shuffled["probe"] <= 0.05).mean() > 0.9
    assert (corrected["probe"] <= 0.05).mean() < 0.5
    assert (ds.p_values("naive", found, None)["attribution"] < 1e-3).all()


def test_settings_that_make_no_sense_are_refused():
    check(STUDY.scales["small"])
    for change, says in (({"nulls": 9}, "19"), ({"coded": 999}, "coded"), ({"folds": 1}, "folds")):
        with pytest.raises(ValueError, match=says):
            check(STUDY.scales["small"] | change)
