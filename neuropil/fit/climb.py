"""The loop of expectation maximisation, compiled once for all iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def climb(
    improve: Callable, begin: Any, iterations: int, tolerance, dtype
) -> tuple[Any, Array, Array]:
    """(what `improve` made last, evidence before each iteration, iterations done).

    `improve(x) -> (x, evidence of the old x)`. It stops when an iteration gains less than `tolerance`.
    To be called under `jit`.

    >>> half = lambda x: (x / 2, -x)
    >>> x, evidence, done = climb(half, jnp.array(8.0), 10, 1.5, jnp.float32)
    >>> x.item(), evidence[:4].tolist(), done.item()  # gains 4, 2, 1
    (0.5, [-8.0, -4.0, -2.0, -1.0], 4)
    """

    def body(carry):
        i, x, history, _ = carry
        x, evidence = improve(x)
        return i + 1, x, history.at[i].set(evidence), evidence - history[i - 1]

    def unfinished(carry):
        i, _, _, gain = carry
        return (i < iterations) & ((i < 2) | (gain > tolerance))

    history = jnp.full(iterations, jnp.nan, dtype)
    carry = (jnp.asarray(0), begin, history, jnp.asarray(jnp.inf, dtype))
    i, x, history, _ = lax.while_loop(unfinished, body, carry)
    return x, history, i
