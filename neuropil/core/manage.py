"""Managed: a slower system that owns a parameter of a faster one."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from neuropil.core.copies import Every
from neuropil.core.path import get, get_arrays, join, put_arrays
from neuropil.core.random import fold
from neuropil.core.system import Carry, System


class Event(eqx.Module):
    """What a slow system sees at a tick.

    - `theta`: the parameter it owns; `reads`: what it asked for, by name;
    - `x`, `y`: the fast system's input and output at this tick.
    """

    theta: Any
    reads: dict[str, Any]
    x: Any
    y: Any


class Rows(eqx.Module):
    """A sparse update: add `delta[k]` to row `index[k]` of the parameter, leave the rest."""

    index: Any
    delta: Any


class Cols(eqx.Module):
    """A sparse update: add `delta[:, k]` to column `index[k]` of the parameter, leave the rest."""

    index: Any
    delta: Any


class ManagedState(eqx.Module):
    """States of the two systems, and the parameter, which lives here and no longer in a field."""

    fast: Any
    slow: Any
    theta: Any


@jax.custom_jvp
def _after(theta, values, i):
    """theta itself, but not before `values` have been computed.

    XLA updates a parameter in place only where it can prove that every read comes before the write; an
    optimization barrier does not tell it. So a number made of `values` is added to one element at ticks
    i < 0, which there are none of (elsewhere the index lies beyond the end, and nothing is written).
    """
    floats = jnp.result_type(float)
    numbers = [v for v in jax.tree.leaves(values) if eqx.is_array(v) and v.size and _real(v)]
    total = sum((v[(0,) * v.ndim].astype(floats) for v in numbers), jnp.zeros((), floats))

    def touch(t):
        if not t.ndim:
            return jnp.where(i < 0, total.astype(t.dtype), t)
        where = (jnp.where(i < 0, 0, t.shape[0]), *(0,) * (t.ndim - 1))
        return t.at[where].add(total.astype(t.dtype), mode="drop")

    return jax.tree.map(touch, theta)


@_after.defjvp
def _after_jvp(primals, tangents):
    return _after(*primals), tangents[0]


def _real(v):
    return jnp.issubdtype(v.dtype, jnp.number) and not jnp.issubdtype(v.dtype, jnp.complexfloating)


def _add(theta, update):
    if isinstance(update, Rows):
        return theta.at[update.index].add(update.delta)
    return theta.at[:, update.index].add(update.delta)


def updated(theta: Any, update: Any, slow: Any, i: Any) -> Any:
    """The parameter after an update: the new one itself, or sparse ones (`Rows`, `Cols`) added in place."""
    parts = update if isinstance(update, tuple) else (update,)
    if not all(isinstance(u, Rows | Cols) for u in parts):
        return update
    theta = _after(theta, (parts, slow), i)
    for part in parts:
        theta = _add(theta, part)
    return theta


class Managed(System):
    r"""A fast system one of whose parameters is owned by a slow one (plasticity, optimiser, homeostat).

    $$(f', y) = \text{fast}_\theta(f, x), \qquad (s', \theta') = \text{slow}(s, (\theta, \text{reads}, x, y))$$

    The parameter moves from the system into the state; its field is only its value at the start.
    Managed systems nest: the slow system of one can be the fast system of another.

    **Arguments**

    - `fast`, `slow`: systems; `slow.step(state, Event, tick)` returns (state, new parameter), or a
      sparse update `Rows(index, delta)` / `Cols(index, delta)` in place of the whole parameter, or a
      tuple of these, which are added one after the other. A rule whose own kernel writes the parameter where
      it is, after what it reads, says so by an attribute `in_place`; one that must read something names it
      in an attribute `needs`.
      `Every(rule, k)` as slow system acts at every k-th tick.
    - `owns`: path of the parameter in `fast`, such as "edges.E>I.weight"; it may name a sub-tree, "" is all.
    - `reads`: {name: path}. "output..." is the fast system's output, "input..." its input, any other
      path goes into its state *after* this tick ("nodes.E.v", "outputs.E").

    The output is the fast system's.

    Raises KeyError for a path that is not there (of the state: by `start`; of input and output: when the run
    is traced), ValueError for a parameter that is owned already and for `reads` that the slow system misses.
    """

    fast: System
    slow: System
    owns: str = eqx.field(static=True)
    reads: dict[str, str] = eqx.field(static=True, default_factory=dict)

    def __init__(self, fast: System, slow: System, owns: Any, reads: dict | None = None):
        if not isinstance(owns, str):
            raise TypeError(
                "Managed: owns is a path string such as 'edges.E>I.weight', not a function"
            )
        if not jax.tree.leaves(get_arrays(fast, owns)):
            raise ValueError(f"Managed: {owns!r} names no floating-point array")
        for path in owned(fast):
            inside = path.startswith(owns + ".") or owns.startswith(path + ".")
            if not owns or owns == path or inside:
                raise ValueError(
                    f"Managed: {owns!r} is owned already, by an inner Managed ({path!r})"
                )
        missing = [name for name in _needs(slow) if name not in (reads or {})]
        if missing:
            raise ValueError(
                f"Managed: {type(slow).__name__} must read {', '.join(map(repr, missing))}; write "
                f"reads={{{missing[0]!r}: 'output', ...}} with a path for each"
            )
        self.fast, self.slow, self.owns = fast, slow, owns
        self.reads = _Paths(reads or {})

    def init(self, dt, key):
        # a copy: the caller's arrays must survive when a run donates its state
        theta = jax.tree.map(jnp.array, get_arrays(self.fast, self.owns))
        fast = self.fast.init(dt, fold(key, "fast"))
        for path in self.reads.values():  # a wrong path is told before the run
            if path.partition(".")[0] not in ("output", "input"):
                get(fast, path)
        return ManagedState(fast, self.slow.init(dt, fold(key, "slow")), theta)

    def _read(self, path, x, state, y):
        head, _, rest = path.partition(".")
        roots = {"output": y, "input": x}
        return get(roots[head], rest) if head in roots else get(state, path)

    def step(self, state, x, tick):
        fast = put_arrays(self.fast, self.owns, state.theta)
        f, y = fast.step(state.fast, x, tick.child("fast"))
        reads = {n: self._read(p, x, f, y) for n, p in self.reads.items()}
        tick = tick.child("slow")
        slow = self.slow.part if isinstance(self.slow, Every) else self.slow
        ordered = getattr(slow, "in_place", False)  # by its own kernel, after what it reads
        theta = state.theta if ordered else _after(state.theta, (f, y), tick.i)

        def act(slow, theta):
            event = Event(theta, reads, x, y)
            stepper = self.slow.part_step if isinstance(self.slow, Every) else self.slow.step
            slow, update = stepper(slow, event, tick)
            return slow, updated(theta, update, slow, tick.i)

        if isinstance(self.slow, Every):
            due = self.slow.due(tick)
            slow, theta = lax.cond(due, act, lambda s, t: (s, t), state.slow, theta)
        else:
            slow, theta = act(state.slow, theta)
        return ManagedState(f, slow, theta), y

    def rest(self):
        return self.fast.rest()

    def children(self):
        return {"fast": "fast", "slow": "slow"}


def _needs(slow: Any) -> tuple[str, ...]:
    """Names that a slow system, or the rule inside it, must read."""
    if isinstance(slow, Every):
        return _needs(slow.part)
    return _needs(slow.fast) if isinstance(slow, Managed) else getattr(slow, "needs", ())


class _Paths(dict):
    """A dictionary of strings that can be hashed, so that it can be a static field."""

    def __hash__(self):  # pyright: ignore
        return hash(tuple(sorted(self.items())))


def walk(system: System, state: Any = None) -> list[tuple[str, str, System]]:
    """(path in the system, path in its state, part) for the system and every system inside it."""
    found = [("", "", system)]
    for here, there in system.children().items():
        for path, where, part in walk(get(system, here)):
            found.append((join(here, path), join(there, where), part))
    return found


def owned(system: System) -> dict[str, str]:
    """Path of every managed parameter of a system -> path of its value in the state."""
    return {
        join(path, "fast", part.owns): join(where, "theta")
        for path, where, part in walk(system)
        if isinstance(part, Managed)
    }


def parameters(system: System, carry: Carry | None = None) -> dict[str, Any]:
    """Where every parameter is: {path in the system: its value now}.

    A parameter that is managed lives in the state; all others are the system's own fields. Without a
    carry the values at the start are given.

    >>> from neuropil.wiring import Dense
    >>> parameters(Dense(jnp.ones((2, 3))))
    {'weight': Array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)}
    """
    if carry is not None:
        for path, where in owned(system).items():
            system = put_arrays(system, path, get(carry.state, where))
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(system, eqx.is_inexact_array))
    return {".".join(_name(k) for k in path): value for path, value in leaves}


def _name(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
