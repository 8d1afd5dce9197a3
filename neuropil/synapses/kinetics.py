"""Time courses of a synapse: exponential and alpha."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import System, param


def _shape(shape):
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

    shape: tuple[int, ...] = eqx.field(static=True, converter=_shape)
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
    r"""Alpha-shaped current: $g(t) = \frac{t}{\tau} e^{1 - t/\tau}$ after a unit of input (peak 1 at tau).

    Exact over a tick, two states: h <- e^{-dt/tau} h + x at the spike; g gains (dt / tau) e^{1 - dt/tau} h.
    Output: g at the end of the tick, 0 in the tick of the spike itself.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_shape)
    tau: Array = param(5.0, unit="ms", bounds=(0, None), axes=("synapse",))

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.tau.dtype)
        return {"rise": zero, "g": zero}

    def step(self, state, x, tick):
        b = jnp.exp(-tick.dt / self.tau)
        g = b * (state["g"] + tick.dt / self.tau * jnp.e * state["rise"])
        return {"rise": b * state["rise"] + x, "g": g}, g

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)
