"""Observation models: what an instrument makes of activity, so that any network gives realistic recordings.

Each is a `Part` with `mean(x, dt)`, the expected reading, and `sample(x, dt, key)`, one drawn reading; x is
(..., time, unit) and dt the step in ms. `observe(recording, model, key)` does it to a `Recording`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Key

from neuropil.coding import poisson
from neuropil.core import Part, param

from .balloon import Balloon, bold
from .provenance import step
from .recording import Recording

__all__ = [
    "BOLD",
    "INDICATORS",
    "Balloon",
    "Bernoulli",
    "Calcium",
    "FieldPotential",
    "Hemodynamic",
    "Observation",
    "Poisson",
    "Surface",
    "bold",
    "observe",
]


class Observation(Part):
    """How activity x (..., time, unit) is read: `mean`, `sample` (Gaussian noise of deviation `noise` about
    the mean, unless the model says otherwise) and the `unit` of measure of what comes out."""

    @property
    def unit(self) -> str:
        """Unit of measure of the reading."""
        raise TypeError(f"{type(self).__name__} has no unit; return its unit of measure")

    def mean(
        self, x: Float[Array, "*batch time unit"], dt: float | int
    ) -> Float[Array, "*batch time sensor"]:
        """The expected reading."""
        raise TypeError(f"{type(self).__name__} has no mean(x, dt); return the expected reading")

    def sample(
        self, x: Float[Array, "*batch time unit"], dt: float | int, key: Key[Array, ""]
    ) -> Float[Array, "*batch time sensor"]:
        """One reading: the mean and independent Gaussian noise of each sample."""
        y = self.mean(x, dt)
        return y + jnp.broadcast_to(self.noise, y.shape) * jr.normal(key, y.shape, y.dtype)


class Poisson(Observation):
    r"""Counts of spikes in bins of dt: $n \sim \mathrm{Poisson}(x\,dt)$, x the rate in Hz, at least 0.

    The mean is x dt; what is identifiable from counts is the rate alone.

    >>> Poisson().mean(jnp.full((1, 5, 2), 20.0), 10.0)[0, 0].tolist()
    [0.20000000298023224, 0.20000000298023224]
    """

    @property
    def unit(self) -> str:
        """Counts."""
        return "spikes"

    def mean(self, x, dt):
        """x dt, counts a bin."""
        return x * dt / 1000

    def sample(self, x, dt, key):
        """Counts, as floats."""
        return poisson(x, 1, key, dt=float(dt), counts=True)[0]


class Bernoulli(Observation):
    r"""At most one spike a bin: $P(n = 1) = 1 - e^{-x\,dt}$, what a Poisson train of rate x (Hz) does."""

    @property
    def unit(self) -> str:
        """Counts."""
        return "spikes"

    def mean(self, x, dt):
        """The probability of a spike in the bin."""
        return -jnp.expm1(-x * dt / 1000)

    def sample(self, x, dt, key):
        """0.0 or 1.0."""
        return poisson(x, 1, key, dt=float(dt))[0]


INDICATORS = {
    "jGCaMP7f": (0.21, 99.5, 181.9),
    "jGCaMP8f": (0.41, 24.8, 67.4),
    "jGCaMP8m": (0.76, 29.0, 118.3),
}
"""Indicator -> peak dF/F, time to peak (ms) and half-decay time (ms) after one spike in mouse visual cortex
(Zhang et al. 2023, Nature 615:884)."""


class Calcium(Observation):
    r"""Fluorescence (dF/F) of spike counts x through calcium that rises and falls exponentially (AR(2)).

    $$c_t = \gamma_1 c_{t-1} + \gamma_2 c_{t-2} + x_t, \quad \gamma_1 = d + r,\ \gamma_2 = -d r, \quad
      d = e^{-dt/\tau_d},\ r = e^{-dt/\tau_r}$$
    $$F_t = \text{base} + \text{amplitude}\, \frac{h(c_t / c_{max})}{h(1)} + \text{noise}\, \epsilon_t, \quad
      h(u) = \frac{u^n}{u^n + k^n} \text{ where } k \text{ is given, else } u$$

    One spike peaks at `amplitude` ($c_{max}$ is the largest value of $(d^{k+1} - r^{k+1}) / (d - r)$). With an
    amplitude of its own per cell, spikes and amplitude are identifiable only up to their product. Sources:
    Vogelstein et al. (2010) J. Neurophysiol. 104:3691; Pnevmatikakis et al. (2016) Neuron 89:285.

    **Arguments**: `tau_rise` below `tau_decay` (ms); `amplitude`, `base`, `noise` in dF/F; `half` (k), in
    single-spike peaks, None for a linear indicator; `hill` n.

    >>> trace = Calcium.of("jGCaMP8f").mean(jnp.zeros((1, 300, 1)).at[0, 10].set(1.0), 1.0)
    >>> int(trace.argmax()) - 10, round(float(trace.max()), 3)
    (24, 0.41)

    Raises ValueError where the rise is not faster than the decay.
    """

    tau_rise: Array = param(10.0, unit="ms", bounds=(0, None))
    tau_decay: Array = param(100.0, unit="ms", bounds=(0, None))
    amplitude: Array = param(0.3, unit="dF/F", bounds=(0, None))
    base: Array = param(0.0, unit="dF/F")
    noise: Array = param(0.05, unit="dF/F", bounds=(0, None))
    half: Array | None = param(None, unit="1", bounds=(0, None))
    hill: Array = param(2.0, bounds=(0, None))

    def __check_init__(self):
        rise, decay = self.tau_rise, self.tau_decay
        if not isinstance(rise, jax.core.Tracer) and not bool((rise < decay).all()):
            raise ValueError(
                f"Calcium: tau_rise {rise} ms must be shorter than tau_decay {decay} ms"
            )

    @classmethod
    def of(cls, indicator: str, **more) -> Calcium:
        """The kinetics of `INDICATORS`: tau_decay = half-decay / ln 2, and the rise that peaks at its time,
        t = ln(tau_d / tau_r) tau_d tau_r / (tau_d - tau_r). ValueError: an unknown indicator."""
        from scipy.optimize import brentq

        if indicator not in INDICATORS:
            raise ValueError(
                f"The indicator {indicator!r} is not known: choose among {', '.join(INDICATORS)}."
            )
        amplitude, peak, half = INDICATORS[indicator]
        decay = half / math.log(2)
        rise = brentq(
            lambda r: math.log(decay / r) * decay * r / (decay - r) - peak, 1e-3, 0.999 * decay
        )
        return cls(tau_rise=rise, tau_decay=decay, amplitude=amplitude, **more)

    @property
    def unit(self) -> str:
        """Relative change of fluorescence."""
        return "dF/F"

    def coefficients(self, dt: float | int) -> tuple[Array, Array]:
        """(gamma_1, gamma_2) of the recursion at steps of dt ms."""
        d, r = jnp.exp(-dt / self.tau_decay), jnp.exp(-dt / self.tau_rise)
        return d + r, -d * r

    def calcium(
        self, x: Float[Array, "*batch time unit"], dt: float | int
    ) -> Float[Array, "*batch time unit"]:
        """c_t in units of a single spike's peak."""
        one, two = self.coefficients(dt)
        peak = self._peak(dt)

        def tick(c, spike):
            now = (
                jnp.broadcast_to(one, spike.shape) * c[0]
                + jnp.broadcast_to(two, spike.shape) * c[1]
                + spike
            )
            return (now, c[0]), now

        zero = jnp.zeros((*x.shape[:-2], x.shape[-1]), jnp.result_type(x, float))
        _, c = jax.lax.scan(tick, (zero, zero), jnp.moveaxis(x.astype(zero.dtype), -2, 0))
        c = jnp.moveaxis(c, 0, -2)
        return c / jnp.broadcast_to(peak, c.shape)

    def _peak(self, dt):
        d, r = jnp.exp(-dt / self.tau_decay), jnp.exp(-dt / self.tau_rise)
        # (d^k - r^k) / (d - r) is largest at one of the whole k beside its continuous peak
        at = jnp.log(jnp.log(r) / jnp.log(d)) / jnp.log(d / r)
        k = jnp.stack([jnp.maximum(jnp.floor(at), 1), jnp.maximum(jnp.ceil(at), 1)])
        return ((d**k - r**k) / (d - r)).max(0)

    def mean(self, x, dt):
        """Expected fluorescence of spike counts x."""
        c = self.calcium(x, dt)
        if self.half is not None:
            u = jnp.maximum(c, 0) ** self.hill
            c = u / (u + self.half**self.hill) * (1 + self.half**self.hill)
        wide = lambda a: jnp.broadcast_to(a, c.shape)
        return wide(self.base) + wide(self.amplitude) * c


