"""System, Tick, Carry and the one loop over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int, Key, PyTree

from neuropil.core.param import check_bounds
from neuropil.core.path import get
from neuropil.core.random import fold, tick_keys


class Tick(eqx.Module):
    """The instant of a step: its number `i`, its length `dt` (ms), its randomness `key`.

    In `System.unroll` the same class stands for a run of instants: `i` and `key` then have a leading
    time axis (in `unroll_batch` `key` is (time, sample)), `dt` stays a scalar.
    """

    i: Int[Array, "*T"]
    dt: Float[Array, ""]
    key: Key[Array, "..."]

    def child(self, name: str | int) -> Tick:
        """The same instant with randomness of its own, chosen by name (not by order)."""
        return Tick(self.i, self.dt, fold(self.key, name))


class System(eqx.Module):
    r"""Anything that turns (state, input) into (next state, output).

    $$(s_{t+1}, y_t) = f(s_t, x_t, t)$$

    A subclass writes `init` and `step` for one sample (no batch axis) and, where the whole time axis
    can be done at once, `unroll`. Parameters are the fields; whatever changes is in the state.

    >>> class Counter(System):
    ...     def init(self, dt, key): return jnp.int32(0)
    ...     def step(self, state, x, tick): return state + x, state
    >>> carry, ys = run(Counter(), start(Counter(), 1.0, jr.key(0)), jnp.array([1, 2, 3]))
    >>> ys.tolist(), int(carry.state)
    ([0, 1, 3], 6)
    """

    def __check_init__(self):
        check_bounds(self)

    def init(self, dt: float, key: Key[Array, ""]) -> PyTree:
        """The state before the first tick. `dt` (ms) is a Python float, so it can size a delay line."""
        raise TypeError(
            f"{type(self).__name__} has no init. Write\n"
            "    def init(self, dt, key): return <state before the first tick>"
        )

    def step(self, state: PyTree, x: PyTree, tick: Tick) -> tuple[PyTree, PyTree]:
        """One tick: (state, input) -> (next state, output)."""
        raise TypeError(
            f"{type(self).__name__} has no step. Write\n"
            "    def step(self, state, x, tick): return next_state, output"
        )

    def unroll(self, state: PyTree, xs: PyTree, ticks: Tick) -> tuple[PyTree, PyTree]:
        """Many ticks: (state, inputs with leading time axis) -> (state after, outputs).

        The default scans `step`. An override must give the same numbers, from any state.
        """

        def body(state, now):
            x, i, key = now
            return self.step(state, x, Tick(i, ticks.dt, key))

        return lax.scan(body, state, (xs, ticks.i, ticks.key))

    def unroll_batch(self, state: PyTree, xs: PyTree, ticks: Tick) -> tuple[PyTree, PyTree]:
        """Many ticks of many samples: states (n, ...), inputs (time, n, ...), keys of `ticks` (time, n).

        The default is `unroll` under `vmap`. An override (a matrix product, a kernel) must give the same
        numbers; it keeps the memory in the order of the inputs, where `vmap` may move the batch axis about.
        """
        one = lambda s, x, key: self.unroll(s, x, Tick(ticks.i, ticks.dt, key))
        return jax.vmap(one, in_axes=(0, 1, 1), out_axes=(0, 1))(state, xs, ticks.key)

    def rest(self) -> PyTree:
        """The output before the first tick; needed where an output is read one tick later."""
        raise TypeError(
            f"{type(self).__name__} does not say what it puts out before the first tick. Write\n"
            "    def rest(self): return jnp.zeros(self.shape)\n"
            "or give rest={...} to the Network or Feedback that holds it"
        )

    def on_edge(self) -> System | None:
        """This part on a network edge, where one tick has already passed; None: it holds no delay."""
        return None

    def children(self) -> dict[str, str]:
        """Path of each inner system in this one -> path of its state in this one's state."""
        return {}


class Carry(eqx.Module):
    """All that is needed to go on later: save it and the run resumes exactly.

    - `i`: number of the next tick; `dt`: length of a tick (ms); `key`: the run's randomness;
    - `state`: the system's state.
    """

    i: Any
    dt: Any
    key: Any
    state: Any


SEEDS = Carry(i=None, dt=None, key=0, state=0)  # pyright: ignore
"""Axes of a carry under `vmap` over seeds: everything but the clock, which is never batched."""


def start(system: System, dt: Any, key: Any) -> Carry:
    """The carry before the first tick.

    **Arguments**: `system`; `dt` (ms), a positive Python number; `key`, from `jax.random.key(seed)`.

    Raises TypeError for a traced `dt` (it must size delay lines), ValueError where it is not positive.
    """
    if isinstance(dt, jax.core.Tracer):
        raise TypeError("start: dt is traced; call start outside jit or close over a Python number")
    if not (math.isfinite(dt) and dt > 0):
        raise ValueError(f"start: dt = {dt} ms but it must be a positive number of milliseconds")
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError("start: key is not a typed key; write jax.random.key(0), not PRNGKey(0)")
    inner, outer = jr.split(key)
    state = system.init(float(dt), inner)
    return Carry(jnp.int32(0), jnp.asarray(dt, jnp.result_type(float)), outer, state)


def advance(system: System, carry: Carry, x: PyTree = None) -> tuple[Carry, PyTree]:
    """One tick. `run` is this in a loop; a slow outer loop (a chunk of an experiment) calls it itself."""
    tick = Tick(carry.i, carry.dt, tick_keys(carry.key, carry.i))
    state, y = system.step(carry.state, x, tick)
    return Carry(carry.i + 1, carry.dt, carry.key, state), y


