"""Communities of a graph: how far a network falls into groups, and into which."""

from __future__ import annotations

import numpy as np


def modularity(weights: np.ndarray, groups: np.ndarray) -> float:
    r"""Share of the edges within groups above what the degrees alone would put there.

    $$Q = \frac{1}{2m} \sum_{ij} \Big(A_{ij} - \frac{k_i k_j}{2m}\Big) [g_i = g_j]$$

    A is made symmetric, A + A^T; weights are not negative.

    >>> two = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))     # two triangles
    >>> round(modularity(two, np.array([0, 0, 0, 1, 1, 1])), 6)
    0.5

    Source: Newman (2006), PNAS 103, 8577.

    Raises ValueError for weights that are not square, negative, or all zero.
    """
    b, total = _surplus(weights)
    same = np.asarray(groups)[:, None] == np.asarray(groups)[None]
    return float(b[same].sum() / total)


def communities(weights: np.ndarray, *, least: float = 1e-9) -> np.ndarray:
    """Groups of a graph (one number a node), split again and again along the leading eigenvector of the
    modularity matrix, as long as a split raises the modularity.

    >>> two = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    >>> g = communities(two)
    >>> len(set(g[:3])), len(set(g[3:])), bool(g[0] != g[5])
    (1, 1, True)

    Source: Newman (2006), PNAS 103, 8577 (without its fine-tuning of single nodes).
    """
    b, total = _surplus(weights)
    groups, left, found = np.zeros(len(b), int), [np.arange(len(b))], 0
    while left:
        nodes = left.pop()
        own = b[np.ix_(nodes, nodes)]
        own = own - np.diag(own.sum(1))  # a group's own surplus does not count for a split
        side = np.linalg.eigh(own)[1][:, -1] > 0
        sign = np.where(side, 1.0, -1.0)
        if sign @ own @ sign / (2 * total) > least and 0 < side.sum() < len(nodes):
            left += [nodes[side], nodes[~side]]
        else:
            groups[nodes] = found
            found += 1
    return groups


def louvain(weights: np.ndarray, *, resolution: float = 1.0, seed: int = 0) -> np.ndarray:
    r"""Groups of a graph: nodes move one by one to where the modularity gains most, groups become nodes, again,
    until nothing moves. `resolution` $\gamma$ weighs the chance term $\gamma k_i k_j / 2m$: more, smaller
    groups.

    >>> two = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    >>> louvain(two).tolist()
    [0, 0, 0, 1, 1, 1]

    Source: Blondel, Guillaume, Lambiotte, Lefebvre (2008), J. Stat. Mech. P10008; resolution: Reichardt and
    Bornholdt (2006), Phys. Rev. E 74, 016110.
    """
    b, _ = _surplus(weights, resolution)
    rng = np.random.default_rng(seed)
    groups = np.arange(len(b))
    while True:
        own, moved = np.arange(len(b)), True
        while moved:
            moved = False
            for i in rng.permutation(len(b)):
                row = b[i].copy()
                row[i] = 0
                gain = np.bincount(own, row, len(b))
                to = int(np.argmax(gain))
                if gain[to] > gain[own[i]] + 1e-9:
                    own[i], moved = to, True
        kept, own = np.unique(own, return_inverse=True)
        groups = own[groups]
        if len(kept) == len(b):
            _, first, own = np.unique(groups, return_index=True, return_inverse=True)
            return np.argsort(np.argsort(first))[own]
        u = np.eye(len(kept))[own]
        b = u.T @ b @ u


def gini(x: np.ndarray) -> float:
    """How unequal numbers that are not negative are: 0 all equal, near 1 one has all.

    >>> gini(np.ones(4)), gini(np.array([0.0, 0.0, 0.0, 1.0]))
    (0.0, 0.75)
    """
    x = np.sort(np.asarray(x, float))
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum())) if x.sum() else 0.0


def _surplus(weights, resolution=1.0):
    a = np.asarray(weights, float)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or (a < 0).any() or not a.any():
        raise ValueError(
            f"modularity: weights {a.shape} must be square, not negative, and not all zero"
        )
    a = a + a.T
    k = a.sum(1)
    return a - resolution * np.outer(k, k) / k.sum(), k.sum()
