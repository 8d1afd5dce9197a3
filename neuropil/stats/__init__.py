"""Score, intervals, nulls and noise ceilings. Arrays only; no JAX but in `likelihood` and `complexity`."""

from neuropil.stats.affinity import slope_affinity, window_correlation
from neuropil.stats.auroc import auroc, midranks
from neuropil.stats.ceiling import ceiling, correlate, halves, reliability, spearman_brown, split
from neuropil.stats.information import information_transfer_rate
from neuropil.stats.resample import (
    bca_interval,
    bootstrap,
    percentile_interval,
    permutation,
    shifts,
)
from neuropil.stats.score import Score, permutation_p
from neuropil.stats.trains import (
    distances,
    fano_factor,
    interval_cv,
    local_variation,
    pairwise_correlation,
    synchrony,
    van_rossum,
    victor_purpura,
)

__all__ = [
    "Score",
    "auroc",
    "bca_interval",
    "bootstrap",
    "ceiling",
    "correlate",
    "distances",
    "fano_factor",
    "halves",
    "information_transfer_rate",
    "interval_cv",
    "local_variation",
    "midranks",
    "pairwise_correlation",
    "percentile_interval",
    "permutation",
    "permutation_p",
    "reliability",
    "shifts",
    "slope_affinity",
    "spearman_brown",
    "split",
    "synchrony",
    "van_rossum",
    "victor_purpura",
    "window_correlation",
]
