r"""Kernel analysis: how good a classification a representation gives at every complexity of the readout.

The leading d eigenvectors of a Gaussian kernel are the d simplest functions of a representation. The curve
tells how much of the labels they leave unexplained; a representation made for the task explains them with few.

Sources: Montavon, Braun, Mueller (2011), JMLR 12, 2563; as a benchmark of brains and machines: Cadieu, Hong,
Yamins, Pinto, Majaj, DiCarlo (2013), ICLR, arXiv:1301.3530; on left-out samples: Cadieu et al. (2014), PLOS
Comput. Biol. 10, e1003963.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neuropil.compare._door import patterns, spread, subset_size
from neuropil.stats import Score

QUANTILES = (0.1, 0.5, 0.9)


class Curves(NamedTuple):
    """`error`: share of the labels' variance left, at complexities 0..n, by the best width at each; `each`: of
    every width; `area`: 1 - mean of `error`, the score (chance is near 0.5, `ceiling` the best there is)."""

    error: Float[np.ndarray, " complexity"]
    each: Float[np.ndarray, "width complexity"]
    area: float


def targets(labels: np.ndarray) -> Float[np.ndarray, "sample class"]:
    """One-hot labels of -1 and 1, centred, and scaled by one number to a mean square of 1.

    >>> targets(np.array([0, 0, 1, 1])).tolist()
    [[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, 1.0]]

    Raises ValueError for labels of one kind.
    """
    labels = np.asarray(labels)
    kinds = np.unique(labels)
    if labels.ndim != 1 or len(kinds) < 2:
        raise ValueError(f"labels (sample,) of 2 or more kinds, not {labels.shape} of {len(kinds)}")
    t = np.where(labels[:, None] == kinds[None], 1.0, -1.0)
    t = t - t.mean(0)
    return t / t.std()


def _squares(x, y=None):
    y = x if y is None else y
    d = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.maximum(d, 0)


def widths(d: np.ndarray, quantiles=QUANTILES) -> Float[np.ndarray, " width"]:
    """Squared distances at these quantiles of all n^2 (the diagonal counts, as in the benchmark); where that is
    0, the smallest that is not."""
    ordered = np.sort(d, None)
    at = ordered[np.minimum((np.asarray(quantiles) * len(ordered)).astype(int), len(ordered) - 1)]
    far = ordered[ordered > 1e-12 * ordered[-1]]
    if not len(far):
        raise ValueError("all samples have the same response, so there is no kernel of them")
    return np.where(at > 1e-12 * ordered[-1], at, far[0])


def _bases(x, quantiles):
    """Per width: eigenvalues, eigenvectors (those of the null space are zero), the width, column means."""
    x = x - x.mean(0)
    d = _squares(x)
    np.fill_diagonal(d, 0)
    for width in widths(d, quantiles):
        k = np.exp(-d / width)
        means = k.mean(0)
        w, v = np.linalg.eigh(k - means[None] - means[:, None] + means.mean())
        order = np.argsort(-np.abs(w))
        w, v = w[order], v[:, order]
        live = np.abs(w) > len(w) * np.finfo(float).eps * np.abs(w[0])
        yield w, v * live, width, means


def _errors(v, t):
    """Share left at complexities 0..n: Parseval's sum in place of n predictions."""
    gained = ((v.T @ t) ** 2).sum(-1) / t.size
    return np.concatenate([[1.0], 1 - np.cumsum(gained)])


def kernel_curves(x: np.ndarray, labels: np.ndarray, *, quantiles=QUANTILES) -> Curves:
    r"""Error of the best linear readout of the leading d kernel components, for d = 0..n.

    $$e(d) = \min_\sigma \Big(1 - \frac{\|V_{\sigma, d}^\top T\|^2}{\|T\|^2}\Big), \qquad
      \mathrm{area} = 1 - \overline{e(d)}$$

    with V the eigenvectors of the centred kernel $\exp(-|x_i - x_j|^2 / \sigma^2)$, ordered by |eigenvalue|,
    and $\sigma^2$ the squared distances' `quantiles`.

    **Arguments**: `x` (sample, unit); `labels` (sample,). Compare at equal numbers of samples and of units: the
    score grows with both. It does not change under rotation, shift and a common scale.

    >>> y = np.repeat(np.arange(3), 10)
    >>> c = kernel_curves(np.eye(3)[y], y)                   # the labels themselves
    >>> np.abs(c.error[:4]).round(6).tolist(), round(c.area, 6) == round(ceiling(3, 30), 6)
    ([1.0, 0.5, 0.0, 0.0], True)

    Raises ValueError for labels of one kind and for responses that do not vary.
    """
    x, t = patterns(x), targets(labels)
    if len(x) != len(t):
        raise ValueError(f"{len(x)} samples and {len(t)} labels")
    each = np.array([_errors(v, t) for _, v, _, _ in _bases(x, quantiles)])
    error = each.min(0)
    return Curves(error, each, float(1 - error.mean()))


