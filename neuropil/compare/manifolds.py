r"""Manifold capacity: how many clouds of responses a linear readout can tell apart, and why.

A manifold is the cloud of a population's responses to the variants of one object. Its capacity $\alpha$ is the
largest number of manifolds per unit that a linear readout through the origin still labels at random, 2 for
points (Cover 1965). Mean-field theory writes it through Gaussian vectors t projected on the cone that the
points span,

$$1/\alpha = \Big\langle \big\| \mathrm{Proj}_{\mathrm{cone}(S)} (t + \kappa e_0) \big\|^2 \Big\rangle_t$$

with S the points in units of the norm of their centre, and one coordinate $e_0$ of 1 along it. The point where
t's projection touches the manifold is the anchor: the anchors' spread is the radius, their alignment with t the
dimension.

Sources: Chung, Lee, Sompolinsky (2018), Phys. Rev. X 8, 031003; correlated centres: Cohen, Chung, Lee,
Sompolinsky (2020), Nat. Commun. 11, 746. The projection on a cone replaces their quadratic program: every row
of S holds a 1, so that a margin shifts t, and the program is non-negative least squares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog, minimize, nnls

from neuropil.compare._door import patterns
from neuropil.stats import Score, percentile_interval


class Manifolds(NamedTuple):
    """`capacity`, `radius` (in units of the centre's norm) and `dimension` of every manifold; `correlation`:
    mean absolute cosine of the centres before `removed` common dimensions were taken out.
    """

    capacity: Float[np.ndarray, " manifold"]
    radius: Float[np.ndarray, " manifold"]
    dimension: Float[np.ndarray, " manifold"]
    correlation: float
    removed: int

    @property
    def alpha(self) -> float:
        """Capacity of all of them together, the harmonic mean."""
        return float(1 / np.mean(1 / self.capacity))


def manifold_geometry(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    samples: int = 200,
    margin: float | int = 0.0,
    removed: int | None = None,
    seed: int = 0,
) -> Manifolds:
    """Capacity, radius and dimension of the manifolds that `labels` cut out of responses.

    **Arguments**: `x` (sample, unit); `labels` (sample,), which manifold each belongs to; `samples`, how many
    Gaussian vectors (200 leave about 3 % error in a capacity; they are the same for equal seeds, so that arms
    pair); `margin`, how far from the readout's plane the points must lie; `removed`, how many dimensions common
    to the centres to take out (None: as many as leave them least correlated; 0: none).

    Compare only with equal numbers of manifolds and points: the mean over all of them is the origin.

    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(rng.normal(size=(8, 50)), 3, 0)            # 8 manifolds of 3 equal points
    >>> points = manifold_geometry(centres, np.arange(24) // 3, samples=2000, removed=0)
    >>> round(points.alpha, 1), float(points.radius.max().round(6))    # points: Cover's capacity
    (2.0, 0.0)

    Raises ValueError for fewer than 2 manifolds and for one whose centre is the mean of all.
    """
    x, kinds, which = _door(x, labels)
    clouds = [x[which == i] for i in range(len(kinds))]
    centres = np.array([c.mean(0) for c in clouds])
    size = np.linalg.norm(centres, axis=1)
    if size.min() <= 1e-12 * np.abs(x).max():
        raise ValueError(
            f"manifold {kinds[size.argmin()]} has its centre at the mean of all, so no direction of its own"
        )
    units = centres / size[:, None]
    cosine = np.abs(units @ units.T)[np.triu_indices(len(units), 1)].mean()
    common = common_directions(centres, removed)
    if common.shape[1]:
        clouds = [c - (c @ common) @ common.T for c in clouds]
    each = np.array([_one(c, samples, margin, (seed, i)) for i, c in enumerate(clouds)])
    return Manifolds(*each.T, float(cosine), common.shape[1])


def _one(cloud, samples, margin, seed):
    """1 / mean |projection|^2, radius and dimension of one manifold (point, unit)."""
    centre = cloud.mean(0)
    shape = (cloud - centre) / np.linalg.norm(centre)
    d = min(shape.shape)
    if shape.shape[1] > d:  # the same cloud in as many dimensions as it has points
        shape = np.linalg.qr(shape.T)[1].T
    s = np.concatenate([shape, np.ones((len(shape), 1))], 1).T  # (dimension + 1, point)
    t = np.random.default_rng(seed).normal(size=(samples, d + 1))
    t[:, -1] += margin
    weights = np.array([nnls(s, row)[0] for row in t])
    total = weights.sum(1)
    projected = weights @ s.T
    inside = (
        total <= 0
    )  # t already lies where all points are on its far side: no point is pressed on
    anchors = projected / np.where(inside, 1, total)[:, None]
    anchors[inside] = s.T[np.argmax(t[inside] @ s, 1)]
    capacity = 1 / np.maximum((projected**2).sum(1).mean(), 1e-300)
    swing = anchors[:, :-1] - anchors[:, :-1].mean(0)
    radius = np.sqrt((swing**2).sum(1).mean())
    along = (t[:, :-1] * anchors[:, :-1]).sum(1)
    norms = np.linalg.norm(t[:, :-1], axis=1) * np.linalg.norm(anchors[:, :-1], axis=1)
    cosines = along / np.where(norms > 0, norms, 1)
    return capacity, radius, d * cosines.mean() ** 2


def common_directions(
    centres: np.ndarray, dimensions: int | None = None, *, restarts: int = 10, seed: int = 0
) -> Float[np.ndarray, "unit removed"]:
    r"""Orthonormal directions that make centres (manifold, unit) least correlated once they are taken out.

    For K directions V they minimise the sum over pairs of squared cosines of what is left of the centres; of
    `restarts` starts the one that leaves every centre the largest share is kept. K grows from 0 until the mean
    absolute cosine has risen three times in a row, and the K with the least is taken; or K = `dimensions`.
    (The official code starts from K = 1, so it always removes one; here centres may be left as they are.)

    >>> rng = np.random.default_rng(0)
    >>> shared = np.outer(np.ones(8), np.eye(20)[0] * 5)              # all centres share one direction
    >>> v = common_directions(rng.normal(size=(8, 20)) + shared, 1)
    >>> bool(abs(v[0, 0]) > 0.8)
    True
    """
    p, n = centres.shape
    u, s, vt = np.linalg.svd(centres, full_matrices=False)
    rank = int((s > s[0] * max(p, n) * np.finfo(float).eps).sum())
    low = u[:, :rank] * s[:rank]  # the centres in the space they span
    most = min(rank, p) - 2
    share = np.cumsum(s**2) / np.sum(s**2)
    if dimensions is None:
        tried = range(1, max(min(int(np.searchsorted(share, 0.95)) + 11, most), 0) + 1)
    elif 0 <= dimensions <= max(most, 0):
        tried = [dimensions] if dimensions else []
    else:
        raise ValueError(f"removed = {dimensions}, but {p} centres leave room for {max(most, 0)}")
    rng = np.random.default_rng(seed)
    best = v = np.zeros((rank, 0))
    least, last, rises = np.inf, np.inf, 0
    if dimensions is None:
        least = last = _cosine(low)
    for k in tried:
        # the last solution and a random direction: each K begins where the one before ended
        kept = v if v.shape[1] == k - 1 else rng.normal(size=(rank, k - 1))
        found = [
            _least_correlated(low, np.concatenate([low.T @ rng.normal(size=(p, 1)), kept], 1))
            for _ in range(restarts)
        ]
        v = max(found, key=lambda v: _remaining(low, v))
        now = _cosine(low - low @ v @ v.T)
        rises = rises + 1 if now > last else 0
        last = now
        if now < least:
            best, least = v, now
        if rises == 3:
            break
    return vt[:rank].T @ best


def _cosine(centres):
    unit = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-300)
    return np.abs(unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()


def _remaining(centres, v):
    """The smallest share of any centre's length that is left without the directions v."""
    left = np.linalg.norm(centres - centres @ v @ v.T, axis=1)
    return (left / np.maximum(np.linalg.norm(centres, axis=1), 1e-300)).min()


def _least_correlated(centres, start):
    """A local minimum, over subspaces as wide as `start`, of the squared cosines of what is left."""
    shape = start.shape
    gram = centres @ centres.T

    def cost(flat):
        v, r = np.linalg.qr(flat.reshape(shape))
        c = centres @ v
        left = gram - c @ c.T
        size = np.maximum(np.diag(left), 1e-12 * np.diag(gram))
        weighted = left / np.outer(size, size)
        pull = -2 * weighted @ c + 2 * ((weighted * left).sum(1) / size)[:, None] * c
        slope = centres.T @ pull
        slope = slope - v @ (v.T @ slope)  # the cost depends on the subspace alone
        return 0.5 * (weighted * left).sum(), np.linalg.solve(r, slope.T).T.ravel()

    out = minimize(cost, np.linalg.qr(start)[0].ravel(), jac=True, method="L-BFGS-B")
    return np.linalg.qr(out.x.reshape(shape))[0]


def simulated_capacity(
    x: np.ndarray, labels: np.ndarray, *, dichotomies: int = 50, seed: int = 0
) -> float:
    """Capacity by counting: manifolds per unit where half of the random dichotomies are linearly separable.

    Responses are projected on n random directions, n found by bisection; a linear program says whether a plane
    through the origin parts the two halves. Slow, and a check of `manifold_geometry` on small sets.

    >>> points = np.random.default_rng(0).normal(size=(30, 60))
    >>> bool(1.6 < simulated_capacity(points, np.arange(30)) < 2.4)
    True
    """
    x, kinds, which = _door(x, labels)
    p, rng = len(kinds), np.random.default_rng(seed)

    def share(n):
        won = 0
        for _ in range(dichotomies):
            side = rng.permutation(np.where(np.arange(p) < p // 2, 1.0, -1.0))[which]
            low = x @ rng.normal(size=(x.shape[1], n)) / np.sqrt(n)
            signed = -side[:, None] * low
            won += linprog(np.zeros(n), signed, -np.ones(len(x)), bounds=(None, None)).status == 0
        return won / dichotomies

    below, above = 1, min(x.shape[1], 2 * p)
    low_share, high_share = 0.0, share(above)
    if high_share < 0.5:
        return p / above  # not separable in the whole space: at most this
    while above - below > 1:
        middle = (below + above) // 2
        now = share(middle)
        if now < 0.5:
            below, low_share = middle, now
        else:
            above, high_share = middle, now
    at = below + (0.5 - low_share) / max(high_share - low_share, 1e-12) * (above - below)
    return p / at


def manifold_scores(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    samples: int = 200,
    margin: float | int = 0.0,
    removed: int | None = None,
    resamples: int = 1000,
    permutations: int = 20,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Score]:
    """`capacity`, `radius`, `dimension` and `correlation` of centres of labelled manifolds, each a `Score`.

    - interval: manifolds are resampled, for they are a sample of the objects there are (points are not: fewer
      points make a smaller hull). The centres' correlation has none;
    - ceiling of the capacity: 2, that of single points;
    - null: labels are shuffled over samples (`permutations` times, each as long as the measurement itself).

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) // 8
    >>> x = rng.normal(size=(5, 30))[y] + 0.3 * rng.normal(size=(40, 30))
    >>> s = manifold_scores(x, y, samples=50, removed=0)
    >>> bool(s["capacity"].p < 0.05), s["capacity"].ceiling
    (True, 2.0)
    """
    labels, settings = (
        np.asarray(labels),
        {"samples": samples, "margin": margin, "removed": removed},
    )
    found = manifold_geometry(x, labels, **settings, seed=seed)
    rng = np.random.default_rng(seed)
    nulls = [
        manifold_geometry(x, rng.permutation(labels), **settings, seed=seed)
        for _ in range(permutations)
    ]
    n = len(found.capacity)
    picks = rng.integers(0, n, (resamples, n))

    def score(name, tail, of, ceiling=None):
        draws = np.array([of(found._replace(**_pick(found, i))) for i in picks])
        null = np.array([of(m) for m in nulls]) if nulls else None
        interval = percentile_interval(draws, level) if resamples else None
        kept = draws if resamples else None
        return Score(of(found), interval, ceiling, null, kept, name, level, n, tail)

    whole = np.array([m.correlation for m in nulls]) if nulls else None
    return {
        "capacity": score("manifold capacity", "greater", lambda m: m.alpha, 2.0),
        "radius": score("manifold radius", "less", lambda m: float(m.radius.mean())),
        "dimension": score("manifold dimension", "less", lambda m: float(m.dimension.mean())),
        "correlation": Score(
            found.correlation, null=whole, name="centre correlation", n=n, tail="two-sided"
        ),
    }


def _pick(found, at):
    return {name: getattr(found, name)[at] for name in ("capacity", "radius", "dimension")}


def _door(x, labels):
    x, labels = patterns(x, "x", 2), np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(
            f"labels must name a manifold for each of {len(x)} samples: {labels.shape}"
        )
    kinds, which = np.unique(labels, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError("capacity is about telling manifolds apart: give 2 or more")
    return x - x.mean(0), kinds, which
