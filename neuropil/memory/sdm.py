r"""Sparse distributed memory: words written to all locations near their address, read from all near the cue.

Source: Kanerva (1988), Sparse Distributed Memory, MIT Press.
"""

from __future__ import annotations

import functools
import math

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Key
from scipy.special import bdtr, gammaln
from scipy.stats import binom, norm

from neuropil.core import System


class SparseDistributedMemory(System):
    r"""A memory of m hard locations at random addresses of n bits, each with a counter for every bit of a word.

    $$A(a) = \{l : d_{Hamming}(a, l) \le r\}, \qquad \text{write: } C_{l} \mathrel{+}= 2 w - 1, \quad
      \text{read: } \hat w = \bigl[\sum_{l \in A(a)} C_l > 0\bigr], \quad l \in A(a)$$

    At each tick it is first read, then written. Where words are addresses (n bits) a word that was read is the
    next cue: from within `critical_distance` that ends at the stored word.

    **Arguments**: `locations` (m, n), 0 or 1; `radius` r, in bits; `word`, bits of a word (n by default).
    `SparseDistributedMemory.random` draws the locations.

    Input: {"address" (n,), "word" (word,), "write": 1 to write, 0 not to}, of zeros and ones. Output: {"word"
    (zeros and ones; 0 where the sum is 0), "sum", "located": number of locations within the radius}. State: the
    counters (m, word).

    >>> from neuropil.core import run, start
    >>> memory = SparseDistributedMemory.random(2000, 64, radius_for(64, 0.01), jr.key(0))
    >>> word = jr.bernoulli(jr.key(1), 0.5, (64,)).astype(int)
    >>> near = word.at[:6].set(1 - word[:6])
    >>> xs = {"address": jnp.stack([word, near]), "word": jnp.stack([word, word]), "write": jnp.array([1, 0])}
    >>> y = run(memory, start(memory, 1.0, jr.key(2)), xs)[1]["word"][1]
    >>> bool((y == word).all())
    True

    Raises ValueError for locations that are no matrix or a radius outside 0..n.
    """

    locations: Bool[Array, "m n"] = eqx.field(converter=lambda a: jnp.asarray(a).astype(bool))
    radius: int = eqx.field(static=True)
    word: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.locations.ndim != 2:
            raise ValueError(
                f"SparseDistributedMemory: locations have shape {self.locations.shape}; give (m, n)"
            )
        n = self.locations.shape[1]
        if not 0 <= self.radius <= n:
            raise ValueError(
                f"SparseDistributedMemory: radius = {self.radius} bits but addresses have {n}"
            )
        if self.word is not None and self.word < 1:
            raise ValueError(f"SparseDistributedMemory: word = {self.word} bits; at least 1")

    @staticmethod
    def random(
        m: int, n: int, radius: int, key: Key[Array, ""], word: int | None = None
    ) -> SparseDistributedMemory:
        """m locations at uniformly random addresses."""
        return SparseDistributedMemory(jr.bernoulli(key, 0.5, (m, n)), radius, word)

    def init(self, dt, key):
        m, n = self.locations.shape
        return jnp.zeros((m, self.word or n), jnp.int32)

    def near(self, address: Array) -> Bool[Array, " m"]:
        """Which locations lie within the radius of an address."""
        return (self.locations != (address > 0)[None]).sum(1) <= self.radius

    def step(self, state, x, tick):
        active = self.near(x["address"]).astype(jnp.int32)
        total = active @ state
        y = {
            "word": (total > 0).astype(jnp.int32),
            "sum": total,
            "located": active.sum(dtype=jnp.int32),
        }
        change = jnp.where(x["word"] > 0, 1, -1) * jnp.where(x["write"] > 0, 1, 0)
        return state + active[:, None] * change[None].astype(jnp.int32), y

    def rest(self):
        word = jnp.zeros(self.word or self.locations.shape[1], jnp.int32)
        return {"word": word, "sum": word, "located": jnp.int32(0)}


def access_probability(n: int, radius: int) -> float:
    """Probability that a random location lies within `radius` bits of an address of n bits.

    >>> round(access_probability(1000, 451), 5)
    0.00107
    """
    return float(binom.cdf(radius, n, 0.5))


