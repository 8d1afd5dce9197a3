"""How many dimensions a population's activity fills: linear (participation ratio) and of the manifold itself.

Sources: participation ratio: Gao, Trautmann, Yu, Santhanam, Ryu, Shenoy, Ganguli (2017), bioRxiv 214262; TwoNN:
Facco, d'Errico, Rodriguez, Laio (2017), Sci. Rep. 7, 12140; maximum likelihood: Levina, Bickel (2004), NIPS,
with the mean of inverses of MacKay and Ghahramani (2005).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import pdist, squareform

from neuropil.compare._door import centred, patterns, spread, subset_size
from neuropil.stats import Score


def spectrum(x: np.ndarray) -> Float[np.ndarray, " component"]:
    """Eigenvalues of the covariance of responses (sample, unit), falling.

    >>> spectrum(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).round(3).tolist()
    [0.667, 0.667]
    """
    x = centred(patterns(x))
    return np.linalg.svd(x, compute_uv=False) ** 2 / (len(x) - 1)


def participation_ratio(x: np.ndarray, *, corrected: bool = False) -> float:
    r"""Number of principal components that share the variance, $(\sum \lambda)^2 / \sum \lambda^2$.

    1 for one direction, the number of units for white activity. Few samples pull it down (it cannot pass their
    number); `corrected` estimates both sums without bias for Gaussian activity.

    >>> x = np.random.default_rng(0).normal(size=(30, 60))
    >>> round(participation_ratio(x)), round(participation_ratio(x, corrected=True))
    (19, 60)

    Raises ValueError for activity that does not vary.
    """
    w, n = spectrum(x), len(x)
    total, square = w.sum(), (w**2).sum()
    if total <= 0:
        raise ValueError("no unit varies over the samples, so there is no dimension to measure")
    if corrected:
        # E tr(S)^2 = T^2 + 2 Q / m and E tr(S^2) = Q + (Q + T^2) / m, with T = tr C, Q = tr C^2, m = n - 1
        m = n - 1
        q = (m * m * square - m * total**2) / (m * m + m - 2)
        total, square = np.sqrt(max(total**2 - 2 * q / m, 0)), q
        if square <= 0:
            return float("inf")  # the samples are as white as noise of that number can be
    return float(total**2 / square)


def explained_dimension(x: np.ndarray, share: float | int = 0.9) -> int:
    """Principal components that explain `share` of the variance.

    >>> explained_dimension(np.random.default_rng(0).normal(size=(500, 10)) * [9, *[1.0] * 9], 0.85)
    1
    """
    w = spectrum(x)
    if not 0 < share <= 1 or w.sum() <= 0:
        raise ValueError(f"a share between 0 and 1 of activity that varies: share = {share}")
    return int(np.searchsorted(np.cumsum(w) / w.sum(), share - 1e-12)) + 1


def two_nn(x: np.ndarray, *, discard: float | int = 0.1) -> float:
    r"""Intrinsic dimension from the ratio of each sample's second to its first nearest distance.

    $$-\log\big(1 - F(\mu)\big) = d \log \mu, \qquad \mu = r_2 / r_1$$

    fitted through the origin without the share `discard` of largest ratios. It follows a curved sheet where
    principal components count its bends; noise raises it to that of the noise at the scale of neighbours.

    >>> turn = np.random.default_rng(0).uniform(0, 6.28, 500)
    >>> round(two_nn(np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)), 1)     # a ring
    1.0

    Raises ValueError where samples repeat (copies have no nearest distance).
    """
    if not 0 <= discard < 1:
        raise ValueError(f"discard is a share from 0 and below 1, not {discard}")
    return _two_nn(_neighbours(x, 2), discard)


def _two_nn(near, discard):
    mu = np.sort(np.log(near[:, 1] / near[:, 0]))
    n = len(mu)
    kept = min(max(int(n * (1 - discard)), 1), n - 1)  # the last has no level, 1 - F = 0
    level = -np.log(1 - np.arange(1, kept + 1) / n)
    return float(mu[:kept] @ level / (mu[:kept] @ mu[:kept]))


def likelihood_dimension(x: np.ndarray, *, neighbours: int = 10) -> float:
    r"""Intrinsic dimension by maximum likelihood, from the distances r to each sample's k nearest.

    $$\frac1d = \frac{1}{n (k - 1)} \sum_i \sum_{j < k} \log \frac{r_k(i)}{r_j(i)}$$

    >>> x = np.random.default_rng(0).normal(size=(400, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    >>> round(likelihood_dimension(x))
    3

    Raises ValueError where samples repeat, and for fewer than 3 neighbours.
    """
    if neighbours < 3:
        raise ValueError(f"the likelihood needs 3 or more neighbours, not {neighbours}")
    return _likelihood(_neighbours(x, neighbours))


def _likelihood(near):
    return float(1 / np.log(near[:, -1:] / near[:, :-1]).mean())  # inverses averaged: no bias at k


def _neighbours(x, k):
    x = patterns(x, "x", k + 2)
    d = squareform(pdist(x))
    np.fill_diagonal(d, np.inf)
    near = np.sort(np.partition(d, k, 1)[:, : k + 1], 1)[:, :k]
    if near[:, 0].min() <= 0:
        raise ValueError(
            f"sample {int(near[:, 0].argmin())} has a copy, and copies have no nearest distance: keep one"
        )
    return near


METHODS = {
    "participation": participation_ratio,
    "two_nn": two_nn,
    "likelihood": likelihood_dimension,
    "explained": explained_dimension,
}


def dimension(
    x: np.ndarray,
    method: str = "participation",
    *,
    share: float | int = 0.8,
    resamples: int = 200,
    permutations: int = 200,
    level: float = 0.95,
    seed: int = 0,
    **settings,
) -> Score:
    """Dimension of activity (sample, unit) by one of `METHODS`, as a `Score`.

    - interval: subsets of `share` of the samples, without copies (which have no neighbour distance), spread
      by sqrt(share / (1 - share)) to that of the whole and centred on the value;
    - null: each unit's samples are shuffled on their own, so that units have nothing in common; small p says
      that the activity has fewer dimensions than independent units would fill;
    - ceiling: the number of units.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 10)) + 0.1 * rng.normal(size=(60, 10))
    >>> s = dimension(x, resamples=50, permutations=99)
    >>> bool(1 < s.value < 2.1), s.p
    (True, 0.01)

    Raises ValueError for unknown methods; `settings` go to the method.
    """
    x = patterns(x, "x", 5)
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, not {method!r}")
    measure, rng = METHODS[method], np.random.default_rng(seed)
    n = len(x)
    kept = subset_size(n, share, 4)
    value = float(measure(x, **settings))
    draws = [measure(x[rng.permutation(n)[:kept]], **settings) for _ in range(resamples)]
    interval, draws = spread(value, draws, kept, n, level)
    null = np.array(
        [measure(rng.permuted(x, axis=0), **settings) for _ in range(permutations)], float
    )
    return Score(
        value,
        interval,
        float(x.shape[1]),
        null if permutations else None,
        draws,
        f"{method} dimension",
        level,
        n,
        "less",
    )
