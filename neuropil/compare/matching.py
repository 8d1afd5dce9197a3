"""Soft matching: how alike the units themselves are, when two populations differ in size.

Rotations forget which unit does what; a permutation keeps it but needs equal numbers. Optimal transport:
every unit hands out a mass of one, in parts.

Source: Khosla, Williams (2024), UniReps, arXiv:2311.09466.
"""

from __future__ import annotations

from math import lcm

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import coo_matrix

from neuropil.compare._door import centred, paired

COPIES = 1200  # up to here copies of units and one assignment are faster than the linear program


def transport(cost: np.ndarray) -> Float[np.ndarray, "p q"]:
    r"""The cheapest plan between p and q units of equal mass: rows sum to 1/p, columns to 1/q; exact.

    $$\min_T \sum_{ij} T_{ij} C_{ij}$$

    Equal numbers: a permutation is optimal (Birkhoff), found by assignment. Else units are copied up to the
    least common multiple, or, where that is large, the linear program is solved.

    >>> transport(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.1]])).round(3).tolist()
    [[0.333, 0.0, 0.167], [0.0, 0.333, 0.167]]

    Raises ValueError for a cost that is not a finite matrix.
    """
    cost = np.asarray(cost, float)
    if cost.ndim != 2 or not cost.size or not np.all(np.isfinite(cost)):
        raise ValueError(f"a cost is a finite matrix (p, q), not {cost.shape}")
    p, q = cost.shape
    n = lcm(p, q)
    if n <= COPIES:
        rows, columns = linear_sum_assignment(
            np.repeat(np.repeat(cost, n // p, 0), n // q, 1) if p != q else cost
        )
        cells = (rows * p // n) * q + columns * q // n
        return np.bincount(cells, minlength=p * q).reshape(p, q) / n
    cell = np.arange(p * q)
    where = np.concatenate([cell // q, p + cell % q])
    sums = coo_matrix((np.ones(2 * p * q), (where, np.tile(cell, 2))), shape=(p + q, p * q))
    masses = np.concatenate([np.full(p, 1 / p), np.full(q, 1 / q)])
    found = linprog(cost.ravel(), A_eq=sums.tocsr(), b_eq=masses, method="highs")
    if found.status != 0:
        raise RuntimeError(f"the transport program was not solved: {found.message}")
    return found.x.reshape(p, q)


def soft_matching(x: np.ndarray, y: np.ndarray, *, metric: str = "correlation") -> float:
    r"""Agreement of single units of two populations under the best soft matching.

    - `correlation`: $\max_T \sum_{ij} T_{ij}\, r(x_i, y_j)$, at most 1: every unit has its like (a unit that
      does not vary correlates with nothing);
    - `distance`: $\big(\min_T \sum_{ij} T_{ij} \|x_i - y_j\|^2\big)^{1/2}$ of the centred units, a metric.

    Neither changes when units are relabelled or all doubled; both change under rotation, which is their use.

    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> twice = np.repeat(x, 2, 1)[:, ::-1]
    >>> round(soft_matching(x, twice), 6), round(soft_matching(x, twice, metric="distance"), 6)
    (1.0, 0.0)

    Raises ValueError for an unknown metric.
    """
    x, y = (centred(a) for a in paired(x, y))
    if metric == "correlation":
        x, y = (a / np.where((n := np.linalg.norm(a, axis=0)) > 0, n, 1) for a in (x, y))
        r = x.T @ y
        return float((transport(-r) * r).sum())
    if metric != "distance":
        raise ValueError(f"metric must be 'correlation' or 'distance', not {metric!r}")
    cost = (x**2).sum(0)[:, None] + (y**2).sum(0)[None] - 2 * x.T @ y
    return float(np.sqrt(max((transport(cost) * cost).sum(), 0)))