def radius_for(n: int, probability: float) -> int:
    """The smallest radius within which a location lies with at least this probability.

    >>> radius_for(1000, 0.001)
    451
    """
    if not 0 < probability < 1:
        raise ValueError(f"radius_for: probability = {probability} but it must be within 0..1")
    return int(binom.ppf(probability, n, 0.5))


@functools.cache
def shared_probability(n: int, radius: int, distance: int) -> float:
    r"""Probability that a random location lies within `radius` of both of two addresses `distance` bits apart.

    $$\sum_{i} \binom{d}{i} 2^{-d}\, P\bigl[\mathrm{Bin}(n - d, \tfrac12) \le r - \max(i, d - i)\bigr]$$

    >>> round(shared_probability(10, 3, 0), 4), shared_probability(10, 3, 7)
    (0.1719, 0.0)
    """
    if not 0 <= distance <= n:
        raise ValueError(f"shared_probability: distance = {distance} but addresses have {n} bits")
    i = np.arange(distance + 1)
    left = radius - np.maximum(i, distance - i)
    rest = np.where(left < 0, 0.0, bdtr(np.clip(left, 0, n - distance), n - distance, 0.5))
    ways = np.exp(gammaln(distance + 1) - gammaln(i + 1) - gammaln(distance - i + 1))
    return float((ways * 0.5**distance * rest).sum())


def expected_distance(
    n: int, locations: int, radius: int, stored: int, distance: int, *, auto: bool = True
) -> float:
    r"""How far from the stored word the word lies that is read at `distance` bits from its address, on average.

    $$(n - d)\, \Phi\Bigl(-\frac{\mu + b}{\sigma}\Bigr) + d\, \Phi\Bigl(-\frac{\mu - b}{\sigma}\Bigr), \qquad
      \mu = m\, p_2(d)$$
    $$\sigma^2 = \mu + (T - 1)\, E_D[m\, p_2(D) + m (m - 1)\, p_2(D)^2], \qquad
      b = (T - 1)\, E_D[m\, p_2(D) (1 - 2 D / n)]$$

    for T random words, each stored at itself (`auto`), or at another random address (b = 0). p_2 is
    `shared_probability`; another word is at D ~ Bin(n, 1/2) from the cue, and where it is nearer it shares more
    locations with the cue: what the cue itself says is thus read back too, which is b.
    """
    p2 = lambda d: shared_probability(n, radius, d)
    mu, others = locations * p2(distance), max(stored - 1, 0)
    one, both, toward = _others(n, radius)
    variance = mu + others * locations * (one + (locations - 1) * both)
    bias = others * locations * toward if auto else 0.0
    sigma = math.sqrt(max(variance - (mu if stored < 2 else 0.0), 1e-300))
    wrong = lambda pull: norm.cdf(-pull / sigma)
    return float((n - distance) * wrong(mu + bias) + distance * wrong(mu - bias))


@functools.cache
def _others(n: int, radius: int) -> tuple[float, float, float]:
    """Means over the distance of another random word: of p_2, of its square, of p_2 (1 - 2 D / n)."""
    d = np.arange(n + 1)
    shared = np.array([shared_probability(n, radius, int(k)) for k in d])
    p = binom.pmf(d, n, 0.5)
    return (
        float((p * shared).sum()),
        float((p * shared**2).sum()),
        float((p * shared * (1 - 2 * d / n)).sum()),
    )


def critical_distance(n: int, locations: int, radius: int, stored: int) -> int:
    """The distance from a stored word within which reading comes nearer to it, and beyond which further away.

    The unstable fixed point of `expected_distance`, of words that are their own addresses. 0 where the memory
    is full; half of n where even a random cue leads to the word.

    >>> critical_distance(256, 4000, 112, 100)
    58
    """
    far = lambda d: expected_distance(n, locations, radius, stored, d)
    inside = [far(d) <= d for d in range(n // 2)]
    first = next((d for d in range(1, n // 2) if inside[d]), n)
    if first >= n / 4:  # what is read back even at small distances is not the word
        return 0
    return next((d - 1 for d in range(first, n // 2) if not inside[d]), n // 2)
