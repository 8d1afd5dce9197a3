"""Time courses of a synapse: exponential, alpha, and the difference of two exponentials."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param


def as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a population, from a number of cells or a tuple."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


class Exponential(System):
    r"""Each unit of input jumps the current by 1, which decays: $\tau \dot g = -g + \sum_k \delta(t - t_k)$.

    Exact: g <- e^{-dt/tau} g + x. Output: g. Area tau (in ms) per unit of input; with
    `unit_area=True` the output is g / tau.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> synapse = Exponential(1, tau=1.0)
    >>> xs = jnp.array([[1.0], [0.0]])
    >>> ys = run(synapse, start(synapse, 1.0, jax.random.key(0)), xs)[1]
    >>> bool(jnp.allclose(ys[:, 0], jnp.exp(-jnp.arange(2.0))))
    True
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    tau: Array = param(5.0, unit="ms", bounds=(0, None), axes=("synapse",))
    unit_area: bool = eqx.field(static=True, default=False)

    def init(self, dt, key):
        return jnp.zeros(self.shape, self.tau.dtype)

    def step(self, state, x, tick):
        g = jnp.exp(-tick.dt / self.tau) * state + x
        return g, g / self.tau if self.unit_area else g

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)


class Alpha(System):
    r"""Alpha-shaped: $g(t) = \frac{t}{\tau} e^{1 - t/\tau}$ after a unit of input (peak 1 at tau, area e tau).

    With `unit_area=True` the output is g / (e tau). Exact over a tick, two states: h <- e^{-dt/tau} h + x at
    the spike; g gains (dt / tau) e^{1 - dt/tau} h. Output: g at the end of the tick, 0 in the tick of the
    spike itself. A current as it is, a conductance in `Receptor(shape, reversal, Alpha(shape, tau))`.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    tau: Array = param(5.0, unit="ms", bounds=(0, None), axes=("synapse",))
    unit_area: bool = eqx.field(static=True, default=False)

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.tau.dtype)
        return {"rise": zero, "g": zero}

    def step(self, state, x, tick):
        b = jnp.exp(-tick.dt / self.tau)
        g = b * (state["g"] + tick.dt / self.tau * jnp.e * state["rise"])
        y = g / (jnp.e * self.tau) if self.unit_area else g
        return {"rise": b * state["rise"] + x, "g": g}, y

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)


class DoubleExponential(System):
    r"""Rises with one time constant, decays with another: $g(t) = c\,(e^{-t/\tau_d} - e^{-t/\tau_r})$.

    c makes the peak of a unit of input 1, at $t^* = \frac{\tau_d \tau_r}{\tau_d - \tau_r} \ln
    \frac{\tau_d}{\tau_r}$; with `unit_area=True` it makes the area 1, c = 1 / (tau_d - tau_r). Exact over a
    tick. Output: g at the end of the tick, 0 in the tick of the spike itself. A current as it is, a
    conductance in `Receptor(shape, reversal, DoubleExponential(shape, rise, decay))`.

    Raises ValueError unless 0 < tau_rise < tau_decay (for equal ones there is `Alpha`).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> synapse = DoubleExponential(1, 1.0, 2.0)                # peak after 2 ln 2 = 1.39 ms
    >>> xs = jnp.zeros((300, 1)).at[0].set(1.0)
    >>> ys = run(synapse, start(synapse, 0.01, jax.random.key(0)), xs)[1][:, 0]
    >>> round(float(ys.max()), 4), int(ys.argmax())
    (1.0, 139)
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    tau_rise: Array = param(1.0, unit="ms", bounds=(0, None), axes=("synapse",))
    tau_decay: Array = param(5.0, unit="ms", bounds=(0, None), axes=("synapse",))
    unit_area: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        rise, decay = self.tau_rise, self.tau_decay
        if isinstance(rise, jax.core.Tracer) or isinstance(decay, jax.core.Tracer):
            return
        if not (bool((rise > 0).all()) and bool((rise < decay).all())):
            raise ValueError("DoubleExponential: tau_rise must be above 0 and below tau_decay")

    def _scale(self) -> Array:
        r, d = self.tau_rise, self.tau_decay
        if self.unit_area:
            return 1 / (d - r)
        peak = d * r / (d - r) * jnp.log(d / r)
        return 1 / (jnp.exp(-peak / d) - jnp.exp(-peak / r))

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.tau_decay.dtype)
        return {"rise": zero, "decay": zero}

    def step(self, state, x, tick):
        rise = jnp.exp(-tick.dt / self.tau_rise) * state["rise"]
        decay = jnp.exp(-tick.dt / self.tau_decay) * state["decay"]
        return {"rise": rise + x, "decay": decay + x}, self._scale() * (decay - rise)

    def rest(self):
        return jnp.zeros(self.shape, self.tau_decay.dtype)
