"""Policies: from an observation to a distribution over actions; and the agent that acts by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from neuropil.core import System


class OneHot(eqx.Module):
    """Features of a whole number: 1 at its place, 0 elsewhere.

    >>> OneHot(3)(jnp.int32(1)).tolist()
    [0.0, 1.0, 0.0]
    """

    n: int = eqx.field(static=True)

    def __call__(self, observation: Int[Array, ""]) -> Float[Array, " n"]:
        return (jnp.arange(self.n) == observation).astype(jnp.result_type(float))


class Categorical(eqx.Module):
    r"""A choice among actions: $\pi(a \mid o) = \text{softmax}(\text{net}(o))_a$.

    >>> policy = Categorical(lambda o: jnp.array([0.0, jnp.log(3.0)]))
    >>> float(jnp.exp(policy.log_prob(None, jnp.int32(1)))), int(policy.mode(None))
    (0.75, 1)
    """

    net: Callable

    def mode(self, observation: Any) -> Int[Array, ""]:
        """The likeliest action."""
        return jnp.argmax(self.net(observation)).astype(jnp.int32)

    def sample(self, observation: Any, key: Key[Array, ""]) -> Int[Array, ""]:
        """A random action."""
        return jr.categorical(key, self.net(observation)).astype(jnp.int32)

    def log_prob(self, observation: Any, action: Int[Array, ""]) -> Float[Array, ""]:
        """log pi(action | observation)."""
        return jax.nn.log_softmax(self.net(observation))[action]

    def entropy(self, observation: Any) -> Float[Array, ""]:
        """In nats."""
        log_p = jax.nn.log_softmax(self.net(observation))
        return -jnp.sum(jnp.exp(log_p) * log_p)


class Gaussian(eqx.Module):
    r"""Numbers with noise: $a \sim N(\text{net}(o),\, e^{2 \log\sigma})$, one $\log\sigma$ a number.

    `log_sd` learns with the net where a learner is told so; `fixed=True` stops its gradient.

    >>> policy = Gaussian(lambda o: jnp.zeros(2), jnp.zeros(2))
    >>> round(float(policy.log_prob(None, jnp.zeros(2))), 4)
    -1.8379
    """

    net: Callable
    log_sd: Float[Array, " action"]
    fixed: bool = eqx.field(static=True, default=False)

    def _log_sd(self):
        return jax.lax.stop_gradient(self.log_sd) if self.fixed else self.log_sd

    def mode(self, observation: Any) -> Float[Array, " action"]:
        """The mean."""
        return self.net(observation)

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, " action"]:
        """A random action; it may lie outside the bounds of a world, which clips it."""
        noise = jr.normal(key, self.log_sd.shape, self.log_sd.dtype)
        return self.net(observation) + jnp.exp(self.log_sd) * noise

    def log_prob(self, observation: Any, action: Float[Array, " action"]) -> Float[Array, ""]:
        """log of the density of an action."""
        log_sd = self._log_sd()
        z = (action - self.net(observation)) / jnp.exp(log_sd)
        return -jnp.sum(0.5 * z**2 + log_sd + 0.5 * jnp.log(2 * jnp.pi))

    def entropy(self, observation: Any) -> Float[Array, ""]:
        """In nats."""
        return jnp.sum(self._log_sd() + 0.5 * jnp.log(2 * jnp.pi * jnp.e))


class Acts(System):
    """An agent that follows a policy and does not learn: outcome -> action.

    `explore`: it samples; else it takes the mode. With a world it is one loop:

    >>> from neuropil.core import Feedback, run, start
    >>> from neuropil.worlds.control import CartPole
    >>> from neuropil.worlds.world import Episodes
    >>> agent = Acts(Categorical(lambda o: jnp.zeros(2)))
    >>> loop = Feedback(agent, Episodes(CartPole(), limit=200), merge="add")
    >>> _, rewards = run(loop, start(loop, 20.0, jr.key(0)), n=50, record="answer.reward")
    >>> rewards.shape
    (50,)
    """

    policy: Any
    explore: bool = eqx.field(static=True, default=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        if self.explore:
            return state, self.policy.sample(x.observation, tick.key)
        return state, self.policy.mode(x.observation)
