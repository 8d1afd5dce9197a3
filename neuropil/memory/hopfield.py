r"""Hopfield networks of +-1 cells: weights that store patterns, recall as descent of an energy, capacity.

$$E(s) = -\tfrac12 s^\top W s - h^\top s, \qquad s_i \leftarrow \operatorname{sign}\Bigl(\sum_j W_{ij} s_j +
h_i\Bigr)$$

Sources: Hopfield (1982), PNAS 79, 2554; mean field of the full network: Amit, Gutfreund, Sompolinsky (1985),
Phys. Rev. Lett. 55, 1530; of the strongly diluted one: Derrida, Gardner, Zippelius (1987), Europhys. Lett. 4,
167.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key

from neuropil.core import System, param


class Hopfield(System):
    r"""Associative memory of n cells s = +-1 that go downhill in the energy of the weights.

    A tick is one sweep: every cell once in random order (`order="asynchronous"`), or all at once
    (`"synchronous"`). Where the field of a cell is 0 it stays as it is. With symmetric weights and none of a
    cell to itself the energy never rises in an asynchronous sweep, so it ends in a fixed point; synchronous
    updates may end in a cycle of two.

    Input: a field h (n,), or None. A field larger than every row's sum of weights sets the cells: a cue is
    `large * pattern` at the first tick. Output: s after the sweep. State: s, at random before the first tick.

    **Arguments**: `weight` (n, n), such as `hebb_weights(patterns)`; `order`.

    >>> from neuropil.core import run, start
    >>> patterns = jnp.where(jr.bernoulli(jr.key(0), 0.5, (3, 100)), 1.0, -1.0)
    >>> net = Hopfield(hebb_weights(patterns))
    >>> cue = jnp.zeros((5, 100)).at[0].set(10 * patterns[1].at[:20].multiply(-1))     # 20 cells wrong
    >>> run(net, start(net, 1.0, jr.key(1)), cue)[1][-1] @ patterns[1] / 100
    Array(1., dtype=float32)

    Raises ValueError for weights that are not square.
    """

    weight: Float[Array, "n n"] = param(axes=("post", "pre"))
    order: str = eqx.field(static=True, default="asynchronous")

    def __check_init__(self):
        if self.weight.ndim != 2 or self.weight.shape[0] != self.weight.shape[1]:
            raise ValueError(f"Hopfield: weight has shape {self.weight.shape}; it must be (n, n)")
        if self.order not in ("asynchronous", "synchronous"):
            raise ValueError(f"Hopfield: order={self.order!r}; write asynchronous or synchronous")

    def init(self, dt, key):
        return _random_signs(key, self.weight.shape[0], self.weight.dtype)

    def step(self, state, x, tick):
        outside = jnp.zeros_like(state) if x is None else jnp.asarray(x, state.dtype)
        field = self.weight @ state + outside
        if self.order == "synchronous":
            s = _sign(field, state)
            return s, s

        def one(i, now):
            s, field = now
            new = _sign(field[i], s[i])
            return s.at[i].set(new), field + self.weight[:, i] * (new - s[i])

        s, _ = _sweep(one, (state, field), state.shape[0], tick.key)
        return s, s


class Separation(eqx.Module):
    """How a dense memory rates the overlap of the cells with a pattern; grows faster than its square."""

    def difference(self, up: Array, down: Array, n: int) -> Array:
        """Sum over patterns of F(up) - F(down), up to a positive factor."""
        raise TypeError("Separation is abstract; write Polynomial(3) or Exponential()")

    def energy(self, overlap: Array, n: int) -> Array:
        """Energy of the cells, up to a rising transform, from their overlaps with the patterns."""
        raise TypeError("Separation is abstract; write Polynomial(3) or Exponential()")


class Polynomial(Separation):
    r"""$F(x) = (x / n)^{degree}$; with `rectified`, 0 below 0. Stores about $n^{degree - 1}$ patterns.

    Degree 2 is the classical network with Hebbian weights.
    """

    degree: int = eqx.field(static=True, default=3)
    rectified: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.degree < 2:
            raise ValueError(f"Polynomial: degree = {self.degree} but it must be at least 2")

    def _f(self, x: Array, n: int) -> Array:
        x = x / n
        return (jnp.maximum(x, 0.0) if self.rectified else x) ** self.degree

    def difference(self, up, down, n):
        return (self._f(up, n) - self._f(down, n)).sum()

    def energy(self, overlap, n):
        return -self._f(overlap, n).sum()


class Exponential(Separation):
    r"""$F(x) = e^x$: stores exponentially many patterns. Its energy is given as its logarithm, -ln sum F."""

    def difference(self, up, down, n):
        return jax.nn.logsumexp(up) - jax.nn.logsumexp(down)

    def energy(self, overlap, n):
        return -jax.nn.logsumexp(overlap)


class DenseHopfield(System):
    r"""Dense associative memory: the energy is steeper than quadratic in the overlaps, and holds far more.

    $$E(s) = -\sum_\mu F(\xi^\mu \cdot s), \qquad s_i \leftarrow \operatorname{sign} \sum_\mu \Bigl[
      F\Bigl(\xi^\mu_i + \sum_{j \ne i} \xi^\mu_j s_j\Bigr)
      - F\Bigl(-\xi^\mu_i + \sum_{j \ne i} \xi^\mu_j s_j\Bigr)\Bigr]$$

    A tick is a sweep over all cells in random order; the energy never rises.

    **Arguments**: `patterns` (pattern, n) of +-1; `separation`: `Polynomial(degree)` or `Exponential()`.

    Input: a field added to the sum in the brackets, or None; a large one sets the cells to a cue, as in
    `Hopfield`. Output and state: s, +-1.

    >>> from neuropil.core import run, start
    >>> patterns = jnp.where(jr.bernoulli(jr.key(0), 0.5, (200, 40)), 1.0, -1.0)     # 5 patterns a cell
    >>> net = DenseHopfield(patterns, Exponential())
    >>> cue = jnp.zeros((2, 40)).at[0].set(1e9 * patterns[7].at[:4].multiply(-1))
    >>> run(net, start(net, 1.0, jr.key(1)), cue)[1][-1] @ patterns[7] / 40
    Array(1., dtype=float32)

    Sources: Krotov, Hopfield (2016), NeurIPS, arXiv 1606.01164; exponential: Demircigil et al. (2017), J. Stat.
    Phys. 168, 288.

    Raises ValueError for patterns that are no matrix.
    """

    patterns: Float[Array, "m n"] = param(axes=("pattern", "cell"))
    separation: Separation = eqx.field(default_factory=Polynomial)

    def __check_init__(self):
        _check_patterns("DenseHopfield", self.patterns)

    def init(self, dt, key):
        return _random_signs(key, self.patterns.shape[1], self.patterns.dtype)

    def step(self, state, x, tick):
        n = state.shape[0]
        outside = jnp.zeros_like(state) if x is None else jnp.asarray(x, state.dtype)

        def one(i, now):
            s, overlap = now
            here = self.patterns[:, i]
            others = overlap - here * s[i]
            rise = self.separation.difference(others + here, others - here, n)
            new = _sign(rise + outside[i], s[i])
            return s.at[i].set(new), others + here * new

        s, _ = _sweep(one, (state, self.patterns @ state), n, tick.key)
        return s, s

    def energy(self, s: Float[Array, " n"]) -> Float[Array, ""]:
        """The energy of a state; for `Exponential` its logarithm."""
        return self.separation.energy(self.patterns @ s, s.shape[0])


def hebb_weights(patterns: Float[Array, "m n"]) -> Float[Array, "n n"]:
    r"""$W_{ij} = \frac1n \sum_\mu \xi^\mu_i \xi^\mu_j$ for i unlike j, 0 on the diagonal.

    >>> hebb_weights(jnp.array([[1.0, -1.0]])).tolist()
    [[0.0, -0.5], [-0.5, 0.0]]
    """
    _check_patterns("hebb_weights", patterns)
    n = patterns.shape[1]
    return (1.0 - jnp.eye(n)) * (patterns.T @ patterns) / n


def projection_weights(patterns: Float[Array, "m n"]) -> Float[Array, "n n"]:
    r"""Pseudo-inverse storage: W projects onto the patterns' span, W = Xi^+ Xi, so W xi = xi for up to n.

    The diagonal is kept. Source: Personnaz, Guyon, Dreyfus (1985), J. Physique Lett. 46, L359.

    >>> W = projection_weights(jnp.array([[1.0, 1.0, -1.0], [1.0, 1.0, 1.0]]))
    >>> (W @ jnp.array([1.0, 1.0, -1.0])).round(4).tolist()
    [1.0, 1.0, -1.0]
    """
    _check_patterns("projection_weights", patterns)
    return jnp.linalg.pinv(patterns) @ patterns


def dilute(
    weight: Float[Array, "n n"], keep: float, key: Key[Array, ""], *, symmetric: bool = True
) -> Float[Array, "n n"]:
    """Each synapse stays with probability `keep` (and is made 1 / keep as strong), else it is 0.

    `symmetric`: both directions of a pair stay or go together, so the energy still never rises.

    >>> W = dilute(jnp.ones((50, 50)), 0.2, jr.key(0))
    >>> bool((W == W.T).all()), sorted(set(W.ravel().tolist()))
    (True, [0.0, 5.0])

    Raises ValueError unless 0 < keep <= 1.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"dilute: keep = {keep} but it must be above 0 and at most 1")
    there = jr.bernoulli(key, keep, weight.shape)
    if symmetric:
        upper = jnp.triu(there)
        there = upper | upper.T
    return jnp.where(there, weight / keep, 0.0)


