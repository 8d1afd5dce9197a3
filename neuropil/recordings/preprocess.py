"""Preprocessing: functions of a `Recording` (their history is kept), and small ones of arrays (...,
time, unit).
"""

import numpy as np
from jaxtyping import Num
from scipy.ndimage import gaussian_filter1d

from .clocks import Clock, align
from .filters import filter, notch, reference, resample
from .ica import ICA
from .quality import Finding, ScaleWarning, convert, inspect, is_in, match_channels, pick, require
from .segment import blocks, epochs
from .splits import Parts, Scaler, folds, join, split, split_subjects

__all__ = [
    "ICA",
    "Clock",
    "Finding",
    "Parts",
    "ScaleWarning",
    "Scaler",
    "align",
    "blocks",
    "convert",
    "epochs",
    "filter",
    "folds",
    "inspect",
    "is_in",
    "join",
    "match_channels",
    "notch",
    "pick",
    "rebin",
    "reference",
    "require",
    "resample",
    "smooth",
    "split",
    "split_subjects",
    "zscore",
]


def zscore(x: Num[np.ndarray, "..."], axis: int | tuple[int, ...] = -2) -> np.ndarray:
    """(x - mean) / deviation along `axis`, NaN left out of both; a constant unit becomes 0.

    >>> zscore(np.array([[1.0], [3.0]])).ravel().tolist()
    [-1.0, 1.0]
    """
    mean, std = np.nanmean(x, axis, keepdims=True), np.nanstd(x, axis, keepdims=True)
    return (x - mean) / np.where(std > 0, std, 1)


def rebin(x: Num[np.ndarray, "..."], samples: int, axis: int = -2, how: str = "sum") -> np.ndarray:
    """Sum (counts) or mean (`how="mean"`) of every `samples` samples; a last short bin is dropped.

    >>> rebin(np.arange(5).reshape(5, 1), 2).ravel().tolist()
    [1, 5]
    """
    if not 1 <= samples <= x.shape[axis]:
        raise ValueError(
            f"A bin of {samples} samples does not fit {x.shape[axis]} samples: choose between."
        )
    if how not in ("sum", "mean"):
        raise ValueError(f"how={how!r} is unknown: use 'sum' for counts or 'mean'.")
    y = np.moveaxis(x, axis, 0)
    y = y[: len(y) // samples * samples].reshape(-1, samples, *y.shape[1:])
    return np.moveaxis(getattr(y, how)(1), 0, axis)


def smooth(x: Num[np.ndarray, "..."], sigma: float, rate: float, axis: int = -2) -> np.ndarray:
    """Gaussian smoothing over time: `sigma` in seconds at `rate` Hz, 4 sigma wide on each side.

    Beyond its ends the signal is taken as mirrored, so a constant stays constant.
    """
    if not (sigma > 0 and rate > 0):
        raise ValueError(f"sigma = {sigma} s at {rate} Hz: give numbers above 0.")
    return gaussian_filter1d(np.asarray(x, float), sigma * rate, axis, mode="reflect", truncate=4.0)
