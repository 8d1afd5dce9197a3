r"""Dynamical similarity: whether two systems follow the same vector field, seen through different coordinates.

Each recording is embedded in its own past and a linear operator is fitted that moves it one step (dynamic mode
decomposition); two operators A, B are compared after the rotation that brings them closest,

$$d(A, B) = \min_{C \in O(n)} \|A - C B C^\top\|_F$$

Source: Ostrow, Eisen, Kozachkov, Fiete (2023), NeurIPS, arXiv:2306.10168 (their code: DSA).
The distance has local minima. Here it is minimised by L-BFGS over rotations (Cayley's map, taken afresh around
the best point), from several starts, two of which line up the operators' own axes; their code runs Adam from
one start of each handedness.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import schur
from scipy.optimize import linear_sum_assignment, minimize

from neuropil.compare._door import spread, subset_size
from neuropil.stats import Score


def delay_embedded(
    x: np.ndarray, delays: int, every: int = 1
) -> Float[np.ndarray, "trial time unit_delay"]:
    """Every sample beside its past, newest first: (trial, time - (delays - 1) * every, unit * delays).

    >>> delay_embedded(np.arange(4.0)[None, :, None], 2)[0].tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]

    Raises ValueError where the past is longer than a trial.
    """
    x = _trials(x)
    back = (delays - 1) * every
    if delays < 1 or every < 1 or back + 2 > x.shape[1]:
        raise ValueError(
            f"{delays} delays of {every} samples need trials of {back + 2} or more, not {x.shape[1]}"
        )
    stop = x.shape[1]
    return np.concatenate([x[:, back - d * every : stop - d * every] for d in range(delays)], 2)


def dynamic_modes(
    x: np.ndarray,
    *,
    delays: int = 1,
    every: int = 1,
    rank: int | None = None,
    ridge: float | int = 0.0,
) -> Float[np.ndarray, "mode mode"]:
    r"""The operator that moves the leading `rank` modes of the delay-embedded activity one sample on.

    $$H = U S V^\top, \qquad A = \arg\min \sum_t \|v_{t+1} - A v_t\|^2 + \lambda \|A\|^2$$

    with v the rows of V scaled to unit variance together (HAVOK), so that every mode counts alike.

    **Arguments**: `x` (time, unit) or (trial, time, unit), all trials with one operator; `rank` (None: all that
    are not zero).

    >>> turn = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    >>> path = np.array([np.linalg.matrix_power(turn, t) @ [1.0, 0.0] for t in range(200)])
    >>> np.abs(np.linalg.eigvals(dynamic_modes(path))).round(6).tolist()
    [1.0, 1.0]

    Raises ValueError where fewer than `rank` modes vary.
    """
    h = delay_embedded(x, delays, every)
    flat = h.reshape(-1, h.shape[2])
    u, s, _ = np.linalg.svd(flat, full_matrices=False)
    live = int((s > s[0] * max(flat.shape) * np.finfo(float).eps).sum()) if s[0] > 0 else 0
    rank = live if rank is None else rank
    if not 1 <= rank <= live:
        raise ValueError(f"rank = {rank}, but the delay-embedded activity has {live} modes")
    modes = u[:, :rank].reshape(*h.shape[:2], rank)
    now, then = (m.reshape(-1, rank) for m in (modes[:, :-1], modes[:, 1:]))
    return np.linalg.solve(now.T @ now + ridge * np.eye(rank), now.T @ then).T


def similarity_distance(
    a: np.ndarray,
    b: np.ndarray,
    *,
    metric: str = "angular",
    starts: int = 4,
    seed: int = 0,
    tolerance: float = 1e-9,
) -> float:
    r"""Distance of two operators after the best rotation or reflection of one of them.

    `euclidean`: $\min_C \|A - C B C^\top\|_F$; `angular`: the angle between A and $C B C^\top$, blind to scale.
    Operators of unequal size are filled up with zeros. For symmetric operators it is the distance of their
    sorted eigenvalues. The `starts` are, in turn: the axes of the symmetric parts lined up (the answer where
    the two are one operator, rotated), the eigenvalues lined up, the identity, and random rotations, every
    second with a reflection.

    >>> a = np.diag([0.9, 0.5, 0.1])
    >>> turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    >>> round(similarity_distance(a, turn @ a @ turn.T, metric="euclidean"), 5)
    0.0

    Raises ValueError for operators that are not square and finite, and for an unknown metric.
    """
    a, b = (np.asarray(m, float) for m in (a, b))
    if metric not in ("angular", "euclidean"):
        raise ValueError(f"metric must be 'angular' or 'euclidean', not {metric!r}")
    for m in (a, b):
        if m.ndim != 2 or m.shape[0] != m.shape[1] or not np.all(np.isfinite(m)):
            raise ValueError(f"an operator is a square, finite matrix, not {m.shape}")
    n = max(len(a), len(b))
    a, b = (np.pad(m, (0, n - len(m))) for m in (a, b))
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    if min(sizes) == 0:
        raise ValueError("an operator of zeros has no direction")
    a, b = a / sizes[0], b / sizes[1]
    rng = np.random.default_rng(seed)
    first = [_by_symmetric_parts(a, b), _by_eigenvalues(a, b), np.eye(n)]
    flip = np.diag([-1.0, *np.ones(n - 1)])
    for i in range(max(starts - 3, 0)):
        turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
        first.append(turn if (np.linalg.det(turn) > 0) == (i % 2 == 0) else turn @ flip)
    agree = max(_climb(a, b, c, tolerance) for c in first[: max(starts, 1)])
    agree = float(np.clip(agree, -1, 1))
    if metric == "angular":
        return float(np.arccos(agree))
    return float(np.sqrt(max(sizes[0] ** 2 + sizes[1] ** 2 - 2 * agree * sizes[0] * sizes[1], 0)))


def _climb(a, b, c, tolerance):
    """The largest <A, C B C'> reached from C by L-BFGS over the skew matrices of Cayley's map."""
    n = len(a)
    i, j = np.triu_indices(n, 1)
    if not len(i):
        return float((a * b).sum())

    def cost(flat, c):
        skew = np.zeros((n, n))
        skew[i, j], skew[j, i] = flat, -flat
        left = np.linalg.inv(np.eye(n) + skew)
        turn = left @ (np.eye(n) - skew)  # Cayley: orthogonal, the identity at 0
        whole = turn @ c
        moved = whole @ b
        slope = a @ whole @ b.T + a.T @ moved  # of <A, Q B Q'> by Q
        # d turn = -left d skew (1 + turn), so the slope by skew is -left' slope_turn (1 + turn)'
        by = -left.T @ (slope @ c.T) @ (np.eye(n) + turn).T
        return -(a * (moved @ whole.T)).sum(), -(by[i, j] - by[j, i])

    best = -np.inf
    for _ in range(20):  # far from 0 Cayley's map is stiff: go on around the point reached
        out = minimize(cost, np.zeros(len(i)), (c,), "L-BFGS-B", jac=True, options={"maxiter": 200})
        skew = np.zeros((n, n))
        skew[i, j], skew[j, i] = out.x, -out.x
        c = np.linalg.solve(np.eye(n) + skew, (np.eye(n) - skew) @ c)
        if -out.fun - best < tolerance:
            break
        best = -out.fun
    return max(best, -out.fun)


def _by_symmetric_parts(a, b):
    """The rotation between the principal axes of the symmetric parts, in order; it is the answer itself where
    one operator is the other, rotated (and the axes are distinct)."""
    u, v = (np.linalg.eigh(m + m.T)[1] for m in (a, b))
    # which way each axis points: signs s that make sum s_i s_j A_ij B_ij large, by the leading eigenvector
    agree = (u.T @ a @ u) * (v.T @ b @ v)
    signs = np.sign(np.linalg.eigh(agree + agree.T)[1][:, -1])
    return (u * np.where(signs == 0, 1, signs)) @ v.T


def _by_eigenvalues(a, b):
    """The rotation that takes B's real Schur vectors to those of A with the like eigenvalues."""

    def ordered(m):
        t, q = schur(m, output="real")
        pairs, at = [], 0
        while at < len(m):  # blocks of one real eigenvalue or of a conjugate pair
            wide = 2 if at + 1 < len(m) and abs(t[at + 1, at]) > 1e-12 else 1
            value = np.linalg.eigvals(t[at : at + wide, at : at + wide])[0]
            pairs.append((wide, value.real, abs(value.imag), at))
            at += wide
        pairs.sort(key=lambda p: (-p[0], -p[1], -p[2]))
        turns = [t[p[3], p[3] + 1] < 0 if p[0] == 2 else False for p in pairs]  # all one way round
        return q[
            :,
            [
                p[3] + k
                for p, back in zip(pairs, turns, strict=True)
                for k in (range(p[0])[::-1] if back else range(p[0]))
            ],
        ]

    u, v = ordered(a), ordered(b)
    return u @ v.T


