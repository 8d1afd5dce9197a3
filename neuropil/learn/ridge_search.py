r"""The search for ridge penalties over folds: all penalties of many targets from a few matrix products.

On a fold whose training samples have eigenvalues $w_j$ and axes $q_j$, penalty $a$ predicts held-out samples by

$$\hat y_a = \sum_j p_j \frac{1}{w_j + a} q_j^\top z, \qquad p_j = X_f q_j, \quad z = X^\top y$$

(primal; in the dual form, for more features than samples or for a kernel, $K$ stands in place of $X^\top X$ and
$z = y$). As functions of $w$ the $1 / (w + a)$ of all penalties span, up to an error that falls exponentially
with the number of dimensions, a space of few: r basis functions give r predictions, and every penalty's
prediction is a mix of them. So r products replace one a penalty, at an error that is chosen beforehand (a few
roundings of the arithmetic), and no array of (penalty, sample, target) is ever made.

Gram matrices, of the fold as the total less the part left out, and their eigenvectors are taken in double
precision on the host, where they are cheap; products with the targets in JAX's precision.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import linalg

ROUNDINGS = 100  # what the basis may miss of a prediction along an axis, in machine epsilons
TILE = 32_768  # numbers of each basis function that are mixed at once, so that all stay in a core's cache


class Fold(NamedTuple):
    """Held-out samples seen along the axes of the training samples: prediction = seen / (power + a) axes' z.

    `weight` bounds what an error of 1 / (power + a) does to a prediction; `reach` is the leverage of a held-out
    sample with unit shrinkage, where samples are left out one by one (else None).
    """

    train: np.ndarray
    test: np.ndarray
    power: Float[np.ndarray, " axis"]
    seen: Float[np.ndarray, "test axis"]
    axes: Float[np.ndarray, "row axis"]
    weight: Float[np.ndarray, " axis"]
    shift: Float[np.ndarray, " row"] | None
    reach: Float[np.ndarray, "test axis"] | None


def eigh(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, not below 0, and eigenvectors of a Gram matrix."""
    # the transpose of a symmetric matrix is itself, in the order of axes LAPACK wants
    power, axes = linalg.eigh(a.T, driver="evd", overwrite_a=True, check_finite=False)
    return np.maximum(power, 0), axes


def penalty_basis(
    power: Float[np.ndarray, " axis"],
    weight: Float[np.ndarray, " axis"],
    alphas: Float[np.ndarray, " alpha"],
    tolerance: float,
) -> tuple[Float[np.ndarray, "alpha basis"], Float[np.ndarray, "basis axis"]]:
    """Mix and basis functions with |weight (mix @ basis - 1 / (power + alpha))| at most `tolerance`.

    >>> power, alphas = np.linspace(80.0, 3000.0, 500), np.logspace(-1, 5, 20)
    >>> mix, basis = penalty_basis(power, power, alphas, 1e-6)
    >>> mix.shape
    (20, 10)
    >>> bool(np.abs(power * (mix @ basis - 1 / (power + alphas[:, None]))).max() < 1e-6)
    True
    """
    inverse = 1 / (power[None, :] + alphas[:, None])
    seen = inverse * weight[None, :]
    u, s, vt = linalg.svd(seen, full_matrices=False, check_finite=False)
    if s[0] == 0:  # features that never change
        return np.zeros((len(alphas), 1)), np.zeros((1, len(power)))
    rank, left = 0, seen
    while rank < len(s) and s[rank] > 0 and (rank == 0 or np.abs(left).max() > tolerance):
        left = left - s[rank] * u[:, rank, None] * vt[rank]
        rank += 1
    u, s = u[:, :rank], s[:rank]
    return u * s, (u / s).T @ inverse


