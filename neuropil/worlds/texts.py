"""Texts as a stream of pieces to predict: every next character counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key


def pieces(
    key: Key[Array, ""], codes: Int[Array, " n"], many: int, length: int
) -> tuple[Int[Array, "piece time"], Int[Array, "piece time"]]:
    """Random pieces of a text: (what is seen, the next symbol at each place).

    >>> seen, wanted = pieces(jr.key(0), jnp.arange(100), 3, 5)
    >>> seen.shape, bool((wanted == seen + 1).all())
    ((3, 5), True)

    Raises ValueError for a text that is not longer than a piece.
    """
    if len(codes) <= length:
        raise ValueError(f"pieces: pieces of {length} from a text of {len(codes)} symbols")
    begin = jr.randint(key, (many,), 0, len(codes) - length)
    piece = codes[begin[:, None] + jnp.arange(length + 1)[None]]
    return piece[:, :-1], piece[:, 1:]


def bits(
    logits: Float[Array, "*shape symbol"], wanted: Int[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Bits needed for each symbol under the prediction: log2 of one over its probability.

    >>> bits(jnp.zeros((1, 4)), jnp.array([2])).tolist()
    [2.0]
    """
    log_p = jax.nn.log_softmax(logits, axis=-1)
    told = jnp.take_along_axis(log_p, wanted[..., None], axis=-1)[..., 0]
    return -told / np.log(2)


def load_codes(names: tuple[str, ...], size: int) -> dict[str, Int[Array, "text n"]]:
    """The train, valid and test parts of registered texts as symbols 0 .. size (0: any rarer character),
    each part cut to the length of the shortest text, so that one program reads them all."""
    from neuropil.worlds import datasets

    codes = [datasets.load(name).codes(size)[0] for name in names]
    cut = lambda part: np.stack([c[part][: min(len(d[part]) for d in codes)] for c in codes])
    return {part: jnp.asarray(cut(part)) for part in ("train", "valid", "test")}
