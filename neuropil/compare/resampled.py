r"""Similarities of RDMs when stimuli and subjects are drawn again, for all draws at once.

A draw of stimuli with replacement is a vector of counts m, and it holds each pair of different
stimuli $m_i m_j$ times (pairs of two copies of one stimulus, at distance 0, are left out: they are
no finding). So a mean over the pairs of a draw is a mean of the *original* pairs with weights
$w_{ij} = m_i m_j$, and every Pearson, cosine or whitened similarity of every draw, of every model
with every subject and of subjects with each other (which the noise ceiling is made of), follows
from one matrix product: weights (draw, pair) times products of RDMs (pair, product). Ranks need a
cumulative sum of the weights in each RDM's own order; Kendall's tau is counted draw by draw.

The values are those of rsatoolbox on the same draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neuropil.compare.dissimilarity import square, stimuli
from neuropil.compare.rdms import RANKED, _tau

ROOM = 8e6  # bytes of weights or ranks at a time


class Gram(NamedTuple):
    """Inner products of RDMs within each draw: `inner` (draw, rdm, rdm) in the metric of the method,
    and `scale` (draw, rdm), the factor by which subjects are averaged."""

    inner: np.ndarray
    scale: np.ndarray


class Resampled(NamedTuple):
    """Similarities within draws, for each way of weighting the subjects: `value` (way, draw, model)
    averaged over subjects, and the `ceiling`'s bounds (way, draw, 2), lower and upper."""

    value: np.ndarray
    ceiling: np.ndarray


def resampled(
    models: np.ndarray,
    subjects: np.ndarray,
    counts: np.ndarray,
    people: np.ndarray,
    method: str = "pearson",
    ceiling: bool = True,
) -> Resampled:
    """Mean similarity of models (model, pair) with subjects (subject, pair) in each draw.

    `counts` (draw, stimulus) says how often each stimulus was drawn, `people` (way, draw, subject) how
    often each subject, in one or more ways (as drawn; each once). The ceiling's bounds leave out all
    copies of a subject, and average over the different subjects of a draw. NaN where a draw has no
    answer: fewer than 3 different stimuli, distances all equal; one subject for the ceiling.

    >>> a = np.array([[1.0, 2.0, 4.0, 3.0, 5.0, 2.0]])
    >>> once = np.ones((1, 4)), np.ones((1, 1, 1))
    >>> resampled(a, a, *once).value.round(3).tolist()
    [[[1.0]]]
    """
    counts, people = np.asarray(counts, float), np.asarray(people, float)
    draws = len(counts)
    many = len(models)
    both = np.concatenate([models, subjects])
    ceiling = ceiling and len(subjects) > 1
    value = np.full((len(people), draws, many), np.nan)
    bounds = np.full((len(people), draws, 2), np.nan)
    width = len(both) + 2 * len(subjects) * ceiling if method in RANKED else 1
    step = max(1, int(ROOM / (8 * both.shape[1] * width)))
    products = None if method in RANKED else _products(both, method, many, ceiling)
    for k in range(0, draws, step):
        at = slice(k, k + step)
        if method.startswith("tau"):
            found = _tau_draws(models, subjects, counts[at], people[:, at], method, ceiling)
        elif method in RANKED:
            found = _rank_draws(both, many, counts[at], people[:, at], method, ceiling)
        else:
            gram = _gram(both, products, counts[at], method)
            found = _from_gram(gram, many, people[:, at], ceiling)
        value[:, at], bounds[:, at] = found
    few = (counts > 0).sum(1) < 3
    value[:, few], bounds[:, few] = np.nan, np.nan
    return Resampled(value, bounds)


def pair_weights(counts: np.ndarray) -> np.ndarray:
    """How often each pair of different stimuli occurs (draw, pair) where stimuli occur `counts` times.

    >>> pair_weights(np.array([[2.0, 1.0, 0.0]])).tolist()
    [[2.0, 0.0, 0.0]]
    """
    i, j = np.triu_indices(counts.shape[1], 1)
    weights = np.take(counts, i, 1)
    weights *= np.take(counts, j, 1)
    return weights


