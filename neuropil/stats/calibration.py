"""Does a test say what it promises? Simulated experiments in which the truth is known, many times over.

A `Case` is a way to make data under a true null (or with a known truth) and to judge them; `measure` does it
1,000 times and gives the share of false findings, or of intervals that cover, with its binomial interval. Other
rooms have cases too; `python -m neuropil.studies.calibration` runs all of them and writes the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from neuropil import stats as st
from neuropil.stats.intervals import t_interval


@dataclass(frozen=True)
class Case:
    """One way in which a statistic is used, and what it promises.

    `experiment(rng)` is True where it rejected a true null ("rejects") or its interval held the truth
    ("covers"); `nominal` is the rate that it promises. `bound`: a rate below (for rejections), or a coverage
    above, keeps the promise too. `sound=False`: what not to do, kept so that the page can show what it costs.
    """

    name: str
    question: str
    experiment: Callable[[np.random.Generator], bool]
    kind: str = "rejects"
    nominal: float = 0.05
    bound: bool = False
    sound: bool = True

    def __post_init__(self):
        if self.kind not in ("rejects", "covers"):
            raise ValueError(f"case {self.name}: kind is 'rejects' or 'covers', not {self.kind!r}")


def measure(case: Case, n: int = 1000, seed: int = 0, level: float = 0.99) -> dict:
    """Run `n` experiments, experiment i with the generator of (seed, i): {name, question, kind, nominal, rate,
    n, interval, bound, sound, kept}. `interval` is the rate's binomial one (Clopper and Pearson) at `level`:
    99 of 100, because there are dozens of cases and each may be unlucky. `kept`: does the promise lie in it?

    >>> case = Case("coin", "Does a coin fall on its edge?", lambda rng: rng.random() < 0.05)
    >>> measure(case, 200)["kept"]
    True
    """
    hits = sum(bool(case.experiment(np.random.default_rng((seed, i)))) for i in range(n))
    ci = stats.binomtest(hits, n).proportion_ci(level, "exact")
    low, high = float(ci.low), float(ci.high)
    kept = low <= case.nominal <= high
    if case.bound:
        kept = low <= case.nominal if case.kind == "rejects" else high >= case.nominal
    return {
        "name": case.name, "question": case.question, "kind": case.kind, "nominal": case.nominal,
        "rate": hits / n, "n": n, "interval": [round(low, 4), round(high, 4)], "bound": case.bound,
        "sound": case.sound, "kept": kept,
    }  # fmt: skip


def cases() -> dict[str, Case]:
    """The cases of this room, by name."""
    return {case.name: case for case in (*_PERMUTATIONS, *_MANY, *_SERIES, *_MARGINS, *_INTERVALS)}


DRAWS = 199  # 2.5 in 100 of 1 + 199 is whole, so that a two-sided test can have its level exactly


def _r(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def _covariance(a, b):
    return (a - a.mean(0)).T @ (b - b.mean(0))


def _found(score) -> bool:
    return bool(score.p <= 0.05)


def _slow(rng, n: int, phi: float = 0.8, targets: int | None = None):
    """Autoregressive series of first order, stationary from the start."""
    x = rng.normal(size=n if targets is None else (n, targets))
    x[0] /= np.sqrt(1 - phi**2)
    for t in range(1, n):
        x[t] += phi * x[t - 1]
    return x


def _shuffled(rng):
    x, y = rng.exponential(size=(2, 15))
    return _found(
        st.permutation(_r, x, y, draws=DRAWS, tail="two-sided", seed=int(rng.integers(2**31)))
    )


def _subjects(rng, within: bool):
    """Two measures that differ between subjects, unrelated within them."""
    subject = np.repeat(np.arange(5), 8)
    x, y = (rng.normal(size=40) + 2 * rng.normal(size=5)[subject] for _ in range(2))
    orders = st.shuffles(
        40, DRAWS, within=subject if within else None, seed=int(rng.integers(2**31))
    )
    return _found(st.permutation(_r, x, y, orders=orders, tail="two-sided"))


def _blocks(rng, whole: bool):
    """A condition that is fixed within a block, and noise that blocks share."""
    block = np.repeat(np.arange(10), 6)
    x = rng.normal(size=10)[block]
    y = rng.normal(size=60) + rng.normal(size=10)[block]
    make = st.block_shuffles if whole else lambda b, d, seed: st.shuffles(len(b), d, seed=seed)
    orders = make(block, DRAWS, seed=int(rng.integers(2**31)))
    return _found(st.permutation(_r, x, y, orders=orders, tail="two-sided"))


def _flipped(rng):
    return _found(
        st.sign_flip(rng.standard_t(2, size=9), draws=DRAWS, seed=int(rng.integers(2**31)))
    )


def _auroc(rng):
    labels = np.arange(24) % 3 == 0
    score = st.auroc(labels, rng.normal(size=24), permutations=DRAWS, seed=int(rng.integers(2**31)))
    return _found(score)


_PERMUTATIONS = (
    Case("permutation", "Do two variables correlate? (15 skewed samples, shuffled)", _shuffled),
    Case("permutation-within", "The same within subjects that differ in their means (shuffled within)",
         lambda rng: _subjects(rng, True)),
    Case("permutation-across", "The same, but shuffled across subjects",
         lambda rng: _subjects(rng, False), sound=False),
    Case("permutation-blocks", "Does a condition matter that is fixed in each block? (whole blocks exchanged)",
         lambda rng: _blocks(rng, True)),
    Case("permutation-rows", "The same, but rows are shuffled", lambda rng: _blocks(rng, False), sound=False),
    Case("sign-flip", "Is a paired difference zero? (9 pairs, heavy tails)", _flipped, bound=True),
    Case("auroc", "Is a ranking better than chance? (24 samples, labels shuffled)", _auroc, bound=True),
)  # fmt: skip


def _targets(rng, corrected: bool):
    """20 targets that share noise, none of them related to x."""
    x = rng.normal(size=(20, 1))
    y = rng.normal(size=(20, 20)) + rng.normal(size=(20, 1))
    y = (y - y.mean(0)) / y.std(0)
    score = st.permutation(
        lambda a, b: _covariance(a, b)[0],
        x,
        y,
        draws=DRAWS,
        tail="two-sided",
        seed=int(rng.integers(2**31)),
    )
    return bool((st.family_wise(score) if corrected else score.p).min() <= 0.05)


def _p_values(rng, correct, shared: float = 0.0):
    z = np.sqrt(1 - shared) * rng.normal(size=20) + np.sqrt(shared) * rng.normal()
    return bool(correct(2 * stats.norm.sf(np.abs(z))).min() <= 0.05)


def _clusters(rng, grid: bool):
    if not grid:
        x = np.stack([_slow(rng, 30) for _ in range(10)])
        found = st.cluster_test(x, draws=DRAWS, seed=int(rng.integers(2**31)))
    else:
        at = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), -1).reshape(-1, 2)
        near = st.neighbours(at, 1.1)
        a, b = (rng.normal(size=(7, 5, 16)) + rng.normal(size=(7, 1, 16)) for _ in range(2))
        found = st.cluster_test(a, b, adjacency=near, draws=DRAWS, seed=int(rng.integers(2**31)))
    return bool((found.p <= 0.05).any())


_MANY = (
    Case("family-wise", "Does any of 20 correlated targets relate to x? (largest value of each draw)",
         lambda rng: _targets(rng, True)),
    Case("uncorrected", "The same, each target at 5 %", lambda rng: _targets(rng, False), sound=False),
    Case("holm", "Is any of 20 independent tests significant? (Holm)", lambda rng: _p_values(rng, st.holm),
         bound=True),
    Case("fdr", "Is any of 20 independent tests significant where none is true? (Benjamini, Hochberg)",
         lambda rng: _p_values(rng, st.fdr)),
    Case("fdr-dependent", "The same for dependent tests (Benjamini, Yekutieli)",
         lambda rng: _p_values(rng, lambda p: st.fdr(p, dependent=True), 0.5), bound=True),
    Case("cluster-time", "Do conditions differ at any of 30 times? (clusters, 10 subjects)",
         lambda rng: _clusters(rng, False), bound=True),
    Case("cluster-neighbours", "Do groups differ at any of 5 times x 16 sensors? (clusters, 7 and 7 subjects)",
         lambda rng: _clusters(rng, True), bound=True),
)  # fmt: skip


def _series(rng, way: str):
    x, y = (_slow(rng, 200) for _ in range(2))
    if way == "shuffle":
        seed = int(rng.integers(2**31))
        return _found(st.permutation(_r, x, y, draws=DRAWS, tail="two-sided", seed=seed))
    if way in ("near", "far"):
        orders = st.shifts(200, DRAWS, 1 if way == "near" else 20, seed=int(rng.integers(2**31)))
        return _found(st.permutation(_r, x, y, orders=orders, tail="two-sided"))
    score = st.series_correlation(x, y)
    if way == "interval":
        return score.interval[0] <= 0 <= score.interval[1]
    return _found(score)


_SERIES = (
    Case("series", "Do two slow series correlate? (autoregressive, 0.8; 200 ticks; effective samples)",
         lambda rng: _series(rng, "effective")),
    Case("series-interval", "Does the interval of such a correlation hold the truth?",
         lambda rng: _series(rng, "interval"), "covers", 0.95),
    Case("series-shift", "The same, but one is turned in a circle by any number of ticks: the ends do not join",
         lambda rng: _series(rng, "near"), sound=False),
    Case("series-shift-far", "The same, but only shifts by a tenth of the series or more are taken",
         lambda rng: _series(rng, "far"), sound=False),
    Case("series-shuffle", "The same, but samples are shuffled",
         lambda rng: _series(rng, "shuffle"), sound=False),
)  # fmt: skip


def _margin(rng, way: str):
    """The truth lies exactly at the margin, where the test has its level."""
    x = 0.5 + 0.4 * rng.normal(size=12)
    if way == "two":
        return st.equivalence(x, 0.8 * rng.normal(size=15), margin=(-2.0, 0.5)).holds
    return (
        st.equivalence(x, margin=(-1.0, 0.5))
        if way == "one"
        else st.non_inferiority(-x, margin=0.5)
    ).holds


_MARGINS = (
    Case("equivalence", "Are paired differences taken for equivalent that lie at the margin?",
         lambda rng: _margin(rng, "one")),
    Case("equivalence-groups", "The same for two groups of unlike spread", lambda rng: _margin(rng, "two")),
    Case("non-inferiority", "Is something taken for no worse that is worse by the margin?",
         lambda rng: _margin(rng, "less")),
)  # fmt: skip


def _holds(interval, truth: float) -> bool:
    return bool(interval[0] <= truth <= interval[1])


def _t(rng):
    i = t_interval(rng.normal(size=5))
    return i.low <= 0 <= i.high


def _bootstrap(rng, n: int, method: str):
    seed = int(rng.integers(2**31))
    score = st.bootstrap(
        lambda x: x.mean(), rng.normal(size=n), resamples=400, method=method, seed=seed
    )
    return _holds(score.interval, 0.0)


def _nested(rng, over):
    subject, session = np.repeat(np.arange(8), 12), np.tile(np.repeat(np.arange(3), 4), 8)
    x = (
        rng.normal(size=8)[subject]
        + 0.7 * rng.normal(size=24)[subject * 3 + session]
        + rng.normal(size=96)
    )
    levels = {"subject": subject, "session": session}
    score = st.hierarchical_bootstrap(
        lambda v: v.mean(),
        x,
        levels=levels,
        over=over,
        resamples=200,
        seed=int(rng.integers(2**31)),
    )
    return _holds(score.interval, 0.0)


def _area(rng):
    """Normal scores, a shift of 1 between positives and negatives: the area is Phi(1 / sqrt 2)."""
    labels = np.arange(40) < 20
    score = st.auroc(labels, rng.normal(size=40) + labels, permutations=0)
    return _holds(score.interval, stats.norm.cdf(2**-0.5))


_INTERVALS = (
    Case("t-interval", "Does the t interval of 5 seeds hold the truth?", _t, "covers", 0.95),
    Case("percentile-5", "The same by a percentile bootstrap of 5 seeds",
         lambda rng: _bootstrap(rng, 5, "percentile"), "covers", 0.95, sound=False),
    Case("bootstrap", "Does the bootstrap interval of a mean hold the truth? (60 samples, BCa)",
         lambda rng: _bootstrap(rng, 60, "bca"), "covers", 0.95),
    Case("hierarchical", "Does the interval hold the population's mean? (8 subjects x 3 sessions x 4 units; "
         "subjects resampled)", lambda rng: _nested(rng, None), "covers", 0.95),
    Case("hierarchical-rows", "The same, but units are resampled as if independent",
         lambda rng: _nested(rng, "row"), "covers", 0.95, sound=False),
    Case("auroc-interval", "Does the interval of an area under the ROC curve hold the truth?", _area,
         "covers", 0.95, bound=True),
)  # fmt: skip
