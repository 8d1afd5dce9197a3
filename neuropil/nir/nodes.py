"""Small parts that the Neuromorphic Intermediate Representation has and the other rooms have not."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array, lax

from neuropil.cells import StraightThrough, Surrogate
from neuropil.core import Part, System, param


class Scale(eqx.Module):
    """x times a factor, element by element.

    >>> Scale(jnp.array([2.0, 3.0]))(jnp.ones(2)).tolist()
    [2.0, 3.0]
    """

    scale: Array

    def __call__(self, x: Array) -> Array:
        return self.scale * x


class Shift(eqx.Module):
    """x plus an offset, element by element (the leak potential of an integrator)."""

    shift: Array

    def __call__(self, x: Array) -> Array:
        return x + self.shift


class Threshold(eqx.Module):
    """1 where x > threshold, else 0, without memory; the gradient is that of a surrogate."""

    threshold: Array
    surrogate: Surrogate = eqx.field(default_factory=StraightThrough)

    def __call__(self, x: Array) -> Array:
        return self.surrogate(x - self.threshold)


class Flatten(eqx.Module):
    """Axes `first` .. `last` of a sample (without a batch axis) become one.

    >>> Flatten(0, -1)(jnp.ones((2, 3, 4))).shape
    (24,)
    """

    first: int = eqx.field(static=True, default=0)
    last: int = eqx.field(static=True, default=-1)

    def __call__(self, x: Array) -> Array:
        first, last = self.first % x.ndim, self.last % x.ndim
        return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


Sides = tuple[tuple[int, int], ...]


def sides(padding: Any, axes: int) -> str | Sides:
    """ "SAME", "VALID", or (before, after) for every axis, from what NIR writes."""
    if isinstance(padding, bytes):
        padding = padding.decode()
    if isinstance(padding, str):
        return padding.upper()
    return tuple((n, n) for n in each(padding, axes))


def each(value: Any, axes: int) -> tuple[int, ...]:
    """One whole number for every axis, from a number or a list of them."""
    given = tuple(int(v) for v in jnp.atleast_1d(jnp.asarray(value)).ravel().tolist())
    if len(given) not in (1, axes):
        raise ValueError(f"nir: {value!r} for {axes} axes; give one number, or one an axis")
    return given * axes if len(given) == 1 else given


class Convolution(eqx.Module):
    """A convolution with stride, padding, dilation and groups over one or two axes; input (channel, *space).

    >>> Convolution(jnp.ones((1, 1, 3)), jnp.zeros(1), (1,), ((1, 1),), (1,), 1)(jnp.ones((1, 4))).tolist()
    [[2.0, 3.0, 3.0, 2.0]]
    """

    weight: Array
    bias: Array
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: str | Sides = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    groups: int = eqx.field(static=True, default=1)

    def __call__(self, x: Array) -> Array:
        y = lax.conv_general_dilated(
            x[None],
            self.weight,
            self.stride,
            self.padding,
            rhs_dilation=self.dilation,
            feature_group_count=self.groups,
        )[0]
        return y + self.bias.reshape(-1, *(1,) * (y.ndim - 1))


class Pool(eqx.Module):
    """Sum, or mean (`mean=True`), over windows of the last two axes; zeros outside count in the mean.

    >>> Pool((2, 2), (2, 2), ((0, 0), (0, 0)), True)(jnp.arange(4.0).reshape(1, 2, 2)).tolist()
    [[[1.5]]]
    """

    size: tuple[int, ...] = eqx.field(static=True)
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: Sides = eqx.field(static=True)
    mean: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Array) -> Array:
        one = (1,) * (x.ndim - len(self.size))
        pad = ((0, 0),) * len(one) + self.padding
        total = lax.reduce_window(
            x, jnp.zeros((), x.dtype), lax.add, (*one, *self.size), (*one, *self.stride), pad
        )
        return total / math.prod(self.size) if self.mean else total


class LateSubtract(Part):
    """Reset by subtraction one tick late, as snnTorch does: v_{t+1} = b v_t + ... - threshold s_t.

    The threshold is taken away after the decay b of the next tick. Said of this tick, that is
    v <- v - s threshold / b. The gradient flows through the spike, unless `detach`.
    """

    decay: Array = param(1.0, bounds=(0, 1))
    detach: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Array, s: Array, threshold: Array) -> Array:
        s = lax.stop_gradient(s) if self.detach else s
        return v - s * threshold / self.decay


class Integrator(System):
    r"""A membrane without a leak: $\dot v = R I$, v <- v + dt R I; with a threshold it spikes and is reset.

    `rate` R is in 1 / s, as NIR has it (dt is in ms, so a tick adds dt R I / 1000). Without `threshold`
    the output is v. State: v.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cell = Integrator(jnp.array([1000.0]))
    >>> run(cell, start(cell, 1.0, jax.random.key(0)), jnp.ones((3, 1)))[1][:, 0].tolist()
    [1.0, 2.0, 3.0]
    """

    rate: Array = param(unit="mV / s / input", axes=("cell",))
    threshold: Array | None = param(None, unit="mV", axes=("cell",))
    reset: Any = None
    surrogate: Surrogate | None = None

    def init(self, dt, key):
        return jnp.zeros(self.rate.shape, self.rate.dtype)

    def step(self, state, x, tick):
        v = state + tick.dt / 1000 * self.rate * x
        if self.threshold is None:
            return v, v
        s = self.surrogate(v - self.threshold)
        return self.reset(v, s, self.threshold), s

    def rest(self):
        return jnp.zeros(self.rate.shape, self.rate.dtype)
