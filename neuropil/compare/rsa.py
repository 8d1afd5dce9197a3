r"""Inference in representational similarity analysis: is a model related to brains, which model is
better, and how much is left to explain.

Three questions, one default each:

- *related at all?* The model's stimuli are relabelled (`Score.p`): exact for exchangeable stimuli.
- *how sure is the number, would it hold for other stimuli and subjects?* A bootstrap of what the
  conclusion is about: stimuli, subjects, or both, corrected for what it counts more than once
  (`spread.standard_error`). It enters a t interval.
- *which model is better?* The same for differences of models, on the same draws, corrected over all
  pairs of models.

Source: Schuett, Kipnis, Diedrichsen, Kriegeskorte (2023), eLife 12, e82566.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import t as student

from neuropil.compare.dissimilarity import square, stimuli
from neuropil.compare.flexible import Components, crossvalidated, folds_of
from neuropil.compare.rdms import _known, _tau, _units, _vectors, noise_ceiling, similarity
from neuropil.compare.resampled import resampled
from neuropil.compare.spread import standard_error
from neuropil.stats import Score
from neuropil.stats.multiple import holm

OVER = ("stimuli", "subjects", "both")
NAMES = {"pearson": "r", "spearman": "rho", "tau-a": "tau a", "tau-b": "tau b", "rho-a": "rho a"}


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """Several models beside the same brains.

    - `score`: value, interval, ceiling, null and draws, one a model in the order of `names`;
    - `difference`: (model, model) of the row's minus the column's similarity, with its interval;
    - `p`: (model, model), two-sided, corrected over all pairs (NaN on the diagonal);
    - `p_ceiling`: (model,), one-sided, that a model lies below the ceiling's lower bound, corrected
      over models (None without a ceiling): a small one says that there is more to explain.
    """

    names: tuple[str, ...]
    score: Score
    difference: Score
    p: np.ndarray
    p_ceiling: np.ndarray | None

    def __getitem__(self, name: str) -> Score:
        """Score of one model."""
        return self.score[self.names.index(name)]

    def best(self, level: float = 0.95) -> list[str]:
        """The models that no other is better than, at `level`."""
        value = np.asarray(self.score.value)
        worse = (self.p <= 1 - level) & (value[:, None] < value[None])
        return [name for name, low in zip(self.names, worse.any(1), strict=True) if not low]

    def __repr__(self):
        width = max(map(len, self.names))
        order = np.argsort(-np.asarray(self.score.value))
        lines = [f"{self.names[k]:<{width}}  {self.score[k]}" for k in order]
        return "\n".join([f"ModelComparison, best: {', '.join(self.best())}", *lines])


def compare_rdms(
    model: np.ndarray,
    reference: np.ndarray,
    *,
    method: str = "pearson",
    over: str | None = None,
    ceiling: float | tuple | None = None,
    resamples: int = 1000,
    permutations: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Similarity of a model's RDM (pair,) with a reference (pair,) or with subjects (subject, pair).

    - value: `similarity`, averaged over subjects; ceiling: as given, or the `noise_ceiling` of two
      or more subjects (one subject's comes from its repeats: give `rdm_ceiling(runs)`);
    - interval: for other `stimuli`, other `subjects`, or `both` (by default both, or stimuli of one
      subject), as the module's text says; a pair of two copies of one stimulus is left out, since its
      distance 0 is no finding;
    - null: the model's stimuli are relabelled.

    >>> rng = np.random.default_rng(0)
    >>> from neuropil.compare.geometry import rdm
    >>> x = rng.normal(size=(12, 5))
    >>> compare_rdms(rdm(x), rdm(x), permutations=99).p
    0.01

    Raises ValueError for a model of equal distances, and for `subjects` of which there is one.
    """
    if np.ndim(model) != 1:
        raise ValueError("give one model RDM (pair,); for several take compare_models")
    found = compare_models(
        {"model": model},
        reference,
        method=method,
        over=over,
        resamples=resamples,
        permutations=permutations,
        level=level,
        seed=seed,
    ).score[0]
    given = found.ceiling if ceiling is None else ceiling
    fields = (found.value, found.interval, given, found.null, found.draws, found.name)
    return Score(*fields, level, found.n)


