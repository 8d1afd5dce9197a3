r"""How two RDMs agree, and how well they could: similarities and noise ceilings as bare numbers.

Each similarity but Kendall's is an inner product of unit vectors (`_units`), so sets of RDMs are
compared by one matrix product. Which one to take: distances with a meaningful zero (`crossnobis`,
`cross_poisson`) by `whitened-cosine`; any others by `pearson` or, where a model predicts an order
only, by `rho-a` (models that predict ties gain from them under `spearman` and `tau-b`, not under
`rho-a` and `tau-a`). To report a number use `compare_rdms` or `compare_models`, which add interval, ceiling
and null.

Sources: Nili et al. 2014 (tau-a, noise ceiling), Diedrichsen et al. 2021 (whitening), Schuett et al.
2023 (rho-a, and what to choose).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats as scipy_stats

from neuropil.compare.dissimilarity import crossnobis, square, stimuli
from neuropil.stats import midranks, spearman_brown, split

METHODS = (
    "pearson",
    "spearman",
    "cosine",
    "rho-a",
    "tau-a",
    "tau-b",
    "whitened-pearson",
    "whitened-cosine",
)
RANKED = ("spearman", "rho-a", "tau-a", "tau-b")


def similarity(
    a: np.ndarray, b: np.ndarray, method: str = "pearson", noise: np.ndarray | None = None
) -> Float[np.ndarray, "..."] | float:
    r"""Agreement of RDM vectors; sets (subject, pair) give a matrix. A bare number without interval
    or null: use `compare_rdms` to report one.

    - `pearson`, `cosine`, `spearman`;
    - `rho-a`: Spearman's, averaged over all orders of tied ranks,
      $12 \sum_p (r_p - \bar r)(s_p - \bar s) / (P^3 - P)$ of P pairs;
    - `tau-a`, `tau-b`: Kendall's, over all pairs of pairs or corrected for ties;
    - `whitened-cosine`, `whitened-pearson`: $a^\top V^{-1} b$, normalised, after subtracting the
      means for `whitened-pearson`; V is the covariance of the distances of a pair of stimuli, $V =
      (C \Sigma C^\top)^{\circ 2}$ with the contrasts C and the noise covariance $\Sigma$ of the
      stimuli (`noise` (stimulus, stimulus), or variances (stimulus,); equal and independent if
      None). Pairs that share a stimulus share its noise, and count for less.

    An RDM of equal distances has no Pearson, Spearman or tau-b: NaN (for `rho-a` and `tau-a`, 0).

    >>> round(similarity(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.0]), "tau-a"), 3)
    0.667

    Raises ValueError for NaN, RDMs of unequal size, an unknown method.
    """
    a, b = _vectors(a), _vectors(b)
    _known(method, noise)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"RDMs of {stimuli(a)} and {stimuli(b)} stimuli cannot be compared")
    one, other = np.atleast_2d(a), np.atleast_2d(b)
    if method.startswith("tau"):
        out = np.array([[_tau(x, y, method) for y in other] for x in one])
    else:
        out = _units(one, method, noise) @ _units(other, method, noise).T
    out = out if a.ndim == 2 else out[0]
    out = out if b.ndim == 2 else out[..., 0]
    return float(out) if out.ndim == 0 else out


def noise_ceiling(
    rdms: np.ndarray, method: str = "pearson", noise: np.ndarray | None = None
) -> tuple[float, float]:
    """Bounds (lower, upper) on the mean similarity that any model can have with these subjects' RDMs.

    Upper: each subject with the mean over all, which holds part of that subject's noise (for
    `pearson` and `cosine` no RDM at all does better; for the others it is nearly so); lower: with
    the mean over the other subjects (Nili et al. 2014). Subjects are first put on the method's scale:
    unit length for cosines, centred too for correlations, ranks for rank correlations.

    >>> rng = np.random.default_rng(0)
    >>> low, high = noise_ceiling(rng.normal(size=45) + 0.5 * rng.normal(size=(8, 45)))
    >>> round(low, 2), round(high, 2)
    (0.84, 0.88)

    Raises ValueError for fewer than 2 subjects: one brain has a ceiling only by its repeats
    (`rdm_ceiling`).
    """
    rdms = _vectors(rdms)
    if rdms.ndim != 2 or len(rdms) < 2:
        raise ValueError("a noise ceiling needs the RDMs of 2 or more subjects (subject, pair)")
    pooled = _pooled(rdms, method)
    total = pooled.sum(0)
    upper = np.mean(similarity(rdms, total, method, noise))
    lower = np.mean(
        [similarity(x, total - u, method, noise) for x, u in zip(rdms, pooled, strict=True)]
    )
    return float(lower), float(upper)


def split_half_ceiling(
    rdms: np.ndarray, method: str = "pearson", splits: int = 100, seed: int = 0
) -> float:
    r"""Highest similarity that a model can reach with the *mean* RDM of these subjects (subject, pair).

    The similarity r of the mean RDMs of two random halves, averaged over splits, is raised to all
    subjects by the Spearman-Brown formula, $2 r / (1 + r)$, and its root taken: noise is then in one
    of the two sides only. An odd subject out is left out of a split. 0 where the halves disagree.

    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=190)
    >>> subjects = true + rng.normal(size=(8, 190))
    >>> round(split_half_ceiling(subjects), 2), round(similarity(true, subjects.mean(0)), 2)
    (0.94, 0.94)

    Raises ValueError for fewer than 2 subjects.
    """
    rdms = _vectors(rdms)
    if rdms.ndim != 2 or len(rdms) < 2:
        raise ValueError("halves need the RDMs of 2 or more subjects (subject, pair)")
    rng, half = np.random.default_rng(seed), len(rdms) // 2
    pooled, found = _pooled(rdms, method), []
    for _ in range(splits):
        order = rng.permutation(len(rdms))
        one, other = pooled[order[:half]].mean(0), pooled[order[half : 2 * half]].mean(0)
        found.append(similarity(one, other, method))
    return float(np.sqrt(max(spearman_brown(np.mean(found), len(rdms) / half), 0)))


def rdm_ceiling(
    runs: np.ndarray, precision: np.ndarray | None = None, splits: int = 20, seed: int = 0
) -> float:
    """Highest Pearson correlation that a model can reach with the crossnobis RDM of `runs`
    (repeat, stimulus, channel), for one brain that saw each stimulus 4 times or more.

    The covariance of crossnobis RDMs of two random halves estimates the variance of the true
    distances without bias, whatever the halves' noise; its share of the variance of the full RDM
    bounds the squared correlation. (The Spearman-Brown formula would not do: the variance of
    crossnobis noise falls faster than the number of runs grows.)
    """
    rng, runs = np.random.default_rng(seed), np.asarray(runs, float)
    signal = np.mean(
        [
            np.cov(*(crossnobis(half, precision) for half in split(runs, rng)))[0, 1]
            for _ in range(splits)
        ]
    )
    return float(np.sqrt(np.clip(signal / crossnobis(runs, precision).var(ddof=1), 0, 1)))


def _known(method, noise=None):
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, not {method!r}")
    if noise is not None and not method.startswith("whitened"):
        raise ValueError("noise between stimuli enters the whitened methods only")


def _vectors(x):
    x = np.asarray(x, float)
    if x.ndim not in (1, 2):
        raise ValueError(f"an RDM is a vector (pair,) or a set (subject, pair), not {x.shape}")
    stimuli(x)
    if not np.all(np.isfinite(x)):
        raise ValueError("an RDM holds NaN or infinity: leave those stimuli out")
    return x


def _pooled(x, method):
    """Rows on the scale on which a method averages subjects."""
    if method in RANKED:
        return midranks(x)
    return _normal(x if "cosine" in method else _centred(x))


def _centred(x):
    """Rows minus their means; what is then left of a constant row is rounding, and made 0."""
    out = x - x.mean(1, keepdims=True)
    out[np.abs(out).max(1) <= 1e-14 * np.abs(x).max(1)] = 0
    return out


def _normal(x):
    """Rows of unit length, NaN for a row of zeros."""
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm > 0, norm, np.nan)


def _units(x, method, noise=None):
    """Rows whose inner products are the similarities of the rows of x (float64)."""
    if method in RANKED:
        x = midranks(x)
    if "cosine" not in method:
        x = _centred(x)
    if method == "rho-a":
        pairs = x.shape[1]
        return x * np.sqrt(12 / (float(pairs) ** 3 - pairs))
    if method.startswith("whitened"):
        root = _contrasts(stimuli(x), noise)
        x = (root.T @ square(x) @ root).reshape(len(x), -1)
    return _normal(x)


def _contrasts(n, noise):
    r"""R (stimulus, stimulus - 1 or stimulus) with R R' = Q, by which $a^\top V^{-1} b$ is half the inner
    product of Q A Q and B, the matrices of a and b.

    For equal noise Q centres. In general, $Q = \Sigma^{-1} - \Sigma^{-1} 1 1^\top \Sigma^{-1} / 1^\top
    \Sigma^{-1} 1$: the noise covariance inverted on the contrasts, where alone distances live.
    """
    if noise is None:
        return np.eye(n) - 1 / n
    noise = np.asarray(noise, float)
    noise = np.diag(noise) if noise.ndim == 1 else noise
    if noise.shape != (n, n):
        raise ValueError(f"noise between {n} stimuli is ({n}, {n}) or ({n},), not {noise.shape}")
    basis = np.linalg.svd(np.eye(n) - 1 / n)[0][:, : n - 1]
    values, axes = np.linalg.eigh(basis.T @ noise @ basis)
    if values[0] <= 1e-12 * max(values[-1], 1e-300):
        raise ValueError("noise between stimuli has no inverse on their differences: shrink it")
    return basis @ axes / np.sqrt(values)


def _tau(a, b, method):
    """Kendall's tau-b, or tau-a from it: the same sum over another number of pairs."""
    tau = float(scipy_stats.kendalltau(a, b).statistic)
    if method == "tau-b":
        return tau

    def untied(x):
        tied = np.unique(x, return_counts=True)[1].astype(float)
        return (len(x) * (len(x) - 1.0) - (tied * (tied - 1)).sum()) / 2

    if min(untied(a), untied(b)) == 0:
        return 0.0
    return tau * np.sqrt(untied(a) * untied(b)) / (len(a) * (len(a) - 1) / 2)
