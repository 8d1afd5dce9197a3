"""Series whose samples resemble their neighbours: how many samples they are worth, and correlations of them."""

from __future__ import annotations

import numpy as np
from scipy import special

from neuropil.stats.score import Score


def autocorrelation(x: np.ndarray) -> np.ndarray:
    """Autocorrelation of a series at every lag (lag, ...), the first axis being time; 1 at lag 0. By FFT; sums
    are divided by n at every lag, so that the estimate is positive semidefinite. NaN for a constant series.

    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0])).tolist()
    [1.0, -0.75, 0.5, -0.25]
    """
    x = np.asarray(x, float)
    n = len(x)
    spectrum = np.fft.rfft(x - x.mean(0), 2 * n, axis=0)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=0)[:n]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.round(sums / np.where(sums[:1] > 0, sums[:1], np.nan), 15)


def effective_samples(x: np.ndarray, y: np.ndarray | None = None) -> float:
    r"""How many independent samples a series of n is worth: for its mean, or (with `y`) for a correlation.

    $$n_{\text{eff}} = n \Big/ \Big(1 + 2 \sum_{k=1}^{K} (1 - k / n)\, c_k\Big), \qquad
    c_k = \rho_x(k) \text{ or } \rho_x(k)\, \rho_y(k)$$

    The sum ends at the first lag at which an autocorrelation is no longer distinguishable from that of white
    noise, |rho| < 1.96 / sqrt(n); the sample autocorrelation is freed of its first-order bias before. The
    result lies between 2 and n: alternating series are not said to be worth more than n.

    >>> rng = np.random.default_rng(0)
    >>> white = rng.normal(size=5000)
    >>> slow = np.convolve(rng.normal(size=5000), [1.0, 1.0, 1.0, 1.0])[:5000]   # mean of four: 5000 / 4
    >>> round(effective_samples(white)), round(effective_samples(slow), -2)
    (5000, 1200.0)

    Raises ValueError for a constant series, NaN, unlike lengths and fewer than 10 samples.

    Source: Bayley, Hammersley (1946), J. R. Stat. Soc. Suppl. 8, 184; cut as in Afyouni, Smith, Nichols (2019),
    NeuroImage 199, 609.
    """
    x, y = _pair(x, x if y is None else y)
    same = y is x
    n = len(x)
    rho = autocorrelation(x)
    other = np.ones(n) if same else autocorrelation(y)
    small = np.abs(rho) < 1.96 / np.sqrt(n)
    if not same:
        small |= np.abs(other) < 1.96 / np.sqrt(n)
    small[0] = False
    end = int(np.argmax(small)) if small.any() else n
    k = np.arange(1, end)
    rho, other = _unbiased(rho, k), other if same else _unbiased(other, k)
    total = 1 + 2 * np.sum((1 - k / n) * rho[k] * other[k])
    return float(np.clip(n / max(total, 1e-9), 2, n))


def _unbiased(rho, lags):
    """Sums over n - k terms were divided by n, and the mean was taken out: both lower the autocorrelation."""
    n = len(rho)
    out = rho.copy()
    area = (
        1 + 2 * np.sum((1 - lags / n) * rho[lags])
    ) / n  # variance of the mean that was taken out
    area = np.clip(area, 0, 0.5)
    out[lags] = (rho[lags] * n / (n - lags)) * (1 - area) + area
    return np.minimum(out, 1)


def correlation_p(r: float | np.ndarray, effective: float | int | np.ndarray) -> float | np.ndarray:
    r"""Two-sided p value of a correlation with as many effective samples, by $t = r \sqrt{(n - 2) / (1 -
    r^2)}$.

    >>> round(correlation_p(0.5, 20), 4)
    0.0248
    """
    free = np.maximum(np.asarray(effective, float) - 2, 1e-6)
    r2 = np.clip(np.asarray(r, float) ** 2, 0, 1)
    p = special.betainc(free / 2, 0.5, 1 - r2)
    return float(p) if np.ndim(p) == 0 else p


def series_correlation(x: np.ndarray, y: np.ndarray, *, level: float = 0.95) -> Score:
    r"""Pearson correlation of two series in time, as a `Score` that knows that neighbours are alike.

    The interval is Fisher's, $\tanh(\operatorname{artanh} r \pm z / \sqrt{n_{\text{eff}} - 3})$, with
    `effective_samples`; `n` is their number. The null (two-sided) is the distribution of a correlation of as
    many independent normal samples, as 999 equally likely values. Shuffling samples rejects a true null of slow
    series six times as often as promised; turning one in a circle (`shifts`) keeps the autocorrelation of both,
    but its ends do not join, and it rejects a little too often: see the page on calibration.

    >>> t = np.arange(400)
    >>> a = np.sin(t / 9) + np.random.default_rng(0).normal(size=400)
    >>> score = series_correlation(a, np.sin(t / 9))
    >>> score.interval[0] < score.value < score.interval[1], score.n < 400
    (True, True)

    Raises ValueError as `effective_samples` does.
    """
    x, y = _pair(x, y)
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    r = float(np.clip(x @ y, -1, 1))
    effective = effective_samples(x, y)
    z = special.ndtri(0.5 + level / 2) / np.sqrt(max(effective - 3, 0.1))
    middle = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    interval = (float(np.tanh(middle - z)), float(np.tanh(middle + z)))
    t = special.stdtrit(max(effective - 2, 1e-6), (np.arange(999) + 0.5) / 999)
    null = t / np.sqrt(t**2 + max(effective - 2, 1e-6))
    return Score(
        r, interval, null=null, name="r", level=level, n=round(effective), tail="two-sided"
    )


def _pair(x, y):
    same = x is y
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 10:
        raise ValueError(
            f"give two series (time,) of 10 samples or more, not {x.shape} and {y.shape}"
        )
    for one, what in ((x, "x"), (y, "y")):
        if not np.isfinite(one).all():
            raise ValueError(f"{what} is not finite at sample {int(np.argmin(np.isfinite(one)))}")
        if one.std() == 0:
            raise ValueError(f"{what} never changes, so it correlates with nothing")
    return (x, x) if same else (x, y)
