r"""How well a signal is reconstructed, band by band: error power, amplitude and phase of its spectrum.

With F and G the spectra of truth and guess, and sums over the frequencies of a band (and over all windows):
error $\sum |G - F|^2 / \sum |F|^2$; amplitude $\langle (\log(1 + |G|) - \log(1 + |F|))^2 \rangle$; phase
$\sum |F| (1 - \cos(\angle G - \angle F)) / \sum |F|$.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

BANDS = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""Bands of EEG in Hz, lower edge in, upper edge out."""


class BandErrors(NamedTuple):
    """Errors of one band. `error`: 0 exact, 1 for a guess of zero, 2 for an unrelated signal as strong;
    `amplitude`: mean square of log amplitudes; `phase`: 0 exact, 1 unrelated, 2 opposite."""

    error: float
    amplitude: float
    phase: float


def band_errors(
    truth: Float[Array | np.ndarray, "*window time"],
    guess: Float[Array | np.ndarray, "*window2 time2"],
    rate: float,
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, BandErrors]:
    """Errors of each band of signals at `rate` Hz, by the discrete Fourier transform of whole windows.

    >>> time = np.arange(200) / 200
    >>> slow, fast = np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 35 * time)
    >>> errors = band_errors(slow + fast, slow - fast, 200.0)
    >>> [round(errors[name].error, 3) for name in ("alpha", "gamma")]
    [0.0, 4.0]

    Raises ValueError for shapes that differ, or a band that no frequency of the windows lies in.
    """
    truth, guess = np.asarray(truth), np.asarray(guess)
    if truth.shape != guess.shape:
        raise ValueError(f"truth is {truth.shape}, guess {guess.shape}; they need the same shape")
    hz = np.fft.rfftfreq(truth.shape[-1], 1 / rate)
    full, said = np.fft.rfft(truth), np.fft.rfft(guess)
    found = {}
    for name, (low, high) in (BANDS if bands is None else bands).items():
        (inside,) = np.nonzero((hz >= low) & (hz < high))
        if not len(inside):
            raise ValueError(
                f"band {name} ({low} to {high} Hz) holds no frequency of windows of "
                f"{truth.shape[-1] / rate:g} s at {rate:g} Hz; take longer windows or another band"
            )
        f, g = full[..., inside], said[..., inside]
        strong, tiny = np.abs(f), np.finfo(float).tiny
        error = np.sum(np.abs(g - f) ** 2) / max(np.sum(strong**2), tiny)
        amplitude = np.mean((np.log1p(np.abs(g)) - np.log1p(strong)) ** 2)
        apart = 1 - np.cos(np.angle(g) - np.angle(f))
        phase = np.sum(strong * apart) / max(np.sum(strong), tiny)
        found[name] = BandErrors(float(error), float(amplitude), float(phase))
    return found


def unit_circle_loss(
    cosine: Float[Array, "*shape"],
    sine: Float[Array, "*shape"],
    phase: Float[Array, "*shape"],
    penalty: float = 0.1,
) -> Float[Array, ""]:
    r"""Loss of phases told by two numbers each, which should lie on the unit circle (Barmpas et al. 2025).

    $1 - \langle \cos\angle\big((\hat c, \hat s), (\cos\phi, \sin\phi)\big) \rangle + \lambda \langle (
    \hat c^2 + \hat s^2 - 1)^2 \rangle$: 0 exact, 2 opposite, 1 unrelated, $1 + \lambda$ for zeros.
    Unlike a difference of angles it does not jump at $\pm\pi$.

    >>> phase = jnp.array([0.0, 3.0])
    >>> round(float(unit_circle_loss(jnp.cos(phase), jnp.sin(phase), phase)), 5)
    0.0
    """
    square = cosine**2 + sine**2
    along = cosine * jnp.cos(phase) + sine * jnp.sin(phase)
    # the root's gradient at 0 is infinite
    length = jnp.sqrt(jnp.maximum(square, 1e-12))
    return 1 - jnp.mean(along / length) + penalty * jnp.mean((square - 1) ** 2)


class SpectrumErrors(NamedTuple):
    """Mean absolute errors of a spectrum: of `amplitude`, and of `phase` as a plain difference of angles."""

    amplitude: Float[Array, ""]
    phase: Float[Array, ""]


def _spectrum(x):
    time = x.shape[-1]
    # periodic, as torch.hamming_window is
    taper = 0.54 - 0.46 * jnp.cos(2 * jnp.pi * jnp.arange(time) / time)
    full = jnp.fft.rfft(x * taper.reshape(*(1,) * (x.ndim - 1), -1), norm="ortho")
    # the angle of 0 has no gradient: there it is the angle of 1
    return jnp.where(jnp.abs(full) < 1e-12, 1.0, full), jnp.abs(full) >= 1e-12


def amplitude_and_phase(
    truth: Float[Array, "*window time"], guess: Float[Array, "*window time"]
) -> SpectrumErrors:
    r"""Mean over windows and frequencies of $\big||G| - |F|\big|$ and $|\angle G - \angle F|$, after a Hamming
    window; F and G are orthonormal spectra (Xiao et al. 2025, BrainOmni).

    The angles' difference is plain: it jumps by $2\pi$ at $\pm\pi$, is $2\pi/3$ on average for unrelated
    phases, and counts frequencies without power like all others. `unit_circle_loss` does neither.

    >>> x = jnp.sin(jnp.arange(64.0))
    >>> errors = amplitude_and_phase(x, -x)
    >>> float(errors.amplitude), round(float(errors.phase), 3)
    (0.0, 3.142)
    """
    (f, there), (g, told) = _spectrum(truth), _spectrum(guess)
    strong = lambda a, on: jnp.where(on, jnp.abs(a), 0.0)
    amplitude = jnp.mean(jnp.abs(strong(g, told) - strong(f, there)))
    return SpectrumErrors(amplitude, jnp.mean(jnp.abs(jnp.angle(g) - jnp.angle(f))))


def correlation(
    truth: Float[Array, "*window time"], guess: Float[Array, "*window time"]
) -> Float[Array, "*window"]:
    """Pearson's correlation over the last axis; 0 where either does not move.

    >>> correlation(jnp.array([1.0, 2.0, 3.0]), jnp.array([2.0, 4.0, 6.0])).round(3).tolist()
    1.0
    """
    a, b = (x - x.mean(-1, keepdims=True) for x in (truth, guess))
    power = (a**2).sum(-1) * (b**2).sum(-1)
    return (a * b).sum(-1) * jax.lax.rsqrt(jnp.maximum(power, 1e-12))
