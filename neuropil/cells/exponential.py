"""Exponential integrate-and-fire cells; the adaptive one (AdEx) with its firing patterns by name."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.cells.membrane import Membrane
from neuropil.cells.parts import ValueReset, check_fits
from neuropil.core import Part, param
from neuropil.core.param import param_fields

STEEPEST = 15.0  # slopes above v_t where the upstroke stops growing: e^15 times the leak is at once


class LinearAdaptation(Part):
    r"""A current w that follows the potential and grows at every spike; it is taken from the input.

    $$\tau_w \dot w = a (v - v_{rest}) - w, \qquad w \leftarrow w + b \text{ at a spike}$$

    **Arguments**: `tau` (ms); `a`, coupling below threshold (input / mV, nS for AdEx; negative: w helps);
    `b`, what a spike adds (input, pA for AdEx).

    Source: Brette, Gerstner (2005), J. Neurophysiol. 94, 3637.
    """

    tau: Array = param(144.0, unit="ms", bounds=(1e-6, None), axes=("cell",))
    a: Array = param(4.0, unit="input / mV", axes=("cell",))
    b: Array = param(80.5, unit="input", axes=("cell",))


class ExponentialIF(Membrane):
    r"""Exponential integrate-and-fire: a spike starts softly, where its sodium current takes over.

    $$C \dot v = -g_L (v - E_L) + g_L \Delta_T\, e^{(v - V_T)/\Delta_T} - w + I$$

    A spike is where v > `threshold`, far up the upstroke; then v is reset. w: with `adaptation`.

    **Arguments** (one number, or one for every cell)

    - `capacitance` C (pF), `leak` g_L (nS), `v_rest` E_L, `v_t` V_T, `slope` Delta_T (mV); `threshold` (mV)
      where the upstroke is cut; `reset`, `ValueReset(v)` in mV;
    - `adaptation`: `LinearAdaptation(tau, a, b)`, or None; and the common ones of `Membrane`.

    Input: current (pA), or `Drive` (pA, nS). State: {"v", "w" with adaptation}. `AdEx` builds the
    adaptive cell.

    A constant input I gives the interval integral of C dv / (f(v) + I) from the reset to the threshold.
    More than 15 slopes above V_T the upstroke stops growing (what is left of it takes below 1e-3 ms), so that
    nothing overflows.

    Source: Fourcaud-Trocmé et al. (2003), J. Neurosci. 23, 11628; values: Brette, Gerstner (2005).

    >>> import jax
    >>> from neuropil.core import run, start
    >>> cells = ExponentialIF(2)
    >>> current = jnp.tile(jnp.array([300.0, 1000.0]), (500, 1))
    >>> _, spikes = run(cells, start(cells, 0.1, jax.random.key(0)), current)
    >>> spikes.sum(0).tolist()
    [0.0, 4.0]

    Raises ValueError for a negative capacitance, leak or slope, or a threshold that is not above V_T.
    """

    capacitance: Array = param(281.0, unit="pF", bounds=(1e-6, None), axes=("cell",))
    leak: Array = param(30.0, unit="nS", bounds=(1e-6, None), axes=("cell",))
    v_rest: Array = param(-70.6, unit="mV", axes=("cell",))
    v_t: Array = param(-50.4, unit="mV", axes=("cell",))
    slope: Array = param(2.0, unit="mV", bounds=(1e-6, None), axes=("cell",))
    threshold: Array = param(-20.4, unit="mV", axes=("cell",))
    reset: Any = eqx.field(default_factory=lambda: ValueReset(-70.6))
    adaptation: LinearAdaptation | None = None

    def __check_init__(self):
        if self.adaptation is not None:
            values = {
                f"adaptation.{n}": getattr(self.adaptation, n)
                for n in param_fields(self.adaptation)
            }
            check_fits("ExponentialIF", self.shape, **values)

    def begin(self):
        v = jnp.broadcast_to(self.v_rest, self.shape)
        return {"v": v} if self.adaptation is None else {"v": v, "w": jnp.zeros_like(v)}

    def field(self, t, y, x):
        # an upstroke leaves the range where anything is meant: w must not follow it there
        v = jnp.minimum(y["v"], self.threshold)
        start = jnp.minimum((v - self.v_t) / self.slope, STEEPEST)
        flow = self.leak * (self.v_rest - v + self.slope * jnp.exp(start)) + x.at(v)
        if self.adaptation is None:
            return {"v": flow / self.capacitance}
        w, part = y["w"], self.adaptation
        return {
            "v": (flow - w) / self.capacitance,
            "w": (part.a * (v - self.v_rest) - w) / part.tau,
        }

    def jump(self, y, s):
        return y if self.adaptation is None else y | {"w": y["w"] + self.adaptation.b * s}

    def timescales(self):
        membrane = float((np.asarray(self.capacitance) / np.asarray(self.leak)).min())
        if self.adaptation is None:
            return membrane, membrane
        fastest = min(membrane, float(np.asarray(self.adaptation.tau).min()))
        return fastest, fastest

    def membrane_tau(self):
        return self.capacitance / self.leak


# capacitance, leak, v_rest, tau_w, a, b, v_reset, current; V_T -50 mV and Delta_T 2 mV in all
NAUD = {
    "tonic spiking": (200.0, 10.0, -70.0, 30.0, 2.0, 0.0, -58.0, 500.0),
    "adaptation": (200.0, 12.0, -70.0, 300.0, 2.0, 60.0, -58.0, 500.0),
    "initial burst": (130.0, 18.0, -58.0, 150.0, 4.0, 120.0, -50.0, 400.0),
    "regular bursting": (200.0, 10.0, -58.0, 120.0, 2.0, 100.0, -46.0, 210.0),
    "delayed accelerating": (200.0, 12.0, -70.0, 300.0, -10.0, 0.0, -58.0, 300.0),
    "delayed regular bursting": (100.0, 10.0, -65.0, 90.0, -10.0, 30.0, -47.0, 110.0),
    "transient spiking": (100.0, 10.0, -65.0, 90.0, 10.0, 100.0, -47.0, 180.0),
    "irregular spiking": (100.0, 12.0, -60.0, 130.0, -11.0, 30.0, -48.0, 160.0),
}


def AdEx(shape: int | tuple[int, ...], pattern: str | None = None, **more: Any) -> ExponentialIF:
    r"""Adaptive exponential integrate-and-fire cells: `ExponentialIF` with `LinearAdaptation`.

    **Arguments**: `shape`; `pattern`, one of the firing patterns of Naud et al. (2008) by name (None: the
    regular-spiking pyramidal cell of Brette and Gerstner 2005); anything else that `ExponentialIF` takes.
    `adex_current(pattern)` is the input (pA) for which the pattern is published.

    Sources: Brette, Gerstner (2005), J. Neurophysiol. 94, 3637; Naud et al. (2008), Biol. Cybern. 99, 335,
    its table corrected to its figures by P. Müller, as in the Brian2 example of that paper.

    >>> cells = AdEx(100, "regular bursting")
    >>> cells.shape, float(cells.adaptation.b), adex_current("regular bursting")
    ((100,), 100.0, 210.0)

    Raises KeyError for a name that is not a pattern.
    """
    if pattern is None:
        return ExponentialIF(shape, **({"adaptation": LinearAdaptation()} | more))
    c, g, v_rest, tau_w, a, b, v_reset, _ = _naud(pattern)
    given = {
        "capacitance": c,
        "leak": g,
        "v_rest": v_rest,
        "v_t": -50.0,
        "slope": 2.0,
        "threshold": 0.0,
        "reset": ValueReset(v_reset),
        "adaptation": LinearAdaptation(tau_w, a, b),
    }
    return ExponentialIF(shape, **(given | more))


def adex_current(pattern: str) -> float:
    """The constant current (pA) for which a firing pattern of Naud et al. (2008) is published."""
    return _naud(pattern)[-1]


def _naud(pattern: str) -> tuple[float, ...]:
    if pattern not in NAUD:
        raise KeyError(f"AdEx: no pattern {pattern!r}; choose one of {sorted(NAUD)}")
    return NAUD[pattern]
