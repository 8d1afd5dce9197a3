"""State that a network keeps by a rule of its own, in the same tree as what it learns by gradients.

Moving averages (batch norm, codebooks) are arrays of the model. A network says what they become through a
term of its loss whose value is taken off again; an optimiser that takes plain steps of size 1 on them sets
them exactly, so a trainer needs no second kind of state. Which arrays those are is told by their names.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MOVING = ("mean", "var", "count", "total")
"""Names of the fields that are kept so, in `BatchNorm` and `VectorQuantiser`."""


def becomes(now: Array, then: Array) -> Float[Array, ""]:
    """A number whose gradient is now - then: a plain step of size 1 on it makes `now` into `then`.

    >>> jax.grad(becomes)(jnp.array([3.0]), jnp.array([1.0])).tolist()
    [2.0]
    """
    return 0.5 * jnp.sum((now - jax.lax.stop_gradient(then)) ** 2)


def silent(pull: Float[Array, ""]) -> Float[Array, ""]:
    """The same gradient, the value 0: to add to a loss."""
    return pull - jax.lax.stop_gradient(pull)


def moved_or_learned(tree: Any) -> Any:
    """A tree of labels for `optax.multi_transform`: "average" for the arrays in `MOVING`, else "learn".

    >>> from neuropil.blocks.filtering import BatchNorm
    >>> labels = moved_or_learned(BatchNorm(2))
    >>> labels.gain, labels.mean
    ('learn', 'average')
    """

    def label(path, leaf):
        name = getattr(path[-1], "name", "") if path else ""
        return "average" if name in MOVING else "learn"

    return jax.tree_util.tree_map_with_path(label, tree)
