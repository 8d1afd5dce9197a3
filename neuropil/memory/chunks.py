r"""A recurrence done in chunks of ticks that are aligned with the clock, from any state in mid-run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int


def products(a: Float[Array, " time"]) -> tuple[Array, Array]:
    r"""(P (time, source), p (time,)) of factors that are not negative, also 0:
    $P_{ts} = \prod_{s < j \le t} a_j$ for s <= t, else 0, and $p_t = \prod_{j \le t} a_j$.

    Through logarithms and one product with a triangle, which compiles to few operations.

    >>> products(jnp.array([5.0, 2.0, 0.0]))[0].round(3).tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    lower = jnp.tril(jnp.ones((a.shape[0], a.shape[0]), bool))
    total = lower.astype(a.dtype) @ jnp.log(
        jnp.maximum(a, 1e-30)
    )  # a 0 is 1e-30: its slope is finite
    ahead = jnp.where(lower, total[:, None] - total[None, :], -jnp.inf)
    return jnp.exp(ahead), jnp.exp(total)


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
    begins = size * jnp.arange(many + more)
    one = lambda x: jax.tree.map(lambda a: a[0], x)
    shapes = jax.eval_shape(body, state, *one(pieces), begins[0] < end)[1]

    def reached(state, now):
        (x, mask), begin = now
        return body(state, x, mask, begin + size <= end)

    def beyond(state, now):
        return state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def go(
        state, now
    ):  # a real branch, since the clock is never batched: a chunk beyond the end is free
        return lax.cond(now[1] < end, reached, beyond, state, now)

    state, ys = lax.scan(go, state, (pieces, begins))

    def cut(a):
        flat = a.reshape(-1, *a.shape[2:])
        return lax.dynamic_slice_in_dim(flat, offset, n, 0)

    return state, jax.tree.map(cut, ys)
