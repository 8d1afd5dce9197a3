"""A world, and episodes of it that begin anew by themselves: both are systems, pure JAX."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from neuropil.agents.outcome import Box, Discrete, Outcome
from neuropil.core import System, Tick


class World(System):
    """A world: action -> `Outcome`. A subclass is final and writes `actions`, `begin`, `observe`, `move`.

    A tick lasts `dt` ms, as everywhere: the time step of the physics is that of the run, not of the world.
    A world alone never ends: after `terminated` it goes on as it can. `Episodes` begins anew.
    Agent and world are one loop, `Feedback(agent, Episodes(world), merge="add")`.
    """

    @property
    @abstractmethod
    def actions(self) -> Discrete | Box:
        """What an agent may do."""

    @abstractmethod
    def begin(self, key: Key[Array, ""]) -> Any:
        """The state at the start of an episode."""

    @abstractmethod
    def observe(self, state: Any) -> Any:
        """What is seen of a state."""

    @abstractmethod
    def move(self, state: Any, action: Any, tick: Tick) -> tuple[Any, Array, Bool[Array, ""]]:
        """(state after an action, reward, whether the episode ends by itself)."""

    def init(self, dt, key):
        return self.begin(key)

    def step(self, state, x, tick):
        state, reward, terminated = self.move(state, x, tick)
        return state, Outcome.after(self.observe(state), reward, terminated)

    def rest(self):
        seen = jax.eval_shape(lambda: self.observe(self.begin(jax.random.key(0))))
        return Outcome.begin(jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), seen))


class Episodes(System):
    """Episodes of a world: cut off after `limit` actions, and begun anew on the tick after the last.

    The action of that tick is ignored; its outcome is `first`. The run begins in the same way: before the
    first tick an agent hears an observation of zeros that is over, and whatever it does, the first episode
    begins. State: {"world", "t" (actions in this episode), "over"}.

    >>> from neuropil.core import run, start
    >>> from neuropil.worlds.control import Pendulum
    >>> world = Episodes(Pendulum(), limit=3)
    >>> _, out = run(world, start(world, 50.0, jax.random.key(0)), jnp.zeros((8, 1)))
    >>> out.first.astype(int).tolist(), out.truncated.astype(int).tolist()
    ([1, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1])

    Raises ValueError for a limit below 1.
    """

    world: World
    limit: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"Episodes: limit = {self.limit} but it must be at least 1 action")

    @property
    def actions(self) -> Discrete | Box:
        """What an agent may do."""
        return self.world.actions

    def init(self, dt, key):
        return {"world": self.world.init(dt, key), "t": jnp.int32(0), "over": jnp.asarray(True)}

    def step(self, state, x, tick):
        fresh = self.world.begin(tick.child("begin").key)
        moved, after = self.world.step(state["world"], x, tick.child("world"))
        t = state["t"] + 1
        if self.limit is not None:
            cut = (t >= self.limit) & ~after.terminated
            after = eqx.tree_at(lambda o: o.truncated, after, cut)
        first = state["over"]
        choose = lambda a, b: jnp.where(first, a, b)
        out = jax.tree.map(choose, Outcome.begin(self.world.observe(fresh)), after)
        world = jax.tree.map(choose, fresh, moved)
        return {"world": world, "t": jnp.where(first, 0, t), "over": out.over}, out

    def rest(self):
        seen = self.world.rest()
        return eqx.tree_at(
            lambda o: (o.truncated, o.first), seen, (jnp.asarray(True), jnp.asarray(False))
        )

    def children(self):
        return {"world": "world"}
