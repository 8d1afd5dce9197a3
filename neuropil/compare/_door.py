"""What every comparison of representations checks before it begins."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from neuropil.stats import percentile_interval


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


def subset_size(n: int, share: float, least: int = 3) -> int:
    """How many of n a subset keeps; ValueError unless at least one is left out and `least` are kept."""
    if not 0 < share < 1:
        raise ValueError(f"share = {share}, but a subset keeps a share between 0 and 1")
    kept = min(max(round(share * n), least), n - 1)
    if kept < least:
        raise ValueError(f"{n} are too few to leave some out: give {least + 1} or more")
    return kept


def spread(value: float, draws, kept: int, n: int, level: float):
    """(interval, draws) of a value from its values on subsets of `kept` of n (a delete-d jackknife).

    Subsets have no copies, which a bootstrap has and most measures of geometry mistake for structure. A mean
    over m of n drawn without repeats varies (1 / m - 1 / n) / (1 / n) = (n - m) / m times as much as the mean
    of n does; the draws are divided by its root, and centred on the value, since a small set has its own bias.

    Source: Shao, Wu (1989), Ann. Stat. 17, 1176.
    """
    draws = np.asarray(draws, float)
    if not len(draws):
        return None, None
    draws = value + np.sqrt(kept / (n - kept)) * (draws - np.nanmean(draws))
    return percentile_interval(draws, level), draws