def hopfield_energy(
    weight: Float[Array, "n n"], s: Float[Array, " n"], field: Float[Array, " n"] | None = None
) -> Float[Array, ""]:
    r"""$-\frac12 s^\top W s - h^\top s$.

    >>> hopfield_energy(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([1.0, 1.0]))
    Array(-1., dtype=float32)
    """
    inner = -0.5 * (s @ (weight @ s))
    return inner if field is None else inner - field @ s


def retrieval_overlap(load: float, *, diluted: bool = False) -> float:
    r"""Overlap $m = \xi \cdot s / n$ of the state that recalls a pattern, in the limit of many cells, no noise.

    `load`: random patterns a cell (stored by Hebb's rule); `diluted`: patterns a synapse of a cell, in a net of
    few synapses a cell, none of them mutual. 0 where nothing is recalled any more: beyond
    `hopfield_capacity()` = 0.1379, and beyond 2 / pi where diluted.

    $$y \Bigl(\sqrt{2 \alpha} + \tfrac{2}{\sqrt\pi} e^{-y^2}\Bigr) = \operatorname{erf} y, \quad m =
      \operatorname{erf} y; \qquad \text{diluted: } m = \operatorname{erf}(m / \sqrt{2 \alpha})$$

    >>> round(retrieval_overlap(0.1), 3), retrieval_overlap(0.15)
    (0.998, 0.0)
    >>> round(retrieval_overlap(0.5, diluted=True), 3)
    0.617
    """
    if load < 0 or not math.isfinite(load):
        raise ValueError(f"retrieval_overlap: load = {load} but it must be a number of at least 0")
    if load == 0:
        return 1.0
    if diluted:
        m = 1.0
        for _ in range(10_000):
            m = math.erf(m / math.sqrt(2 * load))
        return m if m > 1e-3 else 0.0
    y = np.linspace(6.0, 0.05, 200_000)
    gap = np.array(_erf(y)) - y * (math.sqrt(2 * load) + 2 / math.sqrt(math.pi) * np.exp(-(y**2)))
    fits = np.flatnonzero(gap >= 0)
    return float(_erf(y[fits[:1]])[0]) if len(fits) else 0.0


