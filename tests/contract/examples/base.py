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
class Converges:
    """A run that must come out the same at ever smaller ticks (1, 1/2 and 1/4 of `dt`).

    `x`: the input of every tick (lists are arrays), or, where `pulse`, of the first only (0 later); `until`
    (ms); `dt`, the largest tick; `of`: what is compared at the end: the floating-point "state" or the "mean" of
    the output.
    """

    x: Any = None
    pulse: bool = False
    until: float = 16.0
    dt: float = 1.0
    of: str = "state"


@dataclass(frozen=True)
class Example:
    """`of`: the classes it stands for; `no_gradient`: why a gradient is not asked for, where it is not.

    Of cells and synapses also: `converges`, how its results at smaller ticks are compared, or why there is
    nothing to compare; `coarse`, a dt (ms) beyond its fastest time constant, where there is a scheme to check.
    """

    make: Callable[[Any], core.System]
    xs: Callable[[], Any]
    of: tuple[type, ...]
    dt: float = 1.0
    no_gradient: str = ""
    converges: Converges | str = ""
    coarse: float = 0.0


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
    events = more.pop("events", False)
    made = wiring.Dense.init_normal(pre, post, key, gain=2.0, **more)
    return wiring.Dense(made.weight, made.bias, events)


def spikes(n: int) -> Callable:
    """Spikes (0.0 or 1.0) of n cells, half of them at every tick."""
    return lambda: in_precision(np.random.default_rng(0).random((TICKS, n)) < 0.5)
