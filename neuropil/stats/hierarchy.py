"""Bootstrap of nested data: units in sessions in subjects. What is resampled is whom the answer speaks of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from neuropil.stats.intervals import t_critical
from neuropil.stats.resample import percentile_interval
from neuropil.stats.score import Score


def hierarchical_bootstrap(
    statistic: Callable[..., float],
    *samples: np.ndarray,
    levels: Mapping[str, Sequence | np.ndarray],
    over: str | tuple[str, ...] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    method: str = "t",
    name: str = "statistic",
    seed: int = 0,
) -> Score:
    r"""Score of `statistic(*samples)` whose interval resamples the levels `over` of a hierarchy.

    **Arguments**
    - `samples`: arrays whose rows are what was measured (units, trials), resampled together;
    - `levels`: a label per row for each level, the outermost first, {"subject": ..., "session": ...}. Labels
      are read within the level above (session 1 of two subjects is two sessions). "row" names the rows
      themselves;
    - `over`: the levels that are resampled, each within the one above. By default the outermost: the answer
      then speaks of the population of subjects, and what varies below is in the differences between them
      (resampling inner levels as well would count it twice: Davison and Hinkley 1997, section 3.8). With
      few subjects (two monkeys) no method makes a population of them: say `over=("session", "row")`, and the
      answer speaks of sessions and units of these subjects;
    - `method`: "t" gives value $\pm\; t_{g-1} \sqrt{g / (g - 1)}\; \mathrm{sd}(\text{draws})$ with g the number
      of groups at the outermost resampled level (the factor makes up for the bootstrap's too small variance),
      which covers at its rate from about 5 groups on; "percentile" is for statistics whose draws are skewed,
      and covers too little where groups are few.

    The score's `n` is the number of groups at the outermost resampled level.

    >>> rng = np.random.default_rng(0)
    >>> subject = np.repeat(np.arange(8), 10)
    >>> x = rng.normal(size=8)[subject] + rng.normal(size=80)
    >>> wide = hierarchical_bootstrap(np.mean, x, levels={"subject": subject})
    >>> naive = hierarchical_bootstrap(np.mean, x, levels={"subject": subject}, over="row")
    >>> bool(np.ptp(wide.interval) > 2 * np.ptp(naive.interval))
    True

    Raises ValueError for labels of another length, unknown levels, and fewer than 2 groups to resample.
    """
    arrays = [np.asarray(s) for s in samples]
    n = len(arrays[0])
    names = [*levels, "row"]
    over = (names[0],) if over is None else (over,) if isinstance(over, str) else tuple(over)
    strange = [o for o in over if o not in names]
    if strange or not over:
        raise ValueError(f"there is no level {strange}: choose among {names}")
    if method not in ("t", "percentile"):
        raise ValueError(f"method must be 't' or 'percentile', not {method!r}")
    bad = [k for k, v in levels.items() if np.shape(v) != (n,)]
    if bad or any(len(a) != n for a in arrays):
        raise ValueError(f"samples and labels must have {n} rows each; {bad or 'a sample'} differ")
    tree = _tree(np.arange(n), [np.asarray(v) for v in levels.values()])
    chosen = [level_ in over for level_ in names]
    sizes = np.array(_members(tree, chosen.index(True)))
    if sizes.min() < 2:
        raise ValueError(
            f"{over[0]}: a group to resample from has one member; resample another level with over="
        )
    rng = np.random.default_rng(seed)
    value = float(statistic(*arrays))
    picks = (np.concatenate(_draw(tree, chosen, rng)) for _ in range(resamples))
    draws = np.array([statistic(*(a[pick] for a in arrays)) for pick in picks], float)
    if method == "percentile":
        interval = percentile_interval(draws, level)
    else:
        free = int(sizes.sum()) - len(sizes)
        widen = np.sqrt(np.mean(sizes / (sizes - 1)))
        half = float(t_critical(free + 1, level) * widen * np.nanstd(draws))
        interval = (value - half, value + half)
    return Score(value, interval, draws=draws, name=name, level=level, n=int(sizes.sum()))


def _tree(rows, labels):
    """Rows as nested lists: a list a label of the first level, within it of the next, ..., arrays of rows."""
    if not labels:
        return rows
    kinds = np.unique(labels[0][rows])
    return [_tree(rows[labels[0][rows] == kind], labels[1:]) for kind in kinds]


def _members(tree, depth: int) -> list[int]:
    """How many there are to resample from at a depth, in each group of the level above."""
    return [len(tree)] if depth == 0 else [m for part in tree for m in _members(part, depth - 1)]


def _draw(tree, chosen, rng):
    """A resample, as a list of arrays of rows."""
    if isinstance(tree, np.ndarray):
        return [tree[rng.integers(0, len(tree), len(tree))] if chosen[0] else tree]
    take = rng.integers(0, len(tree), len(tree)) if chosen[0] else range(len(tree))
    return [rows for i in take for rows in _draw(tree[i], chosen[1:], rng)]