Record = str | dict | tuple | list | Callable | None


def _wants_state(record: Record) -> bool:
    """Whether a record looks into the state, so that the steps must be taken one by one."""
    if record is None:
        return False
    if isinstance(record, str):
        return record.split(".")[0] != "output"
    if isinstance(record, dict):
        return any(_wants_state(r) for r in record.values())
    return True if callable(record) else any(_wants_state(r) for r in record)


def _pick(record: Record, state: PyTree, y: PyTree) -> PyTree:
    if record is None:
        return None
    if isinstance(record, str):
        head, _, rest = record.partition(".")
        return get(y, rest) if head == "output" else get(state, record)
    if isinstance(record, dict):
        return {name: _pick(r, state, y) for name, r in record.items()}
    if callable(record):
        return record(state, y)
    return {name: _pick(name, state, y) for name in record}


def _stretch(system, carry, xs, n, record):
    """n ticks: all at once through `unroll` where only outputs are kept, else one by one."""
    i = carry.i + jnp.arange(n, dtype=jnp.int32)
    ticks = Tick(i, carry.dt, tick_keys(carry.key, i))
    if not _wants_state(record):
        state, ys = system.unroll(carry.state, xs, ticks)
        kept = _pick(record, None, ys)
    else:

        def body(state, now):
            x, i, key = now
            state, y = system.step(state, x, Tick(i, carry.dt, key))
            return state, _pick(record, state, y)

        state, kept = lax.scan(body, carry.state, (xs, ticks.i, ticks.key))
    return Carry(carry.i + n, carry.dt, carry.key, state), kept


def _in_chunks(stretch, size):
    """A stretch of n ticks as a scan over chunks of `size`, and a shorter last one where it must be."""

    def chunked(carry, xs, n):
        whole, left = divmod(n, size)
        if whole == 0:
            return stretch(carry, xs, n)
        cut = whole * size
        head = jax.tree.map(lambda a: a[:cut].reshape(whole, size, *a.shape[1:]), xs)
        carry, kept = lax.scan(lambda c, x: stretch(c, x, size), carry, head, length=whole)
        kept = jax.tree.map(lambda a: a.reshape(cut, *a.shape[2:]), kept)
        if left:
            carry, tail = stretch(carry, jax.tree.map(lambda a: a[cut:], xs), left)
            kept = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), kept, tail)
        return carry, kept

    return chunked


def _length(xs, n):
    inputs = jax.tree.leaves(xs)
    if not inputs and n is None:
        raise ValueError("run: no input and no length; write run(system, carry, n=1000)")
    if any(not getattr(a, "ndim", 0) for a in inputs):
        raise ValueError("run: an input has no time axis; inputs are stacked as (time, ...)")
    lengths = {int(a.shape[0]) for a in inputs} | (set() if n is None else {n})
    if len(lengths) > 1:
        raise ValueError(f"run: inputs of different lengths {sorted(lengths)}; make them equal")
    return lengths.pop()


@eqx.filter_jit
def _run(system, carry, xs, n, record, remat, truncate):
    def stretch(carry, xs, n):
        return _stretch(system, carry, xs, n, record)

    if remat:
        plain = stretch
        stretch = _in_chunks(
            lambda c, x, m: jax.checkpoint(lambda c, x: plain(c, x, m))(c, x), remat
        )
    if truncate:
        inner = stretch

        def cut(carry, xs, m):
            carry = Carry(carry.i, carry.dt, carry.key, lax.stop_gradient(carry.state))
            return inner(carry, xs, m)

        stretch = _in_chunks(cut, truncate)
    return stretch(carry, xs, n)


def run(
    system: System,
    carry: Carry,
    xs: PyTree = None,
    *,
    n: int | None = None,
    record: Record = "output",
    remat: bool | int = False,
    truncate: int | None = None,
) -> tuple[Carry, PyTree]:
    """The one loop over time. Compiled; use it under `grad`, `vmap` and `jit` as it is.

    **Arguments**

    - `xs`: inputs stacked as (time, ...), any tree of arrays; None for a system without input.
    - `n`: number of ticks, where there is no input to count.
    - `record`: what is kept, stacked over time: "output" (default), a path into the output
      ("output.E") or into the state ("nodes.E.v"), a dict or list of such paths, a function of
      (state, output), or None to keep nothing. A path into the *state* means the state after each
      tick and makes the steps go one by one, also where a part overrides `unroll`.
    - `remat`: keep only the state every `remat` ticks and compute the rest again in the backward
      pass (True: every sqrt(n)); memory for the gradient falls from n to n / remat + remat states.
    - `truncate`: no gradient flows back across multiples of `truncate` ticks (truncated BPTT).

    Returns (carry after the last tick, what was recorded).

    >>> class Leak(System):
    ...     def init(self, dt, key): return jnp.zeros(())
    ...     def step(self, v, x, tick):
    ...         v = v * jnp.exp(-tick.dt / 10.0) + x
    ...         return v, v
    >>> carry = start(Leak(), 1.0, jr.key(0))
    >>> carry, ys = run(Leak(), carry, jnp.ones(3))
    >>> ys.shape, int(carry.i)
    ((3,), 3)

    Raises ValueError for inputs of different lengths or none, KeyError for a record path that is not
    there (it names the nearest one).
    """
    ticks = _length(xs, n)
    if remat is True:
        remat = max(1, round(math.sqrt(ticks)))
    for name, size in (("remat", remat), ("truncate", truncate)):
        if size not in (False, None) and size < 1:
            raise ValueError(f"run: {name} = {size} but it must be at least 1 tick")
    return _run(system, carry, xs, ticks, record, int(remat), int(truncate or 0))
