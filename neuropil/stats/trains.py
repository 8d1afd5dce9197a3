"""Statistics of spike trains: distances between trains, regularity, variability, synchrony. NumPy only.

Trains are arrays of spike times in ms, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Train = Sequence[float] | np.ndarray


def _times(train, what: str) -> np.ndarray:
    times = np.asarray(train, float)
    if times.ndim != 1:
        raise ValueError(f"{what}: a train is a list of spike times, not of shape {times.shape}")
    if not np.isfinite(times).all():
        raise ValueError(f"{what}: a spike time is not finite; leave it out")
    return np.sort(times)


def _overlap(a: np.ndarray, b: np.ndarray, tau: float) -> float:
    """Sum of e^{-|a_i - b_j| / tau} over all pairs, in time proportional to the number of spikes."""
    times = np.concatenate([a, b])
    order = np.argsort(times, kind="stable")
    mine = np.repeat([True, False], [len(a), len(b)])[order]
    times, trace, total = times[order], np.zeros(2), 0.0
    gaps = np.exp(-np.diff(times, prepend=times[:1]) / tau)
    for gap, own in zip(gaps, mine, strict=True):
        trace *= gap
        total += trace[int(own)]  # what the other train's earlier spikes have left
        trace[1 - int(own)] += 1
    return total


def van_rossum(a: Train, b: Train, tau: float) -> float:
    r"""Distance of two trains after each spike has become a decaying exponential (van Rossum).

    $$D^2 = \frac{2}{\tau} \int_0^\infty (f - g)^2\,dt, \qquad f(t) = \sum_{t_i < t} e^{-(t - t_i)/\tau}$$

    In this scaling a single spike lies 1 from silence, and two single spikes dt apart
    $\sqrt{2 (1 - e^{-|dt|/\tau})}$ from each other (van Rossum's own D^2 is half of it). tau -> 0 counts the
    spikes that do not coincide; tau -> infinity compares the numbers of spikes, D -> |n - m|.

    **Arguments**: spike times `a`, `b` and `tau` (ms). ValueError for a tau that is not positive.

    >>> van_rossum([10.0], [], 20.0), round(van_rossum([0.0], [20.0 * np.log(2)], 20.0), 6)
    (1.0, 1.0)

    Source: van Rossum (2001), Neural Comput. 13, 751; Houghton, Kreuz (2012), Network 23, 48.
    """
    a, b = _times(a, "van_rossum"), _times(b, "van_rossum")
    if not tau > 0:
        raise ValueError(f"van_rossum: tau = {tau} ms but it must be positive")
    square = _own(a, tau) + _own(b, tau) - 2 * _overlap(a, b, tau)
    return float(np.sqrt(max(square, 0.0)))


def _own(a: np.ndarray, tau: float) -> float:
    """Sum of e^{-|a_i - a_j| / tau} over all pairs of one train, each spike with itself included."""
    left, total = 0.0, 0.0
    for gap in np.exp(-np.diff(a, prepend=a[:1]) / tau):
        left *= gap
        total += 1 + 2 * left
        left += 1
    return total


def victor_purpura(a: Train, b: Train, q: float) -> float:
    r"""Least cost of turning one train into the other: 1 to insert or delete a spike, q |dt| to shift it.

    q = 0 counts spikes, D = |n - m|; for q -> infinity only coincident spikes match, D = n + m. Two single
    spikes lie min(q |dt|, 2) apart.

    **Arguments**: spike times `a`, `b` (ms); `q` in 1/ms. ValueError for a negative q.

    >>> victor_purpura([0.0, 10.0], [1.0], q=0.5), victor_purpura([0.0], [10.0], q=0.5)
    (1.5, 2.0)

    Source: Victor, Purpura (1996), J. Neurophysiol. 76, 1310.
    """
    a, b = _times(a, "victor_purpura"), _times(b, "victor_purpura")
    if not q >= 0:
        raise ValueError(f"victor_purpura: q = {q} per ms but it must not be negative")
    if np.isinf(q):
        return float(len(a) + len(b) - 2 * len(np.intersect1d(a, b)))
    places = np.arange(len(b) + 1.0)
    cost = places.copy()  # of turning nothing into the first j spikes of b
    for t in a:
        best = cost + 1  # delete t
        best[1:] = np.minimum(best[1:], cost[:-1] + q * np.abs(t - b))
        # insertions along the row: min over k <= j of best[k] + (j - k)
        cost = np.minimum.accumulate(best - places) + places
    return float(cost[-1])


def distances(
    trains: Sequence[Train], distance: Callable[..., float], **settings: float
) -> np.ndarray:
    """Symmetric matrix of the distances between all pairs of trains.

    >>> distances([[0.0], [5.0], []], victor_purpura, q=0.1).tolist()
    [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    n = len(trains)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i] = distance(trains[i], trains[j], **settings)
    return out


def interval_cv(train: Train) -> float:
    """Coefficient of variation of the intervals between spikes, deviation / mean: 0 for a clock, about 1 for
    Poisson. NaN for fewer than three spikes.

    >>> interval_cv([0.0, 10.0, 20.0, 30.0]), interval_cv([0.0, 1.0])
    (0.0, nan)
    """
    gaps = np.diff(_times(train, "interval_cv"))
    if len(gaps) < 2 or gaps.mean() == 0:
        return float("nan")
    return float(gaps.std() / gaps.mean())


def local_variation(train: Train) -> float:
    r"""Irregularity of neighbouring intervals, $3 \langle ((I_k - I_{k+1}) / (I_k + I_{k+1}))^2 \rangle$.

    0 for a clock, 1 for Poisson, also where the rate drifts. NaN for fewer than three spikes.

    >>> local_variation([0.0, 10.0, 20.0, 30.0])
    0.0

    Source: Shinomoto, Shima, Tanji (2003), Neural Comput. 15, 2823.
    """
    gaps = np.diff(_times(train, "local_variation"))
    if len(gaps) < 2:
        return float("nan")
    both = gaps[:-1] + gaps[1:]
    ratio = np.divide(gaps[:-1] - gaps[1:], both, out=np.zeros_like(both), where=both > 0)
    return float(3 * np.mean(ratio**2))


def fano_factor(counts: np.ndarray, axis: int = 0) -> np.ndarray | float:
    """Variance of spike counts over their mean, along `axis` (trials or windows; ddof 1): 1 for Poisson. NaN
    where there is no spike or a single count.

    >>> fano_factor(np.array([2.0, 2.0, 2.0])), fano_factor(np.array([1.0, 3.0]))
    (0.0, 1.0)
    """
    counts = np.asarray(counts, float)
    if counts.shape[axis] < 2:
        return np.full(np.delete(counts.shape, axis), np.nan)[()]
    mean, variance = counts.mean(axis), counts.var(axis, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(mean > 0, variance / mean, np.nan)
    return float(ratio) if ratio.ndim == 0 else ratio


def synchrony(activity: np.ndarray) -> float:
    r"""Synchrony of a population: $\chi^2$ is the variance of its mean over the mean of its variances.

    1 where all units do the same, about $1/\sqrt N$ where N units are independent. `activity` is (time, unit):
    potentials, or smoothed or binned spikes. NaN where nothing varies.

    >>> synchrony(np.array([[0.0, 0.0], [1.0, 1.0]])), synchrony(np.array([[0.0, 1.0], [1.0, 0.0]]))
    (1.0, 0.0)

    Source: Golomb, Rinzel (1994), Physica D 72, 259.
    """
    x = np.asarray(activity, float)
    if x.ndim != 2:
        raise ValueError(f"synchrony: activity has shape {x.shape}; give (time, unit)")
    each = x.var(0).mean()
    return float(np.sqrt(x.mean(1).var() / each)) if each > 0 else float("nan")


def pairwise_correlation(counts: np.ndarray) -> float:
    """Mean correlation of the counts of all pairs of units that spike, `counts` (bin, unit). NaN for fewer
    than two of them.

    >>> round(pairwise_correlation(np.array([[0, 0, 1], [1, 1, 0], [0, 0, 1]])), 3)
    -0.333
    """
    x = np.asarray(counts, float)
    if x.ndim != 2:
        raise ValueError(f"pairwise_correlation: counts have shape {x.shape}; give (bin, unit)")
    x = x[:, x.std(0) > 0]
    n = x.shape[1]
    if n < 2:
        return float("nan")
    z = (x - x.mean(0)) / x.std(0)
    return float((z.sum(1).var() - n) / (n * (n - 1)))
