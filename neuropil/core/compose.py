"""Systems made of systems, within one tick: Chain, Residual, Parallel, Feedback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from neuropil.core.drive import add
from neuropil.core.path import join
from neuropil.core.random import fold
from neuropil.core.system import System


def check_name(name: str, where: str) -> None:
    """Names are used in paths: no dots, not empty."""
    if not name or "." in name:
        raise ValueError(
            f"{where}: the name {name!r} must not be empty or hold a dot; paths use dots"
        )


class Lift(System):
    """A map with no time in it, as a system without state: y_t = function(x_t)."""

    function: Callable

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, self.function(x)

    def unroll(self, state, xs, ticks):
        return state, jax.vmap(self.function)(xs)


def lift(part: Any) -> System:
    """A system as it is; a plain callable (layer, activation) as a system without state."""
    if isinstance(part, System):
        return part
    if callable(part):
        return Lift(part)
    raise TypeError(f"{part!r} is neither a System nor a function of one input")


class Chain(System):
    """Parts one after the other within the same tick: y = part_n(... part_1(x)).

    Write `Chain(a, b)` (names "0", "1") or `Chain(wire=a, cell=b)`; plain callables are lifted. The
    state is a dictionary by name. `unroll` goes part by part over the whole time axis, so a dense
    layer becomes one matrix product over all ticks.

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> double = Chain(lambda x: x + 1, lambda x: 2 * x)
    >>> run(double, start(double, 1.0, jr.key(0)), jnp.arange(3.0))[1].tolist()
    [2.0, 4.0, 6.0]
    """

    parts: dict[str, System]
    order: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, *parts: Any, **named: Any):
        items = {str(k): p for k, p in enumerate(parts)} | named
        if not items:
            raise ValueError("Chain: no parts; write Chain(wire=Dense(...), cell=LIF(...))")
        for name in items:
            check_name(name, "Chain")
        self.parts = {name: lift(part) for name, part in items.items()}
        self.order = tuple(items)  # a dictionary loses its order inside a pytree

    def init(self, dt, key):
        return {name: self.parts[name].init(dt, fold(key, name)) for name in self.order}

    def step(self, state, x, tick):
        new = {}
        for name in self.order:
            new[name], x = self.parts[name].step(state[name], x, tick.child(name))
        return new, x

    def unroll(self, state, xs, ticks):
        new = {}
        for name in self.order:
            new[name], xs = self.parts[name].unroll(state[name], xs, ticks.child(name))
        return new, xs

    def unroll_batch(self, state, xs, ticks):
        new = {}
        for name in self.order:
            new[name], xs = self.parts[name].unroll_batch(state[name], xs, ticks.child(name))
        return new, xs

    def rest(self):
        y = self.parts[self.order[-1]]
        if isinstance(y, Lift) and len(self.order) > 1:
            return y.function(Chain(**{n: self.parts[n] for n in self.order[:-1]}).rest())
        return y.rest()

    def on_edge(self):
        for name in self.order:
            sooner = self.parts[name].on_edge()
            if sooner is not None:
                return Chain(**{n: sooner if n == name else self.parts[n] for n in self.order})
        return None

    def children(self):
        return {join("parts", name): name for name in self.order}


class Residual(System):
    """A part with a way round it, in the same tick: y = x + part(x)."""

    part: System = eqx.field(converter=lift)

    def init(self, dt, key):
        return self.part.init(dt, key)

    def step(self, state, x, tick):
        state, y = self.part.step(state, x, tick)
        return state, add(x, y)

    def unroll(self, state, xs, ticks):
        state, ys = self.part.unroll(state, xs, ticks)
        return state, add(xs, ys)

    def children(self):
        return {"part": ""}


class Parallel(System):
    """Parts side by side on the same input, in the same tick.

    `join`: "dict" gives {name: output}; "sum" adds the outputs; "concatenate" joins last axes.

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> both = Parallel({"a": lambda x: x, "b": lambda x: 10 * x}, join="sum")
    >>> run(both, start(both, 1.0, jr.key(0)), jnp.ones((1, 2)))[1].tolist()
    [[11.0, 11.0]]
    """

    parts: dict[str, System]
    join: Literal["dict", "sum", "concatenate"] = eqx.field(static=True)

    def __init__(self, parts: dict[str, Any], join: str = "dict"):
        if join not in ("dict", "sum", "concatenate"):
            raise ValueError(f"Parallel: join={join!r}; write 'dict', 'sum' or 'concatenate'")
        for name in parts:
            check_name(name, "Parallel")
        self.parts = {name: lift(part) for name, part in parts.items()}
        self.join = join

    def _joined(self, ys):
        if self.join == "dict":
            return ys
        values = [ys[name] for name in sorted(ys)]
        if self.join == "concatenate":
            return jax.tree.map(lambda *a: jnp.concatenate(a, axis=-1), *values)
        total = values[0]
        for y in values[1:]:
            total = add(total, y)
        return total

    def init(self, dt, key):
        return {name: part.init(dt, fold(key, name)) for name, part in self.parts.items()}

    def step(self, state, x, tick):
        new, ys = {}, {}
        for name, part in self.parts.items():
            new[name], ys[name] = part.step(state[name], x, tick.child(name))
        return new, self._joined(ys)

    def unroll(self, state, xs, ticks):
        new, ys = {}, {}
        for name, part in self.parts.items():
            new[name], ys[name] = part.unroll(state[name], xs, ticks.child(name))
        return new, self._joined(ys)

    def rest(self):
        return self._joined({name: part.rest() for name, part in self.parts.items()})

    def children(self):
        return {join("parts", name): name for name in self.parts}


class Feedback(System):
    """Two systems in a loop: forward within the tick, back one tick later.

    At tick t the forward part gets the outside input together with what the back part answered to
    the forward output of tick t - 1:  y_t = forward(x_t, b_{t-1});  b_t = back(y_t).

    - `merge="pair"`: the forward part's input is the tuple (x, b); "add": x + b (None counts as 0).
    - `back_rest`: b before the first tick; by default `back.rest()`.

    Agent and world are one `Feedback`: two edges of one tick each would make two interleaved
    episodes. The output is y.
    """

    forward: System = eqx.field(converter=lift)
    back: System = eqx.field(converter=lift)
    merge: Literal["pair", "add"] = eqx.field(static=True, default="pair")
    back_rest: Any = None

    def init(self, dt, key):
        b = self.back.rest() if self.back_rest is None else self.back_rest
        return {
            "forward": self.forward.init(dt, fold(key, "forward")),
            "back": self.back.init(dt, fold(key, "back")),
            "answer": jax.tree.map(jnp.asarray, b),
        }

    def step(self, state, x, tick):
        heard = (x, state["answer"]) if self.merge == "pair" else add(x, state["answer"])
        f, y = self.forward.step(state["forward"], heard, tick.child("forward"))
        b, answer = self.back.step(state["back"], y, tick.child("back"))
        return {"forward": f, "back": b, "answer": answer}, y

    def rest(self):
        return self.forward.rest()

    def children(self):
        return {"forward": "forward", "back": "back"}
