"""Izhikevich's simple cell, with his published parameter sets by name."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.membrane import Membrane
from neuropil.cells.parts import ValueReset
from neuropil.core import Euler, Method, param

# a, b, c, d of Izhikevich (2003), figure 2
SETS = {
    "RS": (0.02, 0.2, -65.0, 8.0),
    "IB": (0.02, 0.2, -55.0, 4.0),
    "CH": (0.02, 0.2, -50.0, 2.0),
    "FS": (0.1, 0.2, -65.0, 2.0),
    "TC": (0.02, 0.25, -65.0, 0.05),
    "RZ": (0.1, 0.26, -65.0, 2.0),
    "LTS": (0.02, 0.25, -65.0, 2.0),
}


class Izhikevich(Membrane):
    r"""A quadratic potential v and a recovery variable u, with a rich set of firing patterns.

    $$\dot v = 0.04 v^2 + 5 v + 140 - u + I, \qquad \dot u = a (b v - u)$$
    $$v > 30: \quad v \leftarrow c, \quad u \leftarrow u + d$$

    **Arguments** (one number, or one for every cell)

    - `a` (1/ms), `b`, `c` (mV), `d`: as published. `Izhikevich.named("FS", 100)` takes them from the paper.
    - `threshold` (mV); `square`, `linear`, `constant`: coefficients of the potential's polynomial (two patterns
      of 2004 take 4.1 and 108); `u_leak` and `v_u` of the general form a (b (v - v_u) - u_leak u) (1 and 0;
      the pattern "accommodation" takes 0 and -65); `v_start`, `u_start` (default b v_start);
    - the common ones of `Membrane`, but `noise` (add it to the input).

    Input: current, in his units (mV/ms), or `Drive` (mV/ms and 1/ms). State: {"v", "u"}. The default scheme is
    his: forward Euler, v first and then u with the new v; he used dt = 0.1 to 0.5 ms.

    Sources: Izhikevich (2003), IEEE Trans. Neural Netw. 14, 1569; Izhikevich (2004), IEEE Trans. Neural Netw.
    15, 1063 (`izhikevich_pattern`).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = Izhikevich.named("RS", 2)
    >>> _, s = run(cells, start(cells, 0.5, jax.random.key(0)), jnp.tile(jnp.array([0.0, 10.0]), (400, 1)))
    >>> s.sum(0).tolist()
    [0.0, 5.0]

    Raises ValueError for a dt that is unstable, or noise.
    """

    a: Array = param(0.02, unit="1/ms", axes=("cell",))
    b: Array = param(0.2, axes=("cell",))
    c: Array = param(-65.0, unit="mV", axes=("cell",))
    d: Array = param(8.0, unit="mV/ms", axes=("cell",))
    threshold: Array = param(30.0, unit="mV", axes=("cell",))
    square: Array = param(0.04, unit="1/(mV ms)", bounds=(0, None), axes=("cell",))
    linear: Array = param(5.0, unit="1/ms", axes=("cell",))
    constant: Array = param(140.0, unit="mV/ms", axes=("cell",))
    u_leak: Array = param(1.0, axes=("cell",))
    v_u: Array = param(0.0, unit="mV", axes=("cell",))
    v_start: Array = param(-70.0, unit="mV", axes=("cell",))
    u_start: Array | None = param(None, unit="mV/ms", axes=("cell",))
    method: Method = eqx.field(kw_only=True, default_factory=lambda: Euler(("v", "u")))

    @staticmethod
    def named(name: str, shape: int | tuple[int, ...], **more: Any) -> Izhikevich:
        """A population of a published kind: RS, IB, CH, FS, TC, RZ or LTS (2003, figure 2)."""
        if name not in SETS:
            raise KeyError(f"Izhikevich: no set {name!r}; choose one of {sorted(SETS)}")
        return Izhikevich(shape, *SETS[name], **more)

    @property
    def reset(self) -> ValueReset:
        """v <- c."""
        return ValueReset(self.c)

    def begin(self):
        u = self.b * self.v_start if self.u_start is None else self.u_start
        full = lambda a: jnp.broadcast_to(a, self.shape)
        return {"v": full(self.v_start), "u": full(u)}

    def field(self, t, y, x):
        v, u = y["v"], y["u"]
        dv = self.square * v * v + self.linear * v + self.constant - u + x.at(v)
        return {"v": dv, "u": self.a * (self.b * (v - self.v_u) - self.u_leak * u)}

    def jump(self, y, s):
        return y | {"u": y["u"] + self.d * s}

    def timescales(self):
        value = lambda name: np.asarray(getattr(self, name))
        low = np.minimum(value("v_start"), value("c"))
        slope = np.abs(2 * value("square") * low + value("linear"))
        fastest = 1 / max(float(slope.max()), float(np.abs(value("a")).max()), 1e-9)
        return fastest, fastest
