"""What rhythms of a recording are like: spectra, envelopes, bursts and their lifetimes (arrays only).

Of two recordings the errors compare what they are like, not sample with sample: for generated signals.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real
from scipy.signal import butter, hilbert, sosfiltfilt, welch


def power_spectrum(
    x: Float[np.ndarray, "time channel"], rate: float | int, segment: float | int = 2.56
) -> tuple[np.ndarray, np.ndarray]:
    """Welch's power spectral density (frequency, channel) and its frequencies in Hz; segments of `segment` s.

    >>> time = np.arange(1000) / 100
    >>> hz, power = power_spectrum(np.sin(2 * np.pi * 10 * time)[:, None], 100.0)
    >>> round(float(hz[power[:, 0].argmax()]), 1)
    10.2

    Raises ValueError for a recording shorter than a segment."""
    n = round(segment * rate)
    if len(x) < n:
        raise ValueError(f"{len(x)} samples are fewer than a segment of {n}; take shorter segments")
    hz, power = welch(x, rate, nperseg=n, axis=0)
    return hz, power


def spectrum_error(
    real: Float[np.ndarray, "time channel"],
    made: Float[np.ndarray, "time2 channel"],
    rate: float | int,
    band: tuple[float | int, float | int] = (5.0, 40.0),
    segment: float | int = 2.56,
) -> float:
    """Root mean square over frequencies of `band` and channels of the difference of log10 power densities.

    >>> noise = np.random.default_rng(0).normal(size=(9000, 1))
    >>> round(spectrum_error(noise, 10 * noise, 100.0), 6)
    2.0
    """
    hz, a = power_spectrum(real, rate, segment)
    _, b = power_spectrum(made, rate, segment)
    inside = (hz >= band[0]) & (hz <= band[1])
    tiny = np.finfo(np.float32).tiny  # a silent channel is far off, not infinitely far
    gap = np.log10(np.maximum(b[inside], tiny)) - np.log10(np.maximum(a[inside], tiny))
    return float(np.sqrt(np.mean(gap**2)))


def off_diagonal(x: Float[np.ndarray, "time channel"]) -> Float[np.ndarray, " pair"]:
    """Correlations of all pairs of channels."""
    return np.corrcoef(x.T)[np.triu_indices(x.shape[1], 1)]


def correlation_error(
    real: Float[np.ndarray, "time channel"], made: Float[np.ndarray, "time2 channel"]
) -> float:
    """Root mean square over pairs of channels of the difference of their correlations.

    >>> x = np.random.default_rng(0).normal(size=(500, 1))
    >>> round(correlation_error(np.hstack([x, x]), np.hstack([x, -x])), 6)
    2.0
    """
    return float(np.sqrt(np.mean((off_diagonal(made) - off_diagonal(real)) ** 2)))


def envelope(
    x: Float[np.ndarray, "time channel"],
    rate: float | int,
    hz: float | int,
    half: float | int = 2.0,
) -> Float[np.ndarray, "time channel"]:
    """Amplitude of the rhythm at `hz` +- `half` Hz: the Hilbert envelope behind a Butterworth filter of order
    4, run both ways. Of Gaussian noise its deviation over its mean is sqrt(4 / pi - 1) = 0.523 (Rayleigh).

    >>> time = np.arange(1000) / 100
    >>> round(float(envelope(3 * np.sin(2 * np.pi * 10 * time)[:, None], 100.0, 10.0)[500, 0]), 1)
    3.0
    """
    sos = butter(4, (hz - half, hz + half), "bandpass", fs=rate, output="sos")
    return np.abs(hilbert(sosfiltfilt(sos, x, axis=0), axis=0))


def variation(x: np.ndarray) -> float:
    """Deviation over mean."""
    return float(np.std(x) / np.mean(x))


def burst_lifetimes(
    envelope: Real[np.ndarray, " time"],
    threshold: float | int,
    rate: float | int,
    shortest: float | int = 0.0,
) -> Float[np.ndarray, " burst"]:
    """How long, in s, the envelope stays above `threshold` each time; stays below `shortest` s do not count,
    nor those cut by an end of the recording.

    >>> burst_lifetimes(np.array([0, 3, 3, 0, 4, 0, 9.0]), 1.0, 10.0).tolist()
    [0.2, 0.1]
    """
    above = (np.asarray(envelope) > threshold).astype(int)
    step = np.diff(above)
    begins, ends = np.flatnonzero(step == 1) + 1, np.flatnonzero(step == -1) + 1
    if above[0]:
        ends = ends[1:]
    lasted = (ends - begins[: len(ends)]) / rate
    return lasted[lasted >= shortest]


def peak_frequency(
    x: Float[np.ndarray, "time channel"],
    rate: float | int,
    around: tuple[float | int, float | int],
    segment: float | int = 5.12,
) -> float:
    """Centre of mass in Hz, between the edges `around`, of the square of the channels' summed power.

    >>> time = np.arange(4000) / 100
    >>> round(peak_frequency(np.sin(2 * np.pi * 10.3 * time)[:, None], 100.0, (8.0, 12.0)), 1)
    10.3
    """
    hz, power = power_spectrum(x, rate, segment)
    inside = (hz >= around[0]) & (hz <= around[1])
    strong = power[inside].sum(1) ** 2
    return float((hz[inside] * strong).sum() / strong.sum())
