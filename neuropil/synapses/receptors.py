"""Postsynaptic conductances: receptors between what arrives at a cell and its membrane."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import Drive, Part, System, Tick, param
from neuropil.core.compose import check_name
from neuropil.core.drive import add
from neuropil.core.path import join
from neuropil.core.random import fold
from neuropil.synapses.kinetics import as_shape
from neuropil.synapses.together import one_pass


class Conductance(System):
    r"""A synaptic conductance: it jumps by what arrives, and decays.

    $$\tau \dot g = -g + \sum_k w_k \delta(t - t_k), \qquad I = g\,(E - v)$$

    Exact: g <- e^{-dt/tau} (g + x), the current of a tick is that of g + x. Since it is linear, one g a
    postsynaptic cell stands for all its synapses of this kind. Output: g of this tick. (The same as
    `Receptor(shape, reversal, Exponential(shape, tau))`, in one part.)

    **Arguments**: `shape` of the postsynaptic population; `tau` (ms); `reversal` E (mV). The unit of g is
    that of the weights (for `LIF` with resistance 1: units of the leak conductance).

    Source: Vogels, Abbott (2005), J. Neurosci. 25, 10786.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    tau: Array = param(5.0, unit="ms", bounds=(0, None), axes=("cell",))
    reversal: Array = param(0.0, unit="mV", axes=("cell",))

    def init(self, dt, key):
        return jnp.zeros(self.shape, self.tau.dtype)

    def step(self, state, x, tick):
        g = state if x is None else state + x
        return jnp.exp(-tick.dt / self.tau) * g, g

    def drive(self, g: Array, v: Array) -> Drive:
        """What the conductance does to a membrane at voltage v."""
        return Drive(g * self.reversal, g)

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)


class MagnesiumBlock(Part):
    r"""Share of NMDA channels that magnesium leaves open: $B(v) = 1 / (1 + \frac{[Mg]}{3.57} e^{-0.062 v})$.

    `magnesium` in mM, v in mV. Source: Jahr, Stevens (1990), J. Neurosci. 10, 3178.

    >>> [round(float(b), 3) for b in MagnesiumBlock(1.0)(jnp.array([-65.0, 0.0]))]
    [0.06, 0.781]
    """

    magnesium: Array = param(1.0, unit="mM", bounds=(0, None))

    def __call__(self, v: Array) -> Array:
        return 1 / (1 + self.magnesium / 3.57 * jnp.exp(-0.062 * v))


class Receptor(System):
    r"""A conductance with any time course, and a block that depends on the voltage.

    $$I = g(t)\, B(v)\, (E - v)$$

    **Arguments**: `shape` of the postsynaptic population; `reversal` E (mV); `kinetics`, a system that makes
    the conductance from what arrives (`Alpha`, `DoubleExponential`, `Exponential`; one a cell, since they are
    linear), or None where a conductance arrives already (from `TwoState` before the wiring); `block`, B(v),
    such as `MagnesiumBlock()`, or None. B is taken at the voltage before the tick.

    Output: g of this tick, without B. Reversals as usual: AMPA and NMDA 0 mV, GABA-A -80, GABA-B -95.

    >>> import jax
    >>> from neuropil.cells import LIF
    >>> from neuropil.core import run, start
    >>> nmda = Receptor(1, 0.0, block=MagnesiumBlock(1.0))
    >>> cell = Receptors(LIF(1, v_rest=-65.0, threshold=-50.0), nmda=nmda)
    >>> g = jnp.full((1, 1), 0.5)
    >>> v = run(cell, start(cell, 1.0, jax.random.key(0)), {"nmda": g}, record="cell.v")[1]
    >>> round(float(v[0, 0]), 2)
    -64.91
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=as_shape)
    reversal: Array = param(0.0, unit="mV", axes=("cell",))
    kinetics: System | None = None
    block: Any = None

    def init(self, dt, key):
        return () if self.kinetics is None else self.kinetics.init(dt, key)

    def step(self, state, x, tick):
        x = jnp.zeros(self.shape, self.reversal.dtype) if x is None else x
        return (state, x) if self.kinetics is None else self.kinetics.step(state, x, tick)

    def drive(self, g: Array, v: Array) -> Drive:
        """What the conductance does to a membrane at voltage v."""
        g = g if self.block is None else g * self.block(v)
        return Drive(g * self.reversal, g)

    def rest(self):
        return jnp.zeros(self.shape, self.reversal.dtype)

    def children(self):
        return {} if self.kinetics is None else {"kinetics": ""}


class Receptors(System):
    r"""A cell with receptors: named conductances that what arrives at it opens, within the same tick.

    $$I = I_{current} + \sum_r g_r(t)\,(E_r - v)$$

    Its input is {port: array}: one port a receptor, and "current" for what goes to the cell as it is (a
    plain array arrives there). Edges of a `Network` choose the port with `To`:

    >>> import jax
    >>> from neuropil.cells import LIF
    >>> from neuropil.core import Chain, Network, To, run, start
    >>> from neuropil.wiring import Sparse
    >>> cell = Receptors(LIF(5), ampa=Conductance(5, tau=5.0), gaba=Conductance(5, 10.0, -80.0))
    >>> wire = Sparse.random(5, 5, 2, jax.random.key(0), weight=0.6)
    >>> net = Network({"E": cell}, {"E>E": Chain(wire, To("ampa"))})
    >>> run(net, start(net, 0.1, jax.random.key(0)), {"E": jnp.ones((3, 5))})[1]["E"].shape
    (3, 5)

    **Arguments**: `cell`, a system whose state holds its voltage as "v" and whose input may be a `Drive`;
    `receptors` by name, each with `step(state, x, tick) -> (state, g)` and `drive(g, v)`.
    State: {"cell", and one for every receptor}. Output: the cell's.

    Raises KeyError for input at a port that is not there.
    """

    cell: System
    receptors: dict[str, System]

    def __init__(self, cell: System, **receptors: System):
        for name in receptors:
            check_name(name, "Receptors")
        if {"current", "cell"} & set(receptors):
            raise ValueError("Receptors: the names 'current' and 'cell' are taken; choose others")
        self.cell, self.receptors = cell, receptors

    def init(self, dt, key):
        inner = {n: r.init(dt, fold(key, n)) for n, r in self.receptors.items()}
        return {"cell": self.cell.init(dt, fold(key, "cell")), **inner}

    def step(self, state, x, tick):
        x = {} if x is None else x if isinstance(x, dict) else {"current": x}
        unknown = set(x) - set(self.receptors) - {"current"}
        if unknown:
            ports = ["current", *sorted(self.receptors)]
            raise KeyError(f"Receptors: input at {sorted(unknown)} but the ports are {ports}")
        plain = all(type(r) is Conductance for r in self.receptors.values())
        if plain:
            return one_pass(_apart, self, state, x, tick)
        return _apart(self, state, x, tick)

    def rest(self):
        return self.cell.rest()

    def children(self):
        parts = {join("receptors", n): n for n in self.receptors}
        return {"cell": "cell"} | parts


def _apart(part: Receptors, state: Any, x: dict, tick: Tick) -> tuple[Any, Any]:
    """A tick receptor by receptor, and then of the cell."""
    new: dict[str, Any] = {}
    drive, v = x.get("current"), state["cell"]["v"]
    for name in sorted(part.receptors):
        receptor = part.receptors[name]
        new[name], g = receptor.step(state[name], x.get(name), tick.child(name))
        drive = add(drive, receptor.drive(g, v))
    new["cell"], y = part.cell.step(state["cell"], drive, tick.child("cell"))
    return new, y
