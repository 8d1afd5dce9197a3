"""The two tasks of titans: needles in a haystack of tokens, and the next character of WikiText-2."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Int

from neuropil.worlds.texts import load_codes

TASKS = ("needle", "text")
TEXT = ("wikitext2-valid-test",)
KEYS, VALUES, FILLER = 16, 16, 32  # symbols: 0 needle, 1 question, then keys, values, filler
NEEDLE, ASK, FIRST_KEY, FIRST_VALUE, FIRST_FILLER = 0, 1, 2, 18, 34


class Tasks(eqx.Module):
    """WikiText-2 as symbols: its validation part is what is learned from."""

    train: Int[Array, " n"]
    valid: Int[Array, " k"]
    test: Int[Array, " m"]


def load(settings: dict) -> Tasks:
    """The text; needles are drawn afresh at every update."""
    return Tasks(
        **{name: part[0] for name, part in load_codes(TEXT, settings["symbols"] - 1).items()}
    )


def needles(
    key: Array, many: int, length: int, pairs: int, hard: Array | bool
) -> tuple[Array, Array, Array]:
    """Sequences, what is wanted after each token, and where it counts.

    `pairs` needles (mark, key, value; keys differ) stand at random places of the filler; at the end every key
    is asked for (question mark, key), in an order of its own, and after the key its value is wanted.
    `hard`: each token of the filler is with probability one half a key or a value, so that only the mark tells
    what is to be remembered.

    Raises ValueError where the needles and questions do not fit.
    """
    body = length - 2 * pairs  # the questions stand at the end
    slots = body // 3
    if not 1 <= pairs <= min(KEYS, slots):
        raise ValueError(
            f"needles: {pairs} needles and their questions in {length} tokens do not fit"
        )

    a, b, c, d, e, f = jr.split(key, 6)
    rows = jnp.arange(many)[:, None]
    draw = lambda key, n: jax.lax.top_k(jr.uniform(key, (many, n)), pairs)[1]  # without replacement
    names, where = FIRST_KEY + draw(a, KEYS), 3 * draw(c, slots)
    values = FIRST_VALUE + jr.randint(b, (many, pairs), 0, VALUES)
    plain = FIRST_FILLER + jr.randint(d, (many, length), 0, FILLER)
    u, v = jr.split(e)
    mixed = FIRST_KEY + jr.randint(u, (many, length), 0, KEYS + VALUES)
    tokens = jnp.where(hard & jr.bernoulli(v, 0.5, (many, length)), mixed, plain)
    for k, symbols in enumerate((jnp.full_like(names, NEEDLE), names, values)):
        tokens = tokens.at[rows, where + k].set(symbols)
    order = draw(f, pairs)
    asked = body + 2 * jnp.arange(pairs)
    ask = lambda symbols: jnp.take_along_axis(symbols, order, 1)
    tokens = tokens.at[:, asked].set(ASK).at[:, asked + 1].set(ask(names))
    wanted = jnp.zeros((many, length), jnp.int32).at[:, asked + 1].set(ask(values))
    weight = jnp.zeros((many, length)).at[:, asked + 1].set(1.0)
    return tokens.astype(jnp.int32), wanted, weight
