"""How alike two traces are at each time: arrays (time, pair), not negative."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d


def slope_affinity(
    traces: Float[np.ndarray, "unit time"],
    *,
    smooth: float | int = 2.0,
    window: float | int = 6.0,
    every: int = 1,
) -> Float[np.ndarray, "sample pair"]:
    r"""Pairs that rise or fall together, at each time:

    $$a_{ij}(t) = g_w * \sqrt{\max(d_i(t) d_j(t), 0)}, \qquad d_i = \dot x_i / \mathrm{sd}(\dot x_i)$$

    with $\dot x_i$ the derivative of a Gaussian of `smooth` frames, $g_w$ a Gaussian of `window` frames (0:
    none), each `every`-th frame. Pairs i < j in the order of `np.triu_indices(n, 1)`, so that
    `scipy.spatial.distance.squareform` folds a row into a matrix. A unit that is NaN makes its pairs NaN.

    >>> x = np.sin(np.arange(60) / 5)
    >>> a = slope_affinity(np.stack([x, 3 * x, -x]), window=0)
    >>> a.shape, bool(a[:, 0].max() > 1), float(a[:, 1:].max())
    ((60, 3), True, 0.0)

    Raises ValueError unless traces are (unit, time) with two units or more.
    """
    d = gaussian_filter1d(_checked(traces), smooth, axis=1, order=1)
    sd = d.std(1, keepdims=True)
    d = d / np.where(sd > 0, sd, 1)
    i, j = np.triu_indices(len(d), 1)
    together = np.sqrt(np.maximum(d[i] * d[j], 0))
    return _windowed(together, window)[:, ::every].T


def window_correlation(
    traces: Float[np.ndarray, "unit time"],
    *,
    smooth: float | int = 2.0,
    window: float | int = 6.0,
    every: int = 1,
) -> Float[np.ndarray, "sample pair"]:
    """Correlation of pairs within a sliding Gaussian window of sd `window` frames, negative ones as 0.
    Traces are smoothed first by a Gaussian of `smooth` frames. Pairs and NaN as in `slope_affinity`.

    >>> x = np.sin(np.arange(60) / 5)
    >>> window_correlation(np.stack([x, 3 * x, -x]))[30].round(6).tolist()
    [1.0, 0.0, 0.0]
    """
    x = gaussian_filter1d(_checked(traces), smooth, axis=1)
    mean = _windowed(x, window)
    variance = np.maximum(_windowed(x * x, window) - mean**2, 1e-12)
    i, j = np.triu_indices(len(x), 1)
    joint = _windowed(x[i] * x[j], window) - mean[i] * mean[j]
    r = joint / np.sqrt(variance[i] * variance[j])
    return np.clip(r, 0, 1)[:, ::every].T


def _checked(traces):
    x = np.asarray(traces, float)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"traces {x.shape} must be (unit, time) with two units or more")
    return x


def _windowed(x, window):
    return gaussian_filter1d(x, window, axis=1) if window else x
