"""Drawing a token from logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key


def nucleus(
    logits: Float[Array, "*batch code"],
    key: Key[Array, ""],
    p: float | Float[Array, ""] = 1.0,
    temperature: float = 1.0,
) -> Int[Array, "*batch"]:
    """A token from the smallest set of likeliest tokens whose probabilities reach `p`, in proportion.

    p = 1 is plain sampling (the same draw as `jax.random.categorical` of that key), p = 0 the likeliest
    token. Logits are divided by `temperature` first.

    Source: Holtzman et al. (2020), arXiv 1904.09751.

    >>> nucleus(jnp.log(jnp.array([0.1, 0.6, 0.3])), jr.key(0), p=0.5)
    Array(1, dtype=int32)

    Raises ValueError for a temperature that is not positive.
    """
    if temperature <= 0:
        raise ValueError(
            f"nucleus: temperature = {temperature}; it must be positive (p=0 is argmax)"
        )
    logits = logits / temperature
    share = jnp.flip(jnp.sort(jax.nn.softmax(logits), axis=-1), axis=-1)
    before = jnp.cumsum(share, axis=-1) - share  # mass of those that come first
    least = jnp.min(jnp.where(before < p, share, jnp.inf), axis=-1, keepdims=True)
    least = jnp.minimum(least, share[..., :1])  # the first always stays
    # with p = 1 none may fall to the rounding of the sum
    kept = (jax.nn.softmax(logits) >= least) | (jnp.asarray(p) >= 1)
    return jr.categorical(key, jnp.where(kept, logits, -jnp.inf))
