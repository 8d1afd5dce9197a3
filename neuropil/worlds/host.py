"""Worlds outside JAX (Gymnasium, MuJoCo): stepped by a loop in Python, beside a compiled agent.

A world here keeps its state for itself, so it is no `System`: it cannot be resumed from a `Carry`, vmapped or
differentiated. It speaks the same protocol: `begin()` and `step(actions)` give an `Outcome` of n worlds side by
side, with next-step reset.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neuropil.agents.outcome import Box, Discrete, Outcome
from neuropil.core import Batched, Carry, System, advance, start


@runtime_checkable
class HostWorld(Protocol):
    """What `live` needs of a world outside JAX."""

    n: int

    def begin(self) -> Outcome:
        """The outcome with which the first episode of every world begins."""
        ...

    def step(self, actions: Any) -> Outcome:
        """The outcome of an action in every world."""
        ...


def needed(package: str, what: str) -> Any:
    """A package of the extra `agents`. ImportError says how to get it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{what} needs {package}: pip install neuropil[agents]") from error


class Gym:
    """n copies of a Gymnasium environment by name: `Gym("CartPole-v1", n=8)`.

    `settings` go to `gymnasium.make_vec`. Spaces must be a box or discrete.

    ImportError where Gymnasium is missing; ValueError, before anything runs, for a name that it does not know,
    an environment whose own package is missing, and a space that is neither a box nor discrete.
    """

    def __init__(self, name: str, n: int = 1, seed: int = 0, **settings: Any):
        gymnasium = needed("gymnasium", "Gym")
        if n < 1:
            raise ValueError(f"Gym: n = {n}; at least 1 world")
        try:
            self.envs = gymnasium.make_vec(name, num_envs=n, vectorization_mode="sync", **settings)
        except (gymnasium.error.Error, ImportError, TypeError) as error:
            raise ValueError(f"Gym: cannot make {name!r}: {error}") from error
        self.n, self.seed = n, seed
        self.actions = _space(self.envs.single_action_space, gymnasium)

    def begin(self) -> Outcome:
        """The outcome with which the first episode of every world begins."""
        seen, _ = self.envs.reset(seed=self.seed)
        self._over = np.zeros(self.n, bool)
        return _outcome(seen, np.zeros(self.n), self._over, self._over, np.ones(self.n, bool))

    def step(self, actions: Any) -> Outcome:
        """The outcome of an action in every world."""
        first = self._over
        actions = np.asarray(actions)
        if isinstance(self.actions, Box):
            actions = np.clip(actions, self.actions.low, self.actions.high)
        seen, reward, ended, cut, _ = self.envs.step(actions)
        self._over = np.asarray(ended | cut)
        return _outcome(seen, reward, ended, cut, first)

    def close(self) -> None:
        """Give back what the environments hold."""
        self.envs.close()


def _space(space: Any, gymnasium: Any) -> Discrete | Box:
    if isinstance(space, gymnasium.spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        return Box(space.shape[0], float(space.low.min()), float(space.high.max()))
    raise ValueError(f"Gym: actions are {space}; a Discrete or a flat Box is needed")


def _outcome(seen, reward, ended, cut, first) -> Outcome:
    kind = jnp.result_type(float)
    seen = jax.tree.map(
        lambda a: np.asarray(a, kind if np.issubdtype(a.dtype, np.floating) else a.dtype), seen
    )
    ended = np.asarray(ended, bool)
    return Outcome(seen, np.asarray(reward, kind), ended, np.asarray(cut, bool), np.asarray(first))


@eqx.filter_jit
def _act(agent, carry, outcome):
    return advance(agent, carry, outcome)


def live(
    agent: System, world: HostWorld, ticks: int, key: Any, dt: float = 1.0
) -> tuple[Carry, dict[str, np.ndarray]]:
    """An agent in worlds outside JAX: one compiled tick of n agents, one step of n worlds, and so on.

    The agent's parameters are shared, its state is of its own in each world (`Batched`).

    Returns (carry of the agents, {"reward", "first", "over": (ticks, n), "action"}): the reward of the action
    of the same tick. The key fixes the agents' randomness, the world's seed the world's.

    >>> from neuropil.agents import Acts, Categorical
    >>> agent = Acts(Categorical(lambda o: jnp.stack([-o[2], o[2]])), explore=False)
    >>> _, lived = live(agent, Gym("CartPole-v1", n=2), 20, jax.random.key(0))
    >>> lived["reward"].shape
    (20, 2)
    """
    if ticks < 1:
        raise ValueError(f"live: ticks = {ticks}; at least 1")
    agents = Batched(agent, world.n)
    carry, heard, kept = start(agents, dt, key), world.begin(), []
    for _ in range(ticks):
        carry, action = _act(agents, carry, heard)
        heard = world.step(action)
        over = np.asarray(heard.terminated) | np.asarray(heard.truncated)
        kept.append((heard.reward, heard.first, over, np.asarray(action)))
    names = ("reward", "first", "over", "action")
    return carry, {
        name: np.stack(column) for name, column in zip(names, zip(*kept, strict=True), strict=True)
    }
