"""Linear systems on a tree, solved by Hines' elimination: cost linear in the number of compartments."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


@functools.lru_cache(maxsize=64)
def _rows(parent: tuple[int, ...]) -> np.ndarray:
    """Compartments but the root, in rows of one depth, from the root outwards; -1 fills up.

    Compartments of one depth do not depend on each other. Long depths are cut to the mean width, so that
    rows times width stays below twice the number of compartments plus depths.
    """
    depth = np.zeros(len(parent), int)
    for k, p in enumerate(parent[1:], 1):
        depth[k] = depth[p] + 1
    deepest = int(depth.max())
    if deepest == 0:
        return np.zeros((0, 1), np.int32)
    width = -(-(len(parent) - 1) // deepest)
    rows = []
    for d in range(1, deepest + 1):
        of_depth = np.flatnonzero(depth == d)
        for k in range(0, len(of_depth), width):
            row = of_depth[k : k + width]
            rows.append(np.pad(row, (0, width - len(row)), constant_values=-1))
    return np.array(rows, np.int32)


def _eliminate(parent: tuple[int, ...], own: Array, coupling: Array, b: Array) -> Array:
    rows, n = _rows(parent), len(parent)
    up = jnp.asarray([max(p, 0) for p in parent])
    inner = coupling.at[0].set(0.0)
    diagonal = own + inner + jnp.zeros_like(inner).at[up].add(inner)
    if not len(rows):
        return b / diagonal
    # one place more than compartments: what fills up the rows reads and writes there
    pad = lambda a, value: jnp.concatenate([a, jnp.full((1,), value, a.dtype)])
    diagonal, g, b = pad(diagonal, 1.0), pad(inner, 0.0), pad(b, 0.0)
    above = jnp.concatenate([up, jnp.array([n])])
    rows = jnp.asarray(np.where(rows < 0, n, rows))

    def inwards(now, row):
        diagonal, b = now
        f = g[row] / diagonal[row]
        p = above[row]
        return (diagonal.at[p].add(-f * g[row]), b.at[p].add(f * b[row])), None

    (diagonal, b), _ = lax.scan(inwards, (diagonal, b), rows, reverse=True)

    def outwards(v, row):
        return v.at[row].set((b[row] + g[row] * v[above[row]]) / diagonal[row]), None

    v = jnp.zeros_like(b).at[0].set(b[0] / diagonal[0])
    v, _ = lax.scan(outwards, v, rows)
    return v[:n]


def solve_tree(parent: tuple[int, ...], own: Array, coupling: Array, b: Array) -> Array:
    r"""The potentials v of a tree of conductances into which currents b flow.

    $$\text{own}_k v_k + \sum_{j \sim k} g_{kj} (v_k - v_j) = b_k$$

    where j runs over the parent and the children of k. Eliminated from the tips to the root and back:
    cost and memory linear in the number of compartments, as many sequential steps as the tree is deep.
    The derivative is another solve (the matrix is symmetric), so gradients cost as much.

    **Arguments**: `parent`, as in `Tree`; `own` (compartment,), what leads to ground, positive; `coupling`
    (compartment,), conductance to the parent (the root's is not looked at); `b` (compartment,).

    >>> v = solve_tree((-1, 0), jnp.ones(2), jnp.array([0.0, 1.0]), jnp.array([3.0, 0.0]))
    >>> [round(float(a), 5) for a in v]
    [2.0, 1.0]

    Source: Hines (1984), Int. J. Biomed. Comput. 15, 69.
    """
    up = jnp.asarray([max(p, 0) for p in parent])

    def matvec(v):
        flow = (coupling * (v - v[up])).at[0].set(0.0)
        return own * v + flow - jnp.zeros_like(flow).at[up].add(flow)

    solve = lambda _, b: _eliminate(parent, own, coupling, b)
    return jax.lax.custom_linear_solve(matvec, b, solve, symmetric=True)
