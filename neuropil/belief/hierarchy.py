"""The usual hierarchical Gaussian filters in one call each, and choices made from what they predict."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from neuropil.belief.hgf import HGF
from neuropil.belief.nodes import Beliefs, Binary, Continuous, State, Value, Volatility
from neuropil.belief.volatility import VolatilityUpdate
from neuropil.core import Part, param


def _tower(input, first, volatility, mean, precision, drift, coupling, update) -> HGF:
    n = len(volatility)
    for name, given, wanted in (("mean", mean, n), ("precision", precision, n),
                                ("drift", drift, n), ("coupling", coupling, n - 1)):  # fmt: skip
        if given is not None and len(given) != wanted:
            raise ValueError(f"{n} values of volatility need {wanted} of {name}, not {len(given)}")
    names = [f"x{first + i}" for i in range(n)]
    mean, precision = mean or (0.0,) * n, precision or (1.0,) * n
    drift, coupling = drift or (0.0,) * n, coupling or (1.0,) * (n - 1)
    rows = zip(names, mean, precision, volatility, drift, strict=True)
    nodes = {name: State(m, p, v, d) for name, m, p, v, d in rows}
    edges: dict[str, Part] = {f"{names[0]}>u": Value()}
    for low, high, kappa in zip(names[:-1], names[1:], coupling, strict=True):
        edges[f"{high}>{low}"] = Volatility(kappa)
    return HGF({"u": input, **nodes}, edges, update)


def continuous_hgf(
    volatility: tuple = (-3.0, -3.0),
    *,
    noise: Any = 1e4,
    mean: tuple | None = None,
    precision: tuple | None = None,
    drift: tuple | None = None,
    coupling: tuple | None = None,
    update: VolatilityUpdate | None = None,
) -> HGF:
    """A number "u" seen with precision `noise`, its state "x1", and volatility parents "x2", "x3", ...

    **Arguments**: `volatility` omega of x1, x2, ..., lowest first, as many as there are levels; `mean` (0),
    `precision` (1), `drift` (0) of each; `coupling` kappa between neighbours (1); `update`, see `HGF`.

    >>> continuous_hgf((-3.0, -4.0, -6.0)).states
    ('x3', 'x2', 'x1')

    Raises ValueError for tuples of the wrong length.
    """
    return _tower(Continuous(noise), 1, volatility, mean, precision, drift, coupling, update)


def binary_hgf(
    volatility: tuple = (-4.0, -6.0),
    *,
    mean: tuple | None = None,
    precision: tuple | None = None,
    drift: tuple | None = None,
    coupling: tuple | None = None,
    update: VolatilityUpdate | None = None,
) -> HGF:
    """A bit "u" (the first level), the log odds "x2" that it is 1, and volatility parents "x3", ...

    Arguments as in `continuous_hgf`, lowest state ("x2") first.

    >>> binary_hgf().states
    ('x3', 'x2')
    """
    return _tower(Binary(), 2, volatility, mean, precision, drift, coupling, update)


def categorical_hgf(
    n: int,
    volatility: tuple = (-4.0, -4.0),
    *,
    precision: tuple = (1.0, 1.0),
    update: VolatilityUpdate | None = None,
) -> HGF:
    """Which of n categories: n bits "u00", "u01", ... (one-hot), log odds "x2_00", ..., one volatility "x3".

    The log odds begin at -log(n - 1), a probability of 1 / n. `probabilities` makes them sum to 1.

    Raises ValueError for fewer than 2 categories, or more than 100.
    """
    if not 2 <= n <= 100:
        raise ValueError(f"categorical_hgf: n = {n}; it must be 2 to 100 categories")
    nodes: dict[str, Part] = {"x3": State(0.0, precision[1], volatility[1])}
    edges: dict[str, Part] = {}
    for k in range(n):
        u, x = f"u{k:02d}", f"x2_{k:02d}"
        nodes |= {u: Binary(), x: State(-float(jnp.log(n - 1)), precision[0], volatility[0])}
        edges |= {f"{x}>{u}": Value(), f"x3>{x}": Volatility()}
    return HGF(nodes, edges, update)


def probabilities(beliefs: Beliefs) -> Array:
    """(..., input): predicted probability of every binary input, in order of names, scaled to a sum of 1."""
    p = jnp.stack([beliefs.inputs[n].mean for n in sorted(beliefs.inputs)], -1)
    return p / p.sum(-1, keepdims=True)


class Chooser(Part):
    r"""Who chooses 1 rather than 0 by what it predicts: a learner and an inverse temperature.

    $$P(1) = \frac{p^\beta}{p^\beta + (1 - p)^\beta} = \sigma(\beta \operatorname{logit} p)$$

    >>> agent = Chooser(binary_hgf(), 2.0)
    >>> round(float(jnp.exp(agent.log_likelihood(jnp.array(0.8), jnp.array(1.0)))), 4)  # 0.64 / 0.68
    0.9412

    Source: Iglesias et al. (2013), Neuron 80, 519 (unit-square sigmoid).
    """

    learner: Any
    temperature: Array = param(1.0, bounds=(0, None), about="inverse temperature beta")

    def log_odds(self, p: Array) -> Array:
        """log of P(1) / P(0), of predicted probabilities p."""
        p = jnp.clip(p, 1e-6, 1 - 1e-6)
        return self.temperature * (jnp.log(p) - jnp.log1p(-p))

    def log_likelihood(self, p: Array, choice: Array) -> Array:
        """log P(choice) of choices 0 or 1, elementwise."""
        return jax.nn.log_sigmoid((2 * choice - 1) * self.log_odds(p))
