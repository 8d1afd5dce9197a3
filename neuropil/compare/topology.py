r"""Geo-topological summaries: between an RDM's geometry and the graph of who is close to whom.

A representational geo-topological matrix (RGTM) keeps the order of the middle distances and forgets how far the
far ones are, and how near the near ones,

$$g(x) = \mathrm{clip}\Big(\frac{x - a}{b - a},\, 0,\, 1\Big), \qquad a = Q_l(x),\; b = Q_u(x)$$

with x the ranks of the distances scaled to 0..1. l = 0, u = 1 is the rank RDM (geometry); u near l is a graph
(topology). RDMs are vectors (pair,) or sets (..., pair), as in `neuropil.compare.geometry`.

Sources: Lin, Kriegeskorte (2024), PNAS 121, e2317881121, arXiv:2309.11028; the adaptive choice of l and u: Lin,
Kriegeskorte (2018), arXiv:1807.02978; geodesics: Tenenbaum, de Silva, Langford (2000), Science 290, 2319.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path

from neuropil.compare.geometry import square, stimuli, vector
from neuropil.stats import Score, midranks, percentile_interval

FAMILIES = ("topology", "geometry", "local", "global", "intermediate")


def rank_scaled(rdms: np.ndarray) -> Float[np.ndarray, "... pair"]:
    """Mid-ranks of the distances of every RDM, scaled to 0..1.

    >>> rank_scaled(np.array([3.0, 9.0, 4.0])).tolist()
    [0.0, 1.0, 0.5]

    Raises ValueError for NaN and for an RDM whose distances are all equal.
    """
    rdms = np.asarray(rdms, float)
    stimuli(rdms)
    if not np.all(np.isfinite(rdms)):
        raise ValueError("an RDM holds NaN or infinity: leave those stimuli out")
    r = midranks(rdms)
    low, high = r.min(-1, keepdims=True), r.max(-1, keepdims=True)
    if (low == high).any():
        raise ValueError("all distances of an RDM are equal, so they have no order")
    return (r - low) / (high - low)


def gt_transform(
    rdms: np.ndarray, low: float | int, high: float | int
) -> Float[np.ndarray, "... pair"]:
    """RGTM of every RDM at the quantiles `low` <= `high` of its own distances (see the module).

    Blind to every increasing map of the distances; about high - low of the entries lie inside 0..1. Compare it
    with the rank RDM (0, 1), not with the RDM itself: ranks forget the scale.

    >>> gt_transform(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 0.2, 0.8).round(3).tolist()
    [0.0, 0.0, 0.333, 0.667, 1.0, 1.0]

    Raises ValueError unless 0 <= low <= high <= 1.
    """
    if not 0 <= low <= high <= 1:
        raise ValueError(f"quantiles must be 0 <= low <= high <= 1, not {low} and {high}")
    x = rank_scaled(rdms)
    a, b = (np.quantile(x, q, axis=-1, keepdims=True) for q in (low, high))
    wide = b - a
    inside = (x - a) / np.where(wide > 0, wide, 1)
    # without width it is a graph: nearer than the threshold, or not (the pair at it takes neither side)
    return np.where(wide > 0, np.clip(inside, 0, 1), 0.5 * (1 + np.sign(x - a)))


def soft_transform(
    rdms: np.ndarray, threshold: float = 0.5, steepness: float | int = 10.0
) -> Float[np.ndarray, "... pair"]:
    """Smooth RGTM, 1 / (1 + exp(-steepness (x - threshold))) of the scaled ranks.

    >>> soft_transform(np.array([1.0, 2.0, 3.0])).round(3).tolist()
    [0.007, 0.5, 0.993]
    """
    return 1 / (1 + np.exp(-steepness * (rank_scaled(rdms) - threshold)))


def geodesics(
    rdm: np.ndarray, *, share: float | None = None, neighbours: int | None = None
) -> Float[np.ndarray, " pair"]:
    """Lengths of the shortest paths between stimuli along short distances only (RGDM; Isomap's distances).

    **Arguments**: `rdm` (pair,); keep either the `share` of shortest distances, or the edges to each stimulus's
    `neighbours` nearest (an edge stays where either end lists the other). Stimuli that no path joins get the
    length of the longest path there is. Give `rank_scaled(rdm)` for paths over ranks, as the source does.

    >>> ring = np.abs(np.exp(2j * np.pi * np.arange(6) / 6)[:, None] - np.exp(2j * np.pi * np.arange(6) / 6))
    >>> geodesics(vector(ring), neighbours=2)[:5].round(6).tolist()           # hops of length 1 round the ring
    [1.0, 2.0, 3.0, 2.0, 1.0]

    Raises ValueError unless one of `share` and `neighbours` is given, and fits.
    """
    rdm = np.asarray(rdm, float)
    n = stimuli(rdm)
    if (share is None) == (neighbours is None):
        raise ValueError("geodesics: give either share or neighbours")
    d = square(rdm)
    if share is not None:
        if not 0 < share <= 1:
            raise ValueError(f"geodesics: a share between 0 and 1, not {share}")
        kept = d <= np.quantile(rdm, share)
    else:
        if not 1 <= neighbours < n:
            raise ValueError(f"geodesics: 1 to {n - 1} neighbours, not {neighbours}")
        far = d + np.diag(np.full(n, np.inf))
        kept = far <= np.sort(far, 1)[:, [neighbours - 1]] + 1e-12 * d.max()
        kept = kept | kept.T
    np.fill_diagonal(kept, False)
    i, j = np.nonzero(kept)
    # a distance of 0 is an edge too, which a sparse graph would drop
    tiny = max(d.max(), 1.0) * 1e-14
    paths = shortest_path(csr_matrix((d[i, j] + tiny, (i, j)), (n, n)), method="D", directed=False)
    paths = np.where(np.isfinite(paths), paths, paths[np.isfinite(paths)].max())
    return vector(paths)


def family_of(low: float | int, high: float | int) -> str:
    """Which family a pair of quantiles belongs to: local (mean of both at most 0.2), global (at least 0.8),
    geometry (0.8 or more apart), topology (both within 0.4..0.6), else intermediate.

    >>> [family_of(*q) for q in ((0.0, 0.2), (0.8, 1.0), (0.05, 0.95), (0.45, 0.5), (0.2, 0.6))]
    ['local', 'global', 'geometry', 'topology', 'intermediate']
    """
    middle, wide = round((low + high) / 2, 3), round(high - low, 3)
    if middle <= 0.2:
        return "local"
    if middle >= 0.8:
        return "global"
    if wide >= 0.8:
        return "geometry"
    return "topology" if round(low, 3) >= 0.4 and round(high, 3) <= 0.6 else "intermediate"


def family(name: str, number: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Random quantile pairs of a family, to two digits, evenly over it (the high one 1e-5 above its digits, so
    that it is above the low one).

    >>> all(family_of(*q) == "topology" for q in family("topology", 5, np.random.default_rng(0)))
    True

    Raises ValueError for an unknown family.
    """
    if name not in FAMILIES:
        raise ValueError(f"a family is one of {FAMILIES}, not {name!r}")
    out: list[tuple[float, float]] = []
    while len(out) < number:
        low, high = np.round(np.sort(rng.uniform(0, 1, (256, 2)), 1), 2).T
        for a, b in zip(low.tolist(), high.tolist(), strict=True):
            if family_of(a, b) == name and 0.01 < a + b < 1.99:
                out.append((a, min(b + 1e-5, 1.0)))
    return out[:number]


def identified(
    vectors: np.ndarray, subject: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Which RDMs (rdm, pair) get their own label from the nearest centroid of the other subjects' RDMs.

    Give every subject every label: a centroid of fewer RDMs is noisier, noise counts as distance, and the label
    with most RDMs would take all. `weights` (pair,) weigh the squared differences (a bootstrap's counts).
    Everything follows from the inner products, so that 80 RDMs of 62 stimuli take a millisecond.
    """
    v = np.asarray(vectors, float)
    gram = (v * weights if weights is not None else v) @ v.T
    kinds, which = np.unique(label, return_inverse=True)
    right = np.zeros(len(v), bool)
    for one in np.unique(subject):
        out = subject == one
        # rows average the RDMs of a label over the subjects that stay
        mean = ((which[None] == np.arange(len(kinds))[:, None]) & ~out[None]).astype(float)
        if not mean.any(1).all():
            raise ValueError(f"without subject {one} some label has no RDM, so no centroid")
        mean /= mean.sum(1, keepdims=True)
        far = np.einsum("ki,ij,kj->k", mean, gram, mean)[None] - 2 * gram[out] @ mean.T
        right[out] = far.argmin(1) == which[out]
    return right


def identify(
    rdms: np.ndarray,
    subject: np.ndarray,
    label: np.ndarray,
    *,
    quantiles: list[tuple[float, float]] | None = None,
    resamples: int = 200,
    permutations: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """How often a region (or layer) is told from the others by its RDM, given other subjects' (or networks').

    - `rdms` (rdm, pair), `subject` and `label` (rdm,); `quantiles`: RGTMs at these pairs, accuracy averaged
      over them (None: the RDMs as they are);
    - interval: subjects and stimuli are resampled together, all pairs of quantiles and, with equal seeds, all
      families alike, so that differences pair; a pair of two copies of one stimulus is left out;
    - null: labels are shuffled within subjects; chance is one in the number of labels.

    >>> rng = np.random.default_rng(0)
    >>> subject, label = np.divmod(np.arange(12), 3)
    >>> rdms = rng.uniform(1, 2, (3, 28))[label] + 0.2 * rng.normal(size=(12, 28))
    >>> s = identify(rdms, subject, label, quantiles=[(0.4, 0.6)], resamples=50, permutations=99)
    >>> s.value > 0.8, s.p < 0.05
    (True, True)

    Raises ValueError where lengths differ or a label is left without another subject.
    """
    rdms, subject, label = np.asarray(rdms, float), np.asarray(subject), np.asarray(label)
    if rdms.ndim != 2 or not len(rdms) == len(subject) == len(label):
        raise ValueError("identify: rdms (rdm, pair), with a subject and a label for each")
    n = stimuli(rdms)
    sets = [rdms] if quantiles is None else [gt_transform(rdms, a, b) for a, b in quantiles]
    rng, people = np.random.default_rng(seed), np.unique(subject)
    hits = np.mean([identified(v, subject, label) for v in sets], 0)
    i, j = np.triu_indices(n, 1)
    draws, null = [], []
    for _ in range(resamples):
        count = np.bincount(rng.integers(0, n, n), minlength=n)
        weights = (count[i] * count[j]).astype(float)
        each = np.mean([identified(v, subject, label, weights) for v in sets], 0)
        # the classifier's centroids keep all the other subjects; who is judged is what is resampled
        who = rng.choice(people, len(people))
        draws.append(np.mean([each[subject == one].mean() for one in who]))
    for _ in range(permutations):
        mixed = label.copy()
        for one in people:
            own = np.flatnonzero(subject == one)
            mixed[own] = label[rng.permutation(own)]
        null.append(np.mean([identified(v, subject, mixed).mean() for v in sets]))
    kept = np.array(draws) if draws else None
    return Score(
        float(hits.mean()),
        percentile_interval(kept, level) if draws else None,
        1.0,
        np.array(null) if null else None,
        kept,
        "identified",
        level,
        len(rdms),
    )


def adaptive_similarity(
    a: np.ndarray,
    b: np.ndarray,
    *,
    step: float = 0.2,
    permutations: int = 200,
    seed: int = 0,
) -> Score:
    """Largest correlation of the RGTMs of two RDMs (pair,) over a grid of quantiles, each RDM with its own two.

    A maximum over many thresholds is high by chance, so only its null says something: stimuli of `a` are
    relabelled and go through the same maximum. There is no interval, for a maximum's bootstrap does not cover.

    >>> x = np.random.default_rng(0).normal(size=(10, 3))
    >>> d = vector(np.linalg.norm(x[:, None] - x[None], axis=2))
    >>> adaptive_similarity(d, d**3, permutations=99).p
    0.01
    """
    if np.shape(a) != np.shape(b) or np.ndim(a) != 1:
        raise ValueError(
            f"adaptive_similarity: two RDMs (pair,), not {np.shape(a)} and {np.shape(b)}"
        )
    grid = np.round(np.arange(0, 1 + step / 2, step), 6).clip(0, 1)
    pairs = [(l, u) for l in grid for u in grid if l < u]

    def units(rdm):
        v = np.array([gt_transform(rdm, l, u) for l, u in pairs])
        v = v - v.mean(1, keepdims=True)
        return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)

    first, second = units(a), units(b)
    n, rng = stimuli(a), np.random.default_rng(seed)
    at = square(np.arange(len(a)))
    null = []
    for _ in range(permutations):
        order = rng.permutation(n)
        moved = first[:, vector(at[np.ix_(order, order)])]
        null.append((moved @ second.T).max())
    value = float((first @ second.T).max())
    return Score(value, null=np.array(null) if null else None, name="adaptive RGTM r", n=n)
