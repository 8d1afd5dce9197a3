r"""A recurrence done in chunks of ticks that are aligned with the clock, from any state in mid-run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def products(a: Float[Array, " time"]) -> Float[Array, "time source"]:
    r"""Lower triangular matrix of $P_{ts} = \prod_{s < j \le t} a_j$; factors may be 0.

    >>> products(jnp.array([5.0, 2.0, 3.0])).tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [6.0, 3.0, 1.0]]
    """
    n = a.shape[0]
    later = jnp.tril(jnp.ones((n, n), bool), -1)
    return jnp.tril(jnp.cumprod(jnp.where(later, a[:, None], 1.0), axis=0))


def in_chunks(
    body: Callable, state: Any, xs: Any, first: Int[Array, ""], size: int
) -> tuple[Any, Any]:
    """All ticks of `xs` in chunks that begin at tick numbers divisible by `size`.

    `body(state, x, mask, ends)` does one chunk: x has `size` ticks, of which those where the mask is False
    are not there (they lie before or after this run and must leave the state as it is); `ends` says whether
    the last tick of the chunk is reached. `first` is the number of the first tick, never batched.

    Returns (state, outputs of every tick).

    >>> def total(state, x, mask, ends):
    ...     sums = state + jnp.cumsum(jnp.where(mask, x, 0.0))
    ...     return jnp.where(ends, 0.0, sums[-1]), sums
    >>> in_chunks(total, jnp.zeros(()), jnp.ones(5), jnp.int32(2), 4)[1].tolist()
    [1.0, 2.0, 1.0, 2.0, 3.0]
    """
    n = jax.tree.leaves(xs)[0].shape[0]
    many = -(-n // size)
    more = 0 if size == 1 else 1  # a run that begins within a chunk may reach into one chunk more
    offset = first % size
    end = offset + n

    def placed(a):
        room = jnp.zeros(((many + more) * size, *a.shape[1:]), a.dtype)
        return lax.dynamic_update_slice_in_dim(room, a, offset, 0)

    place = jnp.arange((many + more) * size)
    inside = (place >= offset) & (place < end)
    fold = lambda a: a.reshape(many + more, size, *a.shape[1:])
    pieces = jax.tree.map(fold, (jax.tree.map(placed, xs), inside))
    ends = size * (1 + jnp.arange(many + more)) <= end

    def one(state, now):
        (x, mask), last = now
        return body(state, x, mask, last)

    head = jax.tree.map(lambda a: a[:many], (pieces, ends))
    state, ys = lax.scan(one, state, head)
    if more:
        tail = jax.tree.map(lambda a: a[many], (pieces, ends))
        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape[1:], a.dtype), ys)
        state, y = lax.cond(end > many * size, one, lambda s, _: (s, nothing), state, tail)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), ys, y)

    def cut(a):
        flat = a.reshape(-1, *a.shape[2:])
        return lax.dynamic_slice_in_dim(flat, offset, n, 0)

    return state, jax.tree.map(cut, ys)
