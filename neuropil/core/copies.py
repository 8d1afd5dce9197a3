"""Clocks and copies: Every, Trial, Vmapped, Batched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax

from neuropil.core.compose import lift
from neuropil.core.path import get, put
from neuropil.core.system import System, Tick


class Every(System):
    r"""A slow clock: the part steps at ticks 0, k, 2k, ...; in between its last output is held.

    $$y_t = y_{k \lfloor t / k \rfloor}$$

    The part's own clock counts its own steps, of length k dt. As the slow system of a `Managed`, the
    parameter is left as it is in between.
    """

    part: System
    k: int = eqx.field(static=True)

    def __check_init__(self):
        if self.k < 1:
            raise ValueError(f"Every: k = {self.k} but it must be at least 1 tick")

    def init(self, dt, key):
        return {"part": self.part.init(dt * self.k, key), "held": self._rest()}

    def _rest(self):
        try:
            return jax.tree.map(jnp.asarray, self.part.rest())
        except TypeError:
            return None  # as the slow system of a Managed nothing needs to be held

    def due(self, tick: Tick) -> Any:
        """Whether the part steps at this tick (the clock is never batched, so this is a real branch)."""
        return tick.i % self.k == 0

    def part_step(self, state, x, tick):
        """The part's own step, whatever the clock says."""
        slow = Tick(tick.i // self.k, tick.dt * self.k, tick.key)
        inner, y = self.part.step(state["part"], x, slow)
        return {"part": inner, "held": state["held"]}, y

    def step(self, state, x, tick):
        if state["held"] is None:
            self.part.rest()  # raises, and says what to write

        def now(state):
            new, y = self.part_step(state, x, tick)
            return {"part": new["part"], "held": y}

        state = lax.cond(self.due(tick), now, lambda s: s, state)
        return state, state["held"]

    def rest(self):
        return self.part.rest()

    def children(self):
        return {"part": "part"}


class Trial(System):
    """A whole trial as one tick of an outer clock, so that a session or a trainer is a system too.

    >>> from neuropil.core import run, start
    >>> from neuropil.cells import LIF
    >>> trials = Trial(LIF(2), 50, output="sum")     # spike counts of trials of 50 ticks
    >>> run(trials, start(trials, 50.0, jr.key(0)), jnp.ones((4, 50, 2)))[1].shape
    (4, 2)

    The input of an outer tick is a trial's inputs, stacked as (ticks, ...). dt of the inner system is
    the outer dt divided by `ticks`.

    - `keep`: paths into the inner state that last from trial to trial ("theta", "slow" of a
      `Managed`); everything else starts afresh. `keep=("",)` keeps all.
    - `output`: "all" (stacked), "last", "sum" or "mean" over the trial's ticks.
    """

    system: System
    ticks: int = eqx.field(static=True)
    keep: tuple[str, ...] = eqx.field(static=True, default=())
    output: Literal["all", "last", "sum", "mean"] = eqx.field(static=True, default="all")

    def init(self, dt, key):
        fresh = self.system.init(dt / self.ticks, key)
        return {"fresh": fresh, "now": fresh}

    def step(self, state, x, tick):
        begin = state["fresh"]
        for path in self.keep:
            begin = put(begin, path, get(state["now"], path))
        i = tick.i * self.ticks + jnp.arange(self.ticks, dtype=jnp.int32)
        inner = Tick(i, tick.dt / self.ticks, jax.vmap(lambda j: jr.fold_in(tick.key, j))(i))
        now, ys = self.system.unroll(begin, x, inner)
        reduce = {"last": lambda a: a[-1], "sum": lambda a: a.sum(0), "mean": lambda a: a.mean(0)}
        y = ys if self.output == "all" else jax.tree.map(reduce[self.output], ys)
        return {"fresh": state["fresh"], "now": now}, y

    def rest(self):
        y = self.system.rest()
        if self.output != "all":
            return y
        return jax.tree.map(lambda a: jnp.broadcast_to(a, (self.ticks, *jnp.shape(a))), y)

    def children(self):
        return {"system": "now"}


def _split(keys, n):
    """n children of a key, or of each key along the time axis: (n,) or (T, n)."""
    children = lambda k: jax.vmap(lambda j: jr.fold_in(k, j))(jnp.arange(n))
    return children(keys) if keys.ndim == 0 else jax.vmap(children)(keys)


class Vmapped(System):
    r"""n copies of a part with parameters of their own: $y_k = f_{\theta_k}(x_k)$.

    `part` holds arrays with a leading axis n: make it with `Vmapped.build`. `axes` is the axis of the
    input that goes over the copies (0), or None where all copies see the same input.
    """

    part: System
    n: int = eqx.field(static=True)
    axes: int | None = eqx.field(static=True, default=0)

    @staticmethod
    def build(make: Callable[[Any], System], n: int, key: Any, axes: int | None = 0) -> Vmapped:
        """Copies `make(key)` with n different keys.

        >>> from neuropil.wiring import Dense
        >>> Vmapped.build(lambda k: Dense.init_uniform(3, 2, k), 4, jr.key(0)).part.weight.shape
        (4, 2, 3)
        """
        return Vmapped(eqx.filter_vmap(make)(jr.split(key, n)), n, axes)

    def _map(self, method, x_axis, key_axis, out_axis):
        whole, fixed = eqx.partition(self.part, eqx.is_array)

        def one(arrays, state, x, key, i, dt):
            return getattr(eqx.combine(arrays, fixed), method)(state, x, Tick(i, dt, key))

        axes = (0, 0, x_axis, key_axis, None, None)
        mapped = jax.vmap(one, in_axes=axes, out_axes=(0, out_axis))
        return lambda state, x, tick: mapped(
            whole, state, x, _split(tick.key, self.n), tick.i, tick.dt
        )

    def init(self, dt, key):
        whole, fixed = eqx.partition(self.part, eqx.is_array)
        return jax.vmap(lambda a, k: eqx.combine(a, fixed).init(dt, k))(whole, _split(key, self.n))

    def step(self, state, x, tick):
        return self._map("step", self.axes, 0, 0)(state, x, tick)

    def unroll(self, state, xs, ticks):
        x_axis = None if self.axes is None else self.axes + 1
        return self._map("unroll", x_axis, 1, 1)(state, xs, ticks)

    def rest(self):
        whole, fixed = eqx.partition(self.part, eqx.is_array)
        return jax.vmap(lambda a: eqx.combine(a, fixed).rest())(whole)

    def children(self):
        return {"part": ""}


class Batched(System):
    r"""n states with one shared parameter: a batch, $y_k = f_\theta(x_k)$.

    Inputs are (n, ...), or (T, n, ...) in `run`.

    Inside a `Managed` the rule sees the whole batch and may average over it (a `vmap` outside would
    give every sample weights of its own).
    """

    part: System = eqx.field(converter=lift)
    n: int = eqx.field(static=True)

    def __check_init__(self):
        if self.n < 1:
            raise ValueError(f"Batched: n = {self.n} but a batch has at least 1 sample")

    def init(self, dt, key):
        return jax.vmap(lambda k: self.part.init(dt, k))(_split(key, self.n))

    def step(self, state, x, tick):
        one = lambda s, x, key: self.part.step(s, x, Tick(tick.i, tick.dt, key))
        return jax.vmap(one)(state, x, _split(tick.key, self.n))

    def unroll(self, state, xs, ticks):
        return self.part.unroll_batch(state, xs, Tick(ticks.i, ticks.dt, _split(ticks.key, self.n)))

    def rest(self):
        return jax.tree.map(
            lambda a: jnp.broadcast_to(a, (self.n, *jnp.shape(a))), self.part.rest()
        )

    def children(self):
        return {"part": ""}
