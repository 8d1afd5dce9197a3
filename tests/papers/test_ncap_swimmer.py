"""ncap-swimmer: the circuit by hand, its symmetry, what learns, and that it swims before it learns."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.build import _ncap_circuit as controllers
from neuropil.papers.build import _ncap_swimmer as swimming
from neuropil.papers.build._ncap_score import score, steps_to
from neuropil.papers.build.ncap_swimmer import STUDY
from neuropil.worlds.swimmer import Swimmer, joint_limit


def seen(angles, t=0.0):
    """An observation with these angles (over the limit) at control step t."""
    n = len(angles)
    angles = joint_limit(n + 1) * jnp.asarray(angles, float)
    return jnp.concatenate([angles, jnp.zeros(3 * n + 3), jnp.array([controllers.STEP * t])])


def test_parameters_are_four_or_thirty():
    assert controllers.count(controllers.circuit(5)) == 4
    assert controllers.count(controllers.circuit(5, shared=False)) == 30
    assert (
        controllers.count(controllers.layers(jr.key(0), 5, 64, 5))
        == 25 * 64 + 64 + 64 * 64 + 64 + 64 * 5 + 5
    )


@pytest.mark.parametrize("shared", [True, False])
def test_a_straight_body_moves_its_head_only_a_second_to_each_side(shared):
    model = eqx.filter_jit(controllers.circuit(5, shared))
    for t, side in ((0, 1), (29, 1), (30, -1), (59, -1), (60, 1), (990, -1)):
        np.testing.assert_array_equal(model(seen(np.zeros(5), t)), [side, 0, 0, 0, 0])


def test_a_bend_travels_to_the_tail_and_sides_inhibit_each_other():
    model = controllers.circuit(4)
    out = model(seen([0.5, -0.25, 2.0, 1.0]))
    np.testing.assert_allclose(out, [1.0, 0.5, -0.25, 1.0], atol=1e-6)
    weak = eqx.tree_at(
        lambda m: m.weights, model, jnp.array([0.5, 0.4, 2.0, 3.0])
    )  # contralateral cut at 0
    np.testing.assert_allclose(
        weak(seen([0.5, -0.25, 0.0, 0.0])), [0.8, 0.5, -0.25, 0.0], atol=1e-6
    )
    free = eqx.tree_at(lambda m: (m.weights, m.constrain), model, (-model.weights, jnp.zeros(())))
    assert not np.allclose(free(seen([0.5, 0.0, 0.0, 0.0])), model(seen([0.5, 0.0, 0.0, 0.0])))
    cut = eqx.tree_at(lambda m: m.felt, model, jnp.zeros(()))
    np.testing.assert_array_equal(cut(seen([0.5, -0.25, 2.0, 1.0])), [1, 0, 0, 0])


def test_a_mirrored_body_half_a_period_later_does_the_opposite():
    model, rng = controllers.circuit(6), np.random.default_rng(0)
    for _ in range(3):
        q, t = rng.uniform(-1.2, 1.2, 6), int(rng.integers(0, 60))
        out = model(seen(q, t))
        np.testing.assert_allclose(model(seen(-q, t + 30)), -out, atol=1e-6)
        assert (np.abs(out) <= 1).all()


def test_untrained_it_swims_head_first_and_without_proprioception_it_does_not():
    world, model = Swimmer(6), controllers.circuit(5)
    both = jax.tree.map(lambda a: jnp.stack([a, a]), model)
    both = eqx.tree_at(lambda m: m.felt, both, jnp.array([1.0, 0.0]))
    swim = eqx.filter_jit(eqx.filter_vmap(lambda m: swimming.judged(m, world, jr.key(0), 2, 500)))
    feels, cut = swim(both)
    assert 650 < float(feels) < 950
    assert float(cut) < 0.6 * float(feels)


def test_first_weights_differ_by_seed_within_their_bounds_and_only_weights_learn():
    settings = STUDY.scales["smoke"]
    system = STUDY.arms["ncap-random"].build(settings, {})
    signs = np.array(controllers.SIGNS)
    a, b = (np.asarray(system.controller(system.init(1.0, jr.key(k))).weights) for k in (0, 1))
    assert (a * signs >= 0).all()
    assert (np.abs(a) <= 1).all()
    assert not np.allclose(a, b)
    assert system.trainer.learned() == ["weights"]
    layers = STUDY.arms["mlp-8"].build(settings, {})
    first = [
        layers.controller(layers.init(1.0, jr.key(k))).weights.layers[0].weight for k in (0, 1)
    ]
    assert not np.allclose(*first)
    noisy = STUDY.arms["ppo-ncap"].build(settings, {}).trainer.learned()
    assert "policy.net.weights" in noisy
    assert not [name for name in noisy if "log_sd" in name]
    assert "policy.log_sd" in STUDY.arms["ppo-mlp"].build(settings, {}).trainer.learned()


def test_steps_to_a_goal_are_censored_at_the_budget():
    returns, steps = np.array([10.0, 750.0, 820.0]), np.array([0.0, 100.0, 200.0])
    assert steps_to(700, returns, steps, 300) == 100
    assert steps_to(900, returns, steps, 300) == 300
    history = {
        "return": [10.0, 750.0],
        "steps": [0, 100],
        "budget": [200, 200],
        "final": [np.nan, 910.0],
    }
    history |= {"parameters": [4, 4], "mujoco-5": [np.nan, 880.0], "mujoco-10": [np.nan, np.nan]}
    found = score({}, {name: np.array(v) for name, v in history.items()})
    assert (found["steps-700"], found["steps-900"], found["mujoco"]) == (100, 200, 880)
    assert np.isnan(found["transfer-10"])


def test_what_cannot_run_is_refused(monkeypatch):
    small = STUDY.scales["small"]
    with pytest.raises(ValueError, match="does not divide"):
        STUDY.check(small | {"generations": 41})
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ValueError, match=r"neuropil\[agents\]; or go without it: --set mujoco=0"):
        STUDY.check(small)
    STUDY.check(small | {"mujoco": 0})


def test_policy_gradients_reach_all_weights_but_the_one_that_does_nothing():
    model, rng = controllers.circuit(5), np.random.default_rng(0)
    # inside the graded range: at the first weights the head's neuron is driven to its very end
    model = eqx.tree_at(lambda m: m.weights, model, jnp.array([0.9, 0.8, 0.9, -0.7]))
    bends = [seen(rng.uniform(-1, 1, 5), t) for t in (0, 40)]
    gradient = jax.jit(
        jax.vmap(jax.jacfwd(lambda w, o: eqx.tree_at(lambda m: m.weights, model, w)(o)), (None, 0))
    )
    size = np.abs(gradient(model.weights, jnp.stack(bends))).max((0, 1))
    assert (size[:3] > 0.1).all()
    assert size[3] == 0  # the two halves of a joint are never driven at once
