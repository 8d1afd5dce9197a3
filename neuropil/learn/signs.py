"""Optax parts for weights with signs: a projection after the step, and gradients scaled by name."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import optax


def _named(tree: Any, values: Mapping[str, Any], owner: str) -> tuple[list, Any]:
    """What the first pattern that fits says of every leaf (None where none does), and the tree's shape."""
    leaves, shape = jax.tree_util.tree_flatten_with_path(tree)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    for pattern in values:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"{owner}: no array fits {pattern!r}; the arrays are {names}")
    first = lambda name: next((v for p, v in values.items() if fnmatchcase(name, p)), None)
    return [first(name) for name in names], shape


def keep_signs(signs: Mapping[str, Any] | str | tuple[str, ...]) -> optax.GradientTransformation:
    r"""Projects every step so that parameters keep their signs; put it last in an `optax.chain`.

    $$\theta \leftarrow \begin{cases} \theta + u & \sigma (\theta + u) > 0 \\ 0 & \text{else} \end{cases}$$

    **Arguments**: `signs`, {pattern of parameter paths: +1, -1, 0, or an array of these}; 0 is a synapse that
    is not there. Patterns alone ("*.weight") take the signs the parameters have when training begins. Of
    several patterns that fit, the first counts; parameters that none fits are left alone.

    A weight that is clipped is exactly 0 and may grow again, with its old sign.

    >>> tx = optax.chain(optax.sgd(1.0), keep_signs({"w": 1}))
    >>> theta = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(0.0)}
    >>> step, _ = tx.update({"w": jnp.array([3.0, 1.0]), "b": jnp.array(1.0)}, tx.init(theta), theta)
    >>> new = optax.apply_updates(theta, step)
    >>> new["w"].tolist(), float(new["b"])
    ([0.0, 1.0], -1.0)

    Raises ValueError for a pattern that fits no parameter.
    """
    if not isinstance(signs, Mapping):
        signs = dict.fromkeys((signs,) if isinstance(signs, str) else signs, "now")

    def init(params):
        found, shape = _named(params, signs, "keep_signs")
        leaves = jax.tree.leaves(params)
        start = [_sign(s, p) for s, p in zip(found, leaves, strict=True)]
        return jax.tree.unflatten(shape, start)

    def _sign(given, p):
        if given is None:
            return jnp.full((), 2, jnp.int8)  # free
        now = jnp.sign(p) if isinstance(given, str) else jnp.asarray(given)
        return jnp.broadcast_to(now, p.shape).astype(jnp.int8)

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(
                "keep_signs: needs the parameters; call tx.update(grads, state, params)"
            )

        def clip(u, p, sign):
            sign = jnp.broadcast_to(sign, u.shape)
            # p + (-p) is exactly 0: a difference of projected and old value might not be
            return jnp.where((sign == 2) | (sign.astype(u.dtype) * (p + u) > 0), u, -p)

        return jax.tree.map(clip, updates, params, state), state

    return optax.GradientTransformation(init, update)


def scale_gradients(factors: Mapping[str, Any]) -> optax.GradientTransformation:
    """Multiplies gradients (or steps) by a factor a parameter: {pattern of paths: number or array}.

    A factor of 0 freezes a parameter where it stands last in the chain. Parameters that no pattern fits
    are left alone.

    >>> tx = scale_gradients({"a*": 10.0})
    >>> grads = {"ab": jnp.array(1.0), "b": jnp.array(1.0)}
    >>> step, _ = tx.update(grads, tx.init(grads))
    >>> float(step["ab"]), float(step["b"])
    (10.0, 1.0)

    Raises ValueError for a pattern that fits no parameter.
    """

    def init(params):
        _named(params, factors, "scale_gradients")
        return optax.EmptyState()

    def update(updates, state, params=None):
        found, shape = _named(updates, factors, "scale_gradients")
        leaves = jax.tree.leaves(updates)
        scaled = [u if f is None else u * f for f, u in zip(found, leaves, strict=True)]
        return jax.tree.unflatten(shape, scaled), state

    return optax.GradientTransformation(init, update)
