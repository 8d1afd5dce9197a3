"""The base of spiking cells written as differential equations with a threshold and a jump."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.cells.escape import Escape
from neuropil.cells.parts import (
    AdaptationCurrent,
    Noise,
    NoReset,
    Refractory,
    add_currents,
    as_drive,
    check_fits,
    check_parts,
    emit,
    population,
    start_parts,
    traced,
)
from neuropil.cells.surrogate import SuperSpike, Surrogate
from neuropil.core import Drive, ExponentialEuler, Method, System, check_dt
from neuropil.core.param import param_fields

PARTS = ("left", "noise", "escape", "currents")
OVERSHOOT = (
    100.0  # mV above the threshold; what an explosive upstroke reaches beyond it means nothing
)


class Membrane(System):
    r"""A spiking cell given by dy/dt = f(y, input), a threshold and what happens at a spike.

    $$\dot y = f(y, I), \qquad \text{spike where } v > \theta, \qquad y \leftarrow \text{jump}(y)$$

    A subclass declares its parameters, `threshold` (mV) and `reset` among them, and writes `begin`, `field`
    and `timescales`; `jump` and `membrane_tau` where it needs them. The scheme is chosen apart, by `method`:

    >>> import jax
    >>> from neuropil.cells import SubtractReset, ValueReset
    >>> from neuropil.core import RK4, param, run, start
    >>> class Perfect(Membrane):
    ...     '''The perfect integrator, dv/dt = I.'''
    ...     threshold: Array = param(1.0, unit="mV")
    ...     reset: Any = eqx.field(default_factory=ValueReset)
    ...     def begin(self): return {"v": jnp.zeros(self.shape)}
    ...     def field(self, t, y, x): return {"v": x.at(y["v"])}
    ...     def timescales(self): return jnp.inf, jnp.inf
    >>> cells = Perfect(2, method=RK4(), refractory=None)
    >>> _, s = run(cells, start(cells, 1.0, jax.random.key(0)), jnp.full((6, 2), 0.4))
    >>> s[:, 0].tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]

    Common arguments (by name): `method`, the scheme (default exponential Euler); `refractory`, `noise`,
    `escape`, `currents`: parts, as of `LIF`; `surrogate`, the derivative of a spike.

    Input: a current of shape `shape`, a `Drive` of current and conductance, or None. Output: spikes, 0.0 or
    1.0. State: {"v", the cell's other variables, and those of its parts}.

    With `NoReset()` a spike is the upward crossing of the threshold. Raises ValueError at the start of a run
    whose dt is unstable with the scheme, and warns (`AccuracyWarning`) of one that is coarse.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    method: Method = eqx.field(kw_only=True, default_factory=ExponentialEuler)
    refractory: Refractory | None = eqx.field(kw_only=True, default=None)
    noise: Noise | None = eqx.field(kw_only=True, default=None)
    escape: Escape | None = eqx.field(kw_only=True, default=None)
    currents: tuple[AdaptationCurrent, ...] = eqx.field(kw_only=True, default=())
    surrogate: Surrogate = eqx.field(kw_only=True, default_factory=lambda: SuperSpike(slope=0.1))

    def __check_init__(self):
        name = type(self).__name__
        values = {n: getattr(self, n) for n in param_fields(self)}
        check_fits(name, self.shape, **{n: a for n, a in values.items() if a is not None})
        check_parts(self)
        if self.noise is not None and self.membrane_tau() is None:
            raise ValueError(
                f"{name}: it has no leak that says how noise decays; add it to the input"
            )

    def begin(self) -> dict[str, Array]:
        """The variables before the first tick, {"v": ...}."""
        raise TypeError(
            f"{type(self).__name__} has no begin(); return {{'v': ..., other variables}}"
        )

    def field(self, t: Array, y: dict[str, Array], x: Drive) -> dict[str, Array]:
        """dy/dt per ms; `x.at(v)` is the current that arrives."""
        raise TypeError(f"{type(self).__name__} has no field(t, y, x); return dy/dt per ms")

    def timescales(self) -> tuple[float, float]:
        """(shortest time constant at any moment, shortest one that spike times depend on), ms."""
        raise TypeError(f"{type(self).__name__} has no timescales(); return two numbers in ms")

    def jump(self, y: dict[str, Array], s: Array) -> dict[str, Array]:
        """The variables other than v after the spikes s."""
        return y

    def membrane_tau(self) -> Array | None:
        """Time constant of the passive membrane, for noise; None: there is none."""
        return None

    def init(self, dt, key):
        if not traced(self):
            check_dt(type(self).__name__, self.method, dt, *self.timescales())
        return self.begin() | start_parts(self, key, self.rest())

    def step(self, state, x, tick):
        new: dict[str, Any] = {}
        before = {name: a for name, a in state.items() if name not in PARTS}
        x = add_currents(self, state, as_drive(x, self.shape, before["v"].dtype))
        x = Drive.of(x.current) if x.conductance is None else x
        y = self.method(self.field, tick.i * tick.dt, before, x, tick.dt)
        v = y["v"]
        if self.noise is not None:
            new["noise"], normals = self.noise.draw(state["noise"], tick.i)
            v = v + self.noise.increment(normals, tick.dt, self.membrane_tau())
        if self.refractory is not None:
            v = jnp.where(state["left"] > 0, before["v"], v)
        v = jnp.minimum(v, self.threshold + OVERSHOOT)
        u = v - self.threshold
        if isinstance(self.reset, NoReset):  # only the upward crossing counts
            u = jnp.where(before["v"] > self.threshold, -jnp.abs(u), u)
        s = emit(self, state, new, u, tick)
        return self.jump(y | {"v": self.reset(v, s, self.threshold)}, s) | new, s

    def rest(self):
        return jnp.zeros(self.shape, jnp.result_type(float))
