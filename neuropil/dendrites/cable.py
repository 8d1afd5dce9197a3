"""A neuron of many compartments: the cable equation on a tree, one implicit solve a tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import Drive, Part, System, param
from neuropil.dendrites.channels import Channel
from neuropil.dendrites.hines import solve_tree
from neuropil.dendrites.tree import Tree

_PER_AREA = 1e-5  # um2 x mS/cm2 in uS, um2 x uF/cm2 in nF


class Cable(System):
    r"""The voltage of every compartment of a tree, with leak, channels and what arrives at each.

    $$C_k \dot v_k = g_k (E_{leak} - v_k) + \sum_{j \sim k} \frac{v_j - v_k}{r_{kj}}
      + \sum_{c} I_{c,k}(v_k) + I_k(v_k)$$

    C_k = area x `capacitance`, g_k = area x `leak`, r from `Tree.axial`. All voltages of a tick are solved
    together (`solve_tree`), so dt is not bounded by thin compartments. Gates move first, by their
    own exact steps at the voltage before: they stand half a tick ahead.

    - `scheme="backward-euler"`: order 1 in dt, damps everything;
    - `scheme="crank-nicolson"`: order 2, exact charge, but rings at dt far above the fastest time constant.

    **Arguments** (one number, or one a compartment; all can be learned)

    - `tree`; `capacitance` (uF/cm2); `leak` (mS/cm2; 0.05 is 20 kOhm cm2); `resistivity` R_i (ohm cm);
    - `leak_reversal`, `start_v` (mV), the voltage at the beginning;
    - `channels`: {name: `Channel`}.

    Input: current (nA) of shape (compartment,), a `Drive` of current and conductance (nA, uS), or None.
    `synapses.Receptors(Cable(...), ampa=Conductance(n))` thus has weights in uS.
    State: {"v": (compartment,), "channels"}. Output: v (mV).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cable = Cable(Tree.cylinder(1000.0, 2.0, 20))
    >>> current = jnp.zeros((100, 20)).at[:, 0].set(0.05)
    >>> _, v = run(cable, start(cable, 1.0, jax.random.key(0)), current)
    >>> bool(v[-1, 0] > v[-1, 19]), bool(v[-1, 19] > -65)
    (True, True)

    Raises ValueError for a negative capacitance, leak or resistivity, and for shapes that do not fit.

    Source: Rall (1959), Exp. Neurol. 1, 491; Hines (1984), Int. J. Biomed. Comput. 15, 69.
    """

    tree: Tree
    capacitance: Array = param(1.0, unit="uF/cm2", bounds=(0, None), axes=("compartment",))
    leak: Array = param(0.05, unit="mS/cm2", bounds=(0, None), axes=("compartment",))
    resistivity: Array = param(100.0, unit="ohm cm", bounds=(0, None), axes=("compartment",))
    leak_reversal: Array = param(-65.0, unit="mV", axes=("compartment",))
    start_v: Array = param(-65.0, unit="mV", axes=("compartment",))
    channels: dict[str, Channel] = eqx.field(default_factory=dict)
    scheme: Literal["backward-euler", "crank-nicolson"] = eqx.field(
        static=True, default="backward-euler"
    )

    def __check_init__(self):
        names = ("capacitance", "leak", "resistivity", "leak_reversal", "start_v")
        sizes = {name: jnp.shape(getattr(self, name)) for name in names}
        sizes |= {f"channels.{n}.density": c.density.shape for n, c in self.channels.items()}
        for name, shape in sizes.items():
            if shape not in ((), (self.tree.n,)):
                raise ValueError(
                    f"Cable: {name} has shape {shape} but the tree has {self.tree.n} compartments; "
                    "give one number, or one for every compartment"
                )
        if self.scheme not in ("backward-euler", "crank-nicolson"):
            raise ValueError(
                f"Cable: scheme={self.scheme!r}; write 'backward-euler' or 'crank-nicolson'"
            )

    def init(self, dt, key):
        v = jnp.broadcast_to(self.start_v, (self.tree.n,))
        return {"v": v, "channels": {name: c.start(v) for name, c in self.channels.items()}}

    def space_constant(self) -> Array:
        r"""$\lambda = \sqrt{\frac{d}{4}\,\frac{1}{g_{leak} R_i}}$ (um) of each compartment."""
        return 1e4 * jnp.sqrt(self.tree.diameter / (40 * self.leak * self.resistivity))

    def step(self, state, x, tick):
        v, x = state["v"], Drive.of(x)
        area = self.tree.area() * _PER_AREA
        gates = {
            n: c.moved(state["channels"][n], v, tick.dt) for n, c in sorted(self.channels.items())
        }
        own, inflow = area * self.leak + x.conductance, area * self.leak * self.leak_reversal
        inflow = inflow + x.current
        for name, channel in sorted(self.channels.items()):
            g = area * channel.conductance(gates[name], v)
            own, inflow = own + g, inflow + g * channel.reversal
        # Crank-Nicolson is a backward Euler step of half a tick, continued in a straight line
        middle = self.scheme == "crank-nicolson"
        inertia = area * self.capacitance / (tick.dt / 2 if middle else tick.dt)
        coupling = self.tree.axial(self.resistivity)
        new = solve_tree(self.tree.parent, inertia + own, coupling, inertia * v + inflow)
        new = 2 * new - v if middle else new
        return {"v": new, "channels": gates}, new

    def rest(self):
        return jnp.broadcast_to(self.start_v, (self.tree.n,))


class Step(Part):
    """1.0 where u > 0, else 0.0; its derivative is zero.

    >>> Step()(jnp.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 1.0]
    """

    def __call__(self, u: Array) -> Array:
        return (u > 0).astype(u.dtype)


class Neuron(System):
    r"""A cable that spikes: one cell with dendrites, to be used where a cell is.

    $$s_t = \Theta(v_{site}(t) - \text{threshold})\,[v_{site}(t - 1) \le \text{threshold}]$$

    With channels that make action potentials (`reset=None`) a spike is a crossing from below. Without
    them, `reset` (mV) makes the site an integrate-and-fire soma: it is set to `reset` at a
    spike and held there for `refractory` ms, while the dendrites go on.

    **Arguments**: `cable`; `threshold` (mV); `reset` (mV) or None; `refractory` (ms, whole ticks, after a
    reset); `site`, number of the compartment that spikes; `spike`, the step function: give a surrogate of
    `neuropil.cells` (`SuperSpike()`) to train through spikes, the default has derivative zero.

    Input: as `Cable`. Output: 0.0 or 1.0, shape (); n cells are `Vmapped.build(make, n, key)`.
    State: that of the cable, and "left" (ticks of refractoriness).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cell = Neuron(Cable(Tree.star(2, 200.0, 1.0, 4)), threshold=-50.0, reset=-65.0)
    >>> current = jnp.zeros((50, 9)).at[:, 0].set(0.2)
    >>> carry, spikes = run(cell, start(cell, 1.0, jax.random.key(0)), current)
    >>> spikes.shape, bool(spikes.sum() > 1)
    ((50,), True)

    Raises ValueError for a site that is not there.
    """

    cable: Cable
    threshold: Array = param(-20.0, unit="mV")
    reset: Array | None = param(None, unit="mV")
    refractory: Array = param(0.0, unit="ms", bounds=(0, None))
    site: int = eqx.field(static=True, default=0)
    spike: Callable = eqx.field(default_factory=Step)

    def __check_init__(self):
        if not 0 <= self.site < self.cable.tree.n:
            raise ValueError(
                f"Neuron: site = {self.site} but there are {self.cable.tree.n} compartments"
            )

    def init(self, dt, key):
        return {**self.cable.init(dt, key), "left": jnp.int32(0)}

    def step(self, state, x, tick):
        before = state["v"][self.site]
        moved, v = self.cable.step({n: state[n] for n in ("v", "channels")}, x, tick)
        if self.reset is None:
            s = self.spike(v[self.site] - self.threshold) * Step()(self.threshold - before)
            return {**moved, "left": state["left"]}, s
        held = state["left"] > 0
        s = jnp.where(held, 0.0, self.spike(v[self.site] - self.threshold))
        ticks = jnp.round(self.refractory / tick.dt).astype(jnp.int32)
        left = jnp.where(s > 0, ticks, jnp.maximum(state["left"] - 1, 0))
        soma = v[self.site] + s * (self.reset - v[self.site])
        soma = jnp.where(held, before, soma)
        return {**moved, "v": v.at[self.site].set(soma), "left": left}, s

    def rest(self):
        return jnp.zeros((), self.threshold.dtype)

    def children(self):
        return {"cable": ""}
