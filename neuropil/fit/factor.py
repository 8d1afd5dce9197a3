r"""Non-negative factorisation of arrays with missing entries.

$$x_{ijk} \approx \sum_r a_{ir} b_{jr} c_{kr}, \qquad a, b, c \ge 0$$

(canonical polyadic, CP; for a matrix it is NMF, for more axes it goes on). A component is a pattern along each
axis: when, in which animal, among which pairs of neurons.
"""

from __future__ import annotations

from functools import partial
from string import ascii_lowercase
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from scipy.optimize import linear_sum_assignment


class Factors(NamedTuple):
    """`factors`: one matrix (size, rank) an axis, columns of unit length in all but the last, which has the
    scale; `loss` (sweep + 1): the sum of squares over observed entries before each sweep and at the end."""

    factors: tuple[Float[Array, "size rank"], ...]
    loss: Float[Array, " sweep"]


def rebuild(factors: tuple) -> Array:
    """The array that factors stand for.

    >>> rebuild((np.array([[1.0], [2.0]]), np.array([[3.0], [4.0], [5.0]]))).tolist()
    [[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]]
    """
    axes = ascii_lowercase[: len(factors)]
    return jnp.einsum(",".join(f"{a}z" for a in axes) + "->" + axes, *factors)


def nonnegative_cp(
    x: Array | np.ndarray,
    rank: int,
    key: Array,
    *,
    mask: Array | np.ndarray | None = None,
    sweeps: int = 100,
    starts: int = 1,
) -> Factors:
    r"""Least squares by hierarchical alternation: one column at a time, each in closed form,

    $$a_r \leftarrow \max\Big(0, a_r + \frac{(X_{(1)} K)_r - A G_r}{G_{rr}}\Big), \quad
      K = B \odot C, \quad G = B^\top B * C^\top C$$

    (K the Khatri-Rao product, * entry by entry). Where `mask` (broadcast to x) is False an entry is missing:
    before each axis it is filled with what the factors say, a majorisation, so that the loss over observed
    entries never rises. What x holds there does not matter, NaN included. The best of `starts` random
    starts is kept.

    >>> a, b = np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([[2.0, 0, 1], [0, 3, 1]]).T
    >>> found = nonnegative_cp(a @ b.T, 2, jr.key(0), sweeps=200)
    >>> bool(found.loss[-1] < 1e-3 * found.loss[0])
    True

    Source: Cichocki and Phan (2009), IEICE Trans. Fundam. E92-A, 708 (HALS); filling in as in Kiers (1997),
    Psychometrika 62, 251.

    Raises ValueError for fewer than two axes, rank, sweeps or starts under 1, and observed entries that are
    negative or not finite.
    """
    x = jnp.asarray(x, float)
    if x.ndim < 2 or min(rank, sweeps, starts) < 1:
        raise ValueError(
            f"nonnegative_cp: x {x.shape} needs two axes or more, and rank = {rank}, "
            f"sweeps = {sweeps}, starts = {starts} at least 1 each"
        )
    seen = None if mask is None else jnp.broadcast_to(jnp.asarray(mask, bool), x.shape)
    known = x if seen is None else jnp.where(seen, x, 0)
    if not bool(jnp.all((known >= 0) & jnp.isfinite(known))):
        raise ValueError(
            "nonnegative_cp: x has negative or not finite entries; hide them: mask=jnp.isfinite(x)"
        )
    found = _factorise(known, seen, jr.split(key, starts), rank, sweeps)
    best = jnp.argmin(found.loss[:, -1])
    return jax.tree.map(lambda a: a[best], found)


def factor_match(found: tuple, truth: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Which component of `found` stands for each of `truth`, and the product over axes of their cosines
    (Tomasi and Bro 2006). The scale does not count; a component is used once.

    >>> a = np.eye(3)[:, :2]
    >>> factor_match((a[:, ::-1], 5 * a[:, ::-1]), (a, a))
    (array([1, 0]), array([1., 1.]))

    Raises ValueError where `found` has fewer components than `truth`.
    """
    alike = 1.0
    for f, t in zip(found, truth, strict=True):
        f, t = np.asarray(f, float), np.asarray(t, float)
        if f.shape[1] < t.shape[1]:
            raise ValueError(f"factor_match: {f.shape[1]} components for {t.shape[1]} of the truth")
        alike = alike * (_unit(t).T @ _unit(f))
    rows, columns = linear_sum_assignment(-alike)
    return columns, alike[rows, columns]


def _unit(f):
    return f / np.maximum(np.linalg.norm(f, axis=0), 1e-30)


@partial(jax.jit, static_argnames=("rank", "sweeps"))
def _factorise(x, seen, keys, rank, sweeps):
    order = x.ndim
    axes = ascii_lowercase[:order]
    share = jnp.ones(()) if seen is None else jnp.mean(seen)
    height = (jnp.mean(x) / share / rank) ** (1 / order)

    def filled(factors):
        return x if seen is None else jnp.where(seen, x, rebuild(factors))

    def loss(factors):
        gap = filled(factors) - rebuild(factors)  # 0 where missing
        return jnp.sum(gap * gap)

    def update(factors, mode):
        others = [m for m in range(order) if m != mode]
        says = ",".join([axes, *(f"{axes[m]}z" for m in others)]) + f"->{axes[mode]}z"
        v = jnp.einsum(says, filled(factors), *(factors[m] for m in others))
        g = jnp.ones((rank, rank))
        for m in others:
            g = g * (factors[m].T @ factors[m])

        def column(r, a):
            better = jnp.maximum(a[:, r] + (v[:, r] - a @ g[:, r]) / jnp.maximum(g[r, r], 1e-20), 0)
            # a component that vanished elsewhere says nothing of this column
            return a.at[:, r].set(jnp.where(g[r, r] > 1e-20, better, a[:, r]))

        return lax.fori_loop(0, rank, column, factors[mode])

    def sweep(factors, _):
        before = loss(factors)
        for mode in range(order):
            factors = (*factors[:mode], update(factors, mode), *factors[mode + 1 :])
        last = factors[-1]
        even = []
        for f in factors[:-1]:
            length = jnp.linalg.norm(f, axis=0, keepdims=True)
            even.append(f / jnp.where(length > 0, length, 1))
            last = last * length
        return (*even, last), before

    def one(key):
        keys = jr.split(key, order)
        first = tuple(
            height * jr.uniform(k, (n, rank), minval=0.1, maxval=1.9)
            for k, n in zip(keys, x.shape, strict=True)
        )
        factors, losses = lax.scan(sweep, first, None, length=sweeps)
        return Factors(factors, jnp.append(losses, loss(factors)))

    return lax.map(one, keys)
