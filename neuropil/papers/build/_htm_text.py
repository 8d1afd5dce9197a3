"""Letters of a text foretold one by one, and stretches of it whose order is lost."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array
from jaxtyping import Int

from neuropil.core import System, fold, run, start
from neuropil.papers.build._htm import Chunks
from neuropil.worlds import datasets

LETTERS = 27  # a to z from 1 on; 0 is all that stands between words
PAGE = "page"  # the embedded text


def letters(text: str) -> Int[np.ndarray, " n"]:
    """Letters of a text as numbers; whatever is no letter, however long, is one 0.

    >>> letters("Be,  a!").tolist()
    [2, 5, 0, 1, 0]
    """
    raw = np.array([ord(c) - 96 if "a" <= c <= "z" else 0 for c in text.lower()], np.int32)
    return raw[(raw > 0) | (np.roll(raw, 1) > 0)]


def load(settings: dict, page: str) -> Int[Array, " n"]:
    """Letters of the data set, or of the page's own words as often as they are needed."""
    need = settings["chunk"] * (settings["text"] + 1)
    if settings["data"] == PAGE:
        found = letters(page)
        return jnp.asarray(np.tile(found, need // len(found) + 2))
    found = letters(datasets.load(settings["data"]).parts["train"])
    if len(found) <= need:
        raise ValueError(f"{settings['data']} has {len(found)} letters; {need} are to be read")
    return jnp.asarray(found)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))  # compiled once for all arms
def reading(key: Array, text: Array, chunks: int, chunk: int, odd: int) -> dict[str, Array]:
    """Letters (chunks, chunk) from a place drawn at random on, and which of them are odd.

    In the second half of the chunks `odd` letters in a row, at a place drawn for each, are replaced by letters
    from anywhere in the text: as frequent as ever, in no order.
    """
    a, b, c = jr.split(key, 3)
    begin = jr.randint(a, (), 0, text.shape[0] - chunks * chunk)
    shown = jax.lax.dynamic_slice(text, (begin,), (chunks * chunk,)).reshape(chunks, chunk)
    at = jr.randint(b, (chunks, 1), 0, chunk - odd + 1)
    where = jnp.arange(chunk)[None]
    spoilt = (where >= at) & (where < at + odd) & (jnp.arange(chunks)[:, None] >= chunks // 2)
    others = text[jr.randint(c, shown.shape, 0, text.shape[0])]
    symbols = jnp.where(spoilt, others, shown)
    two = symbols.ravel() * LETTERS + jnp.roll(symbols.ravel(), 1)  # tell a counter what follows
    which, follows = jnp.roll(two, 1).reshape(shown.shape), two.reshape(shown.shape)
    return {"symbol": symbols, "which": which, "follows": follows, "odd": spoilt}


class Both(System):
    """The chunks of the sequences, then those of a text, for which the learner begins anew.

    Output of a tick: `accuracy` and `predicted` of its chunk; of a text's letters (chunk,) `given`, the share
    of its foresight that the learner gave to what came, whether that was the `first` choice, and `odd`.
    """

    sequences: Chunks
    learner: Any
    text: Int[Array, " n"]
    chunks: int = eqx.field(static=True)
    odd: int = eqx.field(static=True)

    def init(self, dt, key):
        one, a, b = self.sequences, fold(key, "text"), fold(key, "reader")
        return {
            "sequences": one.init(dt, key),
            "text": reading(a, self.text, self.chunks, one.chunk, self.odd),
            "learner": start(self.learner, dt, b),
            "last": jnp.zeros(LETTERS),
        }

    def step(self, state, x, tick):
        begins, size = self.sequences.lesions.shape[0], self.sequences.chunk
        none = {"given": jnp.zeros(size), "first": jnp.zeros(size), "odd": jnp.zeros(size)}

        def sequences():
            after, out = self.sequences.step(state["sequences"], None, tick)
            return state | {"sequences": after}, out | none

        def text():
            at = jnp.clip(tick.i - begins, 0, self.chunks - 1)
            xs = {name: a[at] for name, a in state["text"].items()}
            xs |= {"learn": jnp.ones(size), "last": jnp.ones(size, bool)}
            odd = xs.pop("odd")
            carry, (scores, load) = run(self.learner, state["learner"], xs)
            foreseen = jnp.concatenate([state["last"][None], scores[:-1]])
            share = self.learner.shares(foreseen)
            given = jnp.take_along_axis(share, xs["symbol"][:, None], 1)[:, 0]
            first = foreseen.argmax(1) == xs["symbol"]
            own = {
                "given": given,
                "first": first.astype(given.dtype),
                "odd": odd.astype(given.dtype),
            }
            after = state | {"learner": carry, "last": scores[-1]}
            return after, {"accuracy": first.mean(), "predicted": load.mean()} | own

        return jax.lax.cond(tick.i < begins, sequences, text)