class FieldPotential(Observation):
    r"""Extracellular potential of point currents in a homogeneous medium (LFP):
    $\phi_i = \sum_j I_j / (4 \pi \sigma d_{ij})$.

    x holds currents in nA out of the cells; the reading is in uV. A model whose currents sum to 0 over a cell
    (sink and source) makes dipoles of itself. `electrodes` (sensor, 3) and `sources` (unit, 3) in um; `sigma`
    in S/m; distances under `closest` um count as that (a current is no point). Currents of several sources
    are identifiable only as far as `gain` has full column rank.

    Source: Einevoll et al. (2013) Nat. Rev. Neurosci. 14:770; sigma 0.3 S/m, Logothetis et al. (2007) Neuron
    55:809.

    >>> field = FieldPotential(electrodes=[[100.0, 0.0, 0.0]], sources=[[0.0, 0.0, 0.0]])
    >>> round(float(field.mean(jnp.ones((1, 1, 1)), 1.0)[0, 0, 0]), 3)  # 1e-9 / (4 pi 0.3 1e-4) V
    2.653
    """

    electrodes: Array = param(unit="um", axes=("sensor", "axis"))
    sources: Array = param(unit="um", axes=("unit", "axis"))
    sigma: Array = param(0.3, unit="S/m", bounds=(0, None))
    closest: Array = param(10.0, unit="um", bounds=(0, None))
    noise: Array = param(5.0, unit="uV", bounds=(0, None))

    @property
    def unit(self) -> str:
        """Microvolts."""
        return "uV"

    @property
    def gain(self) -> Float[Array, "sensor unit"]:
        """uV per nA."""
        d = jnp.linalg.norm(self.electrodes[:, None] - self.sources[None], axis=-1)
        return 1e3 / (4 * jnp.pi * self.sigma * jnp.maximum(d, self.closest))

    def mean(self, x, dt):
        """x @ gain.T, uV."""
        return x @ self.gain.T


