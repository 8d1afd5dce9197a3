"""A cell of second order with a quadratic membrane: the "meta neuron"."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.membrane import Membrane
from neuropil.cells.parts import ValueReset, arriving
from neuropil.cells.surrogate import SuperSpike, Surrogate
from neuropil.core import param

_QUOTED = "start value quoted for this family of cells; not checked against a paper"


class MetaNeuron(Membrane):
    r"""Quadratic membrane v with a linear recovery variable u, all of whose constants can be learned.

    $$\tau \dot v = v^2 - v - u + J, \qquad \tau \dot u = \theta_v v - \theta_u u$$

    A spike is where v > `threshold`; then v is reset (to theta_s) and u <- u + theta_r. Both variables have
    no unit; tau sets the unit of time. With J = 0 the cell rests at v = u = 0. With coupling = leak = kick = 0
    it is the quadratic integrate-and-fire cell, which without a threshold runs away for J > 1/4.

    The published nets step it by Euler with dt = tau, where v <- v^2 - u + J: a strong inhibition (v = -2)
    then becomes a spike at the next tick. The default here, exponential Euler, has no such rebound.

    **Arguments** (any parameter may be one number or one for every cell, and can be learned): `coupling`
    theta_v, `leak` theta_u, `kick` theta_r, `threshold`, `tau` (ms), `reset` to theta_s; and the common ones
    of `Membrane`: with `escape=Escape(...)` it is the "probabilistic" meta neuron.
    Input: J of shape `shape`, a `Drive`, or None. Output: spikes, 0.0 or 1.0. State: {"v", "u"}.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = MetaNeuron(2)
    >>> _, spikes = run(cells, start(cells, 1.0, jax.random.key(0)), jnp.array([[0.0, 1.0]] * 10))
    >>> spikes.sum(0).tolist()
    [0.0, 8.0]

    Source: Zhang et al. (2021), arXiv:2106.07854 (dynamic neurons of first and second order). The start
    values are those quoted for that family; they were not checked against a paper.
    Raises ValueError for a negative tau or leak, or a parameter that does not fit the population.
    """

    coupling: Array = param(-0.172, axes=("cell",), source=_QUOTED)
    leak: Array = param(0.529, bounds=(0, None), axes=("cell",), source=_QUOTED)
    kick: Array = param(0.132, axes=("cell",), source=_QUOTED)
    threshold: Array = param(0.5, axes=("cell",), source=_QUOTED)
    tau: Array = param(1.0, unit="ms", bounds=(1e-6, None), axes=("cell",))
    reset: Any = eqx.field(default_factory=lambda: ValueReset(0.021))
    surrogate: Surrogate = eqx.field(kw_only=True, default_factory=SuperSpike)

    def begin(self):
        return {"v": self.rest(), "u": self.rest()}

    def field(self, t, y, x):
        # beyond the threshold the cell has spiked: what the square would do there means nothing
        v = jnp.minimum(y["v"], self.threshold)
        dv = v * v - v - y["u"] + arriving(x, v)
        return {"v": dv / self.tau, "u": (self.coupling * v - self.leak * y["u"]) / self.tau}

    def jump(self, y, s):
        return y | {"u": y["u"] + s * self.kick}

    def timescales(self):
        tau, leak = np.asarray(self.tau), np.asarray(self.leak)
        fastest = float((tau / np.maximum(1.0, leak)).min())
        return fastest, fastest

    def membrane_tau(self):
        return self.tau
