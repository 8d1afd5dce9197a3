"""The leaky integrate-and-fire cell, made of parts."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.cells.parts import (
    Adaptation,
    Noise,
    Refractory,
    SubtractReset,
    as_drive,
    check_fits,
    population,
)
from neuropil.cells.surrogate import SuperSpike, Surrogate
from neuropil.core import System, param


class LIF(System):
    r"""Leaky integrate-and-fire, integrated exactly over a tick.

    $$\tau \dot v = -(v - v_{rest}) + R I$$
    $$v \leftarrow v_{rest} + (v - v_{rest}) b + (1 - b) R I, \qquad b = e^{-dt/\tau}$$

    A cell spikes where v > threshold, then `reset` acts. With `drive="jump"` the input is charge: it
    is added to v as it is, v <- v_rest + (v - v_rest) b + x (the form of snnTorch and SpikingJelly).

    **Arguments** (any parameter may be one number or one for every cell, and can be learned)

    - `shape`: number of cells, or a tuple.
    - `tau` (ms), `threshold`, `v_rest` (mV), `resistance` (so that resistance x input is mV).
    - `reset`: `SubtractReset()`, `ValueReset(v)` or `NoReset()`.
    - `refractory`, `adaptation`, `noise`: parts, or None.
    - `surrogate`: stands in for the derivative of the spike.

    Input: current (or charge) of shape `shape`, a `Drive` of current and conductance (in units of the leak
    where resistance is 1), or None. Output: spikes, 0.0 or 1.0, same shape.
    State: {"v", and "left", "a", "noise" where there are such parts}.

    Constant input above threshold gives the interval tau ln((R I - v_reset) / (R I - threshold)).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = LIF(2, tau=10.0)
    >>> carry = start(cells, 1.0, jax.random.key(0))
    >>> _, spikes = run(cells, carry, jnp.full((20, 2), 1.5))
    >>> spikes.sum(0).tolist()
    [1.0, 1.0]

    Raises ValueError for a negative tau or a parameter that does not fit the population.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(20.0, unit="ms", bounds=(0, None), axes=("cell",))
    threshold: Array = param(1.0, unit="mV", axes=("cell",))
    v_rest: Array = param(0.0, unit="mV", axes=("cell",))
    resistance: Array = param(1.0, unit="mV / input", axes=("cell",))
    reset: Any = eqx.field(default_factory=SubtractReset)
    refractory: Refractory | None = None
    adaptation: Adaptation | None = None
    noise: Noise | None = None
    surrogate: Surrogate = eqx.field(default_factory=SuperSpike)
    drive: Literal["current", "jump"] = eqx.field(static=True, default="current")

    def __check_init__(self):
        named = {n: getattr(self, n) for n in ("tau", "threshold", "v_rest", "resistance")}
        check_fits("LIF", self.shape, **named)
        if self.drive not in ("current", "jump"):
            raise ValueError(f"LIF: drive={self.drive!r}; write 'current' or 'jump'")

    def init(self, dt, key):
        state = {"v": jnp.broadcast_to(self.v_rest, self.shape)}
        if self.refractory is not None:
            state["left"] = jnp.zeros(self.shape, jnp.int32)
        if self.adaptation is not None:
            state["a"] = jnp.zeros(self.shape, self.tau.dtype)
        if self.noise is not None:
            state["noise"] = self.noise.start(key, self.shape)
        return state

    def _moved(self, v, x, dt):
        """The potential after a tick without a spike, exact for an input that is constant within it."""
        if x.conductance is None:
            b = jnp.exp(-dt / self.tau)
            push = (1 - b) * (self.resistance * x.current) if self.drive == "current" else x.current
            return self.v_rest + (v - self.v_rest) * b + push
        if self.drive == "jump":
            raise TypeError("LIF: a conductance arrives at drive='jump'; write drive='current'")
        total = 1 + self.resistance * x.conductance  # in units of the leak
        end = (self.v_rest + self.resistance * x.current) / total
        return end + (v - end) * jnp.exp(-dt * total / self.tau)

    def step(self, state, x, tick):
        new, v = {}, state["v"]
        v = self._moved(v, as_drive(x, self.shape, v.dtype), tick.dt)
        if self.noise is not None:
            new["noise"], normals = self.noise.draw(state["noise"], tick.i)
            v = v + self.noise.increment(normals, tick.dt, self.tau)
        threshold = self.threshold
        if self.adaptation is not None:
            a = self.adaptation.decayed(state["a"], tick.dt)
            threshold = threshold + a
        if self.refractory is not None:
            v = jnp.where(state["left"] > 0, state["v"], v)
        s = self.surrogate(v - threshold)
        if self.refractory is not None:
            s = jnp.where(state["left"] > 0, 0.0, s)
            new["left"] = self.refractory.left_after(state["left"], s, tick.dt)
        if self.adaptation is not None:
            new["a"] = a + self.adaptation.jump * s
        new["v"] = self.reset(v, s, threshold)
        return new, s

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)


class LeakyIntegrator(System):
    r"""A cell without spikes: $\tau \dot v = -v + x$, exact over a tick. The usual readout.

    With `drive="jump"`: v <- b v + x. Output: v.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(20.0, unit="ms", bounds=(0, None), axes=("cell",))
    drive: Literal["current", "jump"] = eqx.field(static=True, default="current")

    def __check_init__(self):
        check_fits("LeakyIntegrator", self.shape, tau=self.tau)

    def init(self, dt, key):
        return jnp.zeros(self.shape, self.tau.dtype)

    def step(self, state, x, tick):
        b = jnp.exp(-tick.dt / self.tau)
        x = as_drive(x, self.shape, state.dtype).current
        v = b * state + (x if self.drive == "jump" else (1 - b) * x)
        return v, v

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)