def compare_models(
    models: Mapping[str, np.ndarray | Components] | Sequence[np.ndarray | Components] | np.ndarray,
    subjects: np.ndarray,
    *,
    method: str = "pearson",
    over: str | None = None,
    folds: tuple[int, int] | None = None,
    resamples: int = 1000,
    permutations: int = 1000,
    correct: Callable[[np.ndarray], np.ndarray] | None = holm,
    level: float = 0.95,
    seed: int = 0,
) -> ModelComparison:
    """Which of several models is most like these brains, and is that more than chance?

    `models` are RDMs (pair,) or flexible models (`Weighted`, `Interpolated`, `Selected`), named by a
    mapping, or one array (model, pair); `subjects`
    (subject, pair), or (pair,) for one. Intervals and tests hold for other `stimuli`, other
    `subjects` or `both` (`over`; by default both, or stimuli of one subject). Where one model is
    flexible, all are cross-validated over stimuli and subjects (`folds`, by default 2 to 5 of each),
    inside each draw of the bootstrap; two random divisions of each draw tell the variance of the
    division itself, which is taken off. `correct` adjusts p values over pairs of models, and over
    models for the ceiling (`neuropil.stats.multiple.holm` or `fdr`; None for none).

    >>> rng = np.random.default_rng(0)
    >>> true = rng.uniform(size=190)
    >>> subjects = true + 0.3 * rng.normal(size=(8, 190))
    >>> models = {"true": true, "other": rng.uniform(size=190)}
    >>> compare_models(models, subjects, resamples=200, permutations=99).best()
    ['true']

    Raises ValueError for a model or subject of equal distances, for `subjects` of which there is
    one, and for flexible models by a rank correlation.
    """
    names, models = _named(models)
    subjects = np.atleast_2d(_vectors(subjects))
    _known(method)
    count, n = len(subjects), stimuli(subjects)
    over = _over(over, count)
    flexible = any(isinstance(m, Components) for m in models)
    fixed = [m for m in models if not isinstance(m, Components)]
    _varied(np.array([*fixed, *subjects]), method, n)
    rng = np.random.default_rng(seed)
    ones, everyone = np.ones((1, n)), np.ones((1, 1, count))
    null = None
    if flexible:
        folds = folds_of(n, count) if folds is None else folds
        if n < 3 * folds[0] or count < folds[1]:
            raise ValueError(f"{folds} folds of {n} stimuli and {count} subjects: 3 and 1 a fold")
        base, ceiling = crossvalidated(models, subjects, ones, everyone, method, folds, 20, rng)
        value, ceiling = base[0, 0].mean(0), tuple(ceiling[0, 0].mean(0))
    else:
        flat = np.array(models)
        value = similarity(flat, subjects, method).mean(1)
        ceiling = noise_ceiling(subjects, method) if count > 1 else None
    counts, people = _drawn(rng, resamples, n, count)
    if not flexible and permutations:
        orders = np.array([rng.permutation(n) for _ in range(permutations)], int)
        null = _relabelled(flat, subjects, orders, method)
    if ceiling is not None and not np.isfinite(ceiling).all():
        ceiling = None
    if not resamples:
        return _reported(names, value, {}, ceiling, null, method, level, over, count, n, correct)

    def drawn(counts, people):  # (way, draw, repeat, model and ceiling)
        if flexible:
            parts = crossvalidated(models, subjects, counts, people, method, folds, 2, rng)
        else:
            parts = resampled(flat, subjects, counts, people, method, ceiling is not None)
            parts = [x[:, :, None] for x in parts]
        return parts[0] if ceiling is None else np.concatenate(parts, -1)

    same = np.ones_like(people)
    ways = {}
    if over == "both":
        ways["both"], ways["stimuli"] = drawn(counts, np.stack([people, same]))
    elif over == "stimuli":
        ways["stimuli"] = drawn(counts, same[None])[0]
    if over != "stimuli":
        ways["subjects"] = drawn(np.ones_like(counts), people[None])[0]
    if not flexible and over != "subjects":
        left = np.concatenate([np.ones((1, count)), 1 - np.eye(count)])[
            : count + 1 if count > 1 else 1
        ]
        left = np.broadcast_to(left[:, None], (len(left), n, count))
        ways["left out"] = drawn(1 - np.eye(n), left)[:, :, 0]
    return _reported(names, value, ways, ceiling, null, method, level, over, count, n, correct)


def _named(models):
    if isinstance(models, np.ndarray) and models.ndim == 1:
        models = [models]
    pairs = models.items() if isinstance(models, Mapping) else enumerate(models)
    pairs = [(str(k), m if isinstance(m, Components) else _vectors(m)) for k, m in pairs]
    if not pairs:
        raise ValueError("there is no model to compare")
    for name, m in pairs:
        if not isinstance(m, Components) and m.ndim != 1:
            raise ValueError(f"model {name!r} is one RDM (pair,), not {m.shape}; see Weighted")
    return tuple(k for k, _ in pairs), [m for _, m in pairs]


