"""Agents, and the worlds they live in."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax

from neuropil import agents
from neuropil.core import Feedback
from neuropil.learn import PPO, Actor, ClippedSurrogate, Trainer
from neuropil.worlds.control import Bandit, CartPole, Pendulum, RandomWalk
from neuropil.worlds.swimmer import Swimmer
from neuropil.worlds.world import Episodes
from tests.contract.examples.base import TICKS, Example, in_precision, normal, nothing


def outcomes():
    """A stretch of two episodes, the second begun in the middle."""
    rng = np.random.default_rng(0)
    flag = lambda k: np.arange(TICKS) == k
    seen, reward = in_precision(rng.standard_normal((TICKS, 2))), in_precision(rng.random(TICKS))
    return agents.Outcome(seen, reward, flag(2), flag(TICKS - 1), flag(0) | flag(3))


def _ppo(key):
    policy = agents.Gaussian(lambda o: o[:1], jnp.zeros(1))
    line = lambda o: o.sum()
    trainer = Trainer(Actor(policy, line), ClippedSurrogate(), optax.sgd(0.01))
    return PPO(trainer, Episodes(Pendulum(), 3), worlds=2, horizon=2, epochs=1, batches=2)


EXAMPLES = {
    "td_lambda": Example(
        lambda k: agents.TDLambda(jnp.tanh, 2, 0.1, 0.9, 0.8), outcomes, (agents.TDLambda,)
    ),
    "actor_critic": Example(
        lambda k: agents.ActorCritic(jnp.tanh, 2, 3), outcomes, (agents.ActorCritic,),
        no_gradient="its output is a choice",
    ),
    "acts": Example(
        lambda k: agents.Acts(agents.Gaussian(jnp.tanh, jnp.zeros(2))), outcomes, (agents.Acts,)
    ),
    "cart_pole_loop": Example(
        lambda k: Feedback(
            agents.Acts(agents.Categorical(lambda o: o[:2])), Episodes(CartPole(), 3), merge="add"
        ),
        nothing, (agents.Acts, CartPole, Episodes), dt=20.0, no_gradient="its output is a choice",
    ),
    "ppo": Example(_ppo, nothing, (PPO,), dt=50.0, no_gradient="it learns by gradients of its own"),
    "pendulum": Example(lambda k: Pendulum(), normal(1), (Pendulum,), dt=50.0),
    "swimmer": Example(lambda k: Swimmer(3, inner=2), normal(2), (Swimmer,), dt=6.0),
    "bandit": Example(
        lambda k: Bandit(jnp.array([0.0, 1.0])), lambda: np.zeros(TICKS, np.int32), (Bandit,)
    ),
    "random_walk": Example(
        lambda k: Episodes(RandomWalk(3)), lambda: np.zeros(TICKS, np.int32),
        (RandomWalk, Episodes), no_gradient="there is nothing to differentiate",
    ),
}  # fmt: skip
