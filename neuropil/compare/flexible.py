r"""Models of a geometry that have something to fit, and their cross-validated similarity.

A flexible model is made of component RDMs (component, pair) and predicts $\sum_c \theta_c D_c$. Fitting
it needs the inner products of its components with each other and with the pooled subjects only, so it
is a method `fit(inner, target)` on those, for all draws and folds at once. What was fitted on some
stimuli and subjects is tested on others: a component model fitted and tested on the same RDMs would
win by its parameters.

Sources: Khaligh-Razavi and Kriegeskorte 2014 (weighted), Schuett et al. 2023 (cross-validation within the
bootstrap and the correction for its own variance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuropil.compare.dissimilarity import stimuli
from neuropil.compare.rdms import RANKED, _vectors
from neuropil.compare.resampled import bounds, grams, sizes


@dataclass(frozen=True)
class Components:
    """Component RDMs (component, pair) of a flexible model."""

    rdms: np.ndarray

    def __post_init__(self):
        rdms = np.atleast_2d(_vectors(self.rdms))
        if len(rdms) < 2:
            raise ValueError("a flexible model has 2 or more components; give one RDM as an array")
        object.__setattr__(self, "rdms", rdms)


@dataclass(frozen=True)
class Weighted(Components):
    r"""Weights that bring $\sum_c \theta_c D_c$ closest to the subjects: by least squares on what the
    method compares, which is where their mean similarity is highest. `positive`: no weight is negative,
    as for the distances of features that are scaled one by one.

    >>> model = Weighted(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> model.fit(np.eye(2)[None], np.array([[3.0, -1.0]])).tolist()
    [[3.0, 0.0]]
    """

    positive: bool = True

    def fit(self, inner: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Weights (draw, component) from inner products (draw, component, component) of the components
        and (draw, component) with the pooled subjects."""
        if not self.positive:
            return (np.linalg.pinv(inner, hermitian=True) @ target[..., None])[..., 0]
        return nonnegative(inner, target)


@dataclass(frozen=True)
class Interpolated(Components):
    """A point on the line through the components in their order, between two neighbours: such as a
    family of models with one parameter.

    >>> model = Interpolated(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> model.fit(np.eye(2)[None], np.array([[3.0, 1.0]])).tolist()
    [[0.75, 0.25]]
    """

    def fit(self, inner: np.ndarray, target: np.ndarray) -> np.ndarray:
        """As `Weighted.fit`; the two weights sum to 1."""
        best, theta = np.full(len(inner), -np.inf), np.zeros(target.shape)
        for k in range(target.shape[1] - 1):
            pair = np.zeros(target.shape)
            at = slice(k, k + 2)
            pair[:, at] = nonnegative(inner[:, at, at], target[:, at])
            found = _reached(pair, inner, target)
            better = found > best
            best, theta = np.where(better, found, best), np.where(better[:, None], pair, theta)
        return theta / theta.sum(1, keepdims=True)


@dataclass(frozen=True)
class Selected(Components):
    """The one component that is most similar to the subjects: such as the best layer of a network.

    >>> model = Selected(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> model.fit(np.eye(2)[None], np.array([[3.0, 1.0]])).tolist()
    [[1.0, 0.0]]
    """

    def fit(self, inner: np.ndarray, target: np.ndarray) -> np.ndarray:
        """As `Weighted.fit`; one weight is 1."""
        size = np.sqrt(np.maximum(np.einsum("dkk->dk", inner), 1e-300))
        return np.eye(target.shape[1])[np.nan_to_num(target / size, nan=-np.inf).argmax(1)]


def fitted(model: Components, subjects: np.ndarray, method: str = "pearson") -> np.ndarray:
    """Weights (component,) of a flexible model on all stimuli and subjects, summing to 1. They describe
    the fit; how good it is, `compare_models` says on data it has not seen.

    >>> rng = np.random.default_rng(0)
    >>> parts = rng.uniform(size=(2, 190))
    >>> fitted(Weighted(parts), 0.7 * parts[0] + 0.3 * parts[1]).round(3).tolist()
    [0.7, 0.3]
    """
    subjects = np.atleast_2d(_vectors(subjects))
    every, first = np.concatenate([model.rdms, subjects]), len(model.rdms)
    gram = grams(every, np.ones((1, stimuli(every))), method)
    inner, target = gram.inner, _target(gram, first, np.ones((1, len(subjects))))
    theta = model.fit(inner[:, :first, :first], target)[0] / sizes(model.rdms, method)
    return theta / theta.sum()


def nonnegative(inner: np.ndarray, target: np.ndarray, sweeps: int = 500) -> np.ndarray:
    r"""Minimum over $\theta \ge 0$ of $\theta^\top K \theta / 2 - t^\top \theta$ for each draw, by
    coordinate descent. Where no component helps ($t \le 0$), the one that harms least gets weight 1:
    a prediction has to be made.

    >>> nonnegative(np.array([[[2.0, 1.0], [1.0, 2.0]]]), np.array([[3.0, 3.0]])).round(6).tolist()
    [[1.0, 1.0]]
    """
    own = np.maximum(np.einsum("dkk->dk", inner), 1e-300)
    theta = np.maximum(target / own, 0) / target.shape[1]
    for _ in range(sweeps):
        change = 0.0
        for c in range(target.shape[1]):
            rest = target[:, c] - np.einsum("dk,dk->d", inner[:, c], theta)
            new = np.maximum(theta[:, c] + rest / own[:, c], 0)
            change = max(change, float(np.nanmax(np.abs(new - theta[:, c]), initial=0)))
            theta[:, c] = new
        if change <= 1e-10 * np.nanmax(theta, initial=1e-300):
            break
    none = ~(theta > 0).any(1)
    theta[none] = np.eye(target.shape[1])[(target[none] / np.sqrt(own[none])).argmax(1)]
    return theta


def _reached(theta, inner, target):
    size = np.einsum("dk,dkl,dl->d", theta, inner, theta)
    return np.einsum("dk,dk->d", theta, target) / np.sqrt(np.maximum(size, 1e-300))


def folds_of(stimuli: int, subjects: int) -> tuple[int, int]:
    """Folds over stimuli and over subjects for a cross-validation inside a bootstrap, in which 63 % of
    them are left: from 2 for few stimuli (a fold keeps 3 or more) and subjects, to 5.

    >>> folds_of(92, 20)
    (5, 4)
    """
    left, people = 0.632 * stimuli, 0.632 * subjects
    over = 2 + (left >= 12) + (left >= 24) + (left >= 40)
    return over, 1 if subjects == 1 else 2 + (people >= 6) + (people >= 12) + (people >= 20)


def crossvalidated(
    models: list[np.ndarray | Components],
    subjects: np.ndarray,
    counts: np.ndarray,
    people: np.ndarray,
    method: str,
    folds: tuple[int, int],
    repeats: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Similarity on stimuli and subjects that a model was not fitted to: (way, draw, repeat, model), and
    the ceiling's bounds (way, draw, repeat, 2), for draws as in `resampled`.

    All copies of a stimulus or a subject fall into one fold. The upper bound pools all subjects of the
    draw, the lower those of the training folds. NaN where a draw has too few different stimuli (3 a
    fold) or subjects (1 a fold).
    """
    if method in RANKED:
        raise ValueError(
            f"a model with weights is fitted by least squares, which {method!r} has none of: take "
            "'pearson', 'cosine' or a whitened method, or fixed models"
        )
    parts = [m.rdms if isinstance(m, Components) else np.atleast_2d(m) for m in models]
    ends = np.cumsum([0, *map(len, parts)])
    every, first = np.concatenate([*parts, subjects]), int(ends[-1])
    value = np.zeros((len(people), len(counts), repeats, len(models)))
    bound = np.zeros((len(people), len(counts), repeats, 2))
    cells = folds[0] * folds[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        for repeat in range(repeats):
            group = _groups(counts > 0, folds[0], rng)
            who = [_groups(w > 0, folds[1], rng) for w in people]
            for fold in range(folds[0]):
                held = counts * (group == fold)
                test = grams(every, held, method)
                train = grams(every, counts - held, method) if folds[0] > 1 else test
                for way, part in np.ndindex(len(people), folds[1]):
                    tested = people[way] * (who[way] == part)
                    member = people[way] - tested if folds[1] > 1 else people[way]
                    target = _target(train, first, member)
                    at = np.s_[way, :, repeat]
                    for m, model in enumerate(models):
                        of = np.s_[:, ends[m] : ends[m + 1]]
                        theta = np.ones((len(counts), 1))
                        if isinstance(model, Components):
                            inner = train.inner[(*of, of[1])]
                            fine = np.isfinite(inner).all((1, 2)) & np.isfinite(target[of]).all(1)
                            theta = np.full((len(counts), len(parts[m])), np.nan)
                            theta[fine] = model.fit(inner[fine], target[of][fine])
                        value[at][:, m] += _tested(theta, test, of[1], first, tested) / cells
                    bound[at] += _bounded(test, first, member, tested, people[way], folds) / cells
    few = ((counts > 0).sum(1) < 3 * folds[0])[None] | ((people > 0).sum(-1) < folds[1])
    value[few], bound[few] = np.nan, np.nan
    return value, bound


def _target(gram, first, member):
    """Inner products of the components with the pool of subjects that their mean similarity depends on."""
    own = np.einsum("dss->ds", gram.inner[:, first:, first:])
    pool = member * np.where(member > 0, 1 / np.sqrt(np.where(own > 0, own, np.nan)), 0)
    return np.einsum("dks,ds->dk", gram.inner[:, :first, first:], pool)


def _groups(there, folds, rng):
    """Random fold (draw, item) of what is there, in folds of equal size."""
    order = rng.random(there.shape)
    order[~there] = np.inf
    return order.argsort(1).argsort(1) % folds


def _tested(theta, gram, of, first, tested):
    inner = gram.inner
    along = np.einsum("dk,dks->ds", theta, inner[:, of, first:])
    size = np.einsum("dk,dkl,dl->d", theta, inner[:, of, of], theta)
    own = np.einsum("dss->ds", inner[:, first:, first:])
    r = along / np.sqrt(np.where(size > 0, size, np.nan)[:, None] * np.where(own > 0, own, np.nan))
    return np.where(tested > 0, tested * r, 0).sum(1) / tested.sum(1)


def _bounded(gram, first, member, tested, everyone, folds):
    inner, scale = gram.inner[:, first:, first:], gram.scale[:, first:]
    if folds[1] == 1:
        return bounds(inner, scale, everyone, everyone)
    own, found = np.einsum("dss->ds", inner), []
    for pool in (member, everyone):
        q = pool * np.where(pool > 0, scale, 0)
        along = np.einsum("dst,dt->ds", inner, q)
        r = along / np.sqrt(own * (q * along).sum(1, keepdims=True))
        found.append(np.where(tested > 0, tested * r, 0).sum(1) / tested.sum(1))
    return np.stack(found, -1)
