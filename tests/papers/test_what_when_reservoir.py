"""what-when-reservoir: cells and task by hand, fixed points of the rule, least squares, scores."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build import _what_when_learn as learn
from neuropil.papers.build import _what_when_reservoir as task
from neuropil.papers.build import _what_when_score as scores
from neuropil.papers.build.what_when_reservoir import STUDY, build


def test_cells_rest_and_their_rheobase_is_the_bias():
    """k (v - v_r)(v - v_t) - u + I in the form of `Izhikevich`; with u at b (v - v_r) rest ends at 1000 pA."""
    cells = task.izhikevich(4, jr.key(0))
    still = {"v": jnp.full(4, task.REST), "u": jnp.zeros(4)}
    none = type("Nothing", (), {"at": lambda self, v: 0.0 * v})()
    for value in cells.field(0.0, still, none).values():
        np.testing.assert_allclose(value, 0, atol=1e-5)
    v = jnp.linspace(-60, -15, 901)
    u = task.COUPLING / task.CAPACITY * (v - task.REST)
    slope = float(cells.square) * v**2 + float(cells.linear) * v + float(cells.constant)
    assert float(task.CAPACITY * (slope - u).min()) == pytest.approx(-1000, abs=0.5)


def test_session_has_its_probabilities_and_changes_in_the_middle():
    for change in (0, 1):
        plan = task.session(2000, jnp.asarray(change), jnp.asarray(False), jr.key(0))
        happened = plan.target.max(1)[:, :2] > 0.99
        assert bool((happened.sum(1) == 1).all())
        np.testing.assert_allclose(plan.target[..., 2], plan.target[..., :2].sum(-1), atol=1e-6)
        for half, chances in ((slice(2000), task.CHANCES), (slice(2000, None), plan.chances[-1])):
            for cue in (0, 1):
                mine = np.asarray(happened[half])[np.asarray(plan.cue[half]) == cue]
                np.testing.assert_allclose(mine.mean(0), chances[cue], atol=0.05)
    before, after = plan.chances[0], plan.chances[-1]
    np.testing.assert_array_equal(before, task.CHANCES)
    np.testing.assert_array_equal(after, task.CHANGED)
    at = plan.truth[0].argmax(0)[:2] * task.BIN + task.BIN - task.CUE_AT
    np.testing.assert_allclose(at, task.LATENCIES[plan.cue[0]], atol=task.BIN)


def one_hot_trials(rule, trials=400, p=0.7):
    """Weights by trial where every bin has a feature of its own: z_k(t) is the weight itself."""
    bins = 24
    r = jnp.eye(bins)
    t = jnp.arange(bins)
    shapes = jnp.stack([jnp.exp(-0.5 * ((t - at) / 1.5) ** 2) for at in (8, 16)], 1)
    happens = jr.uniform(jr.key(0), (trials,)) < p
    drawn = shapes[None] * jnp.stack([happens, ~happens], 1)[:, None]
    y = jnp.concatenate([drawn, drawn.sum(2, keepdims=True)], 2)

    def step(w, y):
        w = rule(w, r, y)
        return w, w

    return jax.lax.scan(step, jnp.zeros((3, bins)), y)[1]


def test_what_comes_to_rest_at_the_probability_and_when_at_the_times():
    gate = jnp.ones(24)
    does = learn.Does.of()
    w = one_hot_trials(lambda w, r, y: learn.three_factor(w, r, y, gate, does))
    mean = w[100:].mean(0)
    np.testing.assert_allclose([mean[0, 8], mean[1, 16]], [0.7, 0.3], atol=0.06)
    assert mean[2].argmax() in (8, 16)
    assert float(mean[2, 8]) > 0.4 > 0.1 > float(mean[2, 0])


def test_without_error_weights_are_not_probabilities():
    gate = jnp.ones(24)
    does = learn.Does.of("hebb")
    w = one_hot_trials(lambda w, r, y: learn.three_factor(w, r, y, gate, does))
    assert float(jnp.abs(w[100:].mean(0)[0, 8] - 0.7)) > 0.15


def test_peaks_and_trials_until():
    t = task.BIN * (jnp.arange(120) + 1)
    z = jnp.zeros((2, 120, 3)).at[0, 49, 0].set(0.8).at[0, 3, 0].set(5.0)
    found = learn.peaks(z, t)
    assert float(found["peak"][0, 0]) == 200.0  # what comes before the cue does not count
    assert float(found["height"][0, 0]) == pytest.approx(0.8)
    assert scores.trials_until(np.array([9.0, 9, 0, 0, 0, 0, 0, 0, 0, 0]), 1.0) == 6
    assert scores.trials_until(np.full(7, 2.0), 1.0) == 7
    assert scores.trials_until(np.zeros(7), 1.0) == 0


@pytest.mark.slow
def test_arms_differ_only_in_flags_and_run():
    settings = STUDY.scales["smoke"]
    step = jax.jit(lambda system, carry: advance(system, carry)[1])
    for names in ((), ("squares",)):
        system = build(*names)(settings, None)
        out = step(system, start(system, 1.0, jr.key(0)))
        assert out["peak"].shape == (8, 2, 2)
        assert bool(jnp.isfinite(out["height"]).all())
    assert step._cache_size() == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [({"trials": 1}, "trials"), ({"noise": -1.0}, "noise"), ({"ridge": 0.0}, "ridge")],
)
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