class Surface(Observation):
    """EEG and MEG of dipole moments x (nA m): x @ gain.T through a `LeadField`, in uV, fT and fT/cm.

    `gain` (sensor, unit) in those units per nA m, `noise` (sensor,) their deviations; make it by
    `Surface.of(lead_field(...))`. Moments are identifiable as far as `gain` has full column rank (fewer sources
    than sensors, none invisible: MEG does not see radial dipoles).
    """

    gain: Array = param(axes=("sensor", "unit"))
    noise: Array = param(1.0, bounds=(0, None), axes=("sensor",))
    measures: tuple[str, ...] = eqx.field(static=True, default=("uV",))

    @classmethod
    def of(cls, field, *, rate: float | int = 256.0) -> Surface:
        """Of a `LeadField`, with sensor noise of 0.05 uV, 3 fT and 3 fT/cm per root Hz at `rate`."""
        from .head import NOISE, UNITS

        kinds = field.kinds.tolist()
        scale = np.array([UNITS[k][1] for k in kinds])[:, None] * 1e-9
        noise = np.array([NOISE[k] for k in kinds]) * math.sqrt(rate / 2)
        return cls(field.gain * scale, noise, tuple(UNITS[k][0] for k in kinds))

    @property
    def unit(self) -> str:
        """ "uV", "fT", "fT/cm", or "mixed"."""
        return self.measures[0] if len(set(self.measures)) == 1 else "mixed"

    def mean(self, x, dt):
        """x @ gain.T."""
        return x @ self.gain.T


