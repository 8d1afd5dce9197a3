r"""Weighted block models of a graph, chosen by description length.

Labels b put N nodes into K blocks; between blocks r and s there are n_rs pairs, e_rs of them with an edge, of
total weight S_rs. Weights are exponential with one mean a pair of blocks, which costs (nats)

$$\sum_{r \le s} e_{rs} \Big(1 + \log \frac{S_{rs}}{e_{rs}}\Big)
  + \underbrace{\log \frac{N!}{\prod_r n_r!} + \log \binom{N-1}{K-1} + \log N}_{\text{partition}}
  + \tfrac{1}{2} \log\binom{N}{2} \cdot \text{parameters}$$

and, where an absent edge is data, $\log \binom{n_{rs}}{e_{rs}}$ for where the edges are; or, with a degree for
every node, $\log(\prod_r e_r! / \prod_{r<s} e_{rs}! \prod_r (2m_r)!! \prod_i k_i!)$ with the degrees' own
cost. One level: the nested prior over block counts is not here.

Source: Aicher, Jacobs, Clauset (2014), J. Complex Netw. 3, 221; Peixoto (2018), Phys. Rev. E 97, 012306;
Peixoto (2017), Phys. Rev. E 95, 012317 (partition, degrees).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlogy

_FLOOR = 0.01  # of the mean weight: an exponential cannot give a weight of exactly 0


@dataclass(frozen=True)
class Blocks:
    """`labels` (node); `length` in nats; `degrees`: whether nodes have degrees of their own; `path`: the
    length at each number of blocks that was tried."""

    labels: np.ndarray
    length: float
    degrees: bool
    path: dict[int, float]


def description_length(
    weights: np.ndarray, labels: np.ndarray, *, edges: bool = False, degrees: bool = False
) -> float:
    """Nats that the graph and its partition take.

    `edges=False`: every pair has a weight (weights below a hundredth of the mean count as that much);
    `edges=True`: a weight of 0 is no edge; `degrees=True` then corrects for degrees.

    >>> w = np.full((4, 4), 2.0) - 2 * np.eye(4)
    >>> round(description_length(w, np.zeros(4, int)), 3)       # 6 (1 + log 2) + log 4 + log(6) / 2
    12.441

    Raises ValueError for weights that are not square, symmetric and finite, negative, or all 0, and for
    `degrees` without `edges`.
    """
    graph = _Graph(weights, edges, degrees)
    labels = np.unique(np.asarray(labels), return_inverse=True)[1]
    return float(graph.length(*graph.counts(labels)))


def block_model(
    weights: np.ndarray,
    *,
    edges: bool = False,
    degrees: bool | None = None,
    most: int = 12,
    sweeps: int = 10,
    seed: int = 0,
) -> Blocks:
    """The shortest description found: spectral clusters, then single nodes are moved while that shortens it,
    then the best two blocks are merged, down to one block. Deterministic for a seed.

    `degrees=None` tries both (where `edges`) and keeps the shorter, as the paper does.

    >>> w = np.kron(np.eye(2), np.full((8, 8), 4.0)) + 1 - 5 * np.eye(16)
    >>> block_model(w, most=4).labels.tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]

    Raises ValueError as `description_length`, and for most or sweeps under 1.
    """
    if most < 1 or sweeps < 1:
        raise ValueError(f"block_model: most = {most} and sweeps = {sweeps} are at least 1")
    if degrees is None and edges:
        both = [_fit(_Graph(weights, edges, d), most, sweeps, seed) for d in (False, True)]
        return min(both, key=lambda found: found.length)
    return _fit(_Graph(weights, edges, bool(degrees)), most, sweeps, seed)


def _fit(graph, most, sweeps, seed):
    labels = graph.spectral(min(most, graph.n), seed)
    rng = np.random.default_rng(seed)
    best, path = None, {}
    while True:
        labels = graph.refined(labels, sweeps, rng)
        length = graph.length(*graph.counts(labels))
        blocks = labels.max() + 1
        path[int(blocks)] = float(length)
        if best is None or length < best[0]:
            best = length, labels
        if blocks == 1:
            _, first, own = np.unique(best[1], return_index=True, return_inverse=True)
            named = np.argsort(np.argsort(first))[own]  # blocks in order of their first node
            return Blocks(named, float(best[0]), graph.degrees, path)
        labels = graph.merged(labels)


class _Graph:
    """Weights, edges and what a partition of them costs."""

    def __init__(self, weights, edges, degrees):
        w = np.asarray(weights, float)
        square = w.ndim == 2 and w.shape[0] == w.shape[1]
        if not square or not np.isfinite(w).all() or (w < 0).any() or not np.allclose(w, w.T):
            raise ValueError(
                f"block_model: weights {w.shape} must be square, symmetric, finite and not negative"
            )
        if degrees and not edges:
            raise ValueError("block_model: degrees=True needs edges=True (else all are alike)")
        self.n, self.degrees, self.edges = len(w), degrees, edges
        off = ~np.eye(self.n, dtype=bool)
        w = w * off
        if not w.any():
            raise ValueError("block_model: all weights are 0")
        self.w = w if edges else np.maximum(w, _FLOOR * w[off].mean()) * off
        self.a = ((w > 0) if edges else off).astype(float)
        self.k = self.a.sum(1)

    def counts(self, labels):
        """Sizes, degrees, edges and weights of blocks; within a block each pair counts twice."""
        u = np.eye(labels.max() + 1)[labels]
        return u.sum(0), u.T @ self.k, u.T @ self.a @ u, u.T @ self.w @ u

    def of_pairs(self, n, e, s, same):
        """Cost of pairs of blocks from pairs, edges and weight; `same` within a block."""
        cost = e + xlogy(e, np.where(e > 0, s, 1) / np.where(e > 0, e, 1))
        if self.degrees:
            return cost - gammaln(e + 1) - same * e * np.log(2)
        if self.edges:
            return cost + gammaln(n + 1) - gammaln(e + 1) - gammaln(n - e + 1)
        return cost

    def of_blocks(self, size, degree):
        """Cost of blocks from their sizes and degrees."""
        cost = -gammaln(size + 1)
        if self.degrees:  # half-edges of a block, and the ways to share them out among its nodes
            ways = gammaln(size + degree) - gammaln(degree + 1) - gammaln(size)
            cost = cost + gammaln(degree + 1) + ways
        return cost

    def length(self, size, degree, e2, s2):
        blocks, n = len(size), self.n
        half = np.where(np.eye(blocks), 0.5, 1.0)
        pairs = half * (np.outer(size, size) - np.diag(size))
        costs = self.of_pairs(pairs, half * e2, half * s2, np.eye(blocks))
        numbers = blocks * (blocks + 1) / 2 * (2 if self.edges else 1)
        prior = gammaln(n + 1) + np.log(n) + gammaln(n) - gammaln(blocks) - gammaln(n - blocks + 1)
        if self.degrees:
            prior -= gammaln(self.k + 1).sum()
        return (
            costs[np.triu_indices(blocks)].sum()
            + self.of_blocks(size, degree).sum()
            + prior
            + numbers * 0.5 * np.log(max(n * (n - 1) / 2, 1))
        )

    def refined(self, labels, sweeps, rng):
        """Nodes moved one by one to where the whole is shortest; no block is emptied."""
        labels = labels.copy()
        size, degree, e2, s2 = self.counts(labels)
        blocks = len(size)
        if blocks == 1:
            return labels
        same, half = np.eye(blocks), np.where(np.eye(blocks), 0.5, 1.0)
        n = half * (np.outer(size, size) - np.diag(size))
        e, s = half * e2, half * s2
        for _ in range(sweeps):
            moved = False
            for i in rng.permutation(self.n):
                a = labels[i]
                if size[a] == 1:
                    continue
                rows = [np.bincount(labels, v, blocks) for v in (self.a[i], self.w[i])]
                size[a] -= 1
                degree[a] -= self.k[i]
                rows = [size.copy(), *rows]
                for matrix, row in zip((n, e, s), rows, strict=True):
                    _shift(matrix, a, -row)
                n_new, e_new, s_new = (m + r for m, r in zip((n, e, s), rows, strict=True))
                gain = self.of_pairs(n_new, e_new, s_new, same) - self.of_pairs(n, e, s, same)
                cost = gain.sum(1) + self.of_blocks(size + 1, degree + self.k[i])
                cost = cost - self.of_blocks(size, degree)
                to = int(np.argmin(cost))
                if cost[to] > cost[a] - 1e-9:
                    to = a
                moved |= to != a
                labels[i] = to
                size[to] += 1
                degree[to] += self.k[i]
                for matrix, row in zip((n, e, s), rows, strict=True):
                    _shift(matrix, to, row)
            if not moved:
                break
        return labels

    def merged(self, labels):
        """The two blocks put together that leave the shortest description."""
        size, degree, e2, s2 = self.counts(labels)
        blocks = len(size)
        best = None
        for r, t in zip(*np.triu_indices(blocks, 1), strict=True):
            to = np.arange(blocks)
            to[t] = r
            to = to - (to > t)
            q = np.eye(blocks - 1)[to]
            length = self.length(q.T @ size, q.T @ degree, q.T @ e2 @ q, q.T @ s2 @ q)
            if best is None or length < best[0]:
                best = length, to
        return best[1][labels]

    def spectral(self, blocks, seed):
        """k-means of the leading eigenvectors of the normalised weights."""
        if blocks == 1:
            return np.zeros(self.n, int)
        from sklearn.cluster import KMeans

        scale = 1 / np.sqrt(np.maximum(self.w.sum(1), 1e-12))
        values, vectors = np.linalg.eigh(scale[:, None] * self.w * scale)
        chosen = np.argsort(-np.abs(values))[:blocks]
        where = vectors[:, chosen] * np.abs(values[chosen])
        labels = KMeans(blocks, n_init=2, random_state=seed).fit_predict(where)
        return np.unique(labels, return_inverse=True)[1]


def _shift(matrix, block, row):
    """Adds a node's row to a symmetric matrix of blocks (within the block once)."""
    matrix[block] += row
    matrix[:, block] = matrix[block]