def ceiling(classes: int, samples: int) -> float:
    """Area of a representation that is the labels (classes of equal size): 1 - C / (2 (n + 1)).

    >>> round(ceiling(7, 420), 7)
    0.9916865
    """
    return 1 - classes / (2 * (samples + 1))


def chance(samples: int) -> float:
    """Expected area of labels that have nothing to do with the responses, 1 - n / (2 (n + 1)); the choice of a
    width at every complexity adds about 0.001.

    >>> round(chance(420), 3)
    0.501
    """
    return 1 - samples / (2 * (samples + 1))


def generalisation(
    x: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    *,
    quantiles=QUANTILES,
) -> Float[np.ndarray, " complexity"]:
    """Share of the labels' variance that is predicted on left-out samples, at complexities 0..number trained.

    `train` (sample,) is a mask. The width at each complexity is the best on the trained samples, never on the
    left-out ones. Values fall below 0 where the readout predicts worse than the mean does.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> x = rng.normal(size=(60, 5)) + 3 * y[:, None]
    >>> bool(generalisation(x, y, np.arange(60) < 40)[1] > 0.7)
    True

    Raises ValueError where `train` leaves no sample on one side, or a class out of the training.
    """
    x, train = patterns(x), np.asarray(train, bool)
    labels = np.asarray(labels)
    if train.shape != (len(x),) or train.all() or train.sum() < 3:
        raise ValueError(
            "train must be a mask over samples that leaves some out and keeps 3 or more"
        )
    if set(labels[~train]) - set(labels[train]):
        raise ValueError("a class of the left-out samples is not among the trained ones")
    t = targets(labels[train])
    kinds = np.unique(labels[train])
    hot = np.where(labels[:, None] == kinds[None], 1.0, -1.0)
    mean, size = hot[train].mean(0), (hot[train] - hot[train].mean(0)).std()
    wanted = (hot[~train] - mean) / size
    centre = x[train].mean(0)
    far = _squares(x[train] - centre, x[~train] - centre)
    fits, scores = [], []
    for w, v, width, means in _bases(x[train], quantiles):
        k = np.exp(-far / width)
        k = k - k.mean(0)[None] - means[:, None] + means.mean()
        live = v.any(0)
        inverse = np.where(live, 1 / np.where(live, w, 1), 0)
        onto = (v * inverse).T @ k  # (complexity, left-out)
        theta = v.T @ t
        error, left = [np.mean(wanted**2)], wanted.copy()
        for i in range(len(w)):
            left = left - onto[i][:, None] * theta[i][None]
            error.append(np.mean(left**2))
        fits.append(_errors(v, t))
        scores.append(1 - np.array(error) / np.mean(wanted**2))
    best = np.argmin(np.array(fits), 0)
    return np.array(scores)[best, np.arange(len(best))]


def kernel_analysis(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    quantiles=QUANTILES,
    share: float = 0.8,
    resamples: int = 100,
    permutations: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Area above the kernel-analysis curve of a labelled representation, as a `Score` (see `kernel_curves`).

    - interval: subsets of `share` of the samples of every class, scaled to the spread of the whole;
    - null: labels are shuffled, and go through the same choice of widths; chance is near 0.5;
    - ceiling: the area of the labels themselves.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 3
    >>> s = kernel_analysis(rng.normal(size=(60, 8)) + 2 * np.eye(8)[y], y, resamples=20, permutations=99)
    >>> bool(0.75 < s.value < s.ceiling), s.p
    (True, 0.01)
    """
    x, t, labels = patterns(x), targets(labels), np.asarray(labels)
    bases = [v for _, v, _, _ in _bases(x, quantiles)]
    rng, n = np.random.default_rng(seed), len(x)
    value = kernel_curves(x, labels, quantiles=quantiles).area

    def area(t):
        return 1 - np.min([_errors(v, t) for v in bases], 0).mean()

    null = np.array([area(t[rng.permutation(n)]) for _ in range(permutations)])
    groups = [np.flatnonzero(labels == kind) for kind in np.unique(labels)]
    kept = [subset_size(len(g), share, 1) for g in groups]
    draws = []
    for _ in range(resamples):
        some = np.concatenate([rng.permutation(g)[:k] for g, k in zip(groups, kept, strict=True)])
        draws.append(kernel_curves(x[some], labels[some], quantiles=quantiles).area)
    interval, draws = spread(value, draws, sum(kept), n, level)
    return Score(
        value,
        interval,
        ceiling(len(groups), n),
        null if permutations else None,
        draws,
        "kernel analysis area",
        level,
        n,
    )
