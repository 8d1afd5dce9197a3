"""Random wiring between two populations, in time and memory of the number of synapses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax import Array

from neuropil.core.random import generator
from neuropil.wiring.edges import Edges


def _check_probability(owner: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{owner}: probability {p}, but it must be from 0 to 1")


def _successes(rng: np.random.Generator, n: int, p: float) -> np.ndarray:
    """Which of n Bernoulli trials succeed, by skipping over the failures: O(n p) numbers are drawn."""
    if p <= 0 or n == 0:
        return np.empty(0, np.int64)
    if p >= 1:
        return np.arange(n)
    found, at = [], -1
    while at < n:
        left = max(n - at, 1) * p
        draw = int(left + 4 * np.sqrt(left) + 16)
        # the gaps of a rare event may be too long for a 64-bit sum: none needs to be longer than n + 1
        places = at + np.cumsum(np.minimum(rng.geometric(p, draw), n + 1))
        found.append(places)
        at = int(places[-1])
    places = np.concatenate(found)
    return places[: np.searchsorted(places, n)]


def fixed_probability(
    n_pre: int, n_post: int, p: float, key: Array, *, loops: bool = True
) -> Edges:
    r"""Every pair of cells is joined with probability p, independently (Erdos-Renyi, Bernoulli).

    $$\text{in-degree} \sim \mathrm{Binomial}(n_{pre}, p)$$

    `loops=False` (one population): no cell meets itself. Geometric gaps between successes are drawn, so
    time and memory go with the number of synapses.

    >>> import jax
    >>> edges = fixed_probability(1000, 1000, 0.01, jax.random.key(0), loops=False)
    >>> 9000 < len(edges) < 11000, bool((edges.pre == edges.post).any())
    (True, False)

    Source: Batagelj, Brandes (2005), Phys. Rev. E 71, 036113.

    Raises ValueError for a probability outside 0..1, and for `loops=False` between unequal populations.
    """
    _check_probability("fixed_probability", p)
    columns = _columns("fixed_probability", n_pre, n_post, loops)
    places = _successes(generator(key), n_pre * columns, float(p))
    pre, post = places // columns, places % columns
    return Edges(pre, post if loops else _past_self(pre, post), n_pre, n_post)


def _columns(owner: str, n_pre: int, n_post: int, loops: bool) -> int:
    """Targets that a cell may have."""
    if loops:
        return n_post
    if n_pre != n_post or n_post < 2:
        raise ValueError(
            f"{owner}: loops=False means one population with itself, of 2 cells or more; "
            f"the sizes are {n_pre} and {n_post}"
        )
    return n_post - 1


def _past_self(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Targets counted without the cell itself -> targets."""
    return post + (post >= pre)