class Primal:
    """Folds of samples by features: Gram matrices of features, scaled band by band where asked.

    The Gram matrix of a training set is the total less that of the samples left out; `keep` keeps it for the
    next scale.
    """

    def __init__(
        self, x: Float[np.ndarray, "sample feature"], intercept: bool = True, keep: bool = False
    ):
        x = np.asarray(x, np.float64)
        self.intercept, self.keep = intercept, keep
        self.mean = x.mean(0) if intercept else np.zeros(x.shape[1])
        self.x = x - self.mean
        self.gram = self.x.T @ self.x
        self._kept: dict[bytes, tuple] = {}

    def __len__(self):
        return len(self.x)

    def _of(self, train, test):
        name = test.tobytes()
        if name in self._kept:
            return self._kept[name]
        part, n = self.x[test], len(train)
        shift = -part.sum(0) / n if self.intercept else np.zeros(part.shape[1])
        gram = self.gram - part.T @ part - n * shift[:, None] * shift[None, :]
        made = (gram, part - shift, n * shift)
        if self.keep:
            self._kept[name] = made
        return made

    def fold(self, train: np.ndarray, test: np.ndarray, scale: Any = 1.0) -> Fold:
        """The fold that leaves `test` out; `scale` multiplies features."""
        gram, part, shift = self._of(train, test)
        s = np.broadcast_to(scale, len(gram))
        power, axes = eigh(gram * s[:, None] * s[None, :])
        axes = s[:, None] * axes
        seen = part @ axes
        weight = np.sqrt((seen**2).sum(0) * power)
        return Fold(train, test, power, seen, axes, weight, shift, None)

    def axes(self, scale: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and axes of all samples."""
        s = np.broadcast_to(scale, len(self.gram))
        power, axes = eigh(self.gram * s[:, None] * s[None, :])
        return power, s[:, None] * axes

    def whole(self, scale: Any = 1.0) -> Fold:
        """All samples, each left out in turn."""
        power, axes = self.axes(scale)
        seen, every = self.x @ axes, np.arange(len(self))
        return Fold(every, every, power, seen, axes, power, None, seen**2)


class Dual:
    """Folds of samples by their kernel, a sum of kernels with weights where several are given."""

    def __init__(self, kernels: Float[np.ndarray, "band sample sample"], intercept: bool = True):
        self.kernels = np.asarray(kernels, np.float64)
        self.intercept = intercept

    def __len__(self):
        return self.kernels.shape[1]

    def kernel(self, scale: Any = 1.0) -> np.ndarray:
        """The kernel of all samples: kernels weighed by squares of `scale`."""
        scale = np.broadcast_to(scale, len(self.kernels))
        if len(self.kernels) == 1:
            return self.kernels[0] * scale[0] ** 2
        return np.tensordot(scale**2, self.kernels, 1)

    def fold(self, train: np.ndarray, test: np.ndarray, scale: Any = 1.0) -> Fold:
        """The fold that leaves `test` out; `scale` multiplies the features behind each kernel."""
        kernel = self.kernel(scale)
        inside, across = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
        if self.intercept:
            across = centred(across, inside)
            inside = centred(inside, inside)
        power, axes = eigh(inside)
        seen = across @ axes
        return Fold(train, test, power, seen, axes, np.sqrt((seen**2).sum(0)), None, None)

    def axes(self, scale: Any = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and axes of all samples."""
        kernel = self.kernel(scale)
        return eigh(centred(kernel, kernel) if self.intercept else kernel.copy())

    def whole(self, scale: Any = 1.0) -> Fold:
        """All samples, each left out in turn."""
        (power, axes), every = self.axes(scale), np.arange(len(self))
        seen = axes * power
        return Fold(every, every, power, seen, axes, power, None, seen * axes)


def centred(
    across: Float[np.ndarray, "test sample"], inside: Float[np.ndarray, "sample sample"]
) -> Float[np.ndarray, "test sample"]:
    """Kernel of test with training samples after the training mean is taken from the features of both.

    >>> x = np.array([[1.0], [4.0]])
    >>> centred(x @ x.T, x @ x.T).tolist()
    [[2.25, -2.25], [-2.25, 2.25]]
    """
    row = inside.mean(0)
    return across - across.mean(1, keepdims=True) - row[None, :] + row.mean()


class Plan(NamedTuple):
    """A fold ready for targets, as arrays of JAX (see `plan`)."""

    test: Array
    train: Array
    maps: Float[Array, "basis test row"] | None
    seen: Float[Array, "test axis"] | None
    basis: Float[Array, "alpha axis"]
    count: Array
    mix: Float[Array, "alpha basis"]
    room: Float[Array, "alpha test"]
    turn: Float[Array, "axis row"] | None
    shift: Float[Array, " row"] | None


def plan(fold: Fold, alphas: np.ndarray, targets: int, intercept: bool) -> Plan:
    """What takes z to the basis of predictions of all penalties.

    For many targets matrices that hold the axes (one product each); for few, z is turned to the axes first.
    """
    dtype = jnp.result_type(float)
    eps = float(jnp.finfo(dtype).eps)
    share = np.sqrt(len(fold.test) / len(fold.train))
    mix, basis = penalty_basis(fold.power, fold.weight, alphas, ROUNDINGS * eps * share)
    turned = targets <= mix.shape[1] * len(fold.test)
    count = jnp.int32(len(basis))
    room = len(alphas)  # so that the program fits any spectrum
    padded = np.zeros((len(alphas), room), dtype)
    padded[:, : len(basis)] = mix
    every = np.zeros((room, len(fold.power)), dtype)
    every[: len(basis)] = basis
    every = jnp.asarray(every)
    seen, axes = jnp.asarray(fold.seen, dtype), jnp.asarray(fold.axes.T, dtype)
    alone = np.ones((len(alphas), len(fold.test)))
    if fold.reach is not None:
        leverage = fold.reach @ (1 / (fold.power[:, None] + alphas[None, :]))
        alone = np.maximum(1 - leverage.T - intercept / len(fold.test), eps)
    return Plan(
        jnp.asarray(fold.test),
        jnp.asarray(fold.train),
        None if turned else _maps(seen, every, axes, count),
        seen if turned else None,
        every,
        count,
        jnp.asarray(padded),
        jnp.asarray(alone, dtype),
        axes if turned else None,
        None if fold.shift is None else jnp.asarray(fold.shift, dtype),
    )


@jax.jit
def _maps(seen, basis, axes, count):
    def one(c, maps):
        return maps.at[c].set((seen * basis[c][None, :]) @ axes)

    maps = jnp.zeros((len(basis), len(seen), axes.shape[1]), seen.dtype)
    return jax.lax.fori_loop(0, count, one, maps)


@jax.jit
def moments(x: Float[Array, "feature test"], y: Float[Array, "sample target"], test: Array):
    """X'y over some of the samples."""
    return x @ y[test]


@partial(jax.jit, static_argnames=("intercept", "alone"))
def fold_errors(
    plan: Plan,
    y: Float[Array, "sample target"],
    total: Float[Array, "feature target"] | None,
    part: Float[Array, "feature target"] | None,
    intercept: bool,
    alone: bool,
) -> Float[Array, "alpha target"]:
    """Sums of squared errors of all penalties on the held-out samples of one fold.

    `y` has mean 0 over all samples where there is an intercept. `total` and `part` are X'y of all samples and
    of those held out (primal), or None (dual). `alone`: samples are left out one by one.
    """
    held = y if alone else y[plan.test]
    mean = jnp.zeros(y.shape[1], y.dtype)
    if intercept and not alone:
        mean = -held.sum(0) / plan.train.shape[0]
    if total is None:
        z = y if alone else y[plan.train] - mean[None, :]
    else:
        z = total if alone else total - part - plan.shift[:, None] * mean[None, :]
    if plan.turn is not None:
        z = plan.turn @ z
    held = held - mean[None, :]
    test = len(held)

    def predict(c, made):
        each = plan.seen * plan.basis[c][None, :] if plan.maps is None else plan.maps[c]
        return made.at[c].set(each @ z)

    made = jnp.zeros((len(plan.basis), test, y.shape[1]), y.dtype)
    made = jax.lax.fori_loop(0, plan.count, predict, made)
    tile = max(1, min(test, TILE // y.shape[1]))

    def mixed(at, sums):
        # the last tile overlaps the one before; its rows seen twice count once
        start = jnp.minimum(at * tile, test - tile)
        cut = lambda a: jax.lax.dynamic_slice_in_dim(a, start, tile, a.ndim - 2)
        guess = (plan.mix @ cut(made).reshape(len(made), -1)).reshape(-1, tile, y.shape[1])
        left = (cut(held)[None] - guess) / jax.lax.dynamic_slice_in_dim(room, start, tile, 1)
        fresh = (start + jnp.arange(tile) >= at * tile)[None, :, None]
        return sums + (jnp.where(fresh, left, 0) ** 2).sum(1)

    room = plan.room[:, :, None]
    sums = jnp.zeros((len(plan.mix), y.shape[1]), y.dtype)
    return jax.lax.fori_loop(0, -(-test // tile), mixed, sums)


@jax.jit
def solved(
    axes: Float[Array, "row axis"],
    power: Float[Array, " axis"],
    z: Float[Array, "row target"],
    alpha: Float[Array, " target"],
) -> Float[Array, "row target"]:
    """axes (axes' z / (power + alpha)): the solution with a penalty for each target."""
    return axes @ ((axes.T @ z) / (power[:, None] + alpha[None, :]))
