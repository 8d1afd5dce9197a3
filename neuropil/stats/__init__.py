"""Score, intervals, nulls and noise ceilings. Arrays only; no JAX but in `likelihood`, `complexity`, `capacity`
and `randomised` (null networks), which are imported by their own names.
"""

from neuropil.stats.affinity import slope_affinity, window_correlation
from neuropil.stats.auroc import auroc, midranks
from neuropil.stats.ceiling import (
    between,
    ceiling,
    correlate,
    explainable,
    halves,
    reliability,
    signal_to_noise,
    spearman_brown,
    split,
)
from neuropil.stats.choices import balanced_accuracy, transfer_rate, wilson_interval
from neuropil.stats.cluster import Clusters, cluster_test, neighbours
from neuropil.stats.equivalence import Judged, equivalence, non_inferiority
from neuropil.stats.exchange import block_shuffles, shuffles, sign_flip, sign_flips
from neuropil.stats.hierarchy import hierarchical_bootstrap
from neuropil.stats.information import information_transfer_rate
from neuropil.stats.latents import co_smoothing, forward_prediction, psth_r2, velocity_r2
from neuropil.stats.multiple import family_wise, fdr, holm
from neuropil.stats.resample import (
    bca_interval,
    bootstrap,
    percentile_interval,
    permutation,
    shifts,
)
from neuropil.stats.score import Score, permutation_p
from neuropil.stats.series import (
    autocorrelation,
    correlation_p,
    effective_samples,
    series_correlation,
)
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
    "Clusters",
    "Judged",
    "Score",
    "auroc",
    "autocorrelation",
    "balanced_accuracy",
    "bca_interval",
    "between",
    "block_shuffles",
    "bootstrap",
    "ceiling",
    "cluster_test",
    "co_smoothing",
    "correlate",
    "correlation_p",
    "distances",
    "effective_samples",
    "equivalence",
    "explainable",
    "family_wise",
    "fano_factor",
    "fdr",
    "forward_prediction",
    "halves",
    "hierarchical_bootstrap",
    "holm",
    "information_transfer_rate",
    "interval_cv",
    "local_variation",
    "midranks",
    "neighbours",
    "non_inferiority",
    "pairwise_correlation",
    "percentile_interval",
    "permutation",
    "permutation_p",
    "psth_r2",
    "reliability",
    "series_correlation",
    "shifts",
    "shuffles",
    "sign_flip",
    "sign_flips",
    "signal_to_noise",
    "slope_affinity",
    "spearman_brown",
    "split",
    "synchrony",
    "transfer_rate",
    "van_rossum",
    "velocity_r2",
    "victor_purpura",
    "wilson_interval",
    "window_correlation",
]
