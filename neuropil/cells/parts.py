"""What a spiking cell is built from: reset, refractoriness, adaptation, noise; what cells share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.core import Drive, Part, fold, param
from neuropil.core.param import param_fields


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

    def ticks(self, dt: Array) -> Array:
        """The period in ticks."""
        return jnp.round(self.period / dt).astype(jnp.int32)

    def left_after(self, left: Array, s: Array, dt: Array) -> Array:
        """Ticks left after this one."""
        return jnp.where(s > 0, self.ticks(dt), jnp.maximum(left - 1, 0))


class Adaptation(Part):
    r"""Spike-triggered adaptive threshold: $\tau_a \dot a = -a$, a <- a + `jump` at a spike, threshold + a.

    Source: Bellec et al. (2018), NeurIPS (adaptive LIF of the LSNN).
    """

    tau: Array = param(200.0, unit="ms", bounds=(0, None))
    jump: Array = param(1.0, unit="mV")

    def decayed(self, a: Array, dt: Array) -> Array:
        """a after a tick without a spike."""
        return a * jnp.exp(-dt / self.tau)


class AdaptationCurrent(Part):
    r"""A current that every spike leaves behind, as in generalised integrate-and-fire (GIF) cells.

    $$\tau \dot I = -I, \qquad I \leftarrow I + \text{jump} \quad\text{or}\quad I \leftarrow \text{jump} \quad
    \text{at a spike}$$

    It is added to the input of the cell, from the tick after the spike. A negative jump adapts, a positive one
    facilitates. A cell takes several, with their own time constants.

    **Arguments**: `tau` (ms); `jump`, in the cell's input unit; `replace`: the current is set to `jump` instead
    of growing by it; `detach`: no gradient through the spike.

    Source: Mihalas, Niebur (2009), Neural Comput. 21, 704.
    """

    tau: Array = param(100.0, unit="ms", bounds=(0, None), axes=("cell",))
    jump: Array = param(-0.5, unit="input", axes=("cell",))
    replace: bool = eqx.field(static=True, default=False)
    detach: bool = eqx.field(static=True, default=False)

    def after(self, current: Array, s: Array, dt: Array) -> Array:
        """The current of the next tick."""
        s = lax.stop_gradient(s) if self.detach else s
        decayed = current * jnp.exp(-dt / self.tau)
        return decayed + s * ((self.jump - decayed) if self.replace else self.jump)


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
        return start_block(fold(key, "noise"), self.block, shape)

    def draw(self, state: dict, i: Array) -> tuple[dict, Array]:
        """Standard normals of tick i, for the whole population."""
        return draw_block(state, i, jr.normal)

    def increment(self, normals: Array, dt: Array, tau: Array) -> Array:
        """What is added to the potential in a tick."""
        return self.sigma * jnp.sqrt(-jnp.expm1(-2 * dt / tau)) * normals


def start_block(key: Array, block: int, shape: tuple[int, ...]) -> dict:
    """State of random numbers drawn `block` ticks at a time: their key, and room for the present block."""
    return {"key": key, "numbers": jnp.zeros((block, *shape))}


def draw_block(state: dict, i: Array, draw: Callable) -> tuple[dict, Array]:
    """The numbers of tick i; a new block is drawn by `draw(key, shape, dtype)` where the old one ends."""
    numbers = state["numbers"]
    block = numbers.shape[0]
    fresh = lambda: draw(jr.fold_in(state["key"], i // block), numbers.shape, numbers.dtype)
    numbers = lax.cond(i % block == 0, fresh, lambda: state["numbers"])
    return {"key": state["key"], "numbers": numbers}, numbers[i % block]


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


def relaxed(
    v: Array, x: Drive, dt: Array, tau: Array, rest: Any = 0.0, resistance: Any = 1.0
) -> Array:
    r"""A leaky potential after a tick, exact for a current and a conductance that are constant within it.

    $$\tau \dot v = -(v - v_{rest}) + R\,(I - g v)$$

    The conductance g is in units of the leak where R is 1.
    """
    if x.conductance is None:
        b = jnp.exp(-dt / tau)
        return rest + (v - rest) * b + (1 - b) * (resistance * x.current)
    total = 1 + resistance * x.conductance
    end = (rest + resistance * x.current) / total
    return end + (v - end) * jnp.exp(-dt * total / tau)


def arriving(x: Drive, v: Array) -> Array:
    """The current of a drive at a voltage."""
    return x.current if x.conductance is None else x.at(v)


def start_parts(cell: Any, key: Array, zeros: Array) -> dict:
    """State of the parts that a spiking cell has: refractoriness, noise, escape, adaptation currents."""
    state: dict[str, Any] = {}
    if cell.refractory is not None:
        state["left"] = jnp.zeros(cell.shape, jnp.int32)
    if cell.noise is not None:
        state["noise"] = cell.noise.start(key, cell.shape)
    if cell.escape is not None:
        state["escape"] = cell.escape.start(key, cell.shape)
    if cell.currents:
        state["currents"] = tuple(zeros for _ in cell.currents)
    return state


def add_currents(cell: Any, state: dict, x: Drive) -> Drive:
    """The drive with the adaptation currents of a cell added."""
    return Drive(x.current + sum(state["currents"]), x.conductance) if cell.currents else x


def emit(cell: Any, state: dict, new: dict, u: Array, tick: Any) -> Array:
    """Spikes of a tick from the distance u to the threshold; the state after it of the parts that need them.

    Spikes are drawn where the cell has an `escape`, else they are where u > 0; none while refractory.
    """
    if cell.escape is None:
        s = cell.surrogate(u)
    else:
        new["escape"], uniform = cell.escape.draw(state["escape"], tick.i)
        s = cell.escape(u, tick.dt, uniform)
    if cell.refractory is not None:
        s = jnp.where(state["left"] > 0, 0.0, s)
        new["left"] = cell.refractory.left_after(state["left"], s, tick.dt)
    if cell.currents:
        pairs = zip(cell.currents, state["currents"], strict=True)
        new["currents"] = tuple(part.after(c, s, tick.dt) for part, c in pairs)
    return s


def traced(module: Any) -> bool:
    """Whether any number of a module is being traced, so that its value cannot be looked at."""
    return any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves(module))


def check_parts(cell: Any) -> None:
    """Parameters of the parts of a cell must fit its population too."""
    parts = {"refractory": cell.refractory, "noise": cell.noise, "escape": cell.escape}
    parts |= {f"currents[{k}]": part for k, part in enumerate(cell.currents)}
    for name, part in parts.items():
        if part is not None:
            values = {f"{name}.{n}": getattr(part, n) for n in param_fields(part)}
            check_fits(type(cell).__name__, cell.shape, **values)
