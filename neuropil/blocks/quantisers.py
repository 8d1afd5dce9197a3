r"""Quantisers: vectors into codes and back, with gradients straight through, and the statistics of their use.

Sources: van den Oord et al. 2017 (codebook and commitment), Razavi et al. 2019 (moving averages), Zeghidour
et al. 2021 (residual codebooks, revival of dead codes, a start by k-means), Mentzer et al. 2023 (finite scalar
quantisation).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from neuropil.blocks.averages import becomes


class Quantised(NamedTuple):
    """What a quantiser says: `value` (straight through), `codes`, `loss` (commitment, to be learned), and
    `pull` (what moving averages become: see `blocks.averages`; add `silent(pull)` to the loss)."""

    value: Float[Array, "*batch width"]
    codes: Int[Array, "*batch"] | Int[Array, "*batch layer"]
    loss: Float[Array, ""]
    pull: Float[Array, ""]


def straight_through(x: Array, value: Array) -> Array:
    """`value` forwards, the gradient of x backwards.

    >>> jax.grad(lambda x: straight_through(x, jnp.round(x)) * 3)(1.4)
    Array(3., dtype=float32, weak_type=True)
    """
    return x + jax.lax.stop_gradient(value - x)


def rotated(x: Float[Array, "*batch width"], value: Float[Array, "*batch width"]) -> Array:
    r"""`value` forwards; backwards the gradient turned and scaled as x is turned and scaled into it.

    $\lambda R x$ with $\lambda = |q| / |x|$ and R the rotation from x to q in the plane of both, taken as
    constants: what points along q comes back along x (Fifty et al. 2024, arXiv:2410.06424).

    >>> x, value = jnp.array([2.0, 0.0]), jnp.array([0.0, 1.0])
    >>> jax.grad(lambda x: rotated(x, value)[1])(x).round(3).tolist()
    [0.5, 0.0]
    """
    a, b, scale = jax.lax.stop_gradient(
        (_unit(x), _unit(value), _length(value) / jnp.maximum(_length(x), 1e-6))
    )
    half = jax.lax.stop_gradient(_unit(a + b))
    along = lambda u: jnp.sum(u * x, axis=-1, keepdims=True)
    turned = scale * (x - 2 * half * along(half) + 2 * b * along(a))
    # opposite vectors have no plane in common, and rounding is no error: the value is the value
    return turned + jax.lax.stop_gradient(value - turned)


def _length(x):
    return jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))


def _unit(x):
    """Vectors of length 1 in the same directions (0 stays 0)."""
    return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-12)


class VectorQuantiser(eqx.Module):
    r"""The nearest row of a codebook, $q = \arg\min_k |x - e_k|$, rows being moving means of what they got.

    $N_k \leftarrow \gamma N_k + (1 - \gamma) n_k$, $S_k \leftarrow \gamma S_k + (1 - \gamma) \sum_{q = k} x$,
    $e_k = S_k / N_k$, where n_k vectors of the batch have code k. With a key, a code with $N_k$ below
    `revive` times its equal share starts anew at a vector of the batch. The loss is $|x - \text{sg}\, e|^2$,
    mean over entries, times `commitment`.

    `unit`: vectors and rows are taken to length 1 (Yu et al. 2022), so the nearest row is that of largest
    cosine, and $e_k \leftarrow u(\gamma e_k + (1 - \gamma)\, u(\sum_{q = k} u(x)))$, $u(a) = a / |a|$; the
    value has length 1 too.

    >>> part = VectorQuantiser.init(2, 4, key=jr.key(0))
    >>> out = part(jnp.ones((3, 2)))
    >>> out.value.shape, out.codes.shape
    ((3, 2), (3,))

    Raises ValueError for a decay outside 0..1.
    """

    count: Float[Array, " code"]
    total: Float[Array, "code width"]
    decay: float = eqx.field(static=True, default=0.99)
    commitment: float = eqx.field(static=True, default=0.25)
    revive: float = eqx.field(static=True, default=0.1)
    unit: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if not 0 <= self.decay < 1:
            raise ValueError(f"VectorQuantiser: decay = {self.decay}; it lies in 0..1, below 1")

    @staticmethod
    def init(width: int, codes: int, *, key: Key[Array, ""], **more) -> VectorQuantiser:
        """`codes` rows, standard normal; `more`: decay, commitment, revive, unit."""
        return VectorQuantiser(jnp.ones(codes), jr.normal(key, (codes, width)), **more)

    @property
    def codebook(self) -> Float[Array, "code width"]:
        return _unit(self.total) if self.unit else self.total / self.count[:, None]

    def encode(self, x: Float[Array, "*batch width"]) -> Int[Array, "*batch"]:
        """The code of each vector."""
        book = self.codebook  # of unit rows the nearest is the same for x and for x / |x|
        # |x|^2 is the same for all codes
        far = jnp.sum(book**2, axis=1).reshape(*(1,) * (x.ndim - 1), -1) - 2 * jnp.einsum(
            "...w,kw->...k", x, book
        )
        return jnp.argmin(far, axis=-1)

    def decode(self, codes: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
        """The row of each code."""
        return self.codebook[codes]

    def __call__(
        self, x: Float[Array, "*batch width"], key: Key[Array, ""] | None = None
    ) -> Quantised:
        """Quantise; with a key the moving averages are pulled and dead codes revived (training)."""
        x = _unit(x) if self.unit else x
        codes = self.encode(x)
        rows = jax.lax.stop_gradient(self.decode(codes))
        loss = self.commitment * jnp.mean((x - rows) ** 2)
        pull = jnp.zeros(()) if key is None else self._pull(x, codes, key)
        return Quantised(straight_through(x, rows), codes, loss, pull)

    def _pull(self, x, codes, key):
        flat = jax.lax.stop_gradient(x).reshape(-1, x.shape[-1])
        mine = jax.nn.one_hot(codes.reshape(-1), len(self.count), dtype=flat.dtype)
        share = len(flat) / len(self.count)
        # in shares of an equal use, so that `count` means the same for any size of batch
        count = self.decay * self.count + (1 - self.decay) * mine.sum(0) / share
        got = mine.T @ flat
        if self.unit:
            moved = _unit(self.decay * self.codebook + (1 - self.decay) * _unit(got))
            total = jnp.where(mine.any(0)[:, None], moved, self.codebook)
        else:
            total = self.decay * self.total + (1 - self.decay) * got / share
        dead = count < self.revive
        fresh = flat[jr.randint(key, (len(count),), 0, len(flat))]
        count = jnp.where(dead, 1.0, count)
        total = jnp.where(dead[:, None], fresh, total)
        return becomes(self.count, count) + becomes(self.total, total)


class ResidualQuantiser(eqx.Module):
    r"""Each codebook codes what those before it left over; the value is their sum, codes (..., layer).

    What is left over is not scaled anew, also for codebooks of `unit` rows: vectors must be as long as the rows
    together. `rest` times $|v - \text{sg}\, r|^2$ joins the loss: v a layer's value, r what is left after it.
    Gradients come straight through the sum of values; of `unit` rows through each layer's own division by
    the length, as the sum cannot be longer than it has layers (else vectors grow without end). `rotate`:
    gradients come back by `rotated` in place of both.

    >>> part = ResidualQuantiser.init(2, 8, 3, key=jr.key(0))
    >>> part(jnp.ones((5, 2))).codes.shape
    (5, 3)
    """

    layers: list[VectorQuantiser]
    rest: float = eqx.field(static=True, default=0.0)
    rotate: bool = eqx.field(static=True, default=False)

    @staticmethod
    def init(
        width: int,
        codes: int,
        layers: int,
        *,
        key: Key[Array, ""],
        rest: float = 0.0,
        rotate: bool = False,
        **more,
    ) -> ResidualQuantiser:
        """`layers` codebooks, each half as far spread as the one before."""
        books = []
        for i, k in enumerate(jr.split(key, layers)):
            book = VectorQuantiser.init(width, codes, key=k, **more)
            books.append(eqx.tree_at(lambda b: b.total, book, book.total * 0.5**i))
        return ResidualQuantiser(books, rest, rotate)

    def begun(
        self, x: Float[Array, "vector width"], key: Key[Array, ""], iterations: int = 10
    ) -> ResidualQuantiser:
        """The same with codebooks that begin at the means of vectors x (k-means, layer by layer)."""
        books, left = [], x
        for i, book in enumerate(self.layers):
            first = jr.randint(jr.fold_in(key, i), (len(book.count),), 0, len(x))
            book = eqx.tree_at(
                lambda b: (b.count, b.total), book, (jnp.ones_like(book.count), left[first])
            )

            def nearer(_, book, left=left):
                mine = jax.nn.one_hot(book.encode(left), len(book.count), dtype=left.dtype)
                share = mine.sum(0)[:, None]
                means = (mine.T @ left) / jnp.maximum(share, 1)
                total = jnp.where(share > 0, means, book.total)  # nobody's row stays
                return eqx.tree_at(lambda b: b.total, book, total)

            book = jax.lax.fori_loop(0, iterations, nearer, book)
            books.append(book)
            left = left - book.decode(book.encode(left))
        return eqx.tree_at(lambda q: q.layers, self, books)

    def __call__(
        self, x: Float[Array, "*batch width"], key: Key[Array, ""] | None = None
    ) -> Quantised:
        left, value, codes = x, jnp.zeros_like(x), []
        loss = pull = jnp.zeros(())
        for i, book in enumerate(self.layers):
            said = book(left, None if key is None else jr.fold_in(key, i))
            inside = book.unit and not self.rotate
            rows = said.value if inside else jax.lax.stop_gradient(said.value)
            value, left = value + rows, left - rows
            codes.append(said.codes)
            loss, pull = loss + said.loss, pull + said.pull
            if self.rest:
                loss += self.rest * jnp.mean((said.value - jax.lax.stop_gradient(left)) ** 2)
        if self.rotate:
            value = rotated(x, value)
        elif not self.layers[0].unit:
            value = straight_through(x, value)
        return Quantised(value, jnp.stack(codes, axis=-1), loss, pull)

    def decode(self, codes: Int[Array, "*batch layer"]) -> Float[Array, "*batch width"]:
        """Sum of the rows; of fewer layers the coarser value."""
        rows = [b.decode(codes[..., i]) for i, b in enumerate(self.layers[: codes.shape[-1]])]
        return sum(rows[1:], rows[0])


class FiniteScalar(eqx.Module):
    r"""Every entry rounded to one of a few levels; the code is the number that the digits write.

    $z_i = \text{round}(\tanh(x_i + s_i) h_i - o_i)$ with $h_i = (L_i - 1)(1 + \epsilon) / 2$, $o_i = 1/2$ for
    an even number of levels L (else 0), $s_i = \text{artanh}(o_i / h_i)$; the value is $z_i / \lfloor L_i / 2
    \rfloor$. There is no codebook, nothing to die and nothing to commit to.

    >>> part = FiniteScalar((3, 5))
    >>> part(jnp.array([[9.0, 0.0], [-9.0, -9.0]])).value.round(3).tolist(), part.codes
    ([[1.0, 0.0], [-1.0, -1.0]], 15)

    Raises ValueError for fewer than 2 levels, or vectors of another width.
    """

    levels: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self):
        if not self.levels or min(self.levels) < 2:
            raise ValueError(f"FiniteScalar: levels = {self.levels}; each is 2 or more")

    @property
    def codes(self) -> int:
        """Number of codes."""
        return math.prod(self.levels)

    def __call__(
        self, x: Float[Array, "*batch width"], key: Key[Array, ""] | None = None
    ) -> Quantised:
        if x.shape[-1] != len(self.levels):
            raise ValueError(
                f"FiniteScalar: vectors have {x.shape[-1]} entries, there are levels for "
                f"{len(self.levels)}"
            )
        lead = (1,) * (x.ndim - 1)
        wide = lambda a: jnp.asarray(a, x.dtype).reshape(*lead, -1)
        half = wide([(n - 1) * (1 + 1e-3) / 2 for n in self.levels])
        offset = wide([0.5 * (n % 2 == 0) for n in self.levels])
        unit = wide([n // 2 for n in self.levels])
        bounded = jnp.tanh(x + jnp.arctanh(offset / half)) * half - offset
        digits = jnp.round(bounded)
        place = jnp.asarray([math.prod(self.levels[:i]) for i in range(len(self.levels))])
        codes = jnp.sum((digits + unit).astype(jnp.int32) * place.reshape(*lead, -1), axis=-1)
        zero = jnp.zeros(())
        return Quantised(straight_through(bounded, digits) / unit, codes, zero, zero)

    def decode(self, codes: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
        """The value of each code."""
        digits = []
        for n in self.levels:
            digits.append((codes % n - n // 2) / (n // 2))
            codes = codes // n
        return jnp.stack(digits, axis=-1)


class Usage(NamedTuple):
    """`perplexity` exp(entropy) of the codes' frequencies; `used`: the share of codes that occur."""

    perplexity: Float[Array, ""]
    used: Float[Array, ""]


def usage(codes: Int[Array, "*batch"], number: int) -> Usage:
    """How evenly codes 0..number - 1 are used: perplexity `number` is evenly, 1 is one code alone.

    >>> stats = usage(jnp.array([0, 0, 1, 1]), 4)
    >>> round(float(stats.perplexity), 3), float(stats.used)
    (2.0, 0.5)
    """
    share = jnp.bincount(codes.reshape(-1), length=number) / codes.size
    return Usage(jnp.exp(jnp.sum(jax.scipy.special.entr(share))), jnp.mean(share > 0))
