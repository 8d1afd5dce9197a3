r"""Beliefs of a hidden trajectory that moves linearly: exact, and by Laplace's approximation.

$$z_t \sim N(A_t z_{t-1} + b_t, Q_t), \qquad \log p(y_t \mid z_t) \approx h_t^\top z_t - z_t^\top J_t z_t / 2$$

The precision of the whole trajectory is block-tridiagonal, so a Newton step over all bins costs what one
filter and one smoother cost. They are run in covariances (`belief.inform`, `belief.retrace`), which stay
positive in single precision where the blocks of the precision would not. Several sequences lie one after
the other: where one begins, $A_t = 0$ and $(b_t, Q_t)$ is the belief before the first bin.

Source: Rauch, Tung, Striebel 1965, AIAA J. 3:1445; Paninski et al. 2010, J. Comput. Neurosci. 29:107
(state-space models of spikes by Newton's method over the trajectory).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import lax
from jaxtyping import Array, Bool, Float

from neuropil.belief import inform, retrace
from neuropil.fit.observations import Params, Path, ridged


class Moves(NamedTuple):
    """Of every bin: A, b, Q and Q's inverse; A is 0 where a sequence begins."""

    A: Float[Array, "time n n"]
    b: Float[Array, "time n"]
    Q: Float[Array, "time n n"]
    precision: Float[Array, "time n n"]


def inverse(a: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
    """Inverse and log-determinant of a covariance, by Cholesky."""
    chol = jnp.linalg.cholesky(a)
    half = jsl.solve_triangular(chol, jnp.eye(len(a), dtype=a.dtype), lower=True)
    return half.T @ half, 2 * jnp.log(jnp.diagonal(chol)).sum()


def steady(params: Params, v: Float[Array, "time p"], begins: Bool[Array, " time"]) -> Moves:
    """The moves of one A, B, Q for all bins, and N(mean, cov) where a sequence begins."""
    here = begins[:, None, None]
    pick = lambda first, later: jnp.where(here, first[None], later[None])
    b = jnp.where(begins[:, None], params["mean"][None], v @ params["B"].T)
    A, Q = params["A"], params["Q"]
    known = pick(inverse(params["cov"])[0], inverse(Q)[0])
    return Moves(pick(jnp.zeros_like(A), A), b, pick(params["cov"], Q), known)


def smooth_path(moves: Moves, J: Float[Array, "time n n"], h: Float[Array, "time n"]) -> Path:
    """The belief given all bins, whose likelihoods are exp(h'z - z'Jz / 2).

    >>> one = jnp.ones((2, 1, 1))
    >>> walk = Moves(one.at[0].set(0.0), jnp.zeros((2, 1)), one, one)  # z_1 ~ N(0, 1), z_2 ~ N(z_1, 1)
    >>> path = smooth_path(walk, one, jnp.ones((2, 1)))  # both are seen as 1 + N(0, 1)
    >>> [round(m, 4) for m in path.mean[:, 0].tolist()]  # [[3, -1], [-1, 2]] mean = [1, 1]
    [0.6, 0.8]
    """

    def forward(carry, now):
        A, b, Q, J, h = now
        mean, cov = carry
        ahead = A @ mean + b, A @ cov @ A.T + Q
        mean, cov, log_det = inform(*ahead, J, h)
        return (mean, cov), (mean, cov, *ahead, log_det)

    def back(later, now):
        mean, cov, cross = retrace(*now, *later)
        return (mean, cov), (mean, cov, cross)

    empty = jnp.zeros_like(h[0]), jnp.zeros_like(J[0])
    A, b, Q, _ = moves
    _, (mean, cov, ahead, wide, log_det) = lax.scan(forward, empty, (A, b, Q, J, h))
    last = mean[-1], cov[-1]
    now = A[1:], Q[1:], mean[:-1], cov[:-1], ahead[1:], wide[1:]
    _, (means, covs, cross) = lax.scan(back, last, now, reverse=True)
    append = lambda a, b: jnp.concatenate([a, b[None]])
    cross = jnp.concatenate([jnp.zeros_like(J[:1]), cross])
    return Path(append(means, last[0]), append(covs, last[1]), cross, log_det.sum())


def quadratic(moves: Moves, z: Float[Array, "time n"]) -> Float[Array, ""]:
    """-e' Q^-1 e / 2 of all moves, e = z_t - A z_{t-1} - b."""
    before = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1]])
    error = z - jnp.einsum("tij,tj->ti", moves.A, before) - moves.b
    return -0.5 * jnp.einsum("ti,tij,tj->", error, moves.precision, error)


