"""How much of its past input a network holds: memory capacity, measured and exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import linalg

from neuropil.learn.ridge import Moments


class Capacity(NamedTuple):
    """`each`: squared correlation at every delay; `total`: their sum."""

    each: Float[Array, " delay"]
    total: Float[Array, ""]


def delayed(u: Float[Array, " time"], delays: Sequence[int]) -> Float[Array, "time delay"]:
    """u(t - d) for every delay d; the first max(delays) rows are not meant to be used."""
    return jnp.stack([jnp.roll(u, d) for d in delays], 1)


def squared_correlation(
    a: Float[Array, "time column"], b: Float[Array, "time column"]
) -> Float[Array, " column"]:
    """Squared Pearson correlation column by column; 0 where one is constant."""
    a, b = a - a.mean(0, keepdims=True), b - b.mean(0, keepdims=True)
    size = (a**2).sum(0) * (b**2).sum(0)
    return (a * b).sum(0) ** 2 / jnp.where(size > 0, size, 1)


def memory_capacity(
    states: Float[Array, "time unit"],
    inputs: Float[Array, " time"],
    delays: Sequence[int] = tuple(range(1, 61)),
    *,
    ridge: float | int = 1e-6,
    washout: int = 100,
    train: float = 0.5,
) -> Capacity:
    r"""Jaeger's memory capacity: how well past inputs are read off the states, summed over delays.

    $$MC = \sum_d \mathrm{corr}^2\big(u(t - d),\; w_d \cdot x(t)\big)$$

    For independent inputs it is at most the number of units. A readout for every delay is fitted by ridge
    regression on a share `train` of the ticks after `washout`, and judged on the rest. On m ticks a readout
    that knows nothing still gets about 1/m a delay.

    **Arguments**: `states` (time, unit), x(t) after u(t) has arrived; `inputs` (time,), independent from tick
    to tick; `delays`, whole numbers from 0; `ridge`, the penalty.

    A delay line remembers as much as it has places:

    >>> u = jnp.asarray(np.random.default_rng(0).normal(size=2000))
    >>> line = jnp.stack([jnp.roll(u, d) for d in range(5)], 1)
    >>> float(memory_capacity(line, u, range(5)).total.round(2))
    5.0

    Raises ValueError for lengths that differ and for too few ticks.

    Source: Jaeger (2001), GMD report 152.
    """
    first = max(washout, max(delays))
    cut = first + int(train * (len(states) - first))
    if len(states) != len(inputs) or min(delays) < 0 or not first + 2 <= cut <= len(states) - 3:
        raise ValueError(
            f"memory_capacity: {len(states)} states, {len(inputs)} inputs, {first} ticks not used, train = "
            f"{train}; give as many inputs as states, delays from 0, and enough ticks for both parts"
        )
    past = delayed(inputs, delays)
    weights, intercept = Moments.of(states[first:cut], past[first:cut]).solve(ridge)
    each = squared_correlation(states[cut:] @ weights + intercept[None], past[cut:])
    return Capacity(each, each.sum())


def linear_memory_capacity(
    recurrent: Array | np.ndarray, into: Array | np.ndarray, delays: Sequence[int]
) -> Capacity:
    r"""Exact capacity of x(t) = W x(t-1) + w u(t) for white input, in closed form.

    $$MC_d = (W^d w)^\top C^{+} (W^d w), \qquad C = \sum_{k \ge 0} W^k w\, w^\top W^{k \top}$$

    Summed over all delays from 0 it is the rank of C, the dimension that the input reaches.

    >>> turn = 0.9 * np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> float(linear_memory_capacity(turn, np.array([1.0, 0.5]), range(200)).total.round(3))
    2.0

    Raises ValueError for a spectral radius of 1 or more: the past never fades.
    """
    w, b = np.asarray(recurrent, np.float64), np.asarray(into, np.float64)
    if np.abs(np.linalg.eigvals(w)).max() >= 1:
        raise ValueError(
            "linear_memory_capacity: the spectral radius must be below 1, so that the past fades"
        )
    spread = np.linalg.pinv(linalg.solve_discrete_lyapunov(w, np.outer(b, b)), hermitian=True)
    each, now = np.zeros(max(delays) + 1), b
    for d in range(max(delays) + 1):
        each[d] = now @ spread @ now
        now = w @ now
    kept = jnp.asarray(each[list(delays)], jnp.result_type(float))
    return Capacity(kept, kept.sum())
