"""Replay buffers: which experiences are kept, and which of them are shown again."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key, PyTree

from neuropil.core import Part, System, fold, param


class Latest(Part):
    """The newest `capacity` items are kept: slot = number of the item modulo capacity."""

    def slot(self, seen: Array, capacity: int, key: Array) -> Array:
        """Where the next item goes; a slot beyond the last: it is not kept."""
        return seen % capacity


class Reservoir(Part):
    r"""Every item so far is kept with the same probability, capacity / seen (reservoir sampling, algorithm R).

    Item t (from 0) takes slot t while there is room; later a number u is drawn from 0..t, and it takes slot u
    where u < capacity. Source: Vitter (1985), ACM Trans. Math. Softw. 11, 37.
    """

    def slot(self, seen: Array, capacity: int, key: Array) -> Array:
        """Where the next item goes; a slot beyond the last: it is not kept."""
        drawn = jr.randint(key, (), 0, jnp.maximum(seen + 1, 1), jnp.int32)
        return jnp.where(seen < capacity, seen, drawn)


class Uniform(Part):
    """Every stored item is as likely, P = 1 / stored."""

    def log_weight(self, age: Array, priority: Array) -> Array:
        """Logarithm of what the probability of each slot is proportional to."""
        return jnp.zeros_like(priority)

    def importance(self) -> Array | float:
        """Exponent of the weights that undo the sampling."""
        return 1.0


class PowerLaw(Part):
    r"""Recent items are likelier: $P \propto \text{age}^{-\text{exponent}}$, the newest being of age 1.

    The environment's own statistics of when things come back: Anderson, Schooler (1991), Psychol. Sci. 2, 396.
    """

    exponent: Array = param(1.0, bounds=(0, None))

    def log_weight(self, age: Array, priority: Array) -> Array:
        """Logarithm of what the probability of each slot is proportional to."""
        return -self.exponent * jnp.log(age.astype(priority.dtype))

    def importance(self) -> Array | float:
        """Exponent of the weights that undo the sampling."""
        return 1.0


class Prioritised(Part):
    r"""Surprising items are likelier, and weigh less.

    $$P(i) = p_i^\alpha / \sum_k p_k^\alpha, \qquad w_i = (N P(i))^{-\beta} / \max_k (N P(k))^{-\beta}$$

    `alpha` 0 is uniform; `beta` 1 undoes the bias wholly. p is |error| + `least`, as told after a replay; a new
    item gets the largest priority so far, so that it is shown at least once.
    Source: Schaul, Quan, Antonoglou, Silver (2016), ICLR, arXiv 1511.05952 (alpha 0.6, beta 0.4).
    """

    alpha: Array = param(0.6, bounds=(0, None), source="Schaul et al. (2016)")
    beta: Array = param(0.4, bounds=(0, 1), source="Schaul et al. (2016)")
    least: Array = param(1e-6, bounds=(0, None))

    def log_weight(self, age: Array, priority: Array) -> Array:
        """Logarithm of what the probability of each slot is proportional to."""
        p = jnp.abs(priority) + self.least
        return self.alpha * jnp.log(jnp.where(p > 0, p, jnp.finfo(priority.dtype).tiny))

    def importance(self) -> Array | float:
        """Exponent of the weights that undo the sampling."""
        return self.beta


class Replay(System):
    r"""A buffer of `capacity` items; each tick takes one item in and gives `batch` stored ones out.

    **Arguments**

    - `like`: one item, any tree of arrays (only shapes and types are used); `capacity`; `batch`.
    - `keep`: `Latest()` or `Reservoir()`, what is overwritten when it is full.
    - `pick`: `Uniform()`, `PowerLaw(exponent)` or `Prioritised(alpha, beta)`, what is drawn (with replacement).

    A tick: the priorities of the items that were drawn at the tick before are set, if the input tells them;
    then the item is added; then a batch is drawn. A trainer may call `prioritise`, `add` and `draw` on the
    state by itself instead.

    Input: {"item": as `like`, "priority": (batch,) or absent}. Output: {"item": items with a leading axis
    batch, "index" (batch,), "probability" (batch,), "weight" (batch,): importance weights, largest possible 1}.
    State: items, "stored" (number of the item in each slot, from 0; -1: empty), "priority", "top" (the largest
    so far), "seen", "index".

    >>> from neuropil.core import run, start
    >>> buffer = Replay(jnp.zeros(2), capacity=3, batch=4, keep=Reservoir())
    >>> carry, y = run(buffer, start(buffer, 1.0, jr.key(0)), {"item": jnp.ones((10, 2))})
    >>> y["item"].shape, int(carry.state["seen"]), y["probability"][-1].round(4)
    ((10, 4, 2), 10, Array([0.3333, 0.3333, 0.3333, 0.3333], dtype=float32))

    Raises ValueError for a capacity or batch below 1.
    """

    like: Any = eqx.field(converter=lambda item: jax.tree.map(_shape, item))
    capacity: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    keep: Latest | Reservoir = eqx.field(default_factory=Latest)
    pick: Uniform | PowerLaw | Prioritised = eqx.field(default_factory=Uniform)

    def __check_init__(self):
        for name in ("capacity", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"Replay: {name} = {getattr(self, name)} but it must be at least 1"
                )

    def init(self, dt, key):
        empty = lambda a: jnp.zeros((self.capacity, *a.shape), a.dtype)
        return {
            "items": jax.tree.map(empty, self.like),
            "stored": jnp.full(self.capacity, -1, jnp.int32),
            "priority": jnp.zeros(self.capacity),
            "top": jnp.ones(()),
            "seen": jnp.int32(0),
            "index": jnp.zeros(self.batch, jnp.int32),
        }

    def step(self, state, x, tick):
        if "priority" in x:
            told = self.prioritise(state, state["index"], x["priority"])
            started = state["seen"] > 0  # before the first tick nothing was drawn
            state = jax.tree.map(lambda a, b: jnp.where(started, a, b), told, state)
        state = self.add(state, x["item"], fold(tick.key, "keep"))
        y = self.draw(state, fold(tick.key, "pick"))
        return {**state, "index": y["index"]}, y

    def add(self, state: dict, item: PyTree, key: Key[Array, ""]) -> dict:
        """The state with one more item (or without it, where `keep` says so)."""
        slot = self.keep.slot(state["seen"], self.capacity, key)
        put = lambda old, new: old.at[slot].set(new, mode="drop")
        return {
            **state,
            "items": jax.tree.map(put, state["items"], item),
            "stored": put(state["stored"], state["seen"]),
            "priority": put(state["priority"], state["top"]),
            "seen": state["seen"] + 1,
        }

    def prioritise(
        self, state: dict, index: Int[Array, " k"], priority: Float[Array, " k"]
    ) -> dict:
        """The state in which these slots have these priorities, such as the sizes of their errors."""
        priority = jnp.abs(priority).astype(state["priority"].dtype)
        top = jnp.maximum(state["top"], priority.max())
        return {**state, "priority": state["priority"].at[index].set(priority), "top": top}

    def probabilities(self, state: dict) -> Float[Array, " capacity"]:
        """Probability with which each slot is drawn; 0 where it is empty."""
        there = state["stored"] >= 0
        age = jnp.where(there, state["seen"] - state["stored"], 1)
        weight = jnp.where(there, self.pick.log_weight(age, state["priority"]), -jnp.inf)
        top = jax.lax.stop_gradient(weight.max())
        share = jnp.exp(weight - jnp.where(jnp.isfinite(top), top, 0.0))
        total = share.sum()
        return share / jnp.where(total > 0, total, 1.0)

    def draw(self, state: dict, key: Key[Array, ""]) -> dict:
        """A batch of stored items; of an empty buffer, its zeros with probability 0."""
        p = self.probabilities(state)
        safe = jnp.where(p > 0, p, 1.0)
        index = jr.categorical(key, jnp.where(p > 0, jnp.log(safe), -jnp.inf), shape=(self.batch,))
        index = index.astype(jnp.int32)
        rarest = jnp.where(p > 0, p, jnp.inf).min()
        here = safe[index]
        weight = (jnp.where(jnp.isfinite(rarest), rarest, 1.0) / here) ** self.pick.importance()
        return {
            "item": jax.tree.map(lambda a: a[index], state["items"]),
            "index": index,
            "probability": p[index],
            "weight": weight,
        }


def _shape(a: Any) -> jax.ShapeDtypeStruct:
    return a if isinstance(a, jax.ShapeDtypeStruct) else jax.eval_shape(lambda: jnp.asarray(a))
