"""The two halves of training: a fast system that puts out loss and gradient, a slow one that owns the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from neuropil.core import System
from neuropil.core.param import param_fields
from neuropil.learn.credit import Backpropagation, Credit, Taught


def _paths(tree: Any) -> dict[str, Any]:
    """{dotted path: leaf} of every leaf of a tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _physical(node: Any, prefix: str = "") -> set[str]:
    """Paths of the `param` fields that carry a physical unit, anywhere in a tree of modules."""
    found = set()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list | tuple):
        items = enumerate(node)
    elif dataclasses.is_dataclass(node):
        units = param_fields(node)
        found |= {f"{prefix}{name}" for name, meta in units.items() if meta["unit"] != "1"}
        items = [(f.name, getattr(node, f.name, None)) for f in dataclasses.fields(node)]
    else:
        return found
    for name, child in items:
        found |= _physical(child, f"{prefix}{name}.")
    return found


def learnable(model: Any, learn: tuple[str, ...] | str | None = None) -> Any:
    """A tree of True and False like the model: which arrays learn.

    - `learn=None`: every floating-point array but the `param` fields with a physical unit (time constants in
      ms, thresholds in mV: one step size for ms, mV and weights at once means nothing).
    - `learn=("*.weight", "cell.tau")`: the arrays whose path fits one of the patterns.

    >>> from neuropil.cells import LIF
    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(wire=Dense(jnp.ones((2, 3))), cell=LIF(2))
    >>> [path for path, yes in _paths(learnable(net)).items() if yes]
    ['parts.wire.weight']
    >>> [path for path, yes in _paths(learnable(net, ("*.tau",))).items() if yes]
    ['parts.cell.tau']

    Raises ValueError where nothing learns, and for a pattern that fits no array.
    """
    arrays = [p for p, leaf in _paths(model).items() if eqx.is_inexact_array(leaf)]
    if learn is None:
        fixed = _physical(model)
        chosen = {p for p in arrays if p not in fixed}
    else:
        patterns = (learn,) if isinstance(learn, str) else tuple(learn)
        chosen = set()
        for pattern in patterns:
            fits = {p for p in arrays if fnmatchcase(p, pattern)}
            if not fits:
                raise ValueError(f"learn: no array fits {pattern!r}; the arrays are {arrays}")
            chosen |= fits
    if not chosen:
        raise ValueError(f"learn: the model has no array that learns; its arrays are {arrays}")

    def pick(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return name in chosen

    return jax.tree_util.tree_map_with_path(pick, model)


class Gradient(System):
    """The fast half: (batch) -> loss, metrics and gradient of a model.

    `learned` and `fixed` are the model's two parts (equinox `partition`); `loss(model, batch, key)` gives a
    number, or a number and a dictionary of metrics. `credit` is the learner that finds the gradient, or what
    stands for it; where it has parameters that learn, `learned` is `Taught(model, credit)`, both parts.
    Output: {"loss", "metrics", "grad"}, the gradient a tree like `learned`.
    """

    learned: Any
    fixed: Any
    loss: Callable = eqx.field(static=True)
    credit: Credit = Backpropagation()

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        model, credit = self.learned, self.credit
        both = isinstance(model, Taught)
        if both:
            model, credit = model.model, eqx.combine(model.credit, credit)
        loss, metrics, grad, own = credit.gradient(self.loss, model, self.fixed, x, tick.key)
        grad = Taught(grad, own) if both else grad
        return state, {"loss": loss, "metrics": metrics, "grad": grad}


class Optimiser(System):
    r"""The slow half: an optax transformation that owns the model's parameters.

    $$\theta_{k+1} = \theta_k + \text{tx}(g_k)$$

    In a `Managed` it sees loss and gradient in the fast system's output and returns the new parameters.
    Where one of them, or a new parameter, is not finite it changes nothing from then on, and its state says
    which array was the first (`culprit`, an index into `names`) and at which step (`at`).

    State: {"opt": optax's state, "go": bool, "culprit": int (-1: none), "at": int}.
    """

    like: Any
    tx: optax.GradientTransformation = eqx.field(static=True)

    def init(self, dt, key):
        none = jnp.int32(-1)
        return {
            "opt": self.tx.init(self.like),
            "go": jnp.asarray(True),
            "culprit": none,
            "at": none,
        }

    def names(self) -> list[str]:
        """What is watched, in the order in which it is looked at."""
        paths = list(_paths(self.like))
        return [
            "loss",
            *(f"gradient of {p}" for p in paths),
            *(f"{p} after the update" for p in paths),
        ]

    def step(self, state, x, tick):
        theta, y = x.theta, x.y
        tx = optax.with_extra_args_support(self.tx)
        updates, opt = tx.update(y["grad"], state["opt"], theta, value=y["loss"])
        moved = optax.apply_updates(theta, updates)
        watched = [y["loss"], *jax.tree.leaves(y["grad"]), *jax.tree.leaves(moved)]
        bad = jnp.stack([~jnp.isfinite(a).all() for a in watched])
        go = state["go"] & ~bad.any()
        failed = state["go"] & bad.any()
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(go, a, b), new, old)
        after = {
            "opt": keep(opt, state["opt"]),
            "go": go,
            "culprit": jnp.where(failed, jnp.argmax(bad).astype(jnp.int32), state["culprit"]),
            "at": jnp.where(failed, tick.i, state["at"]),
        }
        return after, keep(moved, theta)


def climbs(tx: optax.GradientTransformation, like: Any) -> bool:
    """Whether the first step of an optimiser goes up the gradient, as with a negative learning rate.

    It is tried on one number in place of every array of `like`; what cannot be tried so is let pass.

    >>> climbs(optax.sgd(-0.1), jnp.ones(3)), climbs(optax.adam(0.1), jnp.ones(3))
    (True, False)
    """
    zeros = jax.tree.map(lambda _: jnp.zeros(()), like)
    ones = jax.tree.map(jnp.ones_like, zeros)
    try:
        tx = optax.with_extra_args_support(tx)
        updates, _ = tx.update(ones, tx.init(zeros), zeros, value=jnp.zeros(()))
        return any(float(u) > 0 for u in jax.tree.leaves(updates))
    except Exception:  # wants matrices, or is traced: nothing can be said
        return False
