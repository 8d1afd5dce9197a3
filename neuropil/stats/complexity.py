r"""How much structure a spike train has: Lempel-Ziv complexity, and the entropy rates it tends to.

Works on arrays, inside or outside a compiled function (JAX).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Int

_BITS = 32


def lz76(trains: ArrayLike) -> Int[Array, "*unit"]:
    """Number of words in the Lempel-Ziv parsing of 1976 of every train.

    A binary train is read from left to right and cut into the shortest words that have not occurred
    before; an earlier copy may overlap the word but must begin before it. The last word counts also
    where the train ends before it is new. (LZ78 cuts otherwise and gives other numbers.)

    **Arguments**: `trains` (time, *unit), 0 or 1 (or bool); more than 0 counts as 1.

    All trains advance together, one bin a step: a bit mask holds where the present word may have
    occurred before, and one shift and one AND tell whether its next bin goes on matching. Time and memory
    grow with time squared / 32 for each unit.

    >>> lz76(jnp.array([int(c) for c in "0001101001000101"])).item()   # 0 001 10 100 1000 101
    6

    Source: Lempel, Ziv (1976), IEEE Trans. Inf. Theory 22, 75; the parsing as in Kaspar, Schuster (1987),
    Phys. Rev. A 36, 842. Raises ValueError without bins.
    """
    trains = jnp.asarray(trains)
    if trains.ndim < 1 or trains.shape[0] < 1:
        raise ValueError(
            f"lz76: trains have shape {trains.shape}; give (time, ...), at least 1 bin"
        )
    flat = (trains > 0).reshape(trains.shape[0], -1)
    return _words(flat).reshape(trains.shape[1:])


@jax.jit
def _words(ones):
    n, units = ones.shape
    words = -(-n // _BITS)
    padded = jnp.pad(ones, ((0, words * _BITS - n), (0, 0))).reshape(words, _BITS, units)
    weights = jnp.uint32(1) << jnp.arange(_BITS, dtype=jnp.uint32)
    at_one = (padded * weights[None, :, None]).astype(jnp.uint32).sum(1, dtype=jnp.uint32)
    before = jnp.asarray(_prefixes(n, words))  # what begins at or before bin t, as a mask

    def bin_(carry, now):
        places, count, _ = carry
        one, mask = now
        hit = places & jnp.where(one[None, :], at_one, ~at_one)
        known = (hit != 0).any(0)  # the word so far has occurred before: go on
        carried = jnp.pad(hit[:-1] >> (_BITS - 1), ((1, 0), (0, 0)))
        places = jnp.where(known[None, :], (hit << 1) | carried, mask[:, None])
        return (places, count + ~known, known), None

    begin = (jnp.zeros((words, units), jnp.uint32), jnp.zeros(units, jnp.int32), ones[0])
    (_, count, unfinished), _ = lax.scan(bin_, begin, (ones, before))
    return count + unfinished


def _prefixes(n, words):
    """Row t: bits 0 .. t set, as (n, words) of 32 bits each."""
    bits = np.tri(n, words * _BITS, dtype=np.uint64).reshape(n, words, _BITS)
    return (bits << np.arange(_BITS, dtype=np.uint64)).sum(-1).astype(np.uint32)


def lempel_ziv(trains: ArrayLike) -> Array:
    r"""Lempel-Ziv complexity in bits a bin, $C = c(n) \log_2(n) / n$ with c of `lz76`, for every train.

    For an ergodic source C tends to the entropy rate, slowly: where that is 0.469 (p = 0.1), trains of 100
    bins give 0.61 on average, of 1,000 bins 0.48, of 4,000 bins 0.46. So compare trains of equal length only.

    **Arguments**: `trains` (time, *unit), at least 2 bins.

    >>> round(float(lempel_ziv(jnp.zeros(250))), 3)     # a silent train: two words
    0.064
    """
    n = jnp.shape(trains)[0]
    if n < 2:
        raise ValueError("lempel_ziv: a train of one bin has no complexity; give at least 2 bins")
    return lz76(trains) * (np.log2(n) / n)


def bernoulli_entropy(p: ArrayLike) -> Array:
    r"""Entropy in bits of one bin that spikes with probability p: $-p \log_2 p - (1 - p) \log_2(1 - p)$.

    >>> round(float(bernoulli_entropy(0.1)), 3)
    0.469
    """
    p = jnp.asarray(p, jnp.result_type(float))
    return -(jax.scipy.special.xlogy(p, p) + jax.scipy.special.xlog1py(1 - p, -p)) / np.log(2)


def markov_entropy_rate(after_silence: ArrayLike, after_spike: ArrayLike) -> Array:
    r"""Entropy rate in bits a bin of a two-state train: $h = \pi_0 H(P(1|0)) + \pi_1 H(P(1|1))$.

    `after_silence` is P(1|0), `after_spike` P(1|1); $\pi_1 = P(1|0) / (1 + P(1|0) - P(1|1))$ is its rate.

    >>> bool(jnp.allclose(markov_entropy_rate(0.2, 0.2), bernoulli_entropy(0.2)))
    True

    Raises nothing for a chain that stays where it is (P(1|0) = 0, P(1|1) = 1), which has no single rate: NaN.
    """
    rate = markov_rate(after_silence, after_spike)
    silent, spiking = bernoulli_entropy(after_silence), bernoulli_entropy(after_spike)
    return (1 - rate) * silent + rate * spiking


def markov_rate(after_silence: ArrayLike, after_spike: ArrayLike) -> Array:
    """Stationary probability of a spike of a two-state train, P(1|0) / (1 + P(1|0) - P(1|1)).

    >>> round(float(markov_rate(0.125, 0.5)), 6)
    0.2
    """
    a, b = (jnp.asarray(p, jnp.result_type(float)) for p in (after_silence, after_spike))
    return a / (1 + a - b)
