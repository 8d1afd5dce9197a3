"""Two representations of the same stimuli, by any measure of this room, with interval, null and ceiling.

Which measure? `cka` (debiased) for "is the geometry alike?", the default; `procrustes` where a metric is needed
(clustering networks, triangle inequality); `svcca` for what any linear readout sees; `soft_matching` for
whether single units have their like. RDMs have their own functions in `neuropil.compare.geometry`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neuropil.compare import cca
from neuropil.compare._door import paired, patterns, spread, subset_size
from neuropil.compare.cka import cka
from neuropil.compare.matching import soft_matching
from neuropil.compare.shape import shape_distance
from neuropil.stats import Score
from neuropil.stats import halves as halved


def _debiased(x, y, **settings):
    return float(cka(x, y, **({"debiased": True} | settings)))


# name: (measure of two paired arrays, the tail on which they are alike)
MEASURES: dict[str, tuple[Callable, str]] = {
    "cka": (_debiased, "greater"),
    "procrustes": (shape_distance, "less"),
    "cca": (cca.cca, "greater"),
    "svcca": (cca.svcca, "greater"),
    "pwcca": (cca.pwcca, "greater"),
    "soft_matching": (soft_matching, "greater"),
}


def compare_representations(
    x: np.ndarray,
    y: np.ndarray,
    measure: str | Callable = "cka",
    *,
    resample: tuple[str, ...] = ("stimuli",),
    share: float = 0.8,
    resamples: int = 200,
    permutations: int = 500,
    splits: int = 10,
    level: float = 0.95,
    seed: int = 0,
    **settings,
) -> Score:
    """Likeness (or distance) of a model x (stimulus, unit) and a reference y (stimulus, unit), or with repeats
    (repeat, stimulus, unit; NaN where one is missing), whose mean is then compared.

    - `measure`: one of `MEASURES`, or a function of two arrays that gives a number, higher where more alike;
      `settings` go to it (`debiased=False`, `alpha=0.5`, `k=10`, ...);
    - interval: subsets of `share` of what `resample` names, `stimuli`, `units` (of both sides), or both. Name
      units where they are a sample of a larger population, and the claim is about that. It says how the measure
      at this number of stimuli would vary; most measures move with that number (debiased `cka` does not);
    - ceiling, from repeats: what y's one half of the repeats gets with its other half (mean of `splits`), which
      holds more noise than their mean: a model may pass it a little;
    - null: the stimuli of x are shuffled. It is not at 0 for most of these measures: read the value beside it.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(30, 8))
    >>> y = x @ rng.normal(size=(8, 12)) + rng.normal(size=(30, 12))
    >>> s = compare_representations(x, y, resamples=50, permutations=99)
    >>> bool(s.interval[0] < s.value < s.interval[1]), s.p
    (True, 0.01)

    Raises ValueError for shapes that do not pair, NaN, unknown names, and settings the measure cannot use.
    """
    of, tail, name = _measure(measure)
    unknown = set(resample) - {"stimuli", "units"}
    if unknown or not resample:
        raise ValueError(f"resample names 'stimuli', 'units' or both, not {tuple(resample)}")
    rng = np.random.default_rng(seed)
    y, top = np.asarray(y, float), None
    if y.ndim == 3:
        pairs = [halved(y, rng) for _ in range(splits)]
        with np.errstate(invalid="ignore"):
            y = np.nanmean(y, 0)
        top = float(np.mean([of(patterns(a, "y"), b, **settings) for a, b in pairs]))
    x, y = paired(x, y)

    def number(x, y):
        return float(of(x, y, **settings))

    value, n = number(x, y), len(x)
    draws, kept, whole = [], n, n
    if "units" in resample:
        units = [subset_size(z.shape[1], share, 1) for z in (x, y)]
        kept, whole = units[0], x.shape[1]
    if "stimuli" in resample:
        kept, whole = subset_size(n, share, 4), n
    for _ in range(resamples):
        a, b = x, y
        if "units" in resample:
            a, b = (
                z[:, rng.permutation(z.shape[1])[:k]] for z, k in zip((x, y), units, strict=True)
            )
        if "stimuli" in resample:
            rows = rng.permutation(n)[:kept]
            a, b = a[rows], b[rows]
        draws.append(number(a, b))
    interval, draws = spread(value, draws, kept, whole, level)
    null = np.array([number(x[rng.permutation(n)], y) for _ in range(permutations)])
    return Score(value, interval, top, null if permutations else None, draws, name, level, n, tail)


def _measure(measure):
    if callable(measure):
        return measure, "greater", getattr(measure, "__name__", "likeness")
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {tuple(MEASURES)} or a function, not {measure!r}")
    of, tail = MEASURES[measure]
    return of, tail, measure.replace("_", " ")
