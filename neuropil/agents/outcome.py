"""What a world tells an agent, and what an agent may do: the protocol between the two."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key


class Outcome(eqx.Module):
    r"""What a world says after an action: input of an agent, output of a world.

    - `observation`: of the state after the action;
    - `reward`: of the action;
    - `terminated`: the episode ended by itself, so nothing is worth anything after it;
    - `truncated`: it was cut off (a time limit), so what comes after is worth what it was;
    - `first`: an episode begins with this observation: no action led here, the reward is 0.

    After an outcome that is `over` the next action is ignored and a new episode begins (`first`), so that an
    agent sees both the last observation of one episode and the first of the next, and learns of both. It is
    the order that Gymnasium calls next-step reset.

    A transition is worth $r + \gamma\,(1 - \text{terminated})\,V(\text{observation})$.
    """

    observation: Any
    reward: Float[Array | np.ndarray, "*n"]
    terminated: Bool[Array | np.ndarray, "*n"]
    truncated: Bool[Array | np.ndarray, "*n"]
    first: Bool[Array | np.ndarray, "*n"]

    @property
    def over(self) -> Bool[Array | np.ndarray, "*n"]:
        """Whether the episode has ended, in either way."""
        return self.terminated | self.truncated

    @staticmethod
    def begin(observation: Any, n: tuple[int, ...] = ()) -> Outcome:
        """The outcome with which an episode begins."""
        no = jnp.zeros(n, bool)
        return Outcome(observation, jnp.zeros(n), no, no, jnp.ones(n, bool))

    @staticmethod
    def after(observation: Any, reward: Any, terminated: Any = False) -> Outcome:
        """The outcome of an action within an episode."""
        reward = jnp.asarray(reward, jnp.result_type(float))
        no = jnp.zeros(reward.shape, bool)
        return Outcome(observation, reward, jnp.asarray(terminated) | no, no, no)


class Discrete(eqx.Module):
    """Actions 0 .. n - 1."""

    n: int = eqx.field(static=True)

    def none(self) -> Int[Array, ""]:
        """An action where none matters."""
        return jnp.int32(0)

    def draw(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """A random action."""
        return jax.random.randint(key, (), 0, self.n)


class Box(eqx.Module):
    """Actions are `size` numbers between `low` and `high`."""

    size: int = eqx.field(static=True)
    low: float = eqx.field(static=True, default=-1.0)
    high: float = eqx.field(static=True, default=1.0)

    def none(self) -> Float[Array, " size"]:
        """An action where none matters."""
        return jnp.zeros(self.size)

    def draw(self, key: Key[Array, ""]) -> Float[Array, " size"]:
        """A random action."""
        return jax.random.uniform(key, (self.size,), minval=self.low, maxval=self.high)
