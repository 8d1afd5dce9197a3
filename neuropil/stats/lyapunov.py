"""Lyapunov exponents: how fast neighbouring trajectories part (QR method)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float


def lyapunov_exponents(
    step: Callable[..., Any],
    x: Float[Array, " n"],
    xs: Any = None,
    *,
    ticks: int | None = None,
    k: int = 1,
    dt: float | int = 1.0,
    settle: int = 0,
) -> Float[Array, " k"]:
    r"""The k largest Lyapunov exponents of a map, with or without an input, by repeated QR.

    $$J_t Q_{t-1} = Q_t R_t, \qquad \lambda_i = \frac{1}{T\,dt} \sum_t \ln |R_{t,ii}|$$

    **Arguments**: `step(x)` or, where there are inputs `xs` (time, ...), `step(x, input)` -> the next x (n,);
    `x`, the start; `ticks`, how many where there is no input; `dt`, length of a tick; `settle`, ticks at the
    start that are not counted. Positive: chaos; negative: trajectories with the same input meet (the echo state
    property); 0: the edge between. Float32 is enough, the tangent vectors are kept at length 1.

    Of a linear map they are the logarithms of the absolute eigenvalues:

    >>> w = jnp.array([[0.5, 1.0], [0.0, 0.25]])
    >>> found = lyapunov_exponents(lambda x: w @ x, jnp.zeros(2), ticks=200, k=2, settle=20)
    >>> [round(a, 2) for a in found.tolist()]
    [-0.69, -1.39]

    A reservoir: `lyapunov_exponents(lambda r, u: net.step(r, u, tick)[0], r, inputs)`.

    Raises ValueError for k outside 1..n, or no ticks to count.

    Sources: Benettin et al. (1980), Meccanica 15, 9; Shimada, Nagashima (1979), Prog. Theor. Phys. 61, 1605.
    """
    n = len(x)
    if xs is not None:
        ticks = len(jax.tree.leaves(xs)[0])
    if ticks is None or not 0 <= settle < ticks:
        raise ValueError(
            f"lyapunov_exponents: {ticks} ticks, {settle} of them not counted; give `ticks` or inputs, and "
            "leave some to count"
        )
    if not 1 <= k <= n:
        raise ValueError(f"lyapunov_exponents: k = {k} but x has {n} numbers; give 1..{n}")

    def body(carry, now):
        x, q = carry
        i, u = now
        move = step if xs is None else (lambda a: step(a, u))
        new, push = jax.linearize(move, x)
        q, r = jnp.linalg.qr(jax.vmap(push, 1, 1)(q))
        grown = jnp.log(jnp.abs(jnp.diagonal(r)))
        return (new, q), jnp.where(i < settle, 0.0, grown)

    first = jnp.linalg.qr(jr.normal(jr.key(0), (n, k), x.dtype))[0]
    _, grown = lax.scan(body, (x, first), (jnp.arange(ticks), xs))
    return grown.sum(0) / ((ticks - settle) * dt)
