"""What every example is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from neuropil import core, wiring

TICKS = 6


@dataclass(frozen=True)
class Example:
    """`of`: the classes it stands for; `no_gradient`: why a gradient is not asked for, where it is not."""

    make: Callable[[Any], core.System]
    xs: Callable[[], Any]
    of: tuple[type, ...]
    dt: float = 1.0
    no_gradient: str = ""


def normal(*shape: int, scale: float = 1.0) -> Callable:
    """Normal inputs of a shape, at every tick (from NumPy: nothing is compiled for them)."""
    return lambda: in_precision(scale * np.random.default_rng(0).standard_normal((TICKS, *shape)))


def in_precision(x) -> np.ndarray:
    """In the floating-point type of the test."""
    return np.asarray(x, jnp.result_type(float))


def nothing() -> None:
    """No input."""


def dense(pre: int, post: int, key, **more) -> wiring.Dense:
    """Dense wiring, large enough that cells spike."""
    return wiring.Dense.init_normal(pre, post, key, gain=2.0, **more)


def spikes(n: int) -> Callable:
    """Spikes (0.0 or 1.0) of n cells, half of them at every tick."""
    return lambda: in_precision(np.random.default_rng(0).random((TICKS, n)) < 0.5)
