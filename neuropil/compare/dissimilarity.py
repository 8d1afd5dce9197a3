r"""Dissimilarities: how far apart the responses to two stimuli are, and what noise does to that.

An RDM is kept as the vector of its upper triangle, row by row (`square` gives the matrix), so a
brain with 92 stimuli has 4,186 numbers. Everything takes one set of patterns or many (a leading
axis), and computes in the precision it is given.

Plain distances grow with noise: two noisy copies of one response are some way apart. With two or
more independent runs take `crossnobis` (or `cross_poisson` for spike counts), whose mean is 0 there.

Sources: Kriegeskorte et al. 2008 (RSA); Walther et al. 2016 (crossnobis); Schuett et al. 2023
(Poisson dissimilarities); Ledoit and Wolf 2004, Schaefer and Strimmer 2005 (shrinkage).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

DISTANCES = ("correlation", "euclidean", "sqeuclidean", "mahalanobis", "poisson")


def square(vector: np.ndarray) -> np.ndarray:
    """Symmetric matrices (..., stimulus, stimulus) of RDM vectors (..., pair), zero on the diagonal.

    >>> square(np.array([1.0, 2.0, 3.0])).tolist()
    [[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]
    """
    vector = np.asarray(vector)
    n = stimuli(vector)
    out = np.zeros((*vector.shape[:-1], n, n), vector.dtype)
    i, j = np.triu_indices(n, 1)
    out[..., i, j] = vector
    out[..., j, i] = vector
    return out


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


def rdm(
    patterns: np.ndarray,
    method: str = "correlation",
    *,
    precision: np.ndarray | None = None,
    prior: tuple[float, float] = (1.0, 0.1),
) -> Float[np.ndarray, "*set pair"]:
    r"""Distances between all pairs of rows of `patterns` (..., stimulus, channel).

    - `correlation`: 1 - Pearson r across channels;
    - `euclidean`; `sqeuclidean`: its square (sums over channels, as in SciPy);
    - `mahalanobis`: $(x_i - x_j)^\top P (x_i - x_j) / \text{channels}$, squared and per channel as
      `crossnobis` is; `precision` P is the inverse noise covariance (`noise_precision`);
    - `poisson`: the symmetric Kullback-Leibler divergence of Poisson rates per channel,
      $\sum_c (\lambda_{ic} - \lambda_{jc}) \log(\lambda_{ic} / \lambda_{jc}) / \text{channels}$, of
      mean counts drawn a little towards a prior, $(x + \lambda_0 w) / (1 + w)$ with `prior`
      $(\lambda_0, w)$, so that a channel without a spike has a logarithm.

    Noise raises all of them; with repeats, `crossnobis` and `cross_poisson` are free of that bias.
    Two equal rows have distance 0 (under `correlation` also rows that differ by scale and shift).

    >>> rdm(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]), "euclidean").tolist()
    [5.0, 4.0, 3.0]

    Raises ValueError for NaN, for a constant row under `correlation` (it has no direction), for
    negative counts under `poisson`, and for `mahalanobis` without a precision.
    """
    x = _patterns(patterns)
    if method not in DISTANCES:
        raise ValueError(
            f"method must be 'correlation', 'euclidean', 'sqeuclidean', 'mahalanobis' or 'poisson', "
            f"not {method!r}"
        )
    if (precision is None) == (method == "mahalanobis"):
        raise ValueError("give a precision with method 'mahalanobis', and with no other")
    if method == "poisson":
        rate = _rates(x, prior)
        return _differences(rate @ np.swapaxes(np.log(rate), -1, -2)) / x.shape[-1]
    if method == "correlation":
        x = x - x.mean(-1, keepdims=True)
        norm = np.linalg.norm(x, axis=-1, keepdims=True)
        if norm.min() <= 1e-12 * max(norm.max(), 1e-300):
            at = int(np.unravel_index(norm.argmin(), norm.shape)[-2])
            raise ValueError(
                f"stimulus {at} has the same response in every channel, so no correlation: use "
                "'euclidean'"
            )
        x = x / norm
    else:
        x = x - x.mean(-2, keepdims=True)  # far from the origin, squares swallow the differences
    y = x if precision is None else x @ _precision(precision, x.shape[-1])
    d = np.maximum(_differences(x @ np.swapaxes(y, -1, -2)), 0)
    if method == "mahalanobis":
        return d / x.shape[-1]
    return d / 2 if method == "correlation" else np.sqrt(d) if method == "euclidean" else d


def crossnobis(
    runs: np.ndarray, precision: np.ndarray | None = None
) -> Float[np.ndarray, "*set pair"]:
    r"""Cross-validated squared Mahalanobis distance per channel, unbiased by noise.

    For `runs` (..., run, stimulus, channel), d_ij = mean over run pairs r != s of
    (x_i^r - x_j^r)' P (x_i^s - x_j^s) / channels. Its mean is 0 for two stimuli that evoke the same
    response, so single values may be negative. NaN marks runs that lack a stimulus (NaN in one
    channel leaves out that whole response). `precision` P is the inverse noise covariance (identity
    if None), one for all sets.

    The loop over pairs of runs is a sum over runs, $\sum_{r < s} x^r P x^{s\top} = \sum_s (\sum_{r < s}
    x^r) P x^{s\top}$, and the precision a triangle, $P = L L^\top$, that each run meets once.

    >>> same = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]] * 2)   # two equal, noiseless runs
    >>> crossnobis(same).tolist()                                # squared distance / 2 channels
    [1.0, 0.5, 0.5]

    Raises ValueError for one run, fewer than 3 stimuli, and two stimuli that share no two runs.
    """
    return _crossed(runs, precision, None)


def cross_poisson(
    runs: np.ndarray, prior: tuple[float, float] = (1.0, 0.1)
) -> Float[np.ndarray, "*set pair"]:
    r"""Cross-validated symmetric Kullback-Leibler divergence of Poisson rates, per channel.

    For counts `runs` (..., run, stimulus, channel), the mean over ordered pairs of runs r != s of
    $\sum_c (\lambda^r_{ic} - \lambda^r_{jc}) (\log \lambda^s_{ic} - \log \lambda^s_{jc})$ /
    channels, with rates as in `rdm(..., "poisson")`. Its mean is 0 for two stimuli of equal rates.

    >>> cross_poisson(np.array([[[1.0], [1.0], [3.0]]] * 2), prior=(0.0, 0.0)).round(4).tolist()
    [0.0, 2.1972, 2.1972]

    Raises ValueError as `crossnobis` does, and for negative counts.
    """
    return _crossed(runs, None, prior)


def noise_covariance(
    residuals: np.ndarray, shrink: str | None = "diagonal", dof: int | None = None
) -> Float[np.ndarray, "channel channel"]:
    """Covariance of the noise between channels, shrunk by as much as the sample asks for.

    `residuals` are (sample, channel), or runs (run, stimulus, channel), of which each stimulus' mean
    over runs is taken off (responses with NaN are left out). `shrink`: towards the `diagonal`
    (variances stay, correlations shrink: Schaefer and Strimmer 2005) or a multiple of the `identity`
    (Ledoit and Wolf 2004), or None for the plain sample covariance. `dof`: degrees of freedom, by
    default samples - 1, or samples - stimuli for runs.

    >>> rng = np.random.default_rng(0)
    >>> noise_covariance(rng.normal(size=(500, 2)) * [1.0, 2.0]).round(1).tolist()
    [[1.0, 0.0], [0.0, 3.8]]

    Raises ValueError for fewer than 2 samples, and for a channel that never changes under `diagonal`.
    """
    x, natural = _residuals(residuals)
    dof = natural if dof is None else dof
    n, channels = x.shape
    if n < 2 or dof < 1:
        raise ValueError(f"a covariance needs 2 or more samples, not {n} with {dof} degrees")
    total = x.T @ x
    if shrink is None:
        return total / dof
    if shrink == "identity":
        s = total / n
        spread = ((x**2).T @ (x**2) / n - s**2).sum() / n
        level = np.trace(s) / channels
        far = ((s - level * np.eye(channels)) ** 2).sum()
        share = 1.0 if far == 0 else min(spread / far, 1.0)
        return (share * level * np.eye(channels) + (1 - share) * s) * n / dof
    if shrink != "diagonal":
        raise ValueError(f"shrink must be 'diagonal', 'identity' or None, not {shrink!r}")
    variance = np.diag(total) / dof
    if variance.min() <= 1e-24 * max(variance.max(), 1e-300):
        raise ValueError(
            f"channel {int(variance.argmin())} never changes, so it has no correlation with others: "
            "leave it out"
        )
    size = np.sqrt(np.outer(variance, variance))
    mean = total / size / (n - 1)
    scatter = n / dof**2 * ((x**2).T @ (x**2) / size**2 / (n - 1) - mean**2)
    off = ~np.eye(channels, dtype=bool)
    signal = (mean[off] ** 2).sum()
    share = 1.0 if signal == 0 else float(np.clip(scatter[off].sum() / signal, 0, 1))
    return total / dof * np.where(off, 1 - share, 1.0)


def noise_precision(
    residuals: np.ndarray, shrink: str | None = "diagonal", dof: int | None = None
) -> Float[np.ndarray, "channel channel"]:
    """Inverse of `noise_covariance`, for `crossnobis` and `rdm(..., "mahalanobis")`.

    >>> noise_precision(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])).tolist()
    [[1.5, 0.0], [0.0, 1.5]]

    Raises ValueError where there are fewer samples than channels and nothing is shrunk.
    """
    covariance = noise_covariance(residuals, shrink, dof)
    values, axes = np.linalg.eigh(covariance)
    if values[0] <= 1e-10 * max(values[-1], 1e-300):
        raise ValueError(
            f"the noise covariance of {len(covariance)} channels has no inverse: more channels than "
            "independent samples; shrink it ('diagonal' or 'identity'), or take fewer channels"
        )
    inverse = (axes / values) @ axes.T
    return (inverse + inverse.T) / 2


def _patterns(patterns):
    x = np.asarray(patterns)
    x = x if x.dtype == np.float32 else x.astype(float)
    if x.ndim < 2 or x.shape[-2] < 3 or x.shape[-1] < 1:
        raise ValueError(f"patterns must be (stimulus, channel) with 3 or more rows, not {x.shape}")
    if not np.all(np.isfinite(x)):
        raise ValueError("patterns hold NaN or infinity: leave those stimuli or channels out")
    return x


def _precision(precision, channels):
    p = np.asarray(precision)
    if p.shape != (channels, channels):
        raise ValueError(
            f"precision must be ({channels}, {channels}) for these channels, not {p.shape}"
        )
    if not np.isfinite(p).all() or np.diag(p).min() <= 0:
        raise ValueError("precision must be a positive definite matrix of finite numbers")
    return p.astype(float)


def _rates(counts, prior):
    rate, weight = prior
    if counts.min() < 0:
        raise ValueError("counts are 0 or more: a Poisson rate is never negative")
    rates = (counts + rate * weight) / (1 + weight)
    if rates.min() <= 0:
        raise ValueError("a rate of 0 has no logarithm: give a prior such as (1.0, 0.1)")
    return rates


def _residuals(x):
    x = np.asarray(x, float)
    if x.ndim == 3:
        there = np.isfinite(x).all(2)
        often = there.sum(0) >= 2  # one response of a stimulus leaves no residual
        there &= often
        mean = np.where(there[..., None], x, 0).sum(0) / np.maximum(there.sum(0), 1)[:, None]
        return (x - mean)[there], int(there.sum() - often.sum())
    if x.ndim != 2:
        raise ValueError(
            f"residuals are (sample, channel) or (run, stimulus, channel), not {x.shape}"
        )
    x = x[np.isfinite(x).all(1)]
    return x - x.mean(0) if len(x) else x, len(x) - 1


def _differences(gram):
    """g_ii + g_jj - g_ij - g_ji of every pair, for matrices (..., i, j): the squared distance where
    the matrix is the product of patterns with themselves."""
    i, j = np.triu_indices(gram.shape[-1], 1)
    g = np.diagonal(gram, axis1=-2, axis2=-1)
    return g[..., i] + g[..., j] - (gram + np.swapaxes(gram, -1, -2))[..., i, j]


def _crossed(runs, precision, prior):
    x = np.asarray(runs)
    x = x if x.dtype == np.float32 else x.astype(float, copy=False)
    if x.ndim < 3 or x.shape[-3] < 2 or x.shape[-2] < 3 or x.shape[-1] < 1:
        raise ValueError(
            f"crossnobis needs 2 or more runs of 3 or more stimuli (run, stimulus, channel), not "
            f"{x.shape}"
        )
    root = None
    if precision is not None:
        precision = _precision(precision, x.shape[-1])
        try:
            root = np.linalg.cholesky(precision).astype(x.dtype)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "precision must be positive definite, as noise_precision's is"
            ) from error
    sets, n = x.reshape(-1, *x.shape[-3:]), x.shape[-2]
    out = np.empty((len(sets), n * (n - 1) // 2), x.dtype)
    centre, room = False, np.empty((x.shape[-3] * n, x.shape[-1]), x.dtype)
    for k, one in enumerate(sets):
        with np.errstate(invalid="ignore"):
            gram = _rates_crossed(one, prior) if prior else _whole(one, root, centre, room)
        out[k] = _differences(gram)
        if not np.isfinite(gram).all():  # NaN spreads to here: some run lacks a stimulus
            out[k] = _differences(_gaps(one, precision, prior))
        elif prior is None and not centre and _digits_lost(gram, out[k]):
            centre = True  # from here on: sets of one recording are alike
            out[k] = _differences(_whole(one, root, True, room))
    return out.reshape(*x.shape[:-3], -1)


def _whole(x, root, centre, room):
    """Mean over pairs of runs of x^r P x^s' / channels, where no run lacks a stimulus."""
    runs, _, channels = x.shape
    if centre:
        x = x - x.mean(1, keepdims=True)
    if root is not None:
        x = _times_triangle(x.reshape(-1, channels), root, room).reshape(x.shape)
    before, total = x[0], 0.0
    for r in range(1, runs):
        total = total + before @ x[r].T
        if r < runs - 1:
            before = before + x[r]
    return total / np.asarray(runs * (runs - 1) / 2 * channels, x.dtype)


