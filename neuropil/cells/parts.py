"""What a spiking cell is built from: reset, refractoriness, adaptation, noise."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.core import Drive, Part, fold, param


class SubtractReset(Part):
    """v <- v - threshold at a spike ("soft" reset): what lies above the threshold is kept.

    The gradient flows through the spike, unless `detach`.
    """

    detach: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Array, s: Array, threshold: Array) -> Array:
        s = lax.stop_gradient(s) if self.detach else s
        return v - s * threshold


class ValueReset(Part):
    """v <- `value` at a spike ("hard" reset); the gradient flows through the spike, unless `detach`."""

    value: Array = param(0.0, unit="mV")
    detach: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Array, s: Array, threshold: Array) -> Array:
        s = lax.stop_gradient(s) if self.detach else s
        return v + s * (self.value - v)


class NoReset(Part):
    """The potential goes on as if there had been no spike."""

    def __call__(self, v: Array, s: Array, threshold: Array) -> Array:
        return v


class Refractory(Part):
    """No spike for `period` ms after a spike, the potential held at its reset value.

    State: ticks left. The period is rounded to whole ticks, round(period / dt).
    """

    period: Array = param(2.0, unit="ms", bounds=(0, None))

    def left_after(self, left: Array, s: Array, dt: Array) -> Array:
        """Ticks left after this one."""
        ticks = jnp.round(self.period / dt).astype(jnp.int32)
        return jnp.where(s > 0, ticks, jnp.maximum(left - 1, 0))


class Adaptation(Part):
    r"""Spike-triggered adaptive threshold: $\tau_a \dot a = -a$, a <- a + `jump` at a spike, threshold + a.

    Source: Bellec et al. (2018), NeurIPS (adaptive LIF of the LSNN).
    """

    tau: Array = param(200.0, unit="ms", bounds=(0, None))
    jump: Array = param(1.0, unit="mV")

    def decayed(self, a: Array, dt: Array) -> Array:
        """a after a tick without a spike."""
        return a * jnp.exp(-dt / self.tau)


class Noise(Part):
    r"""White noise current: the potential of a membrane of time constant tau gets standard deviation `sigma`.

    Exact for any dt: the increment is sigma sqrt(1 - e^{-2 dt / tau}) N(0, 1), so the stationary
    deviation without threshold is sigma. Numbers are drawn in blocks of `block` ticks (random bits
    cost more than the cell); block b is drawn from the cell's key and b, so chunking a run changes
    nothing.
    """

    sigma: Array = param(1.0, unit="mV", bounds=(0, None))
    block: int = eqx.field(static=True, default=32)

    def start(self, key: Array, shape: tuple[int, ...]) -> dict:
        """State: the cell's noise key and the numbers of the present block."""
        key = fold(key, "noise")
        return {"key": key, "numbers": jnp.zeros((self.block, *shape))}

    def draw(self, state: dict, i: Array) -> tuple[dict, Array]:
        """Standard normals of tick i, for the whole population."""
        shape, dtype = state["numbers"].shape, state["numbers"].dtype
        fresh = lambda: jr.normal(jr.fold_in(state["key"], i // self.block), shape, dtype)
        numbers = lax.cond(i % self.block == 0, fresh, lambda: state["numbers"])
        return {"key": state["key"], "numbers": numbers}, numbers[i % self.block]

    def increment(self, normals: Array, dt: Array, tau: Array) -> Array:
        """What is added to the potential in a tick."""
        return self.sigma * jnp.sqrt(-jnp.expm1(-2 * dt / tau)) * normals


def population(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a population, from a number of cells or a tuple; at least one cell.

    >>> population(3), population((2, 4))
    ((3,), (2, 4))
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 1 for n in shape):
        raise ValueError(f"a population of shape {shape} has no cells; give positive numbers")
    return shape


def check_fits(owner: str, shape: tuple[int, ...], **values: Array) -> None:
    """Heterogeneous parameters must broadcast to the population's shape, not beyond it."""
    for name, value in values.items():
        try:
            fits = jnp.broadcast_shapes(jnp.shape(value), shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{owner}: {name} has shape {jnp.shape(value)} but the population is {shape}; "
                "give one number, or one for every cell"
            )


def as_drive(x: Array | Drive | None, shape: tuple[int, ...], dtype) -> Drive:
    """The input of a tick as current and conductance of the population's shape; None is no input."""
    drive = Drive.of(x)
    fit = lambda a: jnp.broadcast_to(jnp.asarray(a, dtype), shape)
    return Drive(fit(drive.current), fit(drive.conductance) if isinstance(x, Drive) else None)
