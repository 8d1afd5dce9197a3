"""Rows of synapses with permanences: what a temporal memory does to its dendritic segments.

A row names presynaptic cells; the number of cells stands for a free place. Sources as in `temporal`.
"""

from __future__ import annotations

import jax.numpy as jnp
import jax.random as jr
from jax import lax

LOOK = 256  # segments looked at in one go


def matches(pre, permanence, active, connected, made):
    """Synapses onto active cells (all, and connected ones) of the first `made` segments; 0 for the others.

    >>> pre, permanence = jnp.array([[0, 1, 3]]), jnp.array([[0.6, 0.2, 0.0]])
    >>> [int(c[0]) for c in matches(pre, permanence, jnp.array([True, True, False]), 0.5, 1)]
    [2, 1]
    """
    total, width = pre.shape
    size = min(LOOK, total)
    was, first = jnp.append(active, False), jnp.int32(0)

    def look(i, held):
        at = jnp.minimum(i * size, total - size).astype(
            jnp.int32
        )  # the last look may see some segments twice
        p = lax.dynamic_slice(pre, (at, first), (size, width))
        q = lax.dynamic_slice(permanence, (at, first), (size, width))
        hit = was[p]
        both = hit.sum(1, dtype=jnp.int32), (hit & (q >= connected)).sum(1, dtype=jnp.int32)
        return tuple(lax.dynamic_update_slice(h, b, (at,)) for h, b in zip(held, both, strict=True))

    none = jnp.zeros(total, jnp.int32)
    return lax.fori_loop(0, -(-made // size), look, (none, none))


def rows_of(chosen):
    """Numbers of the chosen rows (then their count stands for none), and how many there are.

    >>> rows, count = rows_of(jnp.array([False, True, True]))
    >>> rows[:3].tolist(), int(count)
    ([1, 2, 3], 2)
    """
    n = chosen.shape[0]
    width = 128
    table = jnp.pad(chosen, (0, -n % width)).reshape(-1, width)
    # running counts by a product with a triangle: a third of the time of a cumulative sum over all rows
    within = table.astype(jnp.float32) @ jnp.triu(jnp.ones((width, width), jnp.float32))
    sums = within[:, -1].astype(jnp.int32)
    place = (within.astype(jnp.int32) + (jnp.cumsum(sums) - sums)[:, None] - 1).ravel()[:n]
    rows = jnp.full(n + 64, n, jnp.int32)
    at = jnp.where(chosen, place, n + 64)
    return rows.at[at].set(jnp.arange(n, dtype=jnp.int32), mode="drop"), sums.sum(dtype=jnp.int32)


def ranks(values):
    """Place of each value in the order of its row, ties by position: for short rows sooner than a sort.

    >>> ranks(jnp.array([[0.5, 0.1, 0.5, 0.3]])).tolist()
    [[2, 0, 3, 1]]
    """
    n = values.shape[1]
    less = values[:, None, :] < values[:, :, None]
    earlier = jnp.arange(n)[None, :] < jnp.arange(n)[:, None]
    tied = (values[:, None, :] == values[:, :, None]) & earlier[None]
    return (less | tied).sum(2, dtype=jnp.int32)


def adapted(pre, permanence, hit, learns, fails, rates, none):
    """Rows after one lesson: up where the cell was active and down where not, or a little down where the
    segment foresaw what did not come; synapses at 0 are gone.

    **Arguments**: `pre`, `permanence`, `hit` (rows, synapses); `learns`, `fails` (rows,); `rates` (up, down,
    wrong); `none`: the number that stands for a free place.

    >>> row = jnp.array([[0, 1, 2]]), jnp.array([[0.95, 0.05, 0.0]]), jnp.array([[True, False, False]])
    >>> [a.tolist() for a in adapted(*row, jnp.array([True]), jnp.array([False]), (0.1, 0.1, 0.02), 2)]
    [[[0, 2, 2]], [[1.0, 0.0, 0.0]]]
    """
    up, down, wrong = rates
    lesson = jnp.where(hit, up, -down)
    change = jnp.where(learns[:, None], lesson, jnp.where(fails[:, None] & hit, -wrong, 0))
    held = pre < none
    permanence = jnp.where(held, jnp.clip(permanence + change, 0, 1), 0).astype(permanence.dtype)
    touched = (learns | fails)[:, None]
    return jnp.where(held & ((permanence > 0) | ~touched), pre, none), permanence


def grown(pre, permanence, towards, need, initial, none, key):
    """Rows with up to `need` new synapses each, onto cells of `towards` drawn from those not yet on the row.

    New ones take free places first, then those of the lowest permanence that are not onto `towards`.

    >>> row = jnp.array([[0, 3]]), jnp.array([[0.6, 0.0]])
    >>> grown(*row, jnp.array([0, 2]), jnp.array([2]), 0.21, 3, jr.key(0))[0].tolist()
    [[0, 2]]
    """
    rows = pre.shape[0]
    same = pre[:, :, None] == towards[None, None, :]
    onto = (same & (towards < none)[None, None]).any(2)
    may = (towards < none)[None] & ~same.any(1)
    draw = jnp.where(may, jr.uniform(key, (rows, towards.shape[0])), 2.0)
    places = (~onto).sum(1)
    count = jnp.minimum(jnp.minimum(jnp.maximum(need, 0), may.sum(1)), places)
    worth = jnp.where(pre == none, -1.0, permanence + 2.0 * onto)
    rank = ranks(worth)
    meets = rank[:, :, None] == ranks(draw)[:, None, :]  # the place and the cell of the same rank
    nth = jnp.where(meets, towards[None, None], 0).sum(2)
    new = rank < count[:, None]
    return (
        jnp.where(new, nth, pre).astype(pre.dtype),
        jnp.where(new, initial, permanence).astype(permanence.dtype),
    )
