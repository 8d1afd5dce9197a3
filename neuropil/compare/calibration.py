"""Tests and intervals of representational similarity under a known truth (see `neuropil.stats.calibration`)."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import stats

from neuropil.compare.geometry import Weighted, compare_models, compare_rdms, rdm, similarity
from neuropil.stats.calibration import Case

SUBJECTS, STIMULI = 12, 24
DRAWS = 199


def cases() -> dict[str, Case]:
    """The cases of this room, by name."""
    return {case.name: case for case in (*_RELATED, *_BETTER, *_COVERED)}


def _unrelated(rng, method):
    a, b = (rdm(rng.normal(size=(10, 6)), "sqeuclidean") for _ in range(2))
    found = compare_rdms(
        a, b, method=method, resamples=0, permutations=DRAWS, seed=int(rng.integers(2**31))
    )
    return found.p <= 0.05


def _as_pairs(rng):
    a, b = (rdm(rng.normal(size=(10, 6)), "sqeuclidean") for _ in range(2))
    return stats.pearsonr(a, b, alternative="greater").pvalue <= 0.05


@cache
def _fixed():
    """Two models of equal standing, mixing matrices, and features of both, the same in all experiments."""
    rng = np.random.default_rng(0)
    models = np.stack([rdm(rng.normal(size=(STIMULI, 6)), "sqeuclidean") for _ in range(2)])
    models = (models - models.mean(1, keepdims=True)) / models.std(1, keepdims=True)
    mix = rng.normal(size=(SUBJECTS, 12, 30)) / np.sqrt(30)
    return models, mix


def simulated(rng: np.random.Generator, over: str) -> tuple[np.ndarray, np.ndarray]:
    """Two models (2, pair) and subjects (subject, pair) whose geometry both models make alike.

    What the conclusion is `over` is new in each experiment: stimuli with features of both kinds, subjects
    with weights and channels of their own, or both. Noise is always new.
    """
    models, mix = _fixed()
    if over == "subjects":  # geometries mixed with weights that treat both models alike
        weight = rng.uniform(0, 1, (SUBJECTS, 2))
        return models, weight @ models + rng.normal(size=(SUBJECTS, models.shape[1]))
    features = rng.normal(size=(2, STIMULI, 6))
    weight = np.ones((SUBJECTS, 2))
    if over == "both":
        weight = rng.uniform(0.5, 1.5, (SUBJECTS, 2))
        mix = rng.normal(size=mix.shape) / np.sqrt(mix.shape[2])
    models = np.stack([rdm(x, "sqeuclidean") for x in features])
    seen = []
    for w, m in zip(weight, mix, strict=True):
        response = np.concatenate([w[0] * features[0], w[1] * features[1]], 1) @ m
        seen.append(rdm(response + rng.normal(size=response.shape), "sqeuclidean"))
    return models, np.stack(seen)


def _compared(rng, over, used=None, method="pearson"):
    models, subjects = simulated(rng, over)
    return compare_models(
        models,
        subjects,
        method=method,
        over=used or over,
        resamples=DRAWS,
        permutations=0,
        seed=int(rng.integers(2**31)),
    )


def _better(rng, over, used=None, method="pearson"):
    return _compared(rng, over, used, method).p[0, 1] <= 0.05


def _flexible(rng):
    models, subjects = simulated(rng, "both")
    other = rng.permutation(models, axis=1)  # components of no use, one for each
    both = [Weighted(np.stack(pair)) for pair in zip(models, other, strict=True)]
    found = compare_models(both, subjects, resamples=50, seed=int(rng.integers(2**31)))
    return found.p[0, 1] <= 0.05


def _ceiling(rng):
    """The truth itself: is it said to lie below the ceiling?"""
    features = rng.normal(size=(STIMULI, 6))
    true = rdm(features, "sqeuclidean")
    seen = []
    for _ in range(SUBJECTS):
        response = features @ rng.normal(size=(6, 60)) / np.sqrt(60)
        seen.append(rdm(response + rng.normal(size=response.shape), "sqeuclidean"))
    found = compare_models(
        [true], np.stack(seen), resamples=DRAWS, permutations=0, seed=int(rng.integers(2**31))
    )
    return found.p_ceiling[0] <= 0.05


@cache
def _expected(over, method):
    """Mean similarity of the first model over 4,000 experiments: the truth that an interval should hold."""
    values = []
    for i in range(4000):
        models, subjects = simulated(np.random.default_rng((1, i)), over)
        values.append(similarity(models[0], subjects, method).mean())
    return float(np.mean(values))


def _covered(rng, over, method="pearson"):
    low, high = _compared(rng, over, method=method).score[0].interval
    return low <= _expected(over, method) <= high


SIZE = f"{SUBJECTS} subjects, {STIMULI} stimuli"
_RELATED = (
    Case("rsa-related", "Is a geometry related to another? (10 stimuli relabelled)",
         lambda rng: _unrelated(rng, "pearson")),
    Case("rsa-related-ranks", "The same by rho-a", lambda rng: _unrelated(rng, "rho-a")),
    Case("rsa-related-whitened", "The same by whitened cosine", lambda rng: _unrelated(rng, "whitened-cosine")),
    Case("rsa-related-pairs", "The same by the p value of r, as if pairs of stimuli were independent",
         _as_pairs, sound=False),
)  # fmt: skip
_BETTER = (
    Case("rsa-better-both", f"Is one of two equal models better, for new subjects and stimuli? ({SIZE})",
         lambda rng: _better(rng, "both")),
    Case("rsa-better-both-whitened", "The same by whitened Pearson correlation",
         lambda rng: _better(rng, "both", method="whitened-pearson")),
    Case("rsa-better-stimuli", "The same for new stimuli and the same subjects",
         lambda rng: _better(rng, "stimuli")),
    Case("rsa-better-subjects", "The same for new subjects and the same stimuli",
         lambda rng: _better(rng, "subjects")),
    Case("rsa-better-fitted", "The same of two models with weights, cross-validated (50 draws)", _flexible,
         bound=True),
    Case("rsa-ceiling", f"Is the true geometry said to be below the noise ceiling? ({SIZE})", _ceiling,
         bound=True),
    Case("rsa-better-fixed", "Both new, but only subjects resampled",
         lambda rng: _better(rng, "both", "subjects"), sound=False),
)  # fmt: skip
_COVERED = (
    Case("rsa-interval-both", f"Does the interval hold the expected similarity, for new subjects and stimuli? "
         f"({SIZE})", lambda rng: _covered(rng, "both"), "covers", 0.95),
    Case("rsa-interval-stimuli", "The same for new stimuli", lambda rng: _covered(rng, "stimuli"),
         "covers", 0.95),
    Case("rsa-interval-subjects", "The same for new subjects", lambda rng: _covered(rng, "subjects"),
         "covers", 0.95),
)  # fmt: skip