class Hemodynamic(Observation):
    r"""BOLD as a linear filter of activity x, the canonical two gammas (SPM), normalised to sum 1:

    $$h(t) \propto g(t; 6) - g(t; 16) / 6, \qquad g(t; a) = t^{a-1} e^{-t} / \Gamma(a) \ (t \text{ in s})$$

    `amplitude`: percent per unit of x held for long; `length` of the kernel, 32 s. The amplitude and the
    scale of x are identifiable only as their product. Source: Friston et al. (1998) NeuroImage 7:30; SPM's
    spm_hrf.
    """

    amplitude: Array = param(1.0, unit="%")
    noise: Array = param(0.5, unit="%", bounds=(0, None))
    peak: Array = param(6.0, unit="s", bounds=(0, None))
    undershoot: Array = param(16.0, unit="s", bounds=(0, None))
    ratio: Array = param(6.0, bounds=(0, None))
    length: float = eqx.field(static=True, default=32.0)

    @property
    def unit(self) -> str:
        """Percent signal change."""
        return "%"

    def kernel(self, dt: float | int) -> Float[Array, " lag"]:
        """h at lags 0, dt, ... (ms), summing to 1."""
        t = jnp.arange(round(self.length * 1000 / dt) + 1) * (dt / 1000)
        h = _gamma(t, self.peak) - _gamma(t, self.undershoot) / self.ratio
        return h / h.sum()

    def mean(self, x, dt):
        """Percent signal change: the filter's output, from rest."""
        h = self.kernel(dt)
        n = x.shape[-2]
        size = 1 << (n + len(h) - 2).bit_length()
        over = jnp.fft.rfft(h, size).reshape(*[1] * (x.ndim - 2), -1, 1)
        y = jnp.fft.irfft(jnp.fft.rfft(x, size, axis=-2) * over, size, axis=-2)
        y = y[..., :n, :].astype(jnp.result_type(x, float))
        return jnp.broadcast_to(self.amplitude, y.shape) * y


def _gamma(t, a):
    safe = jnp.where(t > 0, t, 1.0)
    return jnp.where(
        t > 0, jnp.exp((a - 1) * jnp.log(safe) - safe - jax.scipy.special.gammaln(a)), 0.0
    )


class BOLD(Observation):
    """BOLD of activity x through the balloon model (`Balloon`), in percent, with Gaussian noise."""

    balloon: Balloon = eqx.field(default_factory=Balloon)
    noise: Array = param(0.5, unit="%", bounds=(0, None))

    @property
    def unit(self) -> str:
        """Percent signal change."""
        return "%"

    def mean(self, x, dt):
        """Percent signal change, from rest."""
        return bold(self.balloon, x, dt)


def observe(
    recording: Recording, model: Observation, key: Key[Array, ""] | None = None, **more
) -> Recording:
    """What `model` reads of a recording (rates, counts, currents, as the model asks for): the expected reading,
    or one drawn with `key`. Times, trials and events stay; the units become the sensors.

    `more`: labels, positions, columns of the sensors (by default those of the units where there are as many).
    Masked samples are refused (ValueError): an instrument has no holes.

    >>> rates = Recording.from_array(np.full((2, 100, 3), 40.0, np.float32), rate=100.0, unit="Hz")
    >>> observe(rates, Poisson(), jr.key(0))
    Recording(2 trials x 100 samples x 3 units; spikes at 100 Hz, 0..1 s; Poisson)
    """
    if recording.mask is not None and not bool(recording.mask.all()):
        raise ValueError(
            "The recording has masked samples: select the valid part before it is observed."
        )
    x = jnp.asarray(recording.to_numpy(), jnp.result_type(float))
    dt = 1000 / recording.rate
    y = np.asarray(model.mean(x, dt) if key is None else model.sample(x, dt, key))
    if isinstance(model, Poisson | Bernoulli) and key is not None:
        y = y.astype(np.int32)
    coords = recording.data.coords
    if y.shape[2] == recording.shape[2]:
        more = {
            "labels": coords["unit"].values,
            "columns": {
                c: v.values for c, v in coords.items() if v.dims == ("unit",) and c != "unit"
            },
            "positions": recording.positions,
            "positions_unit": recording.positions_unit,
        } | more
    if isinstance(model, Surface):
        more = {"columns": {"measure": np.array(model.measures)}} | more
    source = recording.about.get("source")
    made = Recording.from_array(
        y,
        rate=recording.rate,
        unit=model.unit,
        time=coords["time"].values,
        trials={c: v.values for c, v in coords.items() if v.dims == ("trial",)},
        events=recording.events,
        about={"source": type(model).__name__ + (f" of {source}" if source else "")},
        **more,
    )
    done = step("observe", model=type(model).__name__)
    return replace(made, history=(*recording.history, done), split=recording.split)
