"""Cells without spikes: graded release, and two points of integration."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.cells import transfer as transfers
from neuropil.cells.parts import as_drive, check_fits, population, relaxed
from neuropil.core import System, param
from neuropil.core.drive import add


class Graded(System):
    r"""A leaky cell that releases transmitter in proportion to its potential, without spikes.

    $$\tau \dot v = -(v - v_{rest}) + R I, \qquad \text{release} = h\!\left(\frac{v - v_{half}}{k}\right)$$

    Exact for an input that is constant within a tick, a conductance included.

    **Arguments** (one number, or one for every cell): `tau` (ms); `v_rest`, `half` v_half, `slope` k (mV);
    `resistance` R (mV / input); `release` h: `jax.nn.sigmoid` (default), `jax.nn.relu` (rectified), or any
    function, element by element.

    Input: current, `Drive`, or None. State: {"v"}. Output: release of this tick, from the new potential.

    Source: Manor et al. (1997), J. Neurosci. 17, 5610 (sigmoid release of stomatogastric cells); values:
    Prinz, Bucher, Marder (2004), Nat. Neurosci. 7, 1345.

    >>> from neuropil.core import run, start
    >>> cells = Graded(1, tau=10.0)
    >>> _, y = run(cells, start(cells, 1.0, jax.random.key(0)), jnp.full((200, 1), 25.0))
    >>> bool(jnp.allclose(y[-1], 0.5))
    True

    Raises ValueError for a negative tau or slope.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(20.0, unit="ms", bounds=(0, None), axes=("cell",))
    v_rest: Array = param(-60.0, unit="mV", axes=("cell",))
    half: Array = param(-35.0, unit="mV", axes=("cell",))
    slope: Array = param(5.0, unit="mV", bounds=(1e-6, None), axes=("cell",))
    resistance: Array = param(1.0, unit="mV / input", axes=("cell",))
    release: Callable = eqx.field(static=True, default=jax.nn.sigmoid)

    def __check_init__(self):
        names = ("tau", "v_rest", "half", "slope", "resistance")
        check_fits("Graded", self.shape, **{n: getattr(self, n) for n in names})

    def init(self, dt, key):
        return {"v": jnp.broadcast_to(self.v_rest, self.shape)}

    def step(self, state, x, tick):
        x = as_drive(x, self.shape, state["v"].dtype)
        v = relaxed(state["v"], x, tick.dt, self.tau, self.v_rest, self.resistance)
        return {"v": v}, self._released(v)

    def _released(self, v):
        return self.release((v - self.half) / self.slope)

    def rest(self):
        return self._released(jnp.broadcast_to(self.v_rest, self.shape))


class TwoPoint(System):
    r"""A pyramidal cell with two points of integration: basal input drives, apical context modulates.

    $$\tau \dot r = -r + x_{basal}, \qquad \tau_a \dot c = -c + x_{apical}, \qquad y = T(r, c)$$

    Exact over a tick. The transfer T is one of `neuropil.cells.transfer`: `amplify` (default), `modulate`,
    `saturate`, `power`, `cooperate`, or any function of (r, c). In the first four no context makes a cell speak
    that has nothing to say: T(0, c) = 0 and T(r, 0) = r.

    **Arguments** (one number, or one for every cell): `shape`; `tau`, `tau_apical` (ms); `transfer`.

    Input: {"basal": x, "apical": c}, each an array or a `Drive`, either may be left out; what has no port is
    basal. State: {"v" (basal),
    "apical"}. Output: y.

    Source: Phillips, Kay, Smyth (1995), Network 6, 225; the transfers: see there.

    >>> from neuropil.core import run, start
    >>> cell = TwoPoint(1, tau=1.0, tau_apical=1.0)
    >>> xs = {"basal": jnp.ones((50, 1)), "apical": jnp.full((50, 1), jnp.log(3.0))}
    >>> _, y = run(cell, start(cell, 1.0, jax.random.key(0)), xs)
    >>> bool(jnp.allclose(y[-1], 2.0))
    True

    Raises KeyError for input at another port.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(10.0, unit="ms", bounds=(0, None), axes=("cell",))
    tau_apical: Array = param(20.0, unit="ms", bounds=(0, None), axes=("cell",))
    transfer: Callable = eqx.field(static=True, default=transfers.amplify)

    def __check_init__(self):
        check_fits("TwoPoint", self.shape, tau=self.tau, tau_apical=self.tau_apical)

    def init(self, dt, key):
        return {"v": self._zeros(), "apical": self._zeros()}

    def step(self, state, x, tick):
        x = x if isinstance(x, dict) else {"basal": x}
        unknown = set(x) - {"basal", "apical", "current"}
        if unknown:
            raise KeyError(f"TwoPoint: input at {sorted(unknown)} but the ports are basal, apical")
        dtype, dt = state["v"].dtype, tick.dt
        basal = as_drive(add(x.get("basal"), x.get("current")), self.shape, dtype)
        r = relaxed(state["v"], basal, dt, self.tau)
        context = as_drive(x.get("apical"), self.shape, dtype)
        c = relaxed(state["apical"], context, dt, self.tau_apical)
        return {"v": r, "apical": c}, self.transfer(r, c)

    def _zeros(self):
        return jnp.zeros(self.shape, self.tau.dtype)

    def rest(self):
        return self.transfer(self._zeros(), self._zeros())
