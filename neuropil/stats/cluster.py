"""Clusters of neighbouring times, sensors or voxels that differ together: MNE's permutation test as a score."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats
from scipy.spatial import cKDTree

from neuropil.stats.score import Score


@dataclass(frozen=True, repr=False)
class Clusters:
    """What `cluster_test` found.

    - `map` (time, unit) or (time,): the t value everywhere;
    - `members`: for each cluster, True where it is, in the shape of the map;
    - `mass`: its summed t values and their null (the largest mass of each draw), corrected over the whole map.

    A cluster says that the conditions differ, not where exactly: its edges are not tested (Sassenhagen and
    Draschkow 2019).
    """

    map: np.ndarray
    members: np.ndarray
    mass: Score

    @property
    def p(self) -> np.ndarray:
        """p value of each cluster, corrected over the map (empty where nothing passed the threshold)."""
        return np.atleast_1d(self.mass.p) if len(self.members) else np.zeros(0)

    def __repr__(self):
        found = int((self.p <= 1 - self.mass.level).sum())
        least = f", smallest p = {self.p.min():.2g}" if len(self.members) else ""
        return f"Clusters({len(self.members)} over {self.map.shape}, {found} significant{least})"


def neighbours(positions: np.ndarray, distance: float | int) -> sparse.coo_array:
    """Which units are neighbours: those no further apart than `distance`; `positions` (unit, axis).

    >>> neighbours(np.array([[0.0], [1.0], [3.0]]), 1.0).toarray().astype(int).tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    pairs = cKDTree(np.asarray(positions, float)).query_pairs(distance, output_type="ndarray")
    i, j = pairs.reshape(-1, 2).T
    n = len(positions)
    ones = np.ones(2 * len(i), bool)
    return sparse.coo_array((ones, (np.r_[i, j], np.r_[j, i])), shape=(n, n))


def cluster_test(
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    adjacency: sparse.spmatrix | sparse.sparray | None = None,
    threshold: float | int | None = None,
    tail: str = "two-sided",
    draws: int = 1000,
    seed: int = 0,
) -> Clusters:
    r"""Where do conditions differ, over time and over neighbours?

    t values are taken at each place; neighbours beyond the threshold form a cluster, whose mass is the sum of
    its t values; the largest mass of the map under sign flips (one sample) or exchanged labels (two) is the
    null.

    **Arguments**
    - `x` (row, time) or (row, time, unit): rows are subjects or trials, as differences of a pair, tested
      against 0; with `y` of the same form: two groups;
    - `adjacency` (unit, unit): which units are neighbours (`neighbours`, or MNE's `find_ch_adjacency`);
      neighbouring times always are. None: units one after the other are neighbours, as frequencies are;
    - `threshold`: the t value a place must pass (default: p = 0.05 at one place). It changes what can be found,
      not how often nothing is taken for something.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(12, 40))
    >>> x[:, 10:20] += 1.5
    >>> found = cluster_test(x, draws=199)
    >>> bool(found.p.min() <= 0.01), bool(found.members[found.p.argmin()][10:20].all())
    (True, True)

    Raises ValueError for unlike shapes, NaN and fewer than 3 rows; ImportError without MNE.

    Source: Maris, Oostenveld (2007), J. Neurosci. Methods 164, 177. Computed by `mne.stats`.
    """
    groups = [np.asarray(g, float) for g in ((x,) if y is None else (x, y))]
    for g in groups:
        if g.ndim not in (2, 3) or len(g) < 3 or g.shape[1:] != groups[0].shape[1:]:
            raise ValueError(
                f"a group has shape {g.shape}: give (row, time) or (row, time, unit), 3 rows or more, and the "
                "same places in both"
            )
        if not np.isfinite(g).all():
            raise ValueError("x or y hold NaN or infinity: leave those rows or places out")
    sign = {"greater": 1, "less": -1, "two-sided": 0}.get(tail)
    if sign is None:
        raise ValueError(f"tail must be 'greater', 'less' or 'two-sided', not {tail!r}")
    lib = _mne_stats()
    free = sum(len(g) for g in groups) - len(groups)
    if threshold is None:
        threshold = float(stats.t.isf(0.05 / (2 if sign == 0 else 1), free))
    shape = groups[0].shape[1:]
    if adjacency is not None and (len(shape) != 2 or adjacency.shape != (shape[1], shape[1])):
        raise ValueError(f"adjacency {adjacency.shape} must be (unit, unit) for data {shape}")
    joined = None
    if adjacency is not None:
        joined = sparse.coo_array(lib.combine_adjacency(shape[0], sparse.coo_array(adjacency)))
    shared = dict(n_permutations=draws + 1, rng=seed, out_type="mask", verbose="ERROR")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No clusters found")
        if y is None:
            settings = shared | dict(threshold=-threshold if sign < 0 else threshold, tail=sign)
            t, members, _, null = lib.permutation_cluster_1samp_test(
                groups[0], adjacency=joined, **settings
            )
            null = np.abs(null) if sign == 0 else sign * np.asarray(null)
        else:
            t, members, null = _two_groups(lib, groups, sign, joined, threshold, shared)
    t = np.reshape(t, shape)
    members = np.array([_mask(m, shape) for m in members], bool).reshape(-1, *shape)
    value = np.array([abs(t[m].sum()) for m in members])
    repeated = np.repeat(np.asarray(null, float)[1:, None], len(value), 1)  # the first is the map's
    return Clusters(t, members, Score(value, null=repeated, name="cluster mass", n=len(groups[0])))


def _two_groups(lib, groups, sign, joined, threshold, shared):
    """MNE's null for two groups takes the largest cluster of one sign only (1.13, `_do_permutations`), so that
    a two-sided test of t values has twice its level, as the calibration shows. So both signs are laid side by
    side as places of their own, and the test is one-sided.
    """
    shape = groups[0].shape[1:]
    flat = [g.reshape(len(g), -1) for g in (groups[::-1] if sign < 0 else groups)]
    if joined is None:
        row = np.arange(shape[1] if len(shape) > 1 else 1, dtype=float)
        joined = lib.combine_adjacency(shape[0], neighbours(row[:, None], 1.0))
    if sign == 0:
        flat = [np.concatenate([f, -f], 1) for f in flat]
        joined = sparse.block_diag([joined, joined])
    t, members, _, null = lib.permutation_cluster_test(
        flat,
        threshold=threshold,
        tail=1,
        stat_fun=_two_sample_t,
        adjacency=sparse.coo_array(joined),
        **shared,
    )
    places = int(np.prod(shape))
    members = [np.reshape(m, (-1, places)).any(0) for m in members]
    return np.ravel(t)[:places] * (-1 if sign < 0 else 1), members, null


def _two_sample_t(a, b):
    """Student's t with the pooled variance; SciPy's takes ten times as long on small groups."""
    n, m = len(a), len(b)
    pooled = ((n - 1) * a.var(0, ddof=1) + (m - 1) * b.var(0, ddof=1)) / (n + m - 2)
    return (a.mean(0) - b.mean(0)) / np.sqrt(pooled * (1 / n + 1 / m))


def _mask(member, shape):
    """MNE gives a mask, or slices where places lie in a row."""
    if isinstance(member, tuple):
        out = np.zeros(shape, bool)
        out[member] = True
        return out
    return np.reshape(member, shape)


def _mne_stats():
    os.environ.setdefault("MNE_USE_NUMBA", "false")  # its compilation takes longer than it saves
    try:
        import mne.stats
    except ImportError as err:
        raise ImportError("cluster tests need mne: pip install neuropil[recordings]") from err
    return mne.stats
