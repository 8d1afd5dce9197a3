r"""Sparse binary codes: exact probabilities of overlaps and false matches; the Willshaw network of such codes.

Sources: Ahmad, Hawkins (2015), arXiv 1503.07469 (matches); Willshaw, Buneman, Longuet-Higgins (1969), Nature
222, 960 (the network).
"""

from __future__ import annotations

import math
from fractions import Fraction

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key

from neuropil.core import System, param


def sparse_codes(key: Key[Array, ""], count: int, n: int, active: int) -> Array:
    """Codes (count, n) of zeros and ones, each with exactly `active` ones, uniformly drawn.

    >>> sparse_codes(jr.key(0), 3, 50, 4).sum(1).tolist()
    [4.0, 4.0, 4.0]
    """
    if not 0 <= active <= n:
        raise ValueError(f"sparse_codes: active = {active} but there are {n} cells")
    rank = jnp.argsort(jnp.argsort(jr.uniform(key, (count, n)), axis=1), axis=1)
    return (rank < active).astype(float)


def overlap_probability(n: int, a: int, b: int, overlap: int) -> float:
    r"""Probability that random codes with a and b of n cells active share exactly `overlap` of them.

    $$\binom{a}{k} \binom{n - a}{b - k} \Big/ \binom{n}{b}$$

    >>> overlap_probability(4, 2, 2, 1)
    0.6666666666666666
    """
    return float(_at_least(n, a, b, overlap, overlap))


def false_match_probability(n: int, active: int, synapses: int, threshold: int) -> float:
    r"""Probability that a random code is taken for a stored one: that it shares at least `threshold` of the
    `synapses` cells which are looked at (all of the stored code, or a sample of it).

    $$\sum_{k \ge \theta} \binom{s}{k} \binom{n - s}{a - k} \Big/ \binom{n}{a}$$

    Summed exactly, in whole numbers, so that it is right far below the smallest rounding error.

    **Arguments**: `n` cells, `active` of which are active in a code, `synapses` s, `threshold` theta.

    >>> f"{false_match_probability(10_000, 300, 24, 12):.4e}"
    '8.3758e-13'
    """
    return float(_at_least(n, active, synapses, threshold, synapses))


def false_match_of_many(n: int, active: int, synapses: int, threshold: int, stored: int) -> float:
    r"""Probability that a random code matches at least one of so many independent stored codes, 1 - (1 - p)^M.

    >>> p = false_match_probability(1000, 20, 20, 6)
    >>> abs(false_match_of_many(1000, 20, 20, 6, 100) / (100 * p) - 1) < 1e-4
    True
    """
    p = false_match_probability(n, active, synapses, threshold)
    return -math.expm1(stored * math.log1p(-p)) if p < 1 else float(stored > 0)


def union_density(n: int, active: int, stored: int) -> float:
    r"""Expected share of ones in the union of so many random codes, $1 - (1 - a / n)^M$.

    >>> round(union_density(2048, 40, 20), 4)
    0.326
    """
    _check("union_density", n, active)
    return 1 - (1 - active / n) ** stored


def false_match_of_union(n: int, active: int, threshold: int, stored: int) -> float:
    r"""Probability that a random code shares at least `threshold` ones with the union of so many random codes.

    Exact for the mean over unions: each cell of the code is in the union with the density d, and cells are
    counted as independent, $P[\mathrm{Bin}(a, d) \ge \theta]$; with threshold a this is $d^a$.

    >>> d = union_density(2048, 40, 20)
    >>> abs(false_match_of_union(2048, 40, 40, 20) / d**40 - 1) < 1e-9
    True
    """
    d = union_density(n, active, stored)
    terms = range(max(threshold, 0), active + 1)
    return math.fsum(math.comb(active, k) * d**k * (1 - d) ** (active - k) for k in terms)


def _at_least(n, active, looked_at, low, high) -> Fraction:
    _check("the probability of an overlap", n, active)
    _check("the probability of an overlap", n, looked_at)
    terms = range(max(low, 0), min(high, looked_at, active) + 1)
    ways = sum(math.comb(looked_at, k) * math.comb(n - looked_at, active - k) for k in terms)
    return Fraction(ways, math.comb(n, active))


def _check(owner, n, active):
    if n < 1 or not 0 <= active <= n:
        raise ValueError(f"{owner}: {active} active cells of {n}; give 0..n and n of at least 1")


class Willshaw(System):
    r"""Binary associative network: a synapse is on once its two cells have been active together.

    $$W \leftarrow \max(W, y x^\top), \qquad \hat y_i = \Bigl[\sum_j W_{ij} x_j \ge \vartheta \sum_j x_j\Bigr]$$

    After M pairs of densities f and g the share of synapses that are on is $1 - (1 - f g)^M$ (`union_density`).
    It does not forget: what was stored under a cue is added to, never replaced.

    **Arguments**: `cue`, `content`: numbers of cells; `share` theta (0 to 1) of the active cue cells that must
    reach a content cell. At each tick it is first read, then written.

    Input: {"cue" (cue,), "content" (content,), "write": 1 to write, 0 not to}, of zeros and ones. Output:
    {"content", "sum"}; nothing where no cue cell is active. State: W (content, cue).

    >>> from neuropil.core import run, start
    >>> net = Willshaw(3, 2)
    >>> xs = {"cue": jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), "content": jnp.array([[0.0, 1.0]] * 2),
    ...       "write": jnp.array([1.0, 0.0])}
    >>> run(net, start(net, 1.0, jr.key(0)), xs)[1]["content"][1].tolist()
    [0.0, 1.0]

    Raises ValueError for fewer than 1 cell.
    """

    cue: int = eqx.field(static=True)
    content: int = eqx.field(static=True)
    share: Array = param(1.0, bounds=(0, 1))

    def __check_init__(self):
        if self.cue < 1 or self.content < 1:
            raise ValueError(
                f"Willshaw: {self.cue} cue and {self.content} content cells; at least 1"
            )

    def init(self, dt, key):
        return jnp.zeros((self.content, self.cue), self.share.dtype)

    def step(self, state, x, tick):
        total = state @ x["cue"]
        needed = self.share * x["cue"].sum()
        read = ((total >= needed) & (needed > 0)).astype(state.dtype)
        pair = (x["write"] > 0) * x["content"][:, None] * x["cue"][None]
        return jnp.maximum(state, pair), {"content": read, "sum": total}

    def rest(self):
        zero = jnp.zeros(self.content, self.share.dtype)
        return {"content": zero, "sum": zero}
