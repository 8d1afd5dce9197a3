"""Representational geometry: the distances between responses to stimuli, and how two of them agree.

An RDM is kept as the vector of its upper triangle, row by row (`square` gives the matrix), so a
brain with 92 stimuli has 4,186 numbers. Sources: Kriegeskorte et al. 2008 (RSA), Nili et al. 2014
(noise ceiling), Walther et al. 2016 (crossnobis).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from neuropil.stats import Score, midranks, percentile_interval, split

METHODS = ("pearson", "spearman", "cosine")


def square(vector: np.ndarray) -> np.ndarray:
    """Symmetric matrix (stimulus, stimulus) of an RDM vector, zero on the diagonal.

    >>> square(np.array([1.0, 2.0, 3.0])).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
    """
    vector = np.asarray(vector)
    n = stimuli(vector)
    out = np.zeros((n, n), vector.dtype)
    out[np.triu_indices(n, 1)] = vector
    return out + out.T


def vector(matrix: np.ndarray) -> np.ndarray:
    """Upper triangle of symmetric RDMs (..., stimulus, stimulus), row by row.

    >>> vector(square(np.array([1.0, 2.0, 3.0]))).tolist()
    [1.0, 2.0, 3.0]
    """
    matrix = np.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"an RDM matrix is square, not {matrix.shape}")
    if not np.allclose(matrix, np.swapaxes(matrix, -1, -2), equal_nan=True):
        raise ValueError("an RDM matrix must be symmetric: average it with its transpose")
    i, j = np.triu_indices(matrix.shape[-1], 1)
    return matrix[..., i, j]


def stimuli(vector: np.ndarray) -> int:
    """Number of stimuli of an RDM vector; ValueError if its length is no n (n - 1) / 2."""
    pairs = np.shape(vector)[-1]
    n = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    if n < 3 or n * (n - 1) // 2 != pairs:
        raise ValueError(
            f"{pairs} is not the number of pairs n (n - 1) / 2 of 3 or more stimuli: give the upper "
            "triangle of an RDM, as from vector(matrix)"
        )
    return n


def rdm(patterns: np.ndarray, method: str = "correlation") -> Float[np.ndarray, " pair"]:
    """Distances between all pairs of rows of `patterns` (stimulus, channel).

    `correlation`: 1 - Pearson r across channels; `euclidean`; `sqeuclidean`: its square. Noise
    raises all three; with repeats, `crossnobis` is free of that bias.

    >>> rdm(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]), "euclidean").tolist()
    [5.0, 4.0, 3.0]

    Raises ValueError for NaN, and for a constant row under `correlation` (it has no direction).
    """
    x = np.asarray(patterns, float)
    if x.ndim != 2 or len(x) < 3:
        raise ValueError(f"patterns must be (stimulus, channel) with 3 or more rows, not {x.shape}")
    if not np.all(np.isfinite(x)):
        raise ValueError("patterns hold NaN or infinity: leave those stimuli or channels out")
    if method == "correlation":
        x = x - x.mean(1, keepdims=True)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        if norm.min() <= 1e-12 * max(norm.max(), 1e-300):
            raise ValueError(
                f"stimulus {int(norm.argmin())} has the same response in every channel, so no "
                "correlation: use 'euclidean'"
            )
        x = x / norm
    elif method not in ("euclidean", "sqeuclidean"):
        raise ValueError(
            f"method must be 'correlation', 'euclidean' or 'sqeuclidean', not {method!r}"
        )
    else:
        x = x - x.mean(0)  # far from the origin, squares would swallow the differences
    d = np.maximum(_distances(x @ x.T), 0)
    return d / 2 if method == "correlation" else np.sqrt(d) if method == "euclidean" else d


def crossnobis(runs: np.ndarray, precision: np.ndarray | None = None) -> Float[np.ndarray, " pair"]:
    """Cross-validated squared Mahalanobis distance per channel, unbiased by noise.

    For `runs` (run, stimulus, channel), d_ij = mean over run pairs r != s of
    (x_i^r - x_j^r)' P (x_i^s - x_j^s) / channels. All runs minus same-run terms gives it in closed
    form, G = (sum x)(sum x)' - sum_r x^r x^r', without a loop over pairs. Its mean is 0 for two
    stimuli that evoke the same response, so single values may be negative. NaN marks runs that
    lack a stimulus. `precision` P is the inverse noise covariance (identity if None).

    >>> same = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]] * 2)   # two equal, noiseless runs
    >>> crossnobis(same).tolist()                                # squared distance / 2 channels
    [1.0, 0.5, 0.5]
    """
    x = np.asarray(runs, float)
    if x.ndim != 3 or x.shape[0] < 2 or x.shape[1] < 3:
        raise ValueError(
            f"crossnobis needs 2 or more runs of 3 or more stimuli (run, stimulus, channel), not "
            f"{x.shape}"
        )
    there = np.isfinite(x).all(2)
    x = np.where(there[:, :, None], x, 0.0)
    if precision is not None:
        if precision.shape != (x.shape[2], x.shape[2]):
            raise ValueError(f"precision must be ({x.shape[2]}, {x.shape[2]}) for these channels")
        x = x @ np.linalg.cholesky(precision)
    total, count = x.sum(0), there.sum(0).astype(float)
    m = there.astype(float)
    cross = total @ total.T - np.einsum("ric,rjc->ij", x, x, optimize=True)
    number = np.outer(count, count) - m.T @ m
    if number.min() < 1:
        i, j = np.unravel_index(number.argmin(), number.shape)
        raise ValueError(f"stimuli {i} and {j} share no two different runs: drop one of them")
    return _distances(cross / (number * x.shape[2]))


def _distances(gram):
    i, j = np.triu_indices(len(gram), 1)
    g = np.diag(gram)
    return g[i] + g[j] - 2 * gram[i, j]


def _ranks(x, w):
    """Mid-ranks of the entries with weight; the others go last and do not count."""
    x = jnp.where(w > 0, x, jnp.inf)
    ordered = jnp.sort(x)
    return 0.5 * (jnp.searchsorted(ordered, x) + jnp.searchsorted(ordered, x, side="right")) + 0.5


def _unit(x, w, method):
    """Vector whose inner product with another such vector is their similarity."""
    if method == "spearman":
        x = _ranks(x, w).astype(x.dtype)
    if method != "cosine":
        x = x - (x * w).sum() / w.sum()
    x = x * w
    norm = jnp.sqrt((x**2).sum())
    return x / jnp.where(norm > 0, norm, 1)


def _units(x, method):
    """Rows whose inner products are the similarities of the rows of x (float64)."""
    if method == "spearman":
        x = midranks(x)
    if method != "cosine":
        x = x - x.mean(1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)


def similarity(
    a: np.ndarray, b: np.ndarray, method: str = "pearson"
) -> Float[np.ndarray, "..."] | float:
    """Agreement of RDM vectors: `pearson`, `spearman` or `cosine`; sets (subject, pair) give a
    matrix. A bare number without interval or null: use `compare_rdms` to report one."""
    a, b = _vectors(a), _vectors(b)
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, not {method!r}")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"RDMs of {stimuli(a)} and {stimuli(b)} stimuli cannot be compared")
    out = _units(np.atleast_2d(a), method) @ _units(np.atleast_2d(b), method).T
    out = out if a.ndim == 2 else out[0]
    out = out if b.ndim == 2 else out[..., 0]
    return float(out) if out.ndim == 0 else out


def _vectors(x):
    x = np.asarray(x, float)
    if x.ndim not in (1, 2):
        raise ValueError(f"an RDM is a vector (pair,) or a set (subject, pair), not {x.shape}")
    stimuli(x)
    if not np.all(np.isfinite(x)):
        raise ValueError("an RDM holds NaN or infinity: leave those stimuli out")
    return x


def noise_ceiling(rdms: np.ndarray, method: str = "pearson") -> tuple[float, float]:
    """Bounds on the mean similarity that any model can have with these subjects' RDMs.

    Upper: each subject with the mean over all (which the best RDM cannot beat for `pearson` and
    `cosine`); lower: with the mean over the others (Nili et al. 2014). Subjects are centred and
    scaled before averaging, as the method does.
    """
    rdms = _vectors(rdms)
    if rdms.ndim != 2 or len(rdms) < 2:
        raise ValueError("a noise ceiling needs the RDMs of 2 or more subjects (subject, pair)")
    units = _units(rdms, method)
    total = units.sum(0)
    kind = "cosine" if method == "cosine" else "pearson"  # ranks are taken already
    upper = similarity(units, total, kind).mean()
    lower = np.mean([similarity(u, total - u, kind) for u in units])
    return float(lower), float(upper)


def rdm_ceiling(
    runs: np.ndarray, precision: np.ndarray | None = None, splits: int = 20, seed: int = 0
) -> float:
    """Highest Pearson correlation that a model can reach with the crossnobis RDM of `runs`
    (repeat, stimulus, channel), for one brain that saw each stimulus 4 times or more.

    Crossnobis is unbiased and halves of the repeats are independent, so the covariance of their
    RDMs is the variance of the true distances; divided by the variance of the RDM of all repeats
    it is the reliability, whose root is the ceiling. (Spearman-Brown does not hold here: the noise
    of a product of two runs falls faster than the number of runs grows.)
    """
    rng, runs = np.random.default_rng(seed), np.asarray(runs, float)
    signal = np.mean(
        [
            np.cov(*(crossnobis(half, precision) for half in split(runs, rng)))[0, 1]
            for _ in range(splits)
        ]
    )
    return float(np.sqrt(np.clip(signal / crossnobis(runs, precision).var(ddof=1), 0, 1)))


def compare_rdms(
    model: np.ndarray,
    reference: np.ndarray,
    *,
    method: str = "pearson",
    ceiling: float | tuple | None = None,
    resamples: int = 1000,
    permutations: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Score:
    """Similarity of a model's RDM (pair,) with a reference (pair,) or with subjects (subject, pair).

    - value: similarity, averaged over subjects; ceiling: as given, or the `noise_ceiling` of two
      or more subjects;
    - interval: stimuli are resampled (and subjects, if there are several); a pair of two copies of
      one stimulus is left out, since its distance 0 is no finding;
    - null: the model's stimuli are relabelled.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(12, 5))
    >>> compare_rdms(rdm(x), rdm(x), permutations=99).p
    0.01
    """
    model, reference = _vectors(model), _vectors(reference)
    if model.ndim != 1:
        raise ValueError("give one model RDM (pair,); loop over several")
    value = np.mean(similarity(np.atleast_2d(reference), model, method))
    several = reference.ndim == 2 and len(reference) > 1
    if ceiling is None and several:
        ceiling = noise_ceiling(reference, method)
    n = stimuli(model)
    squares = [
        jnp.asarray(np.stack([square(v) for v in np.atleast_2d(x)]), float)
        for x in (model, reference)
    ]
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, n, (resamples, n))
    people = rng.integers(0, len(squares[1]), (resamples, len(squares[1])))
    draws = _resampled(*squares, picks, picks, people, method)
    orders = np.array([rng.permutation(n) for _ in range(permutations)], int).reshape(-1, n)
    same = np.broadcast_to(np.arange(n), orders.shape)
    everyone = np.broadcast_to(np.arange(len(squares[1])), (permutations, len(squares[1])))
    null = _resampled(*squares, orders, same, everyone, method) if permutations else None
    return Score(
        float(value),
        percentile_interval(draws, level) if resamples else None,
        ceiling,
        null,
        draws if resamples else None,
        {"pearson": "RDM r", "spearman": "RDM rho", "cosine": "RDM cosine"}[method],
        level,
        n,
    )


def _resampled(model, reference, rows, others, people, method):
    if not len(rows):
        return None
    return np.asarray(_many(model, reference, rows, others, people, method), float)


@partial(jax.jit, static_argnames="method")
def _many(model, reference, rows, others, people, method):
    i, j = np.triu_indices(model.shape[1], 1)

    def one(draw):
        row, other, who = draw
        w = (row[i] != row[j]).astype(model.dtype)
        a = _unit(model[0][row[i], row[j]], w, method)
        b = jax.vmap(lambda k: _unit(reference[k][other[i], other[j]], w, method))(who)
        return (b @ a).mean()

    return jax.lax.map(one, (rows, others, people))
