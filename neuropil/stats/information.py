"""Information transfer rate of a speller."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy


def information_transfer_rate(
    accuracy: float | int | np.ndarray, classes: int, seconds: float | int
) -> float | np.ndarray:
    r"""Bits a minute of choices among M classes with accuracy p, `seconds` each (the gaze shift included):

    $$\frac{60}{T} \left( \log_2 M + p \log_2 p + (1 - p) \log_2 \frac{1 - p}{M - 1} \right),$$

    0 at and below chance. The mean over people of their rates is not the rate of their mean accuracy.
    Source: Wolpaw et al. 1998, IEEE Trans. Rehabil. Eng. 6:326.

    >>> round(information_transfer_rate(1.0, 40, 0.9), 2), information_transfer_rate(1 / 40, 40, 0.9)
    (354.8, 0.0)

    Raises ValueError for an accuracy that is none, fewer than 2 classes, or no time.
    """
    p = np.asarray(accuracy, float)
    if classes < 2 or seconds <= 0 or np.any((p < 0) | (p > 1)):
        raise ValueError(
            f"accuracy {accuracy!r} lies between 0 and 1, classes {classes} is 2 or more, "
            f"seconds {seconds} is positive"
        )
    bits = np.log2(classes) + (xlogy(p, p) + xlogy(1 - p, (1 - p) / (classes - 1))) / np.log(2)
    rate = np.where(p <= 1 / classes, 0.0, 60 * bits / seconds)
    return float(rate) if np.ndim(accuracy) == 0 else rate
