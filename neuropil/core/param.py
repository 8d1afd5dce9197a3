"""One field helper for four uses: default, constraint in fitting, sharding axes, row of a docs table."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np

Number = float | int
Bounds = tuple[Number | None, Number | None]


def _as_array(value: Any) -> Any:
    """Numbers become arrays of the default float type; arrays, None and placeholders stay."""
    if isinstance(value, bool | int | float | np.number):
        # by way of NumPy: a third of the time, which is what a small model takes to build
        return jnp.array(np.asarray(value, jnp.result_type(float)))
    if isinstance(value, np.ndarray | list | tuple):
        return jnp.asarray(value, dtype=jnp.result_type(float))
    return value


def param(
    default: Any = dataclasses.MISSING,
    *,
    unit: str = "1",
    bounds: Bounds = (None, None),
    axes: tuple[str, ...] = (),
    source: str = "",
    about: str = "",
) -> Any:
    """A parameter of a system: a number or an array with a unit, bounds and a source.

    The default is kept as a Python number and made an array when the object is made (a float leaf
    would fail under `vmap` and cause a new trace). Open bounds: a value *on* a bound is refused only
    where the bound is infinite in the constraint, so `bounds=(0, None)` refuses negative values.

    **Arguments**

    - `default`: the value where none is given; leave out to make the argument required.
    - `unit`: unit of measure, "ms", "mV", "1" for none.
    - `bounds`: (low, high), None for no bound; checked at construction, used by `constrain`.
    - `axes`: names of the array's axes, for sharding and labels, such as ("post", "pre").
    - `source`: where the default comes from.

    >>> class Leak(eqx.Module):
    ...     tau: jax.Array = param(20.0, unit="ms", bounds=(0, None), source="textbook")
    >>> Leak().tau, Leak(5).tau
    (Array(20., dtype=float32), Array(5., dtype=float32))
    """
    low, high = bounds
    if low is not None and high is not None and not low < high:
        raise ValueError(f"param: bounds {bounds} are empty; write (low, high) with low < high")
    meta = {"unit": unit, "bounds": bounds, "axes": axes, "source": source, "about": about}
    more = {} if default is dataclasses.MISSING else {"default": default}
    return eqx.field(converter=_as_array, metadata={"neuropil": meta}, **more)


def param_fields(module: Any) -> dict[str, dict]:
    """Name -> {unit, bounds, axes, source, about} of every `param` field of a module or its class."""
    if not dataclasses.is_dataclass(module):
        return {}
    fields = dataclasses.fields(module)
    return {f.name: f.metadata["neuropil"] for f in fields if "neuropil" in f.metadata}


def check_bounds(module: Any) -> None:
    """Refuse a parameter outside its bounds or not finite, in one line that names it and its unit.

    Values being traced (inside jit, vmap, grad) are not looked at.
    """
    for name, meta in param_fields(module).items():
        value = getattr(module, name, None)
        if value is None or not eqx.is_array(value) or isinstance(value, jax.core.Tracer):
            continue
        if not jnp.issubdtype(value.dtype, jnp.floating):
            continue
        low, high = meta["bounds"]
        v, owner = np.asarray(value), type(module).__name__
        if not np.isfinite(v).all():
            raise ValueError(
                f"{owner}.{name} holds a value that is not finite; give finite numbers"
            )
        below = low is not None and (v < low).any()
        above = high is not None and (v > high).any()
        if below or above:
            bad = v[v < low].flat[0] if below else v[v > high].flat[0]
            limit = f"at least {low}" if below else f"at most {high}"
            raise ValueError(f"{owner}.{name} = {bad:g} {meta['unit']} but it must be {limit}")


def to_free(value: Any, low: Number | None, high: Number | None) -> Any:
    """A value between its bounds (None: no bound) in a coordinate without; see `unconstrain`."""
    if low is None and high is None:
        return value
    if low is not None and high is not None:
        p = (value - low) / (high - low)
        return jnp.log(p) - jnp.log1p(-p)
    gap = value - low if high is None else high - value
    return gap + jnp.log(-jnp.expm1(-gap))  # inverse softplus, stable for large gaps


def to_bound(free: Any, low: Number | None, high: Number | None) -> Any:
    """Back from the coordinate of `to_free`."""
    if low is not None and high is not None:
        return low + (high - low) * jax.nn.sigmoid(free)
    if low is not None:
        return low + jax.nn.softplus(free)
    return free if high is None else high - jax.nn.softplus(free)


def _map_params(tree, change):
    """Apply `change(value, low, high)` to every bounded `param` anywhere in the tree."""
    is_module = lambda x: isinstance(x, eqx.Module)

    def visit(node):
        if not is_module(node):
            return node
        metas = param_fields(node)
        new = {}
        for f in dataclasses.fields(node):
            if f.metadata.get("static", False):
                continue
            value = getattr(node, f.name, None)
            if f.name in metas and eqx.is_inexact_array(value):
                new[f.name] = change(value, *metas[f.name]["bounds"])
            else:
                new[f.name] = jax.tree.map(visit, value, is_leaf=is_module)
        names = [n for n in new if new[n] is not getattr(node, n)]
        if not names:
            return node
        where = lambda m: [getattr(m, n) for n in names]
        return eqx.tree_at(where, node, [new[n] for n in names], is_leaf=lambda x: x is None)

    return jax.tree.map(visit, tree, is_leaf=is_module)


def unconstrain(tree: Any) -> Any:
    """Every bounded parameter x in free coordinates u, for a search without bounds.

    Lower bound only: x = low + softplus(u); upper only: x = high - softplus(u); both:
    x = low + (high - low) sigmoid(u); none: x = u. A value on its bound has u = -inf: refused.

    >>> class Leak(eqx.Module):
    ...     tau: jax.Array = param(20.0, unit="ms", bounds=(0, None))
    >>> bool(jnp.allclose(constrain(unconstrain(Leak())).tau, 20.0))
    True
    """

    def change(value, low, high):
        free = to_free(value, low, high)
        if not isinstance(free, jax.core.Tracer) and not bool(jnp.isfinite(free).all()):
            raise ValueError(
                f"unconstrain: a value lies on or outside its bounds ({low}, {high}), where the free "
                "coordinate is infinite; move it inside, or leave that parameter out of the fit"
            )
        return free

    return _map_params(tree, change)


def constrain(tree: Any) -> Any:
    """Back from the free coordinates of `unconstrain` to values inside their bounds."""
    return _map_params(tree, to_bound)


class Part(eqx.Module):
    """A piece of a System: parameters within their bounds, no step of its own (a reset, an emission)."""

    def __check_init__(self):
        check_bounds(self)


def param_table(module: Any) -> list[tuple[str, str, str, str, str]]:
    """Rows (name, default, unit, bounds, source) for the documentation of a class or an object."""
    rows = []
    for f in dataclasses.fields(module):
        meta = f.metadata.get("neuropil")
        if meta:
            default = "required" if f.default is dataclasses.MISSING else str(f.default)
            rows.append((f.name, default, meta["unit"], str(meta["bounds"]), meta["source"]))
    return rows
