"""Log-probability of counts given their rates: the footing on which models of spikes compare."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def mean_of(family: str, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Mean count for a linear predictor: sigmoid(eta) for `bernoulli`, exp(eta) for `poisson`."""
    _known(family)
    return jax.nn.sigmoid(eta) if family == "bernoulli" else jnp.exp(eta)


def log_probability(
    family: str, counts: Float[Array, "*shape"], rates: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Log-probability in nats of every count k given its mean r.

    Bernoulli: k log r + (1 - k) log(1 - r). Poisson: k log r - r - log k!. Rates are kept off 0 and
    (for Bernoulli) off 1, so an impossible spike costs about 87 nats in float32, not infinity.

    >>> import jax.numpy as jnp
    >>> log_probability("bernoulli", jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])).tolist()
    [-0.6931471824645996, -0.6931471824645996]
    """
    _known(family)
    tiny = jnp.finfo(rates.dtype).tiny
    if family == "bernoulli":
        below = 1 - jnp.finfo(rates.dtype).epsneg
        hit = jnp.log(jnp.maximum(rates, tiny))
        return jnp.where(counts > 0, hit, jnp.log1p(-jnp.minimum(rates, below)))
    return counts * jnp.log(jnp.maximum(rates, tiny)) - rates - gammaln(counts + 1)


def bits_per_spike(
    family: str,
    counts: ArrayLike,
    rates: ArrayLike,
    flat: ArrayLike | None = None,
) -> Float[Array, ""]:
    r"""Gain of rates over constant ones, in bits per spike of all units (last axis) together.

    $$\frac{\log p(k; r) - \log p(k; \bar r)}{\log 2 \sum k}$$

    `flat` $\bar r$: the constant rate of every unit, by default its mean in these counts (the strictest
    one, as in the Neural Latents Benchmark). 0 for the constant rates, NaN where there is no spike.

    >>> counts = jnp.array([[0.0], [2.0]])
    >>> float(bits_per_spike("poisson", counts, jnp.ones((2, 1))))
    0.0
    >>> bool(bits_per_spike("poisson", counts, jnp.array([[0.1], [1.9]])) > 0.7)
    True
    """
    counts, rates = jnp.asarray(counts, float), jnp.asarray(rates, float)
    if flat is None:
        flat = counts.mean(tuple(range(counts.ndim - 1)))
    constant = jnp.broadcast_to(jnp.asarray(flat, float), counts.shape)
    constant = log_probability(family, counts, constant)
    gain = (log_probability(family, counts, rates) - constant).sum()
    return gain / (jnp.log(2.0) * counts.sum())


def _known(family):
    if family not in ("bernoulli", "poisson"):
        raise ValueError(f"family must be 'bernoulli' or 'poisson', not {family!r}")
