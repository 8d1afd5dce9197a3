r"""Quantisers of single numbers: levels between edges, made uniform, by the mu-law, or by quantiles.

$q(x) = \#\{e_i \le x\}$; code q is read as level $l_q$.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class ScalarQuantiser(eqx.Module):
    """Each number is coded by the cell between sorted `edges` it lies in, and read as that cell's level.

    >>> part = ScalarQuantiser.uniform(4, limit=2.0)
    >>> codes = part.encode(jnp.array([-9.0, -0.1, 0.1, 1.5]))
    >>> codes.tolist(), part.decode(codes).tolist()
    ([0, 1, 2, 3], [-1.5, -0.5, 0.5, 1.5])

    Raises ValueError unless there is one level more than edges, and edges are sorted.
    """

    edges: Float[Array, " edge"]
    levels: Float[Array, " code"]

    def __check_init__(self):
        if self.levels.shape[0] != self.edges.shape[0] + 1:
            raise ValueError(
                f"ScalarQuantiser: {self.levels.shape[0]} levels for {self.edges.shape[0]} edges; there "
                "must be one more"
            )

    @property
    def codes(self) -> int:
        """Number of codes."""
        return self.levels.shape[0]

    @staticmethod
    def uniform(codes: int, limit: float | int = 4.0) -> ScalarQuantiser:
        """`codes` cells of one width over -limit..limit; what lies beyond is in the outer cells."""
        edges = np.linspace(-limit, limit, codes + 1)
        return ScalarQuantiser(
            jnp.asarray(edges[1:-1], float), jnp.asarray((edges[1:] + edges[:-1]) / 2, float)
        )

    @staticmethod
    def mu_law(codes: int, limit: float | int = 4.0, mu: float | int = 255.0) -> ScalarQuantiser:
        r"""Cells uniform in $\text{sign}(x) \log(1 + \mu |x| / \text{limit}) / \log(1 + \mu)$ (G.711)."""
        spread = lambda y: np.sign(y) * limit * np.expm1(np.abs(y) * np.log1p(mu)) / mu
        edges = np.linspace(-1, 1, codes + 1)
        return ScalarQuantiser(
            jnp.asarray(spread(edges[1:-1]), float),
            jnp.asarray(spread((edges[1:] + edges[:-1]) / 2), float),
        )

    @staticmethod
    def quantile(x: Float[np.ndarray, "*any"], codes: int) -> ScalarQuantiser:
        """Cells that hold as many of the numbers x each; the levels are the cells' means.

        Raises ValueError for fewer distinct numbers than codes."""
        x = np.sort(np.asarray(x, float).ravel())
        edges = np.quantile(x, np.arange(1, codes) / codes)
        if len(np.unique(edges)) < len(edges):
            raise ValueError(
                f"ScalarQuantiser.quantile: too few distinct numbers for {codes} codes"
            )
        cell = np.searchsorted(edges, x, side="right")
        levels = np.bincount(cell, x, codes) / np.bincount(cell, minlength=codes)
        return ScalarQuantiser(jnp.asarray(edges, float), jnp.asarray(levels, float))

    def encode(self, x: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
        """The code of each number."""
        return jnp.searchsorted(self.edges, x, side="right")

    def decode(self, codes: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """The level of each code."""
        return self.levels[codes]
