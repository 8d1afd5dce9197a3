"""Find shape, dtype and structure mistakes before a long run, and say what to write instead."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from neuropil.core.system import Carry, System, Tick, start


class ProbeError(ValueError):
    """A system that cannot be run, with the place and the remedy."""


def _leaves(tree):
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path) or "(the whole)": leaf for path, leaf in flat}


def _kind(leaf):
    if not hasattr(leaf, "shape"):
        return f"a Python {type(leaf).__name__}"
    return (
        f"{jnp.result_type(leaf).name}{list(leaf.shape)}"
        if _numeric(leaf)
        else f"key{list(leaf.shape)}"
    )


def _numeric(leaf):
    return not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _compare(name, before, after):
    a, b = _leaves(before), _leaves(after)
    if a.keys() != b.keys():
        gone, new = sorted(a.keys() - b.keys()), sorted(b.keys() - a.keys())
        raise ProbeError(
            f"{name}: step returns a state of another structure than init"
            + (f"; missing {gone}" if gone else "")
            + (f"; new {new}" if new else "")
            + ". Return every part of the state from step, also the ones that did not change"
        )
    for path in a:
        if _kind(a[path]) == _kind(b[path]):
            continue
        hint = "make init and step agree"
        if a[path].shape == b[path].shape:
            hint = f"write .astype({jnp.result_type(a[path]).name!r}) in step, or change init"
        elif a[path].ndim < b[path].ndim:
            hint = (
                "the input has an axis the state has not: is it a batch? Write Batched(system, n)"
            )
        raise ProbeError(
            f"{name}: state {path} is {_kind(a[path])} in init but {_kind(b[path])} after a step; {hint}"
        )


def _call(what, name, f, *args):
    try:
        return eqx.filter_eval_shape(f, *args)
    except ProbeError:
        raise
    except Exception as e:
        first = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise ProbeError(f"{name}: {what} fails: {first}") from e


def probe(system: Any, x: Any = None, *, dt: float | int = 1.0, key: Any = None) -> dict[str, Any]:
    """Check that a system can be run on an input like `x` (one tick's, no time axis).

    Nothing is computed, only shapes: it takes milliseconds also for a large model.

    Returns {"state": ..., "output": ...}, trees of shapes and dtypes.

    >>> from neuropil.cells import LIF
    >>> probe(LIF(3), jnp.zeros(3))["output"].shape
    (3,)

    Raises ProbeError, which says where the state changes its structure, shape or dtype, where step
    fails, or where `unroll` disagrees with `step`, and what to write instead.
    """
    name = type(system).__name__
    if not isinstance(system, System):
        raise ProbeError(
            f"{name} is not a System; wrap a function of the input with Chain(function)"
        )
    key = jax.random.key(0) if key is None else key
    carry = _call("init", name, lambda k: start(system, dt, k), key)
    for path, leaf in _leaves(carry.state).items():
        if not hasattr(leaf, "shape"):
            raise ProbeError(
                f"{name}: state {path} is {_kind(leaf)}; write jnp.asarray(...) in init"
            )
    tick = Tick(jnp.int32(0), jnp.asarray(dt, jnp.result_type(float)), key)
    result = _call("step", name, lambda s, x, t: system.step(s, x, t), carry.state, x, tick)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ProbeError(
            f"{name}: step must return (state, output); it returns {type(result).__name__}"
        )
    state, y = result
    _compare(name, carry.state, state)
    if any(not hasattr(leaf, "shape") for leaf in jax.tree.leaves(y)):
        raise ProbeError(f"{name}: the output holds something that is not an array")

    def twice(s, x, k):
        i = jnp.arange(2, dtype=jnp.int32)
        keys = jax.vmap(lambda j: jax.random.fold_in(k, j))(i)
        xs = jax.tree.map(lambda a: jnp.broadcast_to(a, (2, *jnp.shape(a))), x)
        return system.unroll(s, xs, Tick(i, jnp.asarray(dt, jnp.result_type(float)), keys))

    later, ys = _call("unroll", name, twice, carry.state, x, key)
    _compare(name + ".unroll", carry.state, later)
    stacked = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2, *a.shape), a.dtype), y)
    if {p: _kind(v) for p, v in _leaves(stacked).items()} != {
        p: _kind(v) for p, v in _leaves(ys).items()
    }:
        raise ProbeError(f"{name}: unroll and step give outputs of different shape or dtype")
    return {"state": state, "output": y}


def first_nonfinite(tree: Any) -> str | None:
    """Path of the first floating-point array that holds NaN or infinity; None if all are finite.

    >>> first_nonfinite({"a": jnp.ones(2), "b": jnp.array([1.0, jnp.nan])})
    "['b']"
    """
    if isinstance(tree, Carry):
        tree = tree.state
    for path, leaf in _leaves(tree).items():
        if eqx.is_inexact_array_like(leaf) and not bool(jnp.isfinite(jnp.asarray(leaf)).all()):
            return path
    return None
