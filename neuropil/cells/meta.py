"""A cell of second order with a quadratic membrane: the "meta neuron"."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax

from neuropil.cells.parts import as_drive, check_fits, population
from neuropil.cells.surrogate import SuperSpike, Surrogate
from neuropil.core import System, param

_QUOTED = "start values quoted for this family of cells; not checked against a paper"


class MetaNeuron(System):
    r"""Quadratic membrane V with a linear recovery variable U, all of whose constants can be learned.

    $$\tau \dot V = V^2 - V - U + J, \qquad \tau \dot U = \theta_v V - \theta_u U$$

    A cell spikes where V > threshold; then V <- theta_s (`v_reset`) and U <- U + theta_r (`jump`).
    V and U have no unit; tau sets the unit of time. Integrated by Euler in `substeps` steps a tick (V moves
    with the U before the step), V kept above `floor`, because the square makes large steps unstable.
    With J = 0 the cell rests at V = U = 0. With coupling = leak = jump = 0 it is a quadratic
    integrate-and-fire cell, which without threshold fires for J > 1/4.

    **Arguments** (any parameter may be one number or one for every cell, and can be learned)

    - `shape`: number of cells, or a tuple.
    - `coupling` theta_v, `leak` theta_u, `v_reset` theta_s, `jump` theta_r, `threshold`; `tau` (ms).
    - `beta`: None, or a number: a spike is then drawn with probability sigmoid(beta (V - threshold)), and the
      gradient is that of the probability (the "probabilistic" cell).
    - `surrogate`: stands in for the derivative of a spike that is not drawn.

    Input: J of shape `shape`, or None. Output: spikes, 0.0 or 1.0. State: {"v", "u"}.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = MetaNeuron(2)
    >>> _, spikes = run(cells, start(cells, 1.0, jax.random.key(0)), jnp.array([[0.0, 0.8]] * 10))
    >>> spikes.sum(0).tolist()
    [0.0, 10.0]

    Sources: Zhang et al. (2021), arXiv:2106.07854 (first- and second-order dynamic neurons); the
    constants' start values are those quoted for that family and were not checked against a paper.
    Raises ValueError for a negative tau or leak, or a parameter that does not fit the population.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    coupling: Array = param(-0.172, axes=("cell",), source=_QUOTED)
    leak: Array = param(0.529, bounds=(0, None), axes=("cell",), source=_QUOTED)
    v_reset: Array = param(0.021, axes=("cell",), source=_QUOTED)
    jump: Array = param(0.132, axes=("cell",), source=_QUOTED)
    threshold: Array = param(0.5, axes=("cell",), source=_QUOTED)
    tau: Array = param(1.0, unit="ms", bounds=(0, None), axes=("cell",))
    beta: Array | None = param(None, bounds=(0, None), axes=("cell",))
    surrogate: Surrogate = eqx.field(default_factory=SuperSpike)
    substeps: int = eqx.field(static=True, default=1)
    floor: float = eqx.field(static=True, default=-5.0)

    def __check_init__(self):
        names = ("coupling", "leak", "v_reset", "jump", "threshold", "tau")
        check_fits("MetaNeuron", self.shape, **{n: getattr(self, n) for n in names})
        if self.substeps < 1:
            raise ValueError(f"MetaNeuron: substeps = {self.substeps} but it must be at least 1")

    def init(self, dt, key):
        zero = jnp.zeros(self.shape, self.tau.dtype)
        return {"v": zero, "u": zero}

    def moved(self, v: Array, u: Array, x, dt: Array) -> tuple[Array, Array]:
        """V and U after a tick without a spike."""
        x, h = as_drive(x, self.shape, v.dtype), dt / self.tau / self.substeps
        for _ in range(self.substeps):
            push = x.current if x.conductance is None else x.at(v)
            rise = v * v - v - u + push
            u = u + h * (self.coupling * v - self.leak * u)
            v = jnp.maximum(v + h * rise, self.floor)
        return v, u

    def step(self, state, x, tick):
        v, u = self.moved(state["v"], state["u"], x, tick.dt)
        if self.beta is None:
            s = self.surrogate(v - self.threshold)
        else:
            p = 1 / (1 + jnp.exp(-self.beta * (v - self.threshold)))
            drawn = (jr.uniform(tick.key, self.shape, v.dtype) < p).astype(v.dtype)
            s = p + lax.stop_gradient(drawn - p)
        return {"v": v + s * (self.v_reset - v), "u": u + s * self.jump}, s

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)