def eigenvalue_distance(a: np.ndarray, b: np.ndarray) -> float:
    r"""Distance of the matched eigenvalues of two operators.

    $$\Big(\min_\pi \sum_i |\lambda_i - \mu_{\pi(i)}|^2\Big)^{1/2}$$

    It sees time constants and frequencies, not how far the operators are from normal; no local minima, and far
    cheaper. For normal operators it bounds `similarity_distance` from below, and meets it for symmetric ones.

    >>> eigenvalue_distance(np.diag([0.9, 0.5]), np.diag([0.5, 0.6])).__round__(6)
    0.3
    """
    x, y = (np.linalg.eigvals(np.asarray(m, float)) for m in (a, b))
    n = max(len(x), len(y))
    x, y = np.pad(x, (0, n - len(x))), np.pad(y, (0, n - len(y)))
    cost = np.abs(x[:, None] - y[None]) ** 2
    return float(np.sqrt(cost[linear_sum_assignment(cost)].sum()))


def dynamical_similarity(
    x: np.ndarray,
    y: np.ndarray,
    *,
    delays: int = 1,
    every: int = 1,
    rank: int | None = None,
    ridge: float | int = 0.0,
    metric: str = "angular",
    starts: int = 4,
    share: float = 0.8,
    resamples: int = 50,
    permutations: int = 50,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Distance of the dynamics of two recordings (trial, time, unit), or (time, unit), as a `Score` (DSA).

    - `metric`: `angular` or `euclidean` (`similarity_distance`), or `eigenvalue`;
    - interval: subsets of `share` of the trials of each side (None where a side has fewer than 4);
    - null: the samples of x change places within each trial, all units together, which leaves everything but
      the order of time. Small p says that the two are closer than y is to no dynamics at all; it does not
      say that they are equal.

    Give both sides the same `delays` and `rank`.

    >>> rng = np.random.default_rng(0)
    >>> t = np.arange(60) * 0.3
    >>> ring = np.stack([np.cos(t), np.sin(t)], 1)[None] + 0.05 * rng.normal(size=(6, 60, 2))
    >>> s = dynamical_similarity(ring, ring @ rng.normal(size=(2, 2)), rank=2, resamples=10, permutations=19)
    >>> bool(s.value < 0.1), s.p
    (True, 0.05)
    """
    x, y = _trials(x), _trials(y)
    settings = {"delays": delays, "every": every, "rank": rank, "ridge": ridge}

    def distance(x, y):
        a, b = dynamic_modes(x, **settings), dynamic_modes(y, **settings)
        if metric == "eigenvalue":
            return eigenvalue_distance(a, b)
        return similarity_distance(a, b, metric=metric, starts=starts, seed=seed)

    rng = np.random.default_rng(seed)
    value, draws = distance(x, y), []
    n = min(len(x), len(y))
    kept = n
    if n >= 4:
        kept, other = (subset_size(len(z), share, 2) for z in (x, y))
        draws = [
            distance(x[rng.permutation(len(x))[:kept]], y[rng.permutation(len(y))[:other]])
            for _ in range(resamples)
        ]
        n = len(x)
    interval, draws = spread(value, draws, kept, n, level) if len(draws) else (None, None)
    null = []
    for _ in range(permutations):
        orders = np.array([rng.permutation(x.shape[1]) for _ in x])
        null.append(distance(np.take_along_axis(x, orders[:, :, None], 1), y))
    return Score(
        value,
        interval,
        None,
        np.array(null) if null else None,
        draws,
        f"dynamical distance ({metric})",
        level,
        len(x),
        "less",
    )


def _trials(x):
    x = np.asarray(x, float)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or not np.all(np.isfinite(x)):
        raise ValueError(f"activity must be finite, (time, unit) or (trial, time, unit): {x.shape}")
    return x
