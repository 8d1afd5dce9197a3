r"""Shape distances: what is left between two representations after the best rotation, or relabelling of units.

They are metrics (symmetric, triangle inequality), so that networks can be clustered and averaged by them.
Source: Williams, Kunz, Kornblith, Linderman (2021), NeurIPS, arXiv:2110.14739 (their code: netrep); the tie to
CKA and the Bures metric: Harvey, Lipshutz, Williams (2024), arXiv:2411.08197.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from neuropil.compare._door import centred, paired

GROUPS = ("rotation", "permutation", "none")
METRICS = ("angular", "euclidean", "cosine")


def partly_whitened(x: np.ndarray, alpha: float | int) -> Float[np.ndarray, "stimulus unit"]:
    r"""Centred responses between themselves (alpha = 1) and whitened (alpha = 0), with their variance kept.

    $$X_c\,\big(\alpha I + (1 - \alpha)(X_c^\top X_c)^{-1/2}\big)\,c, \qquad
      c \text{ so that } \|\cdot\|_F = \|X_c\|_F$$

    Components that do not vary stay at zero.

    >>> x = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> np.ptp(partly_whitened(x, 0.0), 0).round(6).tolist()        # both units alike
    [3.162278, 3.162278]

    Raises ValueError for alpha outside 0..1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha lies between 0 (CCA) and 1 (Procrustes), not {alpha}")
    x = centred(x)
    if alpha == 1:
        return x
    u, weights, vt = _spectrum(x, alpha)
    return (u * weights) @ vt


def _spectrum(x, alpha):
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    rank = max(int((s > s[0] * max(x.shape) * np.finfo(float).eps).sum()), 1)
    u, s, vt = u[:, :rank], s[:rank], vt[:rank]
    weights = alpha * s + (1 - alpha) * (s > 0)
    norm = np.linalg.norm(weights)
    return u, weights * (np.linalg.norm(s) / (norm if norm > 0 else 1.0)), vt


def shape_distance(
    x: np.ndarray,
    y: np.ndarray,
    *,
    alpha: float | int = 1.0,
    group: str = "rotation",
    metric: str = "angular",
) -> float:
    r"""Distance of two representations of the same stimuli after the best alignment within a group.

    $$\theta = \arccos \max_{T \in G} \frac{\langle \phi(X)\, T, \phi(Y) \rangle}{\|\phi(X)\| \|\phi(Y)\|},
      \qquad d = \min_{T \in G} \|\phi(X)\, T - \phi(Y)\|_F$$

    **Arguments**: `alpha`, how far $\phi$ whitens (1: not at all, Procrustes; 0: wholly, so that any invertible
    map is allowed, as in CCA); `group`, `rotation` (and reflection), `permutation` of units or `none`;
    `metric`, `angular` (radians, blind to scale), `euclidean`, or `cosine`, the similarity inside the arccos.
    The side with fewer units is filled up with silent ones.

    >>> rng = np.random.default_rng(0)
    >>> x, turn = rng.normal(size=(10, 3)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    >>> round(shape_distance(x, 2 * x @ turn), 6), round(shape_distance(x, x @ turn, metric="euclidean"), 6)
    (0.0, 0.0)
    >>> shape_distance(x, x[:, [2, 0, 1]], group="permutation") < 1e-6
    True

    Raises ValueError for unknown names, and where a side does not vary at all.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, not {metric!r}")
    x, y = (centred(a) for a in paired(x, y))
    sizes = np.linalg.norm(x), np.linalg.norm(y)
    if min(sizes) == 0:
        raise ValueError("no unit varies over the stimuli, so this representation has no shape")
    if group == "rotation":
        agree = _rotated(x, y, alpha)
    else:
        a, b = (partly_whitened(z, alpha) for z in (x, y))
        agree = _agreement(*_padded(a, b), group)
    cosine = float(np.clip(agree / (sizes[0] * sizes[1]), -1, 1))
    if metric == "cosine":
        return cosine
    if metric == "angular":
        return float(np.arccos(cosine))
    return float(np.sqrt(max(sizes[0] ** 2 + sizes[1] ** 2 - 2 * agree, 0)))


def _rotated(x, y, alpha):
    """Largest inner product over rotations: the sum of the singular values of the product of both sides."""
    if max(x.shape[1], y.shape[1]) <= len(x):
        maps = [_whitener(a, alpha) for a in (x, y)]
        if all(m is not None for m in maps):
            inner = x.T @ y
            inner = inner if alpha == 1 else maps[0] @ inner @ maps[1]
            return np.linalg.svd(inner, compute_uv=False).sum()
    # blind to the axes of the units, so that the components' weights suffice
    left, right = (u * w for u, w, _ in (_spectrum(a, alpha) for a in (x, y)))
    return np.linalg.svd(left.T @ right, compute_uv=False).sum()


def _whitener(x, alpha):
    """The map (unit, unit) that whitens partly, from the units' products; None where their squares would lose
    the smallest components."""
    if alpha == 1:
        return np.ones((1, 1))
    lam, v = np.linalg.eigh(x.T @ x)
    if lam[0] < 1e-8 * lam[-1]:
        return None
    d = alpha + (1 - alpha) / np.sqrt(lam)
    return (v * (d * np.sqrt(lam.sum() / (d**2 * lam).sum()))) @ v.T


def _agreement(a, b, group):
    inner = a.T @ b
    if group == "permutation":
        return inner[linear_sum_assignment(inner, maximize=True)].sum()
    if group == "none":
        return np.trace(inner)
    raise ValueError(f"group must be one of {GROUPS}, not {group!r}")


def _padded(a, b):
    width = max(a.shape[1], b.shape[1])
    return tuple(np.pad(z, ((0, 0), (0, width - z.shape[1]))) for z in (a, b))


def align(
    x: np.ndarray, y: np.ndarray, *, group: str = "rotation"
) -> Float[np.ndarray, "unit unit"]:
    """The T of the group for which centred x @ T comes closest to centred y (fewer units are filled up).

    >>> x = np.random.default_rng(0).normal(size=(10, 3))
    >>> align(x, x[:, [2, 0, 1]], group="permutation").astype(int).tolist()
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]]

    Raises ValueError for an unknown group.
    """
    a, b = _padded(*(centred(z) for z in paired(x, y)))
    inner = a.T @ b
    if group == "rotation":
        u, _, vt = np.linalg.svd(inner)
        return u @ vt
    if group not in GROUPS:
        raise ValueError(f"group must be one of {GROUPS}, not {group!r}")
    out = np.eye(len(inner))
    return out[linear_sum_assignment(inner, maximize=True)[1]] if group == "permutation" else out