def grams(rdms: np.ndarray, counts: np.ndarray, method: str) -> Gram:
    """Inner products of all RDMs (rdm, pair) with each other within the draws `counts` (draw,
    stimulus), for methods that are linear (all but ranks)."""
    counts = np.asarray(counts, float)
    products = _products(rdms, method, 0, True)
    step = max(1, int(ROOM / (8 * rdms.shape[1])))
    parts = [
        _gram(rdms, products, counts[k : k + step], method) for k in range(0, len(counts), step)
    ]
    return Gram(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def sizes(rdms: np.ndarray, method: str) -> np.ndarray:
    """Root mean square (rdm,) of the distances, about their mean for correlations: what `grams` divides by."""
    x = np.asarray(rdms, float)
    return np.maximum(np.sqrt((x**2).mean(1)) if "cosine" in method else x.std(1), 1e-150)


def _products(rdms, method, many, ceiling):
    """RDMs brought to comparable size with a row of ones below, and the pairs of rows whose products
    are needed (all, or models with subjects and each with itself and the ones)."""
    x = np.asarray(rdms, float)
    if "cosine" not in method:
        x = x - x.mean(
            1, keepdims=True
        )  # small means keep digits; they are taken off again per draw
    x = x / sizes(rdms, method)[:, None]
    x = np.concatenate([x, np.ones((1, x.shape[1]))])
    a, b = np.triu_indices(len(x))
    if not ceiling:
        keep = (a == b) | (b == len(x) - 1) | ((a < many) & (b >= many))
        a, b = a[keep], b[keep]
    return x, a, b, (x[a] * x[b]).T


def _gram(rdms, products, counts, method):
    x, a, b, product = products
    k = len(rdms)
    weights = pair_weights(counts)
    flat = weights @ product
    raw = np.full((len(counts), k + 1, k + 1), np.nan)
    raw[:, a, b] = raw[:, b, a] = flat
    total = np.maximum(raw[:, -1, -1], 1)
    mean = raw[:, :k, k] / total[:, None]
    plain = raw[:, :k, :k]
    centre = "cosine" not in method
    if centre:
        plain = plain - mean[:, :, None] * raw[:, None, :k, k]
    size = np.einsum("dkk->dk", plain)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(size > 1e-12 * total[:, None], 1 / np.sqrt(size), np.nan)
    if not method.startswith("whitened"):
        return Gram(plain, scale)
    inner = _whitened(raw, x, counts)
    if centre:
        both = mean[:, :, None] * inner[:, None, k, :k]
        inner = (
            inner[:, :k, :k]
            - both
            - both.swapaxes(1, 2)
            + mean[:, :, None] * mean[:, None] * inner[:, k, k, None, None]
        )
    return Gram(inner[:, :k, :k], scale)


def _whitened(raw, x, counts):
    """Inner products of double-centred RDMs, where a pair of copies is unknown (not 0) and a
    stimulus' own diagonal is 0: least squares of an additive part on the entries that there are.
    Its normal equations are diagonal plus rank one: (diag(d) + m m') a = b."""
    matrices = square(x)
    k, n = matrices.shape[:2]
    total = counts.sum(1, keepdims=True)
    sums = (counts @ matrices.transpose(1, 0, 2).reshape(n, k * n)).reshape(-1, k, n)
    right = counts[:, None] * sums
    d = counts * (total + 2 - 2 * counts)
    with np.errstate(divide="ignore"):
        inverse = np.where(counts > 0, 1 / d, 0.0)
    inverse[(d <= 0) & (counts > 0)] = np.nan  # one stimulus is over half of the draw
    scaled = right * inverse[:, None]
    along = (scaled * counts[:, None]).sum(2)
    extra = 1 + (counts**2 * inverse).sum(1)
    additive = scaled @ right.swapaxes(1, 2)
    additive -= along[:, :, None] * along[:, None] / extra[:, None, None]
    return 2 * raw - 2 * additive


def _from_gram(gram, many, people, ceiling):
    inner, scale = gram
    own = np.einsum("dkk->dk", inner)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.where(np.isfinite(scale) & (own > 0), np.sqrt(own), np.nan)
        each = inner[:, :many, many:] / (norm[:, :many, None] * norm[:, None, many:])
        value = np.einsum("dms,wds->wdm", each, people) / people.sum(-1)[..., None]
        if not ceiling:
            return value, np.nan
        own = own[:, many:]
        return value, bounds(inner[:, many:, many:], scale[:, many:], people, people)


def bounds(inner, scale, members, tested):
    """(..., draw, 2) lower and upper bound from inner products of subjects (draw, subject, subject).

    `members` (..., draw, subject): how often each subject enters the pool. Each of those in `tested`
    meets the pool of all, and the pool without its own copies."""
    own = np.einsum("dss->ds", inner)
    q = members * np.where(members > 0, scale, 0)
    with_pool = np.einsum("dst,...dt->...ds", inner, q)
    size = (q * with_pool).sum(-1, keepdims=True)
    rest = size - 2 * q * with_pool + q**2 * own
    upper = with_pool / np.sqrt(own * size)
    lower = (with_pool - q * own) / np.sqrt(own * np.where(rest > 1e-12 * size, rest, np.nan))
    there = tested > 0
    number = there.sum(-1)
    return np.stack([np.where(there, x, 0).sum(-1) / number for x in (lower, upper)], -1)


def weighted_ranks(x: np.ndarray, weights: np.ndarray, order: np.ndarray | None = None):
    """Mid-ranks of the entries of x (..., entry) where each stands for `weights` (..., entry) copies.

    >>> weighted_ranks(np.array([3.0, 1.0, 3.0]), np.array([1.0, 2.0, 1.0])).tolist()
    [3.5, 1.5, 3.5]
    """
    x, weights = np.broadcast_arrays(x, weights)
    if order is None:
        order = np.argsort(x, -1)
        ordered, w = np.take_along_axis(x, order, -1), np.take_along_axis(weights, order, -1)
    else:  # one order for all draws
        ordered, w = x[..., order], weights[..., order]
    upto = np.cumsum(w, -1)
    ranks = upto - 0.5 * (w - 1)
    tied = ordered[..., 1:] == ordered[..., :-1]
    if tied.any():
        edge = np.ones((*x.shape[:-1], 1), bool)
        starts, ends = np.concatenate([edge, ~tied], -1), np.concatenate([~tied, edge], -1)
        below = np.maximum.accumulate(np.where(starts, upto - w, 0), -1)
        top = np.minimum.accumulate(np.where(ends, upto, np.inf)[..., ::-1], -1)[..., ::-1]
        ranks = 0.5 * (below + top + 1)
    out = np.empty_like(ranks)
    if order.ndim == 1:
        out[..., order] = ranks
    else:
        np.put_along_axis(out, order, ranks, -1)
    return out


def _rank_draws(both, many, counts, people, method, ceiling):
    weights = pair_weights(counts)
    total = weights.sum(1)
    middle = (total[:, None] + 1) / 2
    order = np.argsort(both, -1)
    ranks = np.stack(
        [weighted_ranks(x, weights, o) - middle for x, o in zip(both, order, strict=True)], 1
    )
    heavy = ranks * weights[:, None]
    top = (total**3 - total) / 12

    def norm(own):
        if method == "rho-a":
            return np.broadcast_to(np.sqrt(top).reshape(-1, *[1] * (own.ndim - 1)), own.shape)
        return np.sqrt(np.where(own > 1e-9, own, np.nan))

    with np.errstate(invalid="ignore", divide="ignore"):
        own = norm((heavy * ranks).sum(2))
        each = heavy[:, :many] @ ranks[:, many:].swapaxes(1, 2)
        each /= own[:, :many, None] * own[:, None, many:]
        value = np.einsum("dms,wds->wdm", each, people) / people.sum(-1)[..., None]
        if not ceiling:
            return value, np.nan
        found = []
        for member in people:
            parts = member[..., None] * ranks[:, many:]
            pool = parts.sum(1, keepdims=True)
            lines = []
            for x in (pool - parts, pool):  # without oneself, and with
                again = weighted_ranks(x, weights[:, None]) - middle[:, None]
                size = norm((again**2 * weights[:, None]).sum(2))
                r = (heavy[:, many:] * again).sum(2) / (own[:, many:] * size)
                lines.append(np.where(member > 0, r, 0).sum(1) / (member > 0).sum(1))
            found.append(np.stack(lines, -1))
        return value, np.stack(found)


def _tau_draws(models, subjects, counts, people, method, ceiling):
    """Kendall's tau of the copies themselves; the ceiling pools ranks, as for Spearman's."""
    i, _ = np.triu_indices(stimuli(models), 1)
    value = np.full((len(people), len(counts), len(models)), np.nan)
    bound = np.full((len(people), len(counts), 2), np.nan)
    for d, weights in enumerate(pair_weights(counts)):
        copies = np.repeat(np.arange(len(i)), weights.astype(int))
        if len(copies) < 2:
            continue
        ours, theirs = models[:, copies], subjects[:, copies]
        each = np.array([[_tau(x, y, method) for y in theirs] for x in ours])
        for w, member in enumerate(people[:, d]):
            value[w, d] = each @ member / member.sum()
            if not ceiling:
                continue
            there = np.flatnonzero(member)
            parts = member[there, None] * weighted_ranks(subjects[there], weights)
            total = parts.sum(0)
            lower = [
                _tau(theirs[s], (total - part)[copies], method)
                for s, part in zip(there, parts, strict=True)
            ]
            upper = [_tau(theirs[s], total[copies], method) for s in there]
            bound[w, d] = np.mean(lower), np.mean(upper)
    return value, bound
