"""meta-neuron-lzc: its problems, its networks' start, its decisions and its tempotron."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build import _meta_lzc as arms
from neuropil.papers.build import _meta_lzc_data as data
from neuropil.papers.build import _meta_lzc_net as nets
from neuropil.papers.build._meta_lzc_score import Settings, check, score
from neuropil.papers.build.meta_neuron_lzc import STUDY
from neuropil.plasticity import Tempotron, tempotron_potential

# toy readings in place of Braille: pass p of letter c holds the number 10 c + p + 1 everywhere
TOY = (
    jnp.broadcast_to(
        jnp.arange(1, 41, dtype=jnp.uint8)[:, None, None], (40, data.TICKS, data.WIDE)
    ),
    jnp.repeat(jnp.arange(4), 10),
)


@pytest.fixture(scope="module")
def problem():
    return jax.jit(lambda key: data.draw(key, TOY, (20, 8, 12)))(jr.key(0))


def test_problems_have_the_stated_rates_and_parts_that_do_not_overlap(problem):
    assert problem.train.shape == (4, 20, 250, 24)
    assert float(problem.train[:3, :, :, 20:].sum()) == 0  # 20 trains, padded to 24
    mean = lambda k, c: float(
        np.asarray(problem.train[k, :, :, :20])[np.asarray(problem.train_y[k]) == c].mean()
    )
    expected = [(0.10, 0.12), (0.2, 0.2), (0.1, 0.1)]
    for k, (a, b) in enumerate(expected):
        assert mean(k, 0) == pytest.approx(a, abs=0.01)
        assert mean(k, 1) == pytest.approx(b, abs=0.01)
    passes = [
        set(np.unique(np.asarray(x[3]))) for x in (problem.train, problem.valid, problem.test)
    ]
    assert [len(p) for p in passes] == [20, 8, 12]
    assert len(set.union(*passes)) == 40
    for y, n in ((problem.train_y, 5), (problem.valid_y, 2), (problem.test_y, 3)):
        assert np.bincount(y[3]).tolist() == [n] * 4


def test_templates_say_nothing_by_their_counts():
    a, b = data.template_sources(jr.key(1))
    np.testing.assert_allclose(a.p.mean(0), b.p.mean(0), atol=0.01)
    assert float(jnp.abs(a.p - b.p).mean()) > 0.03
    assert bool((a.p[:10] == a.p[0][None]).all())


def test_braille_readings_become_events_of_their_changes():
    taxel = np.full((1, 76, 12), 255, np.uint8)
    taxel[0, 10:20, 3] = 250  # pressed for ten readings
    events = np.asarray(data.encoded(taxel, 2.0))[0]
    on, off = np.flatnonzero(events[:, 3]), np.flatnonzero(events[:, 15])
    assert on.tolist() == [30, 33]  # two thresholds, one event a reading
    assert off.tolist() == [60, 63]
    assert events.sum() == 4


def test_both_kinds_begin_with_the_same_weights_and_their_own_constants():
    begin = lambda kind, spread: nets.begin(kind, (24, 36, 4), jnp.float32(spread), jr.key(0), None)
    every = lambda: (begin("lif", 0.0), begin("meta", 0.0), begin("lif", 0.5))
    lif, meta, mixed = jax.jit(every)()
    for name in ("w1", "w2"):
        np.testing.assert_array_equal(lif[name], meta[name])
    constants = nets.bounded(meta["hidden"])
    for name, value in nets.NORMAL["meta"].items():
        np.testing.assert_allclose(constants[name], value, rtol=1e-6)
    assert float(mixed["hidden"]["tau"].std()) == pytest.approx(0.5, abs=0.2)
    count = lambda theta, n: sum(v[:n].size for v in jax.tree.leaves(theta["hidden"]))
    weights = lambda n: n * (24 + 4)
    wide, system = weights(36) + count(lif, 36), weights(32) + count(meta, 32)
    assert abs(wide - system) <= 28  # the arm lif-wide: as many parameters to within one cell


def test_the_tempotron_of_lif_cells_is_the_rule_of_the_library():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((3, 250, 24)) < 0.05, jnp.uint8)
    y = jnp.array([0, 1, 2])
    theta = {"w": jnp.asarray(rng.normal(size=(4, 24)) / 4, jnp.float32)}
    theta["out"] = nets.constants("lif", 4, jnp.float32(0.0), jr.key(0))
    cost = lambda t: nets.tempotron_cost("lif", t, x, y, jnp.array(4))
    slope = jax.jit(jax.grad(cost))(theta)
    rule = Tempotron(24, 4, threshold=1.0)

    def by_rule(trial, label):
        psp = tempotron_potential(trial.astype(jnp.float32), 20.0, 5.0, 1.0)
        return rule.change(psp @ theta["w"].T, psp, jnp.arange(4) == label)

    change = jax.jit(jax.vmap(by_rule))(x, y).mean(0)
    assert float(jnp.abs(change).max()) > 0
    np.testing.assert_allclose(slope["w"], -change, atol=2e-5)


def test_the_discriminant_decides_as_the_known_gaussians_do():
    rng = np.random.default_rng(0)
    y = np.arange(4000) % 2
    gap = np.array([1.0, 0.0, 0.0])
    x = rng.normal(size=(4000, 3)) + y[:, None] * gap
    x[:, 2] = 7.0  # a feature that says nothing and never varies
    decide = jax.jit(arms.discriminant)
    judge = lambda x: float(
        decide(
            jnp.asarray(x[:2000], jnp.float32), jnp.asarray(y[:2000]),
            jnp.asarray(x[2000:], jnp.float32), jnp.asarray(y[2000:]), jnp.array(2),
        )
    )  # fmt: skip
    best = ((x[2000:, 0] > 0.5) == (y[2000:] == 1)).mean()  # Phi(1/2) in the mean
    assert judge(x) == pytest.approx(best, abs=0.02)
    assert judge(x * np.array([0.0, 1.0, 1.0])) == pytest.approx(0.5, abs=0.04)


def test_scores_are_of_the_last_tick_and_bad_settings_are_refused():
    history = {"accuracy": np.array([[0.0] * 4, [0.5, 0.6, 0.7, 0.8]])}
    history |= {"lzc": np.full((2, 4), 0.5), "count": np.full((2, 4), 0.75)}
    found = score({}, history)
    assert found["accuracy"] == pytest.approx(0.65)
    assert (found["braille"], found["lzc-gain"]) == (0.8, -0.25)
    ideal = score({}, {"accuracy": np.array([[0.9, 1.0, 1.0, np.nan]])})
    assert set(ideal) == {"rate", "structure", "template"}
    for wrong in ({"train": 50}, {"stdp": 30}, {"hidden": 32}, {"letters": "A,B"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            check(STUDY.scales["small"] | wrong)
    for settings in STUDY.scales.values():
        check(settings)


@pytest.mark.slow
def test_a_learned_arm_whose_constants_do_not_move_is_the_fixed_arm():
    settings = Settings(STUDY.scales["smoke"] | {"updates": 6, "constants_rate": 0.0})
    found = []
    for does in (arms.Does.of(constants=1), arms.Does.of(constants=0)):
        fit = arms.Fit(does, TOY, "lif", "gradient", settings)
        found.append(advance(fit, start(fit, 1.0, jr.key(0)))[1])
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])