def hopfield_capacity() -> float:
    r"""The largest load at which patterns are recalled, 0.1379.

    $$\max_y \tfrac12 \bigl(\operatorname{erf}(y) / y - \tfrac{2}{\sqrt\pi} e^{-y^2}\bigr)^2$$

    >>> round(hopfield_capacity(), 4)
    0.1379
    """
    y = np.linspace(0.5, 4.0, 200_000)
    return float(0.5 * ((_erf(y) / y - 2 / math.sqrt(math.pi) * np.exp(-(y**2))) ** 2).max())


def _erf(y: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return erf(y)


def _sign(field: Array, before: Array) -> Array:
    """Sign of the field; where it is 0 nothing changes."""
    return jnp.where(field > 0, 1.0, jnp.where(field < 0, -1.0, before)).astype(before.dtype)


def _random_signs(key, n, dtype):
    return jnp.where(jr.bernoulli(key, 0.5, (n,)), 1.0, -1.0).astype(dtype)


def _sweep(one, now, n, key):
    """All cells one after the other, in random order."""
    order = jr.permutation(key, n)
    return lax.fori_loop(0, n, lambda k, now: one(order[k], now), now)


def _check_patterns(owner: str, patterns: Array) -> None:
    if patterns.ndim != 2 or not patterns.size:
        raise ValueError(f"{owner}: patterns have shape {patterns.shape}; give (pattern, cell)")