def distinct(rng: np.random.Generator, rows: int, n: int, k: int) -> np.ndarray:
    """k different numbers out of 0..n-1 in each of several rows, (rows, k), in O(rows k)."""
    if 2 * k > n:  # nearly all of them: shuffle, some rows at a time
        size = max(1, 4_000_000 // n)
        parts = [
            rng.permuted(np.tile(np.arange(n), (min(size, rows - at), 1)), axis=1)[:, :k]
            for at in range(0, rows, size)
        ]
        return np.concatenate(parts)
    drawn = np.sort(rng.integers(0, n, (rows, k)), axis=1)
    while (
        True
    ):  # what stands twice is drawn again; no number is preferred, so every set is as likely
        twice = np.zeros(drawn.shape, bool)
        twice[:, 1:] = drawn[:, 1:] == drawn[:, :-1]
        bad = np.flatnonzero(twice.any(1))
        if not len(bad):
            return drawn
        part = drawn[bad]
        part[twice[bad]] = rng.integers(0, n, int(twice.sum()))
        drawn[bad] = np.sort(part, axis=1)


def fixed_out_degree(n_pre: int, n_post: int, k: int, key: Array, *, loops: bool = True) -> Edges:
    r"""Every presynaptic cell has k different targets, drawn uniformly: $\text{in-degree} \sim$ Binomial.

    >>> import jax
    >>> edges = fixed_out_degree(50, 30, 4, jax.random.key(0))
    >>> set(edges.out_degree().tolist()), len(edges)
    ({4}, 200)

    Raises ValueError where k is larger than the number of possible targets.
    """
    columns = _columns("fixed_out_degree", n_pre, n_post, loops)
    if not 0 <= k <= columns:
        raise ValueError(
            f"fixed_out_degree: k = {k} but there are {columns} cells; give 0..{columns}"
        )
    pre = np.repeat(np.arange(n_pre), k)
    post = distinct(generator(key), n_pre, columns, k).ravel()
    return Edges(pre, post if loops else _past_self(pre, post), n_pre, n_post)


def fixed_in_degree(n_pre: int, n_post: int, k: int, key: Array, *, loops: bool = True) -> Edges:
    r"""Every postsynaptic cell has k different sources, drawn uniformly: $\text{out-degree} \sim$ Binomial.

    >>> import jax
    >>> set(fixed_in_degree(50, 30, 4, jax.random.key(0)).in_degree().tolist())
    {4}

    Source: Brunel (2000), J. Comput. Neurosci. 8, 183, for its use.

    Raises ValueError where k is larger than the number of possible sources.
    """
    columns = _columns("fixed_in_degree", n_post, n_pre, loops)
    if not 0 <= k <= columns:
        raise ValueError(
            f"fixed_in_degree: k = {k} but there are {columns} cells; give 0..{columns}"
        )
    return fixed_out_degree(n_post, n_pre, k, key, loops=loops).reversed()


def distance_dependent(
    pre_at: np.ndarray,
    post_at: np.ndarray,
    probability: Callable[[np.ndarray], np.ndarray],
    reach: float,
    key: Array,
    *,
    box: float | None = None,
    loops: bool = True,
) -> tuple[Edges, np.ndarray]:
    r"""Cells in space, joined with a probability that depends on their distance.

    $$P(j \to i) = p(|x_i - x_j|), \qquad 0 \text{ beyond reach}$$

    **Arguments**

    - `pre_at`, `post_at`: positions, (cell, axis), in any unit of length.
    - `probability`: distances -> probabilities, such as `lambda d: 0.3 * np.exp(-d / 0.1)`.
    - `reach`: the largest distance that is looked at. Time and memory go with the pairs within reach.
    - `box`: side of a periodic box with positions in [0, box), or None for free edges.
    - `loops`: whether two cells at distance 0 that have the same number may meet (one population).

    Returns the synapses and their lengths (edge,), for delays.

    >>> import jax
    >>> at = np.random.default_rng(0).random((500, 2))
    >>> edges, length = distance_dependent(
    ...     at, at, lambda d: np.exp(-d / 0.05), 0.2, jax.random.key(0), box=1.0, loops=False)
    >>> bool(length.max() <= 0.2), len(edges) == len(length)
    (True, True)

    Source: Hellwig (2000), Biol. Cybern. 82, 111, for probabilities that fall with distance.

    Raises ValueError for positions of different dimension and for probabilities outside 0..1.
    """
    from scipy.spatial import cKDTree

    pre_at, post_at = (np.asarray(a, float) for a in (pre_at, post_at))
    if pre_at.ndim != 2 or post_at.ndim != 2 or pre_at.shape[1] != post_at.shape[1]:
        raise ValueError(
            f"distance_dependent: positions {pre_at.shape} and {post_at.shape}; give (cell, axis)"
        )
    rng, targets = generator(key), cKDTree(post_at, boxsize=box)
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for at in range(0, len(pre_at), 4096):  # bounds the memory of pairs that are not joined
        sources = cKDTree(pre_at[at : at + 4096], boxsize=box)
        near = sources.sparse_distance_matrix(targets, reach, output_type="ndarray")
        near = near[np.lexsort((near["j"], near["i"]))]
        pre, post, d = near["i"] + at, near["j"], near["v"]
        if not loops:
            pre, post, d = (a[pre != post] for a in (pre, post, d))
        p = np.broadcast_to(np.asarray(probability(d), float), d.shape)
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            raise ValueError(
                f"distance_dependent: probabilities {p.min():g}..{p.max():g}, not within 0..1"
            )
        joined = rng.random(len(d)) < p
        kept.append((pre[joined], post[joined], d[joined]))
    pre, post, d = (np.concatenate(a) for a in zip(*kept, strict=True))
    return Edges(pre, post, len(pre_at), len(post_at)), d
