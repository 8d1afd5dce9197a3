"""Distances between clouds of responses as distributions: Bures, Gaussian Wasserstein, energy.

Nothing is paired here: the two clouds share units, not samples.

Sources: Bures metric: Bhatia, Jain, Lim (2019), Expo. Math. 37, 165; Wasserstein distance of Gaussians: Dowson,
Landau (1982), J. Multivar. Anal. 12, 450; energy: Szekely, Rizzo (2013), J. Stat. Plan. Inference 143, 1249;
between neural responses: Duong, Zhou, Nassar, Berman, Olieslagers, Williams (2023), ICLR, arXiv:2211.11665.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from neuropil.compare._door import patterns, spread, subset_size
from neuropil.stats import Score


def root(a: Float[np.ndarray, "unit unit"]) -> Float[np.ndarray, "unit unit"]:
    """Symmetric root of a covariance (small negative eigenvalues count as 0)."""
    w, v = np.linalg.eigh(a)
    return (v * np.sqrt(np.maximum(w, 0))) @ v.T


def bures(a: np.ndarray, b: np.ndarray) -> float:
    r"""Bures distance of two covariances.

    $$d^2 = \mathrm{tr} A + \mathrm{tr} B - 2\, \mathrm{tr} \big(A^{1/2} B A^{1/2}\big)^{1/2}$$

    It is the Wasserstein distance of centred Gaussians; for covariances that commute, the Euclidean distance of
    their standard deviations along shared axes.

    >>> round(bures(np.diag([4.0, 1.0]), np.diag([1.0, 1.0])), 6)
    1.0

    Raises ValueError for matrices that are not square, symmetric and of equal size.
    """
    a, b = (np.asarray(m, float) for m in (a, b))
    if a.ndim != 2 or a.shape != b.shape or len(a) != a.shape[1]:
        raise ValueError(f"bures: two square covariances of one size, not {a.shape} and {b.shape}")
    if not (np.allclose(a, a.T) and np.allclose(b, b.T)):
        raise ValueError("bures: a covariance must be symmetric and finite")
    fidelity = np.linalg.svd(root(a) @ root(b), compute_uv=False).sum()
    return float(np.sqrt(max(np.trace(a) + np.trace(b) - 2 * fidelity, 0)))


def gaussian_wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    r"""2-Wasserstein distance of the Gaussians with the means and covariances of two clouds (sample, unit).

    $$d^2 = \|\mu_x - \mu_y\|^2 + \mathrm{Bures}^2(\Sigma_x, \Sigma_y)$$

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(gaussian_wasserstein(x, x + np.array([3.0, 4.0])), 6)
    5.0
    """
    x, y = _door(x, y)
    a, b = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    return float(np.hypot(np.linalg.norm(x.mean(0) - y.mean(0)), bures(a, b)))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    r"""Squared energy distance of two clouds, without bias: 0 on average where they are one distribution.

    $$D^2 = 2\,E|X - Y| - E|X - X'| - E|Y - Y'|$$

    Pairs of a sample with itself are left out of the means, so it may come out below 0. It sees any difference
    of two distributions, where Bures sees two moments.

    >>> energy_distance(np.array([[0.0], [0.0], [0.0]]), np.array([[2.0], [2.0], [2.0]]))
    4.0
    """
    x, y = _door(x, y)
    return _energy(
        cdist(np.concatenate([x, y]), np.concatenate([x, y])), np.arange(len(x) + len(y)), len(x)
    )


def _energy(d, order, n):
    """Energy distance of the samples order[:n] and order[n:], from all distances."""
    first, rest = order[:n], order[n:]
    m = len(rest)
    within = d[np.ix_(first, first)].sum() / (n * (n - 1)) + d[np.ix_(rest, rest)].sum() / (
        m * (m - 1)
    )
    return float(2 * d[np.ix_(first, rest)].mean() - within)


CLOUDS = {"bures": gaussian_wasserstein, "energy": energy_distance}


def compare_clouds(
    x: np.ndarray,
    y: np.ndarray,
    measure: str = "energy",
    *,
    resamples: int = 200,
    permutations: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Distance of two clouds of responses (sample, unit) that share their units.

    - `measure`: `energy` (squared, unbiased) or `bures` (Wasserstein of the two Gaussians; grows with the
      noise of few samples: read it beside its null);
    - interval: halves of each cloud are drawn without repeats (a bootstrap's copies would count as samples at
      distance 0), which spread as much as the whole does, centred on the value;
    - null: which cloud a sample belongs to is shuffled; `p` small says that the clouds differ.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 1
    >>> compare_clouds(x, y, resamples=50, permutations=99).p
    0.01

    Raises ValueError for unknown measures, and for clouds that do not share their units.
    """
    x, y = _door(x, y, 4)
    if measure not in CLOUDS:
        raise ValueError(f"measure must be one of {tuple(CLOUDS)}, not {measure!r}")
    n, both = len(x), np.concatenate([x, y])
    d = cdist(both, both) if measure == "energy" else None

    def distance(first, rest):
        if d is not None:
            return _energy(d, np.concatenate([first, rest]), len(first))
        return gaussian_wasserstein(both[first], both[rest])

    rng, m = np.random.default_rng(seed), len(both)
    own, other = np.arange(n), np.arange(n, m)
    value = distance(own, other)
    kept = [subset_size(len(side), 0.5, 2) for side in (own, other)]
    draws = [
        distance(rng.permutation(own)[: kept[0]], rng.permutation(other)[: kept[1]])
        for _ in range(resamples)
    ]
    interval, draws = spread(value, draws, sum(kept), m, level)
    orders = [rng.permutation(m) for _ in range(permutations)]
    null = np.array([distance(o[:n], o[n:]) for o in orders]) if permutations else None
    name = {"energy": "energy distance", "bures": "Gaussian Wasserstein distance"}[measure]
    return Score(value, interval, None, null, draws, name, level, m)


def _door(x, y, least=2):
    x, y = patterns(x, "x", least), patterns(y, "y", least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"clouds must share their units: {x.shape[1]} beside {y.shape[1]}")
    return x, y