def laplace(
    moves: Moves, look: Callable, z: Float[Array, "time n"], steps: int
) -> tuple[Path, Float[Array, ""]]:
    r"""The belief around the likeliest trajectory, and $\log p(y)$ by Laplace's approximation.

    `look(z)` gives (log-likelihood of all bins, curvature J, slope) there. Newton's method from z, with
    steps that are halved until they climb. With `steps` 1 the log-likelihood is quadratic, and both are exact:
    $\log p(y) = \log p(y | \hat z) - \hat e^\top Q^{-1} \hat e / 2 - \log |1 + P J| / 2$.
    """

    def value(z):
        return look(z)[0] + quadratic(moves, z)

    def newton(z):
        _, J, slope = look(z)
        return smooth_path(moves, J, jnp.einsum("tij,tj->ti", J, z) + slope)

    if steps == 1:
        path = newton(z)
        return path, value(path.mean) - 0.5 * path.log_det

    def climb(carry):
        i, z, old, _ = carry
        d = newton(z).mean - z
        fails = lambda s: ~(value(z + s * d) >= old - 1e-6 * jnp.abs(old)) & (s > 1e-4)
        s = lax.while_loop(fails, lambda s: s / 2, jnp.ones((), z.dtype))
        z = z + s * d
        new = value(z)
        return i + 1, z, new, new - old

    def unfinished(carry):
        return (carry[0] < steps) & (carry[3] > 1e-6 * jnp.abs(carry[2]))

    begin = (jnp.asarray(0), z, value(z), jnp.asarray(jnp.inf, z.dtype))
    _, z, best, _ = lax.while_loop(unfinished, climb, begin)
    path = newton(z)._replace(mean=z)
    return path, best - 0.5 * path.log_det


def regress(
    path: Path, v: Float[Array, "time p"], weight: Float[Array, " time"]
) -> tuple[Array, Array, Array]:
    """(A, B, Q) of z_t ~ N(A z_{t-1} + B v_t, Q) that fit best to bins of these weights (0 where a
    sequence begins)."""
    n = path.mean.shape[1]
    before = lambda a: jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])
    mean, cov = before(path.mean), before(path.cov)
    x = jnp.concatenate([mean, v], axis=1)
    heavy = weight[:, None] * x
    total = lambda a: jnp.einsum("t,tij->ij", weight, a)
    V, cross = total(cov), total(path.cross)
    gram = (heavy.T @ x).at[:n, :n].add(V)
    both = (heavy.T @ path.mean).at[:n].add(cross.T)
    found = jsl.solve(ridged(gram), both, assume_a="pos").T
    A, error = found[:, :n], path.mean - x @ found.T
    Q = error.T @ (weight[:, None] * error) + total(path.cov) - A @ cross.T - cross @ A.T
    Q = (Q + A @ V @ A.T) / jnp.maximum(weight.sum(), 1e-6)
    return A, found[:, n:], ridged((Q + Q.T) / 2, 1e-5)


def first_belief(path: Path, begins: Bool[Array, " time"]) -> tuple[Array, Array]:
    """(mean, cov) before the first bin of a sequence."""
    w = begins.astype(path.mean.dtype)
    mean = w @ path.mean / w.sum()
    off = path.mean - mean[None]
    cov = (jnp.einsum("t,tij->ij", w, path.cov) + off.T @ (w[:, None] * off)) / w.sum()
    return mean, ridged(cov, 1e-5)


def orthonormal(params: Params, n: int) -> Params:
    """The same model with latent signals in which the loading's columns are orthonormal, the one that
    moves the units most first. Every quantity that can be observed stays as it is."""
    W = params["weights"]
    U, S, V = jnp.linalg.svd(W[:, :n], full_matrices=False)
    S = jnp.maximum(S, 1e-6 * S[0] + 1e-30)
    T, back = S[:, None] * V, V.T / S[None, :]
    turn = lambda a: T @ a @ T.T
    # many states' A, B, Q have the state in front, and @ goes over it
    sized = lambda a: turn(a) if a.ndim == 2 else jnp.stack([turn(x) for x in a])
    moved = lambda a: T @ a if a.ndim == 2 else jnp.stack([T @ x for x in a])
    A = params["A"]
    return params | {
        "A": T @ A @ back if A.ndim == 2 else jnp.stack([T @ x @ back for x in A]),
        "B": moved(params["B"]),
        "Q": sized(params["Q"]),
        "mean": T @ params["mean"],
        "cov": turn(params["cov"]),
        "weights": jnp.concatenate([U, W[:, n:]], axis=1),
    }
