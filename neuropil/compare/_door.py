"""What every comparison of representations checks before it begins."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def patterns(x, what: str = "x", least: int = 3) -> Float[np.ndarray, "stimulus unit"]:
    """`x` as float64 (stimulus, unit); ValueError for another shape, few stimuli, NaN or infinity."""
    x = np.asarray(x, float)
    if x.ndim != 2 or len(x) < least or x.shape[1] < 1:
        raise ValueError(
            f"{what} must be (stimulus, unit) with {least} or more stimuli, not {x.shape}"
        )
    bad = ~np.isfinite(x)
    if bad.any():
        stimulus, unit = np.argwhere(bad)[0]
        raise ValueError(
            f"{what} holds NaN or infinity (stimulus {stimulus}, unit {unit}): leave those stimuli or "
            "units out, on both sides"
        )
    return x


def paired(x, y, least: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (stimulus, unit), with the same stimuli in the same order."""
    x, y = patterns(x, "x", least), patterns(y, "y", least)
    if len(x) != len(y):
        raise ValueError(
            f"x has {len(x)} stimuli and y {len(y)}: give responses to the same stimuli, in one order"
        )
    return x, y


def centred(x: np.ndarray) -> np.ndarray:
    """Every unit minus its mean over stimuli."""
    return x - x.mean(0)