def _over(over, count):
    over = over or ("both" if count > 1 else "stimuli")
    if over not in OVER:
        raise ValueError(f"over must be one of {OVER}, not {over!r}")
    if over != "stimuli" and count < 2:
        raise ValueError(
            "one subject says nothing of other subjects: take over='stimuli', and report it as one "
            "subject's"
        )
    return over


def _varied(rdms, method, n):
    if stimuli(rdms) != n:
        raise ValueError("models and subjects must have RDMs of the same stimuli")
    flat = np.ptp(rdms, axis=1) <= 1e-12 * np.abs(rdms).max(1)
    if "cosine" in method:
        flat = ~rdms.any(1)
    if flat.any():
        raise ValueError(
            f"RDM {int(flat.argmax())} (models first, then subjects) has equal distances everywhere, "
            "so nothing to compare"
        )


def _drawn(rng, resamples, n, count):
    """How often each stimulus (draw, stimulus) and subject (draw, subject) is drawn."""
    picks = rng.integers(0, n, (resamples, n)), rng.integers(0, count, (resamples, count))
    out = np.zeros((resamples, n)), np.zeros((resamples, count))
    for counts, pick in zip(out, picks, strict=True):
        np.add.at(counts, (np.arange(resamples)[:, None], pick), 1)
    return out


def _reported(names, value, ways, ceiling, null, method, level, over, count, n, correct):
    k = len(value)
    apart = value[:, None] - value[None]
    several = None if ceiling is None else tuple(np.full(k, c) for c in ceiling)
    short = "RDM " + NAMES.get(method, method)
    if not ways:
        nothing = np.full((k, k), np.nan)
        score = Score(value, None, several, null, None, short, level, n)
        return ModelComparison(names, score, Score(apart, name="difference"), nothing, None)

    def pairs(x):
        return (x[..., :k, None] - x[..., None, :k]).reshape(*x.shape[:2], k * k)

    error = partial(standard_error, ways, over, count, n)
    size = {"stimuli": n, "subjects": count, "both": min(n, count)}[over]
    alone, freedom = error(lambda x: x[..., :k])
    between, df = (x.reshape(k, k) for x in error(pairs))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(apart == 0, 0, apart / between)
        p = 2 * student.sf(np.abs(t), df)
        below = None
        if ceiling is not None:
            below = error(lambda x: x[..., :k] - x[..., k : k + 1])
            below = student.cdf((value - ceiling[0]) / below.error, below.freedom)
    upper = np.triu_indices(k, 1)
    adjusted = p[upper] if correct is None or k < 2 else correct(p[upper])
    p = np.full((k, k), np.nan)
    p[upper] = adjusted
    p.T[upper] = adjusted
    if below is not None and correct is not None:
        below = correct(below)
    alone, between = (
        e * student.ppf(0.5 + level / 2, f) for e, f in ((alone, freedom), (between, df))
    )
    low, high = np.clip(value - alone, -1, 1), np.clip(value + alone, -1, 1)
    draws = ways[over].mean(1)[:, :k]
    score = Score(value, (low, high), several, null, draws, short, level, n)
    interval = apart - between, apart + between
    difference = Score(apart, interval, name="difference", level=level, n=size)
    return ModelComparison(names, score, difference, p, below)


def _relabelled(models, subjects, orders, method):
    """Similarities (draw, model) of models whose stimuli are relabelled, averaged over subjects."""
    if method.startswith("tau"):
        squares = square(models)
        i, j = np.triu_indices(stimuli(models), 1)
        return np.array(
            [
                [np.mean([_tau(x[o[i], o[j]], y, method) for y in subjects]) for x in squares]
                for o in orders
            ]
        )
    n = stimuli(models)
    ours, theirs = _units(models, method), _units(subjects, method).mean(0)
    if method.startswith("whitened"):
        squares, target = ours.reshape(-1, n, n), theirs.reshape(n, n)
    else:
        squares, target = square(ours), square(theirs) / 2
    target = target.ravel()
    flat = squares.reshape(len(models), -1)
    out = np.empty((len(orders), len(models)))
    for k, o in enumerate(orders):
        out[k] = np.take(flat, (o[:, None] * n + o).ravel(), 1) @ target
    return out
