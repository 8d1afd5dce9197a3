"""Hodgkin-Huxley cells: the squid axon, and the cortical cell of Traub and Miles."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.membrane import Membrane
from neuropil.cells.parts import NoReset
from neuropil.core import ExponentialMidpoint, Method, Part, param

RANGE = np.arange(-90.0, 51.0, 5.0)  # mV; where a cell is at rest, inhibited or in a spike


def linoid(x: Array) -> Array:
    """x / (e^x - 1), 1 at 0, with a derivative there."""
    small = jnp.abs(x) < 1e-4
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 - x / 2, safe / jnp.expm1(safe))


class SquidGates(Part):
    r"""Gates of the squid giant axon at 6.3 degrees, in the modern sign (rest near -65 mV).

    $$\alpha_m = \frac{0.1 (v + 40)}{1 - e^{-(v+40)/10}}, \quad \beta_m = 4 e^{-(v+65)/18}, \quad
    \alpha_h = 0.07 e^{-(v+65)/20}, \quad \beta_h = \frac{1}{1 + e^{-(v+35)/10}}$$
    $$\alpha_n = \frac{0.01 (v + 55)}{1 - e^{-(v+55)/10}}, \quad \beta_n = 0.125\, e^{-(v+65)/80}$$

    Source: Hodgkin, Huxley (1952), J. Physiol. 117, 500.
    """

    def rates(self, v: Array) -> dict[str, tuple[Array, Array]]:
        """{gate: (opening, closing)} per ms."""
        return {
            "m": (linoid(-(v + 40) / 10), 4 * jnp.exp(-(v + 65) / 18)),
            "h": (0.07 * jnp.exp(-(v + 65) / 20), jax.nn.sigmoid((v + 35) / 10)),
            "n": (0.1 * linoid(-(v + 55) / 10), 0.125 * jnp.exp(-(v + 65) / 80)),
        }


class TraubMilesGates(Part):
    r"""Gates of a hippocampal cell, with voltages from V_T.

    $$\alpha_m = \frac{0.32 (13 - u)}{e^{(13 - u)/4} - 1}, \quad
    \beta_m = \frac{0.28 (u - 40)}{e^{(u - 40)/5} - 1}, \quad
    \alpha_h = 0.128\, e^{(17 - u)/18}, \quad \beta_h = \frac{4}{1 + e^{-(u - 40)/5}}$$
    $$\alpha_n = \frac{0.032 (15 - u)}{e^{(15 - u)/5} - 1}, \quad \beta_n = 0.5\, e^{(10 - u)/40}, \quad
    u = v - V_T$$

    Source: Traub, Miles (1991), Neuronal Networks of the Hippocampus; the form of Brette et al. (2007),
    J. Comput. Neurosci. 23, 349 (benchmark 3).
    """

    v_t: Array = param(-63.0, unit="mV", axes=("cell",), source="Brette et al. 2007")

    def rates(self, v: Array) -> dict[str, tuple[Array, Array]]:
        """{gate: (opening, closing)} per ms."""
        u = v - self.v_t
        return {
            "m": (1.28 * linoid((13 - u) / 4), 1.4 * linoid((u - 40) / 5)),
            "h": (0.128 * jnp.exp((17 - u) / 18), 4 * jax.nn.sigmoid((u - 40) / 5)),
            "n": (0.16 * linoid((15 - u) / 5), 0.5 * jnp.exp((10 - u) / 40)),
        }


class HodgkinHuxley(Membrane):
    r"""A cell with sodium, potassium and leak channels. Its action potential is the solution, not a reset.

    $$C \dot v = I - \bar g_{Na} m^3 h (v - E_{Na}) - \bar g_K n^4 (v - E_K) - g_L (v - E_L), \qquad
    \dot z = \alpha_z(v)(1 - z) - \beta_z(v) z$$

    for z = m, h, n. A spike is the upward crossing of `threshold`. The defaults are the squid axon;
    `TraubMiles(shape)` builds the cortical cell.

    **Arguments** (one number, or one for every cell)

    - `capacitance` (uF/cm2), `g_na`, `g_k`, `leak` (mS/cm2), `e_na`, `e_k`, `v_rest` (of the leak),
      `threshold` (mV). Any other consistent units serve: pF, nS and pA (then the input is in pA);
    - `gates`: `SquidGates()`, `TraubMilesGates(v_t)` or a part with the same method;
    - the common ones of `Membrane`; with noise, its time constant is C / g_L.

    Input: current (uA/cm2), or `Drive` (uA/cm2, mS/cm2). State: {"v", "m", "h", "n"}, the gates at the steady
    state of the rest. The default `ExponentialMidpoint` is stable at any dt; at dt = 0.1 ms
    its rates are 1 to 2 % off, those of `ExponentialEuler`, at half the cost, some 7 %.

    Source: Hodgkin, Huxley (1952), J. Physiol. 117, 500.

    >>> from neuropil.core import run, start
    >>> cells = HodgkinHuxley(2)
    >>> current = jnp.tile(jnp.array([2.0, 10.0]), (2000, 1))
    >>> _, spikes = run(cells, start(cells, 0.025, jax.random.key(0)), current)
    >>> spikes.sum(0).tolist()
    [0.0, 4.0]

    Raises ValueError for a negative capacitance or conductance.
    """

    capacitance: Array = param(1.0, unit="uF/cm2", bounds=(1e-6, None), axes=("cell",))
    g_na: Array = param(120.0, unit="mS/cm2", bounds=(0, None), axes=("cell",))
    g_k: Array = param(36.0, unit="mS/cm2", bounds=(0, None), axes=("cell",))
    leak: Array = param(0.3, unit="mS/cm2", bounds=(1e-6, None), axes=("cell",))
    e_na: Array = param(50.0, unit="mV", axes=("cell",))
    e_k: Array = param(-77.0, unit="mV", axes=("cell",))
    v_rest: Array = param(-54.387, unit="mV", axes=("cell",))
    threshold: Array = param(0.0, unit="mV", axes=("cell",))
    v_start: Array = param(-65.0, unit="mV", axes=("cell",), about="where the run begins")
    gates: Any = eqx.field(default_factory=SquidGates)
    reset: NoReset = eqx.field(default_factory=NoReset)
    method: Method = eqx.field(kw_only=True, default_factory=ExponentialMidpoint)

    def begin(self):
        v = jnp.broadcast_to(self.v_start, self.shape)
        return {"v": v} | settled(self.gates, v)

    def field(self, t, y, x):
        v = y["v"]
        sodium = self.g_na * y["m"] ** 3 * y["h"] * (v - self.e_na)
        potassium = self.g_k * y["n"] ** 4 * (v - self.e_k)
        leak = self.leak * (v - self.v_rest)
        gates = {z: a * (1 - y[z]) - b * y[z] for z, (a, b) in self.gates.rates(v).items()}
        return {"v": (x.at(v) - sodium - potassium - leak) / self.capacitance} | gates

    def timescales(self):
        with jax.ensure_compile_time_eval():  # also where a run is started inside jit
            fast, slow = _decays(self, np.asarray(RANGE, self.threshold.dtype))
            return 1 / float(fast), 1 / float(slow)

    def membrane_tau(self):
        return self.capacitance / self.leak


@eqx.filter_jit
def settled(gates: Any, v: Array) -> dict[str, Array]:
    """The gates of a cell that has long been at v."""
    return {z: a / (a + b) for z, (a, b) in gates.rates(v).items()}


@eqx.filter_jit
def _decays(cell: HodgkinHuxley, range_: Any) -> tuple[Array, Array]:
    """The fastest decay rate of gates and membrane over a range of voltages, and that of h and n alone."""

    def at(v):
        rates = cell.gates.rates(v)
        m, h, n = (a / (a + b) for a, b in (rates[z] for z in "mhn"))
        open_ = cell.leak + cell.g_na * m**3 * h + cell.g_k * n**4
        m, h, n = (a + b for a, b in (rates[z] for z in "mhn"))
        return jnp.maximum(m, open_ / cell.capacitance).max(), jnp.maximum(h, n).max()

    fast, slow = jax.vmap(at)(range_)
    return fast.max(), slow.max()


def TraubMiles(shape: int | tuple[int, ...], **more: Any) -> HodgkinHuxley:
    r"""The cortical Hodgkin-Huxley cell of the network benchmark of Brette et al. (2007), in pF, nS, pA.

    C = 200 pF, g_L = 10 nS, g_Na = 20 uS, g_K = 6 uS, E_L = -60, E_Na = 50, E_K = -90, V_T = -63 mV; a spike is
    the upward crossing of -20 mV. Alone and without input it fires at some 14 Hz. Anything that
    `HodgkinHuxley` takes can be given.

    Source: Traub, Miles (1991); Brette et al. (2007), J. Comput. Neurosci. 23, 349.

    >>> float(TraubMiles(3).capacitance), TraubMiles(3).gates.v_t.shape
    (200.0, ())
    """
    given = {
        "capacitance": 200.0,
        "g_na": 20_000.0,
        "g_k": 6_000.0,
        "leak": 10.0,
        "e_na": 50.0,
        "e_k": -90.0,
        "v_rest": -60.0,
        "threshold": -20.0,
        "v_start": -60.0,
        "gates": TraubMilesGates(),
    }
    return HodgkinHuxley(shape, **(given | more))
