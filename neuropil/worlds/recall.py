"""Associative recall: key-value pairs are shown, then keys are asked for in any order (MQAR)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key


class Recall(eqx.Module):
    """Sequences of tokens with what should be answered at each.

    - `tokens` (example, time): 0 is the filler, 1 .. vocabulary/2 - 1 are keys, the rest values;
    - `targets` (example, time): the value that belongs to the key at this token, -1 where none is asked.
    """

    tokens: Int[Array, "example time"]
    targets: Int[Array, "example time"]


def multi_query_recall(
    key: Key[Array, ""],
    examples: int,
    *,
    length: int = 64,
    pairs: int = 4,
    vocabulary: int = 8192,
    power: float | int = 0.01,
    random_filler: bool = False,
) -> Recall:
    r"""Multi-query associative recall (MQAR).

    Each sequence begins with `pairs` distinct keys, each followed by its value; then every key comes
    up once more at an even offset, and there its value is to be told. The offset g (in twos) is drawn
    without replacement with probability proportional to $g^{\mathrm{power} - 1}$, g = 1, 2, ...:
    queries come soon, with a long tail; power 1 is uniform. Other tokens are filler: token 0, or
    drawn from the whole vocabulary with `random_filler`.

    Source: Arora et al. (2023), arXiv 2312.04927, and its code.

    >>> data = multi_query_recall(jr.key(0), 2, length=16, pairs=4, vocabulary=32)
    >>> data.tokens.shape, int((data.targets >= 0).sum())
    ((2, 16), 8)

    Raises ValueError where the pairs do not fit the length or the vocabulary.
    """
    keys, values = vocabulary // 2 - 1, vocabulary - vocabulary // 2
    if length % 2 or not 1 <= pairs <= length // 4:
        raise ValueError(
            f"multi_query_recall: {pairs} pairs in length {length}; the length must be even and at"
            " least 4 times the pairs"
        )
    if pairs > min(keys, values):
        raise ValueError(
            f"multi_query_recall: vocabulary {vocabulary} has {keys} keys and {values} values;"
            f" {pairs} pairs need at least {2 * pairs + 2}"
        )
    shown = 2 * pairs
    gaps = (length - shown) // 2
    weight = (power - 1.0) * jnp.log(jnp.arange(1.0, gaps + 1))

    def one(key):
        a, b, c, d = jr.split(key, 4)
        names = 1 + _draw(a, jnp.zeros(keys), pairs)
        answers = vocabulary // 2 + _draw(b, jnp.zeros(values), pairs)
        asked = shown + 2 * _draw(c, weight, pairs)
        tokens = jnp.zeros(length, jnp.int32)
        tokens = tokens.at[:shown:2].set(names).at[1:shown:2].set(answers).at[asked].set(names)
        if random_filler:
            tokens = jnp.where(tokens == 0, jr.randint(d, (length,), 0, vocabulary), tokens)
        return tokens, jnp.full(length, -1, jnp.int32).at[asked].set(answers)

    return Recall(*jax.vmap(one)(jr.split(key, examples)))


def _draw(key: Key[Array, ""], log_weight: Float[Array, " n"], k: int) -> Int[Array, " k"]:
    """k different numbers of 0 .. n - 1, one after the other by their weights (Gumbel top-k)."""
    return jax.lax.top_k(log_weight + jr.gumbel(key, log_weight.shape), k)[1].astype(jnp.int32)


def recall_loss(
    logits: Float[Array, "example time token"], targets: Int[Array, "example time"]
) -> Float[Array, ""]:
    """Mean cross-entropy (nats) of the values that were asked for."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    told = jnp.take_along_axis(log_p, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    weight = (targets >= 0).astype(logits.dtype)
    return -(told * weight).sum() / weight.sum()


def recall_accuracy(
    logits: Float[Array, "example time token"], targets: Int[Array, "example time"]
) -> Float[Array, ""]:
    """Share of the asked values that have the largest logit of the whole vocabulary."""
    right = (jnp.argmax(logits, axis=-1) == targets) & (targets >= 0)
    return right.sum() / (targets >= 0).sum()
