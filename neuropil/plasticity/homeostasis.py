"""Homeostasis: activity is kept at a target by moving a weight, a threshold, or a parameter of a rule."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.cells.parts import population
from neuropil.core import Event, System, param


class Homeostat(System):
    r"""Keeps the mean of what it reads at a target by moving the parameter that it owns.

    $$\tau_a \dot a = -a + r, \qquad
      \dot\theta = \pm g\,(a^* - a) \;\text{("add")} \quad\text{or}\quad
      \dot\theta = \pm g\,(a^* - a)\,\theta \;\text{("scale")}$$

    with + for a parameter that raises activity and - for one that lowers it (`raises=False`). One system for
    what the field calls by several names:

    - synaptic scaling: owns a weight, "scale": all synapses of a cell by one factor, signs and ratios kept;
    - intrinsic plasticity: owns a cell's threshold (`raises=False`) or bias, "add";
    - homeostasis of a rule: owns a parameter of a rule, such as its `a_minus` (`raises=False`):

    `Managed(net, Managed(rule, Homeostat(3, 5.0, raises=False), "a_minus", {"activity": "input.reads.post"}),
             "edges.E>I.weight", {"pre": "outputs.E", "post": "outputs.I"})`

    It reads "activity" (cell,), with or without a batch axis in front. A parameter of shape (cell, ...) moves
    cell by cell, one with fewer axes by the mean over cells.

    **Arguments**

    - `cells`: number (or shape) of cells; `target` $a^*$: one, or one for each cell.
    - `tau` (ms) of the running mean a, which starts at the target; `gain` g, per ms and per unit of activity.
    - `form`, `raises`: as above. `low`, `high`: bounds of the parameter, None for none.
    - `of`: "spikes": what is read are spikes of a tick, and activity is in Hz; "level": it is the activity.

    >>> import jax.random as jr
    >>> from neuropil.core import Managed, run, start
    >>> from neuropil.wiring import Dense
    >>> scaling = Homeostat(1, 2.0, tau=5.0, gain=0.02, form="scale", of="level")
    >>> net = Managed(Dense(jnp.array([[0.1, 0.3]])), scaling, "weight", {"activity": "output"})
    >>> carry, y = run(net, start(net, 1.0, jr.key(0)), jnp.ones((500, 2)))
    >>> y[-1].round(2).tolist(), carry.state.theta.round(2).tolist()
    ([2.0], [[0.5, 1.5]])

    Source: Turrigiano et al. (1998), Nature 391, 892; van Rossum, Bi, Turrigiano (2000), J. Neurosci. 20, 8812
    (scaling); Desai, Rutherford, Turrigiano (1999), Nat. Neurosci. 2, 515 (intrinsic).

    Raises ValueError for an unknown form, a negative gain or time constant, or a low bound above the high one.
    """

    cells: tuple[int, ...] = eqx.field(static=True, converter=population)
    target: Array = param(bounds=(0, None), unit="Hz or level", axes=("cell",))
    tau: Array = param(1000.0, unit="ms", bounds=(0, None))
    gain: Array = param(1e-4, unit="1/ms", bounds=(0, None))
    form: Literal["add", "scale"] = eqx.field(static=True, default="add")
    raises: bool = eqx.field(static=True, default=True)
    of: Literal["spikes", "level"] = eqx.field(static=True, default="spikes")
    low: Array | None = param(None)
    high: Array | None = param(None)

    needs = ("activity",)

    def __check_init__(self):
        if self.form not in ("add", "scale"):
            raise ValueError(f"Homeostat: form={self.form!r}; write 'add' or 'scale'")
        if self.of not in ("spikes", "level"):
            raise ValueError(f"Homeostat: of={self.of!r}; write 'spikes' or 'level'")

    def init(self, dt, key):
        return jnp.broadcast_to(self.target, self.cells) + jnp.zeros(self.cells, self.tau.dtype)

    def step(self, state, x: Event, tick):
        seen = jnp.asarray(x.reads["activity"], self.tau.dtype)
        seen = seen.mean(0) if seen.ndim > len(self.cells) else seen
        if seen.shape != self.cells:
            raise ValueError(
                f"Homeostat: it reads an activity of shape {seen.shape} but was made for {self.cells} cells"
            )
        seen = 1000.0 / tick.dt * seen if self.of == "spikes" else seen
        state = seen + (state - seen) * jnp.exp(-tick.dt / self.tau)
        push = self.gain * tick.dt * (self.target - state) * (1.0 if self.raises else -1.0)
        theta = x.theta
        extra = theta.ndim - push.ndim
        push = push.mean() if extra < 0 else push.reshape(*push.shape, *(1,) * extra)
        theta = theta * jnp.exp(push) if self.form == "scale" else theta + push
        theta = theta if self.low is None else jnp.maximum(theta, self.low)
        return state, theta if self.high is None else jnp.minimum(theta, self.high)


def normalised(weight: Array, total: Array | float, axis: int = 1) -> Array:
    """Weights whose sizes have a given sum along an axis: 1 for the inputs of each cell of (post, pre).

    Where all are 0 they stay 0. Signs are kept.

    >>> normalised(jnp.array([[1.0, -3.0], [0.0, 0.0]]), 2.0).tolist()
    [[0.5, -1.5], [0.0, 0.0]]
    """
    size = jnp.abs(weight).sum(axis, keepdims=True)
    there = size > 0
    return jnp.where(there, weight * (total / jnp.where(there, size, 1.0)), 0.0)


class Normalise(System):
    r"""Synaptic scaling to a fixed sum: $w_{ij} \leftarrow w_{ij}\; W / \sum_j |w_{ij}|$ for every cell i.

    What one synapse gains its neighbours lose, so that a rule that only potentiates forgets. The slow system of
    a `Managed` on a weight (post, pre), behind a rule in `InTurn`, in an `Every(Normalise(...), k)` where it
    acts at presentations. It reads nothing.

    **Arguments**: `total` W, at least 0; `axis`: 1, all inputs of a cell, or 0, all its outputs.

    Source: Diehl, Cook (2015), Front. Comput. Neurosci. 9, 99; von der Malsburg (1973), Kybernetik 14, 85.
    """

    total: Array = param(1.0, bounds=(0, None))
    axis: int = eqx.field(static=True, default=1)

    def init(self, dt, key):
        return ()

    def step(self, state, x: Event, tick):
        return state, normalised(x.theta, self.total, self.axis)
