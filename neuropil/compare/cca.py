"""Canonical correlation: how much of two representations is the same up to an invertible linear map.

Sources: Hotelling (1936); SVCCA: Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), NeurIPS, arXiv:1706.05806;
projection weighting: Morcos, Raghu, Bengio (2018), NeurIPS, arXiv:1806.05759.

`neuropil.compare.representations.compare_representations(x, y, "svcca", k=20)` gives any of them as a
`Score` with its interval and null. Print the null: unrelated representations do not score 0 (`chance_level`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from neuropil.compare._door import centred, paired, patterns


def basis(
    x: np.ndarray, k: int | None = None, *, share: float | int | None = None
) -> Float[np.ndarray, "stimulus component"]:
    r"""Orthonormal scores of the stimuli on the leading principal components, $X_c = U S V^\top \mapsto U_k$.

    **Arguments**: `x` (stimulus, unit); `k`, how many components (None: all that are not zero); `share`, or
    as many as explain this share of the variance. A share makes k differ from one representation to the next,
    and scores at different k cannot be compared: give `k` where there are several.

    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
    >>> np.abs(basis(x, 1)).round(3).ravel().tolist()
    [0.707, 0.707, 0.0, 0.0]

    Raises ValueError where fewer than k components vary, and for x that does not vary at all.
    """
    x = centred(patterns(x))
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    rank = int((s > s[0] * max(x.shape) * np.finfo(float).eps).sum()) if s[0] > 0 else 0
    if rank == 0:
        raise ValueError("no unit varies over the stimuli, so there is nothing to correlate")
    if share is not None:
        if k is not None or not 0 < share <= 1:
            raise ValueError(f"give either k or a share between 0 and 1, not k = {k} and {share}")
        kept = np.cumsum(s[:rank] ** 2) / np.sum(s[:rank] ** 2)
        k = min(int(np.searchsorted(kept, share - 1e-12)) + 1, rank)
    k = rank if k is None else int(k)
    if not 1 <= k <= rank:
        raise ValueError(
            f"k = {k}, but {x.shape[1]} units over {len(x)} stimuli have {rank} components that vary: "
            "take a smaller k for all representations, or leave this one out"
        )
    return u[:, :k]


def correlations(u: np.ndarray, v: np.ndarray) -> Float[np.ndarray, " component"]:
    r"""Canonical correlations of two orthonormal bases of the same stimuli, the singular values of $U^\top V$,
    falling. With bases kept from `basis`, comparing a layer with many areas costs one product each.
    """
    return np.clip(np.linalg.svd(u.T @ v, compute_uv=False), 0, 1)


def canonical_correlations(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " component"]:
    """Correlations of the pairs of linear readouts of x and y that agree most, falling.

    With as many varying units as stimuli less one, all are 1 whatever the data are: see `svcca`.

    >>> x = np.random.default_rng(0).normal(size=(20, 3))
    >>> canonical_correlations(x, x @ np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 0.0]])).round(6).tolist()
    [1.0, 1.0]
    """
    x, y = paired(x, y)
    return correlations(basis(x), basis(y))


def cca(x: np.ndarray, y: np.ndarray, *, squared: bool = False) -> float:
    """Mean canonical correlation (or their mean square) of all components, 0 to 1."""
    rho = canonical_correlations(x, y)
    return float(np.mean(rho**2 if squared else rho))


def svcca(
    x: np.ndarray, y: np.ndarray, k: int | None = 20, *, share: float | int | None = None
) -> float:
    r"""Mean canonical correlation of the leading principal components of each side.

    $$\mathrm{SVCCA} = \frac1k \sum_{i=1}^k \sigma_i\big(U_x^\top U_y\big)$$

    with U the first k left singular vectors of the centred responses. It does not change under rotation,
    shift and one common scale of either side (any invertible map where k is the rank). `k=None` with `share`
    is the original's rule (0.99 of the variance), and then the smaller side counts.

    >>> x = np.random.default_rng(0).normal(size=(30, 6))
    >>> round(svcca(x, 3 * x[:, ::-1] + 1, k=4), 6)
    1.0

    Raises ValueError where a side has fewer than k components. k of n - 1 or more gives 1 for any data.
    """
    x, y = paired(x, y)
    if share is not None:
        k = None
    return float(correlations(basis(x, k, share=share), basis(y, k, share=share)).mean())


def pwcca(x: np.ndarray, y: np.ndarray, k: int | None = None) -> float:
    r"""Canonical correlations weighted by how much of x each canonical variate h accounts for.

    $$\frac{\sum_i \alpha_i \rho_i}{\sum_i \alpha_i}, \qquad \alpha_i = \sum_j |\langle h_i, x_j \rangle|$$

    with $x_j$ the (centred) units of x, so it is not symmetric: x is the representation explained. `k` keeps
    that many principal components of each side first.

    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> round(pwcca(x, x @ np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 5.0]])), 6)
    1.0
    """
    x, y = paired(x, y)
    u, v = basis(x, k), basis(y, k)
    left, rho, _ = np.linalg.svd(u.T @ v, full_matrices=False)
    weights = np.abs((u @ left).T @ centred(x)).sum(1)
    return float(weights @ np.clip(rho, 0, 1) / weights.sum())


def chance_level(k: int, n: int, *, draws: int = 100, seed: int = 0) -> float:
    """Mean canonical correlation of two random k-dimensional representations of n stimuli, which is what
    `svcca` gives for no relation at all: .25 at k = 10, n = 118, and .77 at k = 20, n = 30.

    >>> round(chance_level(10, 118), 2)
    0.25

    Raises ValueError unless 1 <= k <= n - 1.
    """
    if not 1 <= k <= n - 1:
        raise ValueError(f"chance_level: k must lie between 1 and n - 1 = {n - 1}, not {k}")
    rng = np.random.default_rng(seed)
    # by symmetry one of the two subspaces may be the first k axes
    return float(
        np.mean(
            [
                correlations(np.linalg.qr(rng.normal(size=(n - 1, k)))[0][:k].T, np.eye(k)).mean()
                for _ in range(draws)
            ]
        )
    )
