"""The quadratic integrate-and-fire cell."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.membrane import Membrane
from neuropil.cells.parts import ValueReset
from neuropil.core import param


class QuadraticIF(Membrane):
    r"""Quadratic integrate-and-fire, the canonical cell of the saddle-node onset of spiking.

    $$\tau \dot v = a_0 (v - v_{rest})(v - v_c) + R I$$

    A spike is where v > `threshold`; then v is reset. Below the critical voltage v_c it falls back to v_rest,
    above it runs away.

    **Arguments** (one number, or one for every cell): `tau` (ms), `gain` a_0 (1/mV; the default makes tau the
    time constant at rest), `v_rest`, `v_c`, `threshold` (mV), `resistance` R (mV / input), `reset`; and the
    common ones of `Membrane`. Input: current, or `Drive` (in units of the leak where R is 1). State: {"v"}.

    A constant input above a_0 (v_c - v_rest)^2 / 4 gives the interval

    $$T = \frac{\tau}{\sqrt{a_0 c}}
    \left[\arctan\!\left((v - m)\sqrt{a_0 / c}\right)\right]_{reset}^{threshold}$$
    $$m = \tfrac12 (v_{rest} + v_c), \quad c = R I - \tfrac14 a_0 (v_c - v_{rest})^2$$

    Source: Latham et al. (2000), J. Neurophysiol. 83, 808; the form of Gerstner et al. (2014), Neuronal
    Dynamics, section 5.3.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = QuadraticIF(2)
    >>> current = jnp.tile(jnp.array([3.0, 20.0]), (1000, 1))
    >>> _, spikes = run(cells, start(cells, 0.1, jax.random.key(0)), current)
    >>> spikes.sum(0).tolist()
    [0.0, 5.0]

    Raises ValueError for a negative tau or gain.
    """

    tau: Array = param(10.0, unit="ms", bounds=(1e-6, None), axes=("cell",))
    gain: Array = param(1 / 15, unit="1/mV", bounds=(1e-6, None), axes=("cell",))
    v_rest: Array = param(-65.0, unit="mV", axes=("cell",))
    v_c: Array = param(-50.0, unit="mV", axes=("cell",))
    threshold: Array = param(0.0, unit="mV", axes=("cell",))
    resistance: Array = param(1.0, unit="mV / input", axes=("cell",))
    reset: Any = eqx.field(default_factory=lambda: ValueReset(-65.0))

    def begin(self):
        return {"v": jnp.broadcast_to(self.v_rest, self.shape)}

    def field(self, t, y, x):
        v = jnp.minimum(y["v"], self.threshold)
        pull = self.gain * (v - self.v_rest) * (v - self.v_c)
        return {"v": (pull + self.resistance * x.at(v)) / self.tau}

    def timescales(self):
        tau, gain, rest, c = (np.asarray(a) for a in (self.tau, self.gain, self.v_rest, self.v_c))
        at_rest = float((tau / (gain * np.abs(c - rest))).min())
        return at_rest, at_rest

    def membrane_tau(self):
        return self.tau / (self.gain * jnp.abs(self.v_c - self.v_rest))
