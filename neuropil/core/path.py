"""Paths: dotted names that point into a system, its parameters or its state ("edges.E>I.weight")."""

import dataclasses
import difflib
from typing import Any

import equinox as eqx


def _names(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [str(k) for k in node]
    if hasattr(node, "_fields"):
        return list(node._fields)
    if isinstance(node, list | tuple):
        return [str(k) for k in range(len(node))]
    if dataclasses.is_dataclass(node):
        return [f.name for f in dataclasses.fields(node)]
    return []


def _enter(node: Any, name: str, path: str) -> Any:
    if isinstance(node, dict) and name in node:
        return node[name]
    if isinstance(node, list | tuple) and name.isdigit() and int(name) < len(node):
        return node[int(name)]
    if not isinstance(node, dict) and name in _names(node):
        return getattr(node, name)
    known = _names(node)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise KeyError(
        f"path {path!r}: {type(node).__name__} has no {name!r}; {hint}"
        f"it has {', '.join(known) if known else 'no named parts'}"
    )


def get(tree: Any, path: str) -> Any:
    """What a path points to. Dots go down through fields, dictionary keys and list positions.

    >>> get({"nodes": {"E": (1, 2)}}, "nodes.E.1")
    2

    Raises KeyError that names the nearest existing name.
    """
    node = tree
    for name in path.split(".") if path else ():
        node = _enter(node, name, path)
    return node


def put(tree: Any, path: str, value: Any) -> Any:
    """A copy of the tree in which the path points to `value`; the tree itself is unchanged.

    >>> put({"a": 1, "b": 2}, "b", 5)
    {'a': 1, 'b': 5}
    """
    if not path:
        return value
    get(tree, path)  # a clear error before tree_at's
    return eqx.tree_at(lambda t: get(t, path), tree, value, is_leaf=lambda x: x is None)


def get_arrays(tree: Any, path: str) -> Any:
    """The floating-point arrays at a path: one array, or a sub-tree with None for the rest."""
    return eqx.filter(get(tree, path), eqx.is_inexact_array)


def put_arrays(tree: Any, path: str, arrays: Any) -> Any:
    """Put back what `get_arrays` gave (perhaps changed), leaving all else as it is."""
    return put(tree, path, eqx.combine(arrays, get(tree, path)))


def join(*parts: str) -> str:
    """Join path pieces, leaving out empty ones.

    >>> join("", "fast", "weight")
    'fast.weight'
    """
    return ".".join(p for p in parts if p)
