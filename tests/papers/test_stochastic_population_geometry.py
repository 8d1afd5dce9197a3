"""stochastic-population-geometry: the noise's law, what the attack may do, manifolds of known geometry."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import fold
from neuropil.papers.compare import _stochastic_geometry as sg
from neuropil.papers.compare._stochastic_geometry import LAYERS, NOISY, Net, Noise, Regime
from neuropil.papers.compare.stochastic_population_geometry import STUDY, check

RNG = np.random.default_rng(0)


def test_noise_has_the_variance_that_it_says():
    net = Net.init(jr.key(0), 3, (5, 4), 10)
    bias = jnp.array([30.0, 40.0, 50.0, 60.0, 70.0])  # far above 0: the rectifier cuts nothing off
    net = sg.eqx.tree_at(lambda n: (n.first.weight, n.first.bias), net, (jnp.zeros((5, 3)), bias))
    x = jnp.zeros((20_000, 3))
    layer = lambda noise, k: np.asarray(net.layers(x, noise, jr.key(k))[NOISY])
    np.testing.assert_allclose(layer(Noise.of(base=4.0), 1).std(0), 2, rtol=0.03)
    np.testing.assert_allclose(layer(Noise.neuronal(), 1).mean(0), bias, rtol=0.01)
    # official: y = 0.35 x + 0.07 gets variance y + 1e-4, and goes back to x
    want = (0.35 * np.asarray(bias) + 0.07 + 1e-4) / 0.35**2
    np.testing.assert_allclose(layer(Noise.neuronal(), 1).var(0), want, rtol=0.05)
    assert (
        layer(Noise.of(base=1.0), 1) != layer(Noise.of(base=1.0), 2)
    ).any()  # fresh at every pass
    assert (layer(Noise.of(), 1) == layer(Noise.of(), 2)).all()
    shaken = net.layers(x, Noise.of(pixel=0.5), jr.key(1))[0]
    assert float(shaken.std()) == pytest.approx(0.5, rel=0.02)
    slope = jax.grad(lambda n: sg.cost(n, x[:4], jnp.zeros(4, int), Noise.of(), jr.key(0)))(net)
    assert all(
        bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(slope)
    )  # the root of no variance


def test_clouds_are_apart_in_units_of_their_spread():
    shift = np.full(50, 2.0)
    a, b = RNG.normal(size=(4000, 50)), RNG.normal(size=(4000, 50)) + shift
    assert sg.separation(a, b) == pytest.approx(2.0, rel=0.01)  # |shift| / sqrt(50)
    assert sg.separation(10 * a, 10 * b) == pytest.approx(sg.separation(a, b))
    same = [sg.separation(*RNG.normal(size=(2, 20, 50))) for _ in range(50)]
    assert np.mean(same) < 0.1  # two samples of one cloud: biased it would be sqrt(2 / 20) = 0.32


def test_geometry_of_planted_clouds():
    centres = np.repeat(RNG.normal(size=(12, 60)), 15, 0)
    labels = np.repeat(np.arange(12), 15)
    still = sg.geometry(centres, labels, 400, 0)
    assert still[0] == pytest.approx(2, rel=0.1)  # points have Cover's capacity,
    assert still[1] == pytest.approx(0, abs=1e-9)  # and no radius
    grown = [
        sg.geometry(centres + s * RNG.normal(size=centres.shape), labels, 60, 0) for s in (0.2, 1.0)
    ]
    assert 2 > grown[0][0] > grown[1][0]
    assert 0 < grown[0][1] < grown[1][1]
    assert np.isnan(sg.geometry(np.zeros((180, 60)), labels, 10, 0)).all()  # a silent layer


@pytest.fixture(scope="module")
def smoke():
    """Records of every arm at scale smoke."""
    settings = dict(STUDY.scales["smoke"]) | dict(
        updates=300, attack_steps=4, strengths=(0.05, 0.1, 0.3)
    )
    world = STUDY.load(settings)
    key = jr.key(0)
    out = {}
    for name, arm in STUDY.arms.items():
        trial = arm.build(settings, world)
        out[name] = trial.step(trial.init(1.0, key), None, None)[1]
    return settings, world, out


def test_attacks_cost_accuracy_and_none_costs_none(smoke):
    settings, world, out = smoke
    for name, record in out.items():
        for kind in ("accuracy", "random", "transfer"):
            assert record[kind][0] == out[name]["accuracy"][0]  # radius 0 is clean
        assert (np.diff(record["accuracy"]) <= 0.06).all(), (
            name
        )  # 100 images: one or two may come back
    plain = out["deterministic"]
    assert plain["accuracy"][0] > 0.7
    assert plain["accuracy"][3] < plain["random"][3] - 0.1  # signs by chance do less harm
    assert out["adversarial"]["accuracy"][2] > plain["accuracy"][2]
    assert out["untrained"]["accuracy"][0] < 0.3
    for x, radius in zip(world.fooled, settings["strengths"], strict=True):
        assert float(jnp.abs(x - world.x).max()) <= radius + 1e-6
        assert float(x.min()) >= 0
        assert float(x.max()) <= 1


def test_repeats_without_noise_are_points_and_noise_spreads_them(smoke):
    settings, _, out = smoke
    shape = {
        name: record["exemplars"] for name, record in out.items()
    }  # (layer, clean or attacked, 4)
    assert shape["deterministic"][NOISY, 0, 1] == pytest.approx(0, abs=1e-5)
    assert shape["stochastic"][NOISY, 0, 1] > 0.1
    assert shape["stochastic"][NOISY, 0, 0] < shape["deterministic"][NOISY, 0, 0]
    assert out["stochastic"]["separation"][NOISY] < out["deterministic"]["separation"][NOISY]
    assert out["stochastic"]["separation"][0] == pytest.approx(
        out["deterministic"]["separation"][0], rel=0.5
    )  # pixels know no noise
    classes = out["stochastic"]["classes"]
    assert classes.shape == (4, len(LAYERS), 4)
    scores = {
        name: STUDY.score(settings, {k: v[None] for k, v in r.items()}) for name, r in out.items()
    }
    assert all(set(s) == set(STUDY.metrics) for s in scores.values())
    assert scores["stochastic"]["masked"] == pytest.approx(
        scores["stochastic"]["attacked"] - scores["stochastic"]["transfer"]
    )


def test_arms_begin_alike_and_differ_by_numbers_only():
    settings = STUDY.scales["small"]
    regimes = {name: Regime.of(settings, name) for name in STUDY.arms}
    shapes = {tuple((a.shape, a.dtype) for a in jax.tree.leaves(r)) for r in regimes.values()}
    assert len(shapes) == 1
    trained = {name for name, r in regimes.items() if float(r.trained.base) > 0}
    assert trained == {"stochastic", "stronger", "neuronal"}
    assert float(regimes["noise-at-test"].tried.base) == 1
    assert float(regimes["stronger"].tried.base) == 9
    assert [name for name, r in regimes.items() if int(r.steps)] == ["adversarial"]
    assert [name for name, r in regimes.items() if not int(r.updates)] == ["untrained"]
    a, b = (Net.init(fold(jr.key(0), "weights"), 6, (5, 4), 10) for _ in range(2))
    assert (a.first.weight == b.first.weight).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strengths": (0.1, 0.05, 0.02)}, "strengths"),
        ({"noise": 0.0}, "above 0"),
        ({"points": 41}, "points"),
        ({"repeats": 30}, "repeats"),
        ({"draws": 0}, "draws"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
