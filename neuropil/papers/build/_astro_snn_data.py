"""The three tasks of astro-snn: key-value recall after a delay, and the next character of two texts."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Int

from neuropil.worlds.texts import load_codes, pieces

KEYS, VALUES = 16, 16
BLANK, QUERY = VALUES, VALUES + 1  # in the second channel, beside the values
CHANNEL = VALUES + 2  # symbols of the second channel
TEXTS = ("tiny-shakespeare", "wikitext2-valid-test")


class Tasks(eqx.Module):
    """Sequences of one length for all tasks: recall is task 0, the texts follow.

    Two symbols are seen at a tick. In recall they are a key and its value; a text has the first channel alone.
    """

    train: Int[Array, "text n"]
    test: Int[Array, "text m"]
    delays: tuple[int, ...] = eqx.field(static=True)
    pairs: int = eqx.field(static=True)
    symbols: int = eqx.field(static=True)

    @property
    def length(self) -> int:
        """Ticks of a sequence: pairs, the longest delay, the question."""
        return self.pairs + max(self.delays) + 1

    def batch(self, key: Array, n: int, task: Array, part: str) -> tuple[Array, Array, Array]:
        """What is seen (sample, time, channel), what is wanted and where it counts (sample, time)."""
        text = getattr(self, part)
        return jax.lax.cond(
            task == 0,
            lambda: self.recall(key, n),
            lambda: self.windows(key, n, text[jnp.maximum(task - 1, 0)]),
        )

    def windows(self, key: Array, n: int, codes: Array) -> tuple[Array, Array, Array]:
        """Random pieces of a text; every next character counts."""
        seen, wanted = pieces(key, codes, n, self.length)
        return jnp.stack([seen, jnp.full_like(seen, BLANK)], 2), wanted, jnp.ones(seen.shape)

    def recall(self, key: Array, n: int) -> tuple[Array, Array, Array]:
        """Distinct keys, each with its value; blanks; one of the keys with a question mark: its value counts.

        Shorter delays begin later, with blanks in front, so that all sequences are equally long.
        """
        a, b, c, d = jr.split(key, 4)
        keys = 1 + jnp.argsort(jr.uniform(a, (n, KEYS)), 1)[:, : self.pairs]  # 0 is nothing
        values = jr.randint(b, (n, self.pairs), 0, VALUES)
        asked = jr.randint(c, (n,), 0, self.pairs)
        rows = jnp.arange(n)
        delay = jnp.asarray(self.delays)[jr.randint(d, (n,), 0, len(self.delays))]
        place = jnp.arange(self.length)[None] - (max(self.delays) - delay)[:, None]
        inside = (place >= 0) & (place < self.pairs)
        at = jnp.clip(place, 0, self.pairs - 1)
        told = lambda what, nothing: jnp.where(inside, jnp.take_along_axis(what, at, 1), nothing)
        first = told(keys, 0).at[:, -1].set(keys[rows, asked])
        second = told(values, BLANK).at[:, -1].set(QUERY)
        wanted = jnp.zeros_like(first).at[:, -1].set(values[rows, asked])
        counts = jnp.zeros((n, self.length)).at[:, -1].set(1.0)
        return jnp.stack([first, second], 2).astype(jnp.int32), wanted.astype(jnp.int32), counts

    def delay_of(self, seen: Array) -> Int[Array, " sample"]:
        """Blanks between the last pair and the question, of recall sequences."""
        return max(self.delays) - (seen[:, :, 0] > 0).argmax(1)


def load(settings: dict) -> Tasks:
    """Both texts with symbols of their own, cut to one length."""
    codes = load_codes(TEXTS, settings["symbols"] - 1)
    delays = tuple(settings["delays"])
    return Tasks(codes["train"], codes["test"], delays, settings["pairs"], settings["symbols"])
