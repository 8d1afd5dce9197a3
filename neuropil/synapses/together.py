"""Cell and conductances in one compiled pass, where they allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil import native
from neuropil.core import Tick


def one_pass(apart: Callable, part: Any, state: Any, x: dict[str, Any], tick: Tick) -> Any:
    """A tick of a cell and its plain conductances; `apart(part, state, x, tick)` says what it means.

    On a CPU plain XLA goes over the population once for every result (potential, spikes, each
    conductance); the kernel once in all. Its numbers differ from those of `apart` in the last bits.
    Derivatives, batches, double precision and cells with other parts are left to `apart`.
    """
    leaky = getattr(part.cell, "leaky", None)
    known = None if leaky is None else leaky(tick.dt)
    arrays, fixed = eqx.partition(part, eqx.is_array)
    leaves = jax.tree.leaves((arrays, state, x))
    plain = all(jnp.result_type(a) in (jnp.float32, jnp.int32) for a in leaves)
    flat = all(isinstance(a, jax.Array) for a in x.values())
    if known is None or not (plain and flat and native.available("conductance")):
        return apart(part, state, x, tick)

    def reference(arrays, state, x, dt):
        # nothing in these parts counts ticks or draws numbers
        return apart(eqx.combine(arrays, fixed), state, x, Tick(jnp.int32(0), dt, jr.key(0)))

    def kernel(arrays, state, x, dt):
        return _computed(eqx.combine(arrays, fixed), state, x, dt, reference, arrays)

    return native.prefer(kernel, reference)(arrays, state, x, tick.dt)


def _computed(part, state, x, dt, reference, arrays):
    known, names = part.cell.leaky(dt), sorted(part.receptors)
    cell, shape = state["cell"], state["cell"]["v"].shape
    held = known["ticks"] is not None

    def operand(value) -> Array:
        """One number, or one for every cell."""
        value = jnp.asarray(0.0 if value is None else value, jnp.float32)
        return value.reshape(()) if value.size == 1 else jnp.broadcast_to(value, shape)

    fixed = [known[n] for n in ("rate", "threshold", "rest", "resistance", "jump", "ticks")]
    operands = [cell["v"], *map(operand, [x.get("current"), *fixed])]
    operands += [cell["left"]] if held else []
    first, results = len(operands), 2 + held
    for name in names:
        receptor = part.receptors[name]
        decay = jnp.exp(-dt / receptor.tau)
        operands.append(state[name])
        operands += map(operand, [x.get(name), decay, receptor.reversal])
    # every state is written where it was read, unless XLA needs the old one still
    aliases = {0: 1} | ({first - 1: 2} if held else {})
    aliases |= {first + 4 * k: results + k for k in range(len(names))}
    like = jax.ShapeDtypeStruct(shape, jnp.float32)
    count = [jax.ShapeDtypeStruct(shape, jnp.int32)] * held
    out = native.call(
        "conductance.tick",
        lambda *_: _in_order(reference(arrays, state, x, dt), names, held),
        (like, like, *count, *[like] * len(names)),
        *operands,
        aliases=aliases,
        keep=np.float32(known["keep"]),
        refractory=np.int32(held),
    )
    s, v, *rest = out
    after = {"v": v} | ({"left": rest.pop(0)} if held else {})
    return {"cell": after, **dict(zip(names, rest, strict=True))}, s


def _in_order(result, names, held):
    """State and output of the reference in the order of the kernel's results."""
    state, s = result
    cell = state["cell"]
    return (s, cell["v"], *([cell["left"]] if held else []), *(state[n] for n in names))
