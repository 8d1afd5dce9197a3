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
    key: Array,
    many: int,
    length: Array | int,
    pairs: int,
    hard: Array | bool,
    room: int | None = None,
) -> tuple[Array, Array, Array]:
    """Sequences, what is wanted after each token, and where it counts.

    `pairs` needles (mark, key, value; keys differ) stand at random places of the filler; at the end every key
    is asked for (question mark, key), in an order of its own, and after the key its value is wanted.
    `hard`: each token of the filler is with probability one half a key or a value, so that only the mark tells
    what is to be remembered. With `room`, the tokens that there are, `length` may be traced: filler follows it.

    Raises ValueError where the needles and questions do not fit.
    """
    room = length if room is None else room
    body, most = length - 2 * pairs, (room - 2 * pairs) // 3  # the questions stand at the end
    if not 1 <= pairs <= min(KEYS, most):
        raise ValueError(
            f"needles: {pairs} needles and their questions in {room} tokens do not fit"
        )

    a, b, c, d, e, f = jr.split(key, 6)
    rows = jnp.arange(many)[:, None]

    def draw(key, most, n):  # of the first n of `most`, without replacement
        chance = jnp.where(jnp.arange(most) < n, jr.uniform(key, (many, most)), -1.0)
        return jax.lax.top_k(chance, pairs)[1]

    names, where = FIRST_KEY + draw(a, KEYS, KEYS), 3 * draw(c, most, body // 3)
    values = FIRST_VALUE + jr.randint(b, (many, pairs), 0, VALUES, jnp.int32)
    plain = FIRST_FILLER + jr.randint(d, (many, room), 0, FILLER, jnp.int32)
    u, v = jr.split(e)
    mixed = FIRST_KEY + jr.randint(u, (many, room), 0, KEYS + VALUES, jnp.int32)
    tokens = jnp.where(hard & jr.bernoulli(v, 0.5, (many, room)), mixed, plain)
    for k, symbols in enumerate((jnp.full_like(names, NEEDLE), names, values)):
        tokens = tokens.at[rows, where + k].set(symbols)
    order = draw(f, pairs, pairs)
    asked = body + 2 * jnp.arange(pairs)
    ask = lambda symbols: jnp.take_along_axis(symbols, order, 1)
    tokens = tokens.at[:, asked].set(ASK).at[:, asked + 1].set(ask(names))
    wanted = jnp.zeros((many, room), jnp.int32).at[:, asked + 1].set(ask(values))
    weight = jnp.zeros((many, room)).at[:, asked + 1].set(1.0)
    return tokens, wanted, weight
