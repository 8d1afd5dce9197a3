"""Score, intervals, nulls and noise ceilings. Arrays only; no JAX but in `likelihood`."""

from neuropil.stats.auroc import auroc, midranks
from neuropil.stats.ceiling import ceiling, correlate, halves, reliability, spearman_brown, split
from neuropil.stats.resample import (
    bca_interval,
    bootstrap,
    percentile_interval,
    permutation,
    shifts,
)
from neuropil.stats.score import Score, permutation_p

__all__ = [
    "Score",
    "auroc",
    "bca_interval",
    "bootstrap",
    "ceiling",
    "correlate",
    "halves",
    "midranks",
    "percentile_interval",
    "permutation",
    "permutation_p",
    "reliability",
    "shifts",
    "spearman_brown",
    "split",
]
