"""Astrocytes: calcium released by IP3, and the leaky unit that listens to a network."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.parts import as_drive, check_fits, population, relaxed, traced
from neuropil.core import RK4, Method, System, check_dt, param
from neuropil.core.param import param_fields


class LiRinzel(System):
    r"""Calcium c of an astrocyte, released from its store by IP3 (p) and taken up again.

    $$\dot c = (v_1 m^3 h^3 + v_2)\,(c_0 - (1 + c_1) c) - v_3 \frac{c^2}{k_3^2 + c^2}, \qquad
    m = \frac{p}{p + d_1} \frac{c}{c + d_5}$$
    $$\dot h = a_2 \left(d_2 \frac{p + d_1}{p + d_3} (1 - h) - c\, h\right), \qquad
    \dot p = \frac{p_0 - p}{\tau} + x$$

    h: the receptors that calcium has not inactivated. Concentrations in uM, rates per ms (1e-3 of the usual
    per second), so that astrocytes and neurons share a clock; with slow dynamics, tick them with `Every`.

    **Arguments** (one number, or one for every cell): the constants above by name, `store` c_0, `ratio` c_1,
    `ip3` p_0 (its level at rest; without input p stays there), `tau` (ms) of IP3; `method`, default `RK4()`.

    Input: production of IP3 (uM/ms), as from presynaptic spikes, or None. State: {"ca", "h", "ip3"}, at first
    the resting values of the paper's cell. Output: calcium (uM). With the default constants calcium oscillates
    for p between 0.36 and 0.64 uM, and rests outside.

    Sources: Li, Rinzel (1994), J. Theor. Biol. 166, 461; IP3 and values: Nadkarni, Jung (2003), Phys. Rev.
    Lett. 91, 268101; range: De Pittà et al. (2008), Phys. Rev. E 77, 030903.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = LiRinzel(3, ip3=jnp.array([0.2, 0.5, 0.8]))
    >>> _, ca = run(cells, start(cells, 50.0, jax.random.key(0)), n=4000)
    >>> (jnp.ptp(ca[2000:], axis=0) > 0.1).tolist()
    [False, True, False]

    Raises ValueError for a negative constant, or a dt that is unstable with the scheme.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    ip3: Array = param(0.16, unit="uM", bounds=(0, None), axes=("cell",))
    tau: Array = param(7142.0, unit="ms", bounds=(1e-6, None), axes=("cell",))
    v1: Array = param(0.006, unit="1/ms", bounds=(0, None), axes=("cell",))
    v2: Array = param(0.00011, unit="1/ms", bounds=(0, None), axes=("cell",))
    v3: Array = param(0.0009, unit="uM/ms", bounds=(0, None), axes=("cell",))
    k3: Array = param(0.1, unit="uM", bounds=(1e-6, None), axes=("cell",))
    d1: Array = param(0.13, unit="uM", bounds=(1e-6, None), axes=("cell",))
    d2: Array = param(1.049, unit="uM", bounds=(0, None), axes=("cell",))
    d3: Array = param(0.9434, unit="uM", bounds=(1e-6, None), axes=("cell",))
    d5: Array = param(0.08234, unit="uM", bounds=(1e-6, None), axes=("cell",))
    a2: Array = param(0.0002, unit="1/(uM ms)", bounds=(0, None), axes=("cell",))
    store: Array = param(2.0, unit="uM", bounds=(0, None), axes=("cell",))
    ratio: Array = param(0.185, bounds=(1e-6, None), axes=("cell",))
    method: Method = eqx.field(kw_only=True, default_factory=RK4)

    def __check_init__(self):
        check_fits("LiRinzel", self.shape, **{n: getattr(self, n) for n in param_fields(self)})

    def init(self, dt, key):
        if not traced(self):
            check_dt("LiRinzel", self.method, dt, self._fastest())
        full = lambda a: jnp.broadcast_to(jnp.asarray(a, self.tau.dtype), self.shape)
        return {"ca": full(0.073), "h": full(0.793), "ip3": full(self.ip3)}

    def _fastest(self):
        """The fastest of: release with every receptor open, uptake at its steepest, inactivation."""
        value = {n: np.asarray(getattr(self, n)) for n in param_fields(self)}
        release = (value["v1"] + value["v2"]) * (1 + value["ratio"])
        uptake = 0.65 * value["v3"] / value["k3"]  # the steepest slope of a Hill curve of order 2
        gate = value["a2"] * (value["d2"] + value["store"])
        return 1 / float(np.max(release + uptake + gate))

    def field(self, t: Array, y: dict[str, Array], x: Array) -> dict[str, Array]:
        """d/dt of calcium, of h and of IP3, per ms."""
        c, h, p = y["ca"], y["h"], y["ip3"]
        m = p / (p + self.d1) * c / (c + self.d5)
        released = (self.v1 * (m * h) ** 3 + self.v2) * (self.store - (1 + self.ratio) * c)
        taken = self.v3 * c**2 / (self.k3**2 + c**2)
        freed = self.d2 * (p + self.d1) / (p + self.d3) * (1 - h)
        return {
            "ca": released - taken,
            "h": self.a2 * (freed - c * h),
            "ip3": (self.ip3 - p) / self.tau + x,
        }

    def step(self, state, x, tick):
        x = as_drive(x, self.shape, state["ca"].dtype).current
        y = self.method(self.field, tick.i * tick.dt, state, x, tick.dt)
        return y, y["ca"]

    def rest(self):
        return jnp.full(self.shape, 0.073, self.tau.dtype)


class LeakyAstrocyte(System):
    r"""An astrocyte reduced to a leaky sum of the activity around it.

    $$\tau \dot A = -A + b + w\, x$$

    Exact over a tick in which x is constant. With x the spikes of a liquid less those of its input, b the rate
    of potentiation and A the rate of depression, it is the astrocyte of NALSM, which tunes the liquid towards
    the edge of chaos. (NALSM takes an Euler step of 1/100 a ms; `tau = -1 / log1p(-1 / 100)` = 99.5 ms gives
    exactly its numbers.)

    **Arguments** (one number, or one for every cell): `shape`; `tau` (ms); `weight` w; `bias` b.

    Input: activity x of shape `shape`, or None. State: A, at first b. Output: A.

    Source: Ivanov, Michmizos (2021), NeurIPS (arXiv 2111.01760).

    >>> import jax
    >>> from neuropil.core import Chain, run, start
    >>> listens = Chain(
    ...     net=lambda s: s["liquid"].sum(keepdims=True) - s["input"].sum(keepdims=True),
    ...     cell=LeakyAstrocyte(1),
    ... )
    >>> spikes = {"liquid": jnp.ones((2000, 7)), "input": jnp.ones((2000, 3))}
    >>> _, rate = run(listens, start(listens, 1.0, jax.random.key(0)), spikes)
    >>> bool(jnp.allclose(rate[-1], 0.15 + 0.015 * (7 - 3)))
    True

    Raises ValueError for a negative tau.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(100.0, unit="ms", bounds=(0, None), axes=("cell",))
    weight: Array = param(0.015, unit="1 / spike", axes=("cell",))
    bias: Array = param(0.15, axes=("cell",))

    def __check_init__(self):
        values = {"tau": self.tau, "weight": self.weight, "bias": self.bias}
        check_fits("LeakyAstrocyte", self.shape, **values)

    def init(self, dt, key):
        return self.rest()

    def step(self, state, x, tick):
        x = as_drive(x, self.shape, state.dtype)
        a = relaxed(state, x, tick.dt, self.tau, self.bias, self.weight)
        return a, a

    def rest(self):
        return jnp.broadcast_to(self.bias, self.shape)
