"""Centred kernel alignment: how alike two representations of the same samples are, whatever their axes.

Arrays of JAX stay in JAX (so it may run while a net learns); others are computed in NumPy, in float64.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Features = Float[Array, "sample _"] | Float[np.ndarray, "sample _"]
Kernel = Float[Array, "sample sample"] | Float[np.ndarray, "sample sample"]


def linear_cka(x: Features, y: Features) -> Array | np.ndarray:
    r"""Linear CKA of two sets of features of the same samples, 0 to 1.

    $$\mathrm{CKA} = \frac{\|Y_c^\top X_c\|_F^2}{\|X_c^\top X_c\|_F\, \|Y_c^\top Y_c\|_F}$$

    with centred columns. It does not change under rotations and a common scale of either side; for one feature
    each it is the squared correlation. With fewer samples than features unrelated features score above 0:
    `cka(..., debiased=True)` takes that away. Features that do not vary give 0.

    >>> x = jnp.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> round(float(linear_cka(x, 3 * x[:, ::-1])), 4)
    1.0

    Source: Kornblith, Norouzi, Lee, Hinton (2019), ICML, arXiv:1905.00414.
    """
    xp = _library(x, y)
    x, y = (a - a.mean(0, keepdims=True) for a in (xp.asarray(x), xp.asarray(y)))
    if max(x.shape[1], y.shape[1]) > x.shape[0]:  # through the samples, where they are fewer
        k, l = x @ x.T, y @ y.T
        cross, own, other = xp.sum(k * l), xp.sum(k * k), xp.sum(l * l)
    else:
        cross, own, other = (xp.sum((a.T @ b) ** 2) for a, b in ((y, x), (x, x), (y, y)))
    return _ratio(xp, cross, own, other)


def cka(
    x: Features,
    y: Features,
    *,
    kernel: str = "linear",
    width: float | int = 0.5,
    debiased: bool = False,
) -> Array | np.ndarray:
    r"""Centred kernel alignment through the samples' kernels K and L.

    $$\mathrm{CKA} = \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\,\mathrm{HSIC}(L, L)}}$$

    - `kernel`: `linear`, or `rbf`, $\exp(-d^2 / 2\sigma^2)$ with $\sigma$ = `width` times the median distance
      between samples;
    - `debiased`: HSIC by its unbiased estimator, so that unrelated representations score 0 on average, and
      may score below. Take it where units outnumber samples, or numbers of units differ.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 500)), rng.normal(size=(50, 500))
    >>> round(float(cka(x, y)), 1), bool(abs(cka(x, y, debiased=True)) < 0.1)
    (0.9, True)

    Sources: Kornblith et al. (2019), arXiv:1905.00414; unbiased HSIC: Song, Smola, Gretton, Bedo, Borgwardt
    (2012), JMLR 13, 1393; its use here: Nguyen, Raghu, Kornblith (2021), ICLR, arXiv:2010.15327.

    Raises ValueError for an unknown kernel, and for fewer than 4 samples where debiased.
    """
    xp = _library(x, y)
    k, l = (gram(xp.asarray(a), kernel, width) for a in (x, y))
    return kernel_alignment(k, l, debiased=debiased)


def gram(x: Features, kernel: str = "linear", width: float | int = 0.5) -> Kernel:
    """Kernel of the samples: `linear` of centred features, or `rbf` (see `cka`)."""
    xp = _library(x)
    x = x - x.mean(0, keepdims=True)
    k = x @ x.T
    if kernel == "linear":
        return k
    if kernel != "rbf":
        raise ValueError(f"kernel must be 'linear' or 'rbf', not {kernel!r}")
    own = xp.diagonal(k)
    d = xp.maximum(own[:, None] + own[None, :] - 2 * k, 0)
    middle = xp.median(d[np.triu_indices(len(x), 1)])
    return xp.exp(-d / (2 * width**2 * xp.where(middle > 0, middle, 1)))


def kernel_alignment(k: Kernel, l: Kernel, *, debiased: bool = False) -> Array | np.ndarray:
    """CKA of two kernels of the same samples (see `cka`), centred here. 0 where one does not vary.

    >>> x = np.random.default_rng(0).normal(size=(8, 3))
    >>> round(float(kernel_alignment(x @ x.T, x @ x.T, debiased=True)), 6)
    1.0
    """
    xp = _library(k, l)
    k, l = (_hollow(xp, a) if debiased else _centred(xp, a) for a in (xp.asarray(k), xp.asarray(l)))
    return _ratio(xp, xp.sum(k * l), xp.sum(k * k), xp.sum(l * l))


def _library(*arrays):
    return jnp if any(isinstance(a, jax.Array) for a in arrays) else np


def _centred(xp, k):
    mean = k.mean(0, keepdims=True)
    return k - mean - mean.T + k.mean()


def _hollow(xp, k):
    """Kernel centred without its diagonal ("U-centred"): inner products of two are unbiased HSIC."""
    n = len(k)
    if n < 4:
        raise ValueError(f"debiased CKA needs 4 or more samples, not {n}")
    off = 1 - xp.eye(n, dtype=k.dtype)
    k = k * off
    mean = k.sum(0, keepdims=True) / (n - 2)
    return (k - mean - mean.T + k.sum() / ((n - 1) * (n - 2))) * off


def _ratio(xp, cross, own, other):
    scale = xp.sqrt(xp.maximum(own, 0)) * xp.sqrt(xp.maximum(other, 0))
    return xp.where(scale > 0, cross / xp.where(scale > 0, scale, 1.0), 0.0)