def _times_triangle(x, root, out, step=100):
    """x L by blocks of columns, which leave out the zeros above L's diagonal: nearly half the
    product. (SciPy's trmm would bring a second BLAS, whose threads wait for NumPy's and hold them up.)"""
    for k in range(0, len(root), step):
        np.matmul(x[:, k:], root[k:, k : k + step], out=out[:, k : k + step])
    return out


def _digits_lost(gram, distances):
    """Whether a mean far from 0 leaves fewer than 6 digits of the distances. Taking the mean off
    helps then, but is a pass over the data, and memory is what a crossnobis of many sets waits for."""
    room = 5e-7 / np.finfo(gram.dtype).eps
    return np.abs(np.diag(gram)).max() > room * np.abs(distances).mean()


def _rates_crossed(sets, prior):
    """The same of rates and the logarithms of other runs' rates."""
    rate, count = _rates(sets, prior), len(sets)
    others = rate.sum(0) - rate
    total = (others @ np.swapaxes(np.log(rate), -1, -2)).sum(0)
    return total / np.asarray(count * (count - 1) * sets.shape[-1], total.dtype)


def _gaps(x, precision, prior):
    """The same where runs lack stimuli: each entry averages the pairs of runs that it has."""
    there = np.isfinite(x).all(2)
    x = np.where(there[:, :, None], x, 0).astype(float)
    if prior is None:
        y = x if precision is None else x @ precision
    else:
        x = np.where(there[:, :, None], _rates(x, prior), 0)
        y = np.log(np.where(there[:, :, None], x, 1))
    count = there.sum(0).astype(float)
    number = np.outer(count, count) - there.T.astype(float) @ there
    if number.min() < 1:
        i, j = np.unravel_index(number.argmin(), number.shape)
        raise ValueError(f"stimuli {i} and {j} share no two different runs: drop one of them")
    cross = x.sum(0) @ y.sum(0).T - np.einsum("ric,rjc->ij", x, y, optimize=True)
    return cross / (number * x.shape[2])
