"""The leaky integrate-and-fire cell, made of parts."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.escape import Escape
from neuropil.cells.parts import (
    Adaptation,
    AdaptationCurrent,
    Noise,
    NoReset,
    Refractory,
    SubtractReset,
    ValueReset,
    add_currents,
    as_drive,
    check_fits,
    check_parts,
    emit,
    population,
    relaxed,
    start_parts,
    traced,
)
from neuropil.cells.surrogate import SuperSpike, Surrogate
from neuropil.cells.unrolled import Kind, membrane
from neuropil.core import System, check_dt, param


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
    - `refractory`, `adaptation` (of the threshold), `noise`: parts, or None.
    - `surrogate`: stands in for the derivative of the spike.
    - `currents`: adaptation currents, as many as you like (two of them make the GIF cell).
    - `escape`: spikes are drawn with a hazard instead (then the surrogate has no say).

    Input: current (or charge) of shape `shape`, a `Drive` of current and conductance (in units of the leak
    where resistance is 1), or None. Output: spikes, 0.0 or 1.0, same shape.
    State: {"v", and "left", "a", "noise", "currents", "escape" where there are such parts}.

    Constant input above threshold gives the interval tau ln((R I - v_reset) / (R I - threshold)).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = LIF(2, tau=10.0)
    >>> carry = start(cells, 1.0, jax.random.key(0))
    >>> _, spikes = run(cells, carry, jnp.full((20, 2), 1.5))
    >>> spikes.sum(0).tolist()
    [1.0, 1.0]

    Raises ValueError for a negative tau or a parameter that does not fit the population. Warns
    (`AccuracyWarning`) at the start of a run whose dt exceeds a tau, unless `drive="jump"`.
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
    currents: tuple[AdaptationCurrent, ...] = ()
    escape: Escape | None = None

    def __check_init__(self):
        named = {n: getattr(self, n) for n in ("tau", "threshold", "v_rest", "resistance")}
        check_fits("LIF", self.shape, **named)
        if self.drive not in ("current", "jump"):
            raise ValueError(f"LIF: drive={self.drive!r}; write 'current' or 'jump'")
        check_parts(self)

    def init(self, dt, key):
        if self.drive == "current" and not traced(self.tau):  # charge: tau is a decay a tick
            check_dt("LIF", None, dt, float(np.asarray(self.tau).min()))
        state = {"v": jnp.broadcast_to(self.v_rest, self.shape)}
        if self.adaptation is not None:
            state["a"] = self.rest()
        return state | start_parts(self, key, self.rest())

    def _moved(self, v, x, dt):
        """The potential after a tick without a spike, exact for an input that is constant within it."""
        if self.drive == "current":
            return relaxed(v, x, dt, self.tau, self.v_rest, self.resistance)
        if x.conductance is not None:
            raise TypeError("LIF: a conductance arrives at drive='jump'; write drive='current'")
        return self.v_rest + (v - self.v_rest) * jnp.exp(-dt / self.tau) + x.current

    def step(self, state, x, tick):
        new, v = {}, state["v"]
        x = add_currents(self, state, as_drive(x, self.shape, v.dtype))
        v = self._moved(v, x, tick.dt)
        if self.noise is not None:
            new["noise"], normals = self.noise.draw(state["noise"], tick.i)
            v = v + self.noise.increment(normals, tick.dt, self.tau)
        threshold = self.threshold
        if self.adaptation is not None:
            a = self.adaptation.decayed(state["a"], tick.dt)
            threshold = threshold + a
        if self.refractory is not None:
            v = jnp.where(state["left"] > 0, state["v"], v)
        s = emit(self, state, new, v - threshold, tick)
        if self.adaptation is not None:
            new["a"] = a + self.adaptation.jump * s
        new["v"] = self.reset(v, s, threshold)
        return new, s

    def leaky(self, dt: Array) -> dict[str, Any] | None:
        """What a compiled pass over the cells needs to know; None where a part wants its own step.

        v relaxes at `rate` x (1 + `resistance` x conductance) a tick, and becomes `keep` v + `jump` at a
        spike, v > `threshold`, after which it stays for `ticks` (None: there is no refractoriness).
        """
        parts = (self.adaptation, self.noise, self.escape, *self.currents)
        if self.drive != "current" or any(p is not None for p in parts):
            return None
        if type(self.surrogate).__call__ is not Surrogate.__call__:
            return None
        resets = {
            SubtractReset: lambda: (1.0, -self.threshold),
            ValueReset: lambda: (0.0, self.reset.value),
            NoReset: lambda: (1.0, jnp.zeros(())),
        }
        if type(self.reset) not in resets:
            return None
        keep, jump = resets[type(self.reset)]()
        closed = self.surrogate.closed
        return {
            "rate": dt / self.tau,
            "threshold": jnp.nextafter(self.threshold, -jnp.inf) if closed else self.threshold,
            "rest": self.v_rest,
            "resistance": self.resistance,
            "jump": jump,
            "keep": keep,
            "ticks": None if self.refractory is None else self.refractory.ticks(dt),
        }

    def _kind(self):
        """What the membrane is over a whole time axis; None where a part needs tick after tick."""
        parts = (self.refractory, self.adaptation, self.noise, self.escape, *self.currents)
        reset = {SubtractReset: "soft", ValueReset: "hard", NoReset: "none"}.get(type(self.reset))
        learned = jax.tree.leaves(self.surrogate)  # arrays in a user's own surrogate
        if reset is None or learned or any(p is not None for p in parts):
            return None
        return Kind(reset, getattr(self.reset, "detach", False), self.surrogate)

    def unroll(self, state, xs, ticks):
        if not self._plain(xs, 1):
            return System.unroll(self, state, xs, ticks)
        return self._at_once(state, xs, ticks)

    def unroll_batch(self, state, xs, ticks):
        if not self._plain(xs, 2):
            return System.unroll_batch(self, state, xs, ticks)
        return self._at_once(state, xs, ticks)

    def _plain(self, xs, axes):
        """Whether the inputs, with `axes` before the population's, can be taken all at once."""
        fits = isinstance(xs, jax.Array) and xs.size and xs.shape[axes:] == self.shape
        return bool(fits) and self._kind() is not None

    def _at_once(self, state, xs, ticks):
        v = state["v"]
        fit = lambda a: jnp.broadcast_to(jnp.asarray(a, v.dtype), self.shape)
        decay = jnp.exp(-ticks.dt / self.tau)
        gain = (1 - decay) * self.resistance if self.drive == "current" else 1.0
        spikes, v = membrane(
            self._kind(),
            jnp.asarray(xs, v.dtype),
            v,
            decay=fit(decay),
            gain=fit(gain),
            threshold=fit(self.threshold),
            rest=fit(self.v_rest),
            value=fit(getattr(self.reset, "value", 0.0)),
        )
        return {"v": v}, spikes

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
