"""Small-world and scale-free graphs, in time and memory of the number of edges."""

from __future__ import annotations

import numpy as np
from jax import Array

from neuropil.core.random import generator
from neuropil.wiring.edges import Edges


def _both_ways(a: np.ndarray, b: np.ndarray, n: int) -> Edges:
    return Edges(np.concatenate([a, b]), np.concatenate([b, a]), n, n)


def small_world(n: int, k: int, beta: float, key: Array, *, directed: bool = False) -> Edges:
    r"""A ring in which every cell meets its k nearest, some edges sent elsewhere (Watts-Strogatz).

    Each edge keeps its first end and, with probability `beta`, gets a second end drawn uniformly from the
    cells it may have: not itself, no edge twice. For beta = 0 the clustering is 3 (k - 2) / (4 (k - 1))
    and the path length about n / 2k; for beta = 1 they are about k / n and ln n / ln k.

    An undirected edge becomes two synapses, one each way. `directed=True`: every cell has k synapses of
    its own, each rewired by itself. All edges are rewired at once, not lap after lap as in the paper.

    >>> import jax
    >>> edges = small_world(100, 6, 0.1, jax.random.key(0))
    >>> len(edges)
    600

    Source: Watts, Strogatz (1998), Nature 393, 440.

    Raises ValueError for k odd or not below n, and for beta outside 0..1.
    """
    if k % 2 or not 0 < k < n - 1:
        raise ValueError(f"small_world: k = {k}; it must be even, from 2 to below n - 1 = {n - 1}")
    if not 0 <= beta <= 1:
        raise ValueError(f"small_world: beta = {beta}, but it must be from 0 to 1")
    rng = generator(key)
    hops = np.arange(1, k // 2 + 1)
    if directed:
        hops = np.concatenate([-hops[::-1], hops])
    a = np.repeat(np.arange(n), len(hops))
    b = (a + np.tile(hops, n)) % n
    moved = np.flatnonzero(rng.random(len(a)) < beta)
    open_ = moved
    while len(open_):  # edges that stand twice are drawn again, and only those
        b[open_] = rng.integers(0, n - 1, len(open_))
        b[open_] += b[open_] >= a[open_]
        open_ = moved[_repeated(a, b, n, directed, moved)]
    return Edges(a, b, n, n) if directed else _both_ways(a, b, n)


def _repeated(a, b, n, directed, moved) -> np.ndarray:
    """Which of the moved edges stand where another edge stands (of two moved ones, the later)."""
    code = a * n + b if directed else np.minimum(a, b) * n + np.maximum(a, b)
    still = np.ones(len(a), bool)
    still[moved] = False
    order = np.concatenate([np.flatnonzero(still), moved])  # those that stay come first
    _, first = np.unique(code[order], return_index=True)
    late = np.ones(len(a), bool)
    late[order[first]] = False
    return late[moved]


def scale_free(n: int, m: int, key: Array, *, directed: bool = False) -> Edges:
    r"""Growth with preferential attachment (Barabasi-Albert): a new cell meets m old ones, chosen by degree.

    $$P(\text{degree} = k) \to \frac{2 m (m + 1)}{k (k + 1)(k + 2)} \sim k^{-3}$$

    It begins with m + 1 cells that all meet. An edge becomes two synapses, one each way; `directed=True`
    leaves the one from the newer cell to the older.

    >>> import jax
    >>> edges = scale_free(200, 3, jax.random.key(0))
    >>> len(edges) // 2 == 6 + 196 * 3, int(edges.out_degree().min())
    (True, 3)

    Sources: Barabasi, Albert (1999), Science 286, 509; the law: Dorogovtsev, Mendes, Samukhin (2000),
    Phys. Rev. Lett. 85, 4633.

    Raises ValueError for m below 1 or n not above m.
    """
    if not 1 <= m < n:
        raise ValueError(f"scale_free: m = {m} and n = {n}; m is at least 1 and below n")
    rng = generator(key)
    new, old = np.tril_indices(m + 1, -1)
    seed = len(new)
    edges = seed + (n - m - 1) * m
    ends = np.empty(2 * edges, np.int64)  # a cell stands here as often as its degree
    ends[0 : 2 * seed : 2], ends[1 : 2 * seed : 2] = new, old
    size = 2 * seed
    for cell in range(m + 1, n):
        chosen = np.unique(ends[rng.integers(0, size, m)])
        while len(chosen) < m:
            chosen = np.unique(np.append(chosen, ends[rng.integers(0, size)]))
        ends[size : size + 2 * m : 2], ends[size + 1 : size + 2 * m : 2] = cell, chosen
        size += 2 * m
    new, old = ends[0::2], ends[1::2]
    return Edges(new, old, n, n) if directed else _both_ways(new, old, n)
