"""Agents against exact values: the random walk, forward and backward view, a bandit, distributions."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.agents import (
    ActorCritic,
    Categorical,
    Gaussian,
    OneHot,
    Outcome,
    TDLambda,
    advantages,
)
from neuropil.core import Chain, Feedback, run, start
from neuropil.worlds.control import Bandit, RandomWalk
from neuropil.worlds.world import Episodes


@pytest.mark.parametrize("lam", [0.0, 0.8])
def test_td_lambda_finds_the_exact_values_of_a_random_walk(lam):
    walk = Chain(world=Episodes(RandomWalk(5)), values=TDLambda(OneHot(5), 5, 0.01, 1.0, lam))
    still = jnp.zeros(30_000, jnp.int32)
    w = run(walk, start(walk, 1.0, jr.key(0)), still, record="values.w")[1]
    exact = np.arange(1, 6) / 6
    np.testing.assert_allclose(np.asarray(w)[10_000:].mean(0), exact, atol=0.04)


def test_backward_view_is_the_forward_view_where_weights_hardly_move(x64):
    """The sum of the changes of one episode is that of lambda-returns, when the rate goes to 0."""
    rng, gamma, lam, rate = np.random.default_rng(0), 0.9, 0.7, 1e-7
    places, rewards = np.array([0, 1, 2, 1]), rng.random(3)
    end = np.arange(4) == 3
    first = np.arange(4) == 0
    none = np.zeros(4, bool)
    heard = Outcome(jnp.asarray(places), jnp.asarray([0.0, *rewards]), end, none, first)
    system = TDLambda(OneHot(3), 3, rate, gamma, lam)
    carry, out = run(system, start(system, 1.0, jr.key(0)), heard)
    returns, later = [], 0.0  # all values are 0, so a lambda-return is a sum of rewards
    for r in rewards[::-1]:
        later = r + gamma * lam * later
        returns.append(later)
    expected = np.zeros(3)
    for place, g in zip(places, returns[::-1], strict=False):
        expected[place] += g
    np.testing.assert_allclose(carry.state["w"] / rate, expected, rtol=1e-5)
    np.testing.assert_allclose(out["error"][1:], rewards, atol=1e-6)


def test_advantages_are_the_sum_of_discounted_errors(x64):
    rng = np.random.default_rng(1)
    r, v = rng.random(6), rng.random(7)
    ended = np.array([0, 0, 1, 0, 0, 0], bool)
    over = ended | np.array([0, 0, 0, 0, 1, 0], bool)
    found = advantages(jnp.asarray(r), jnp.asarray(v), ended, over, 0.9, 0.8)
    delta = r + 0.9 * v[1:] * ~ended - v[:-1]
    for t in range(6):
        total, weight = 0.0, 1.0
        for s in range(t, 6):
            total, weight = total + weight * delta[s], weight * 0.72
            if over[s]:
                break
        assert float(found[t]) == pytest.approx(total, abs=1e-12)


def test_actor_critic_learns_a_bandit():
    world = Bandit(jnp.array([0.0, 1.0, 0.5]), 0.3)
    agent = ActorCritic(lambda o: o, 1, 3, 0.1, 0.1, 0.0, 0.0)
    loop = Feedback(agent, world, merge="add")
    carry, actions = run(loop, start(loop, 1.0, jr.key(0)), n=2000)
    assert float((actions[-500:] == 1).mean()) > 0.9
    assert float(carry.state["forward"]["critic"][0]) == pytest.approx(0.95, abs=0.15)


def test_distributions_are_distributions(x64):
    logits = jnp.array([0.3, -1.0, 2.0])
    policy = Categorical(lambda o: logits)
    p = np.exp(jax.jit(jax.vmap(lambda a: policy.log_prob(None, a)))(jnp.arange(3)))
    assert p.sum() == pytest.approx(1.0)
    assert float(policy.entropy(None)) == pytest.approx(-(p * np.log(p)).sum())
    normal = Gaussian(lambda o: jnp.array([1.0]), jnp.log(jnp.array([0.5])))
    a = jnp.linspace(-5, 7, 4001)
    density = np.exp(jax.jit(jax.vmap(lambda x: normal.log_prob(None, x[None])))(a))
    assert np.trapezoid(density, a) == pytest.approx(1.0, abs=1e-9)
    assert -np.trapezoid(density * np.log(density), a) == pytest.approx(float(normal.entropy(None)))


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="actions = 1"):
        ActorCritic(OneHot(2), 2, 1)
    with pytest.raises(ValueError, match=r"gamma = 1\.5"):
        TDLambda(OneHot(2), 2, gamma=1.5)
