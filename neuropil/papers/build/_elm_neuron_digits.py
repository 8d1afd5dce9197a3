"""Digits that are shown over time: images column by column, or recorded spikes of an artificial cochlea."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil.worlds import datasets

BINS, BIN_MS = 100, 10.0  # of a spoken digit


class Shown(NamedTuple):
    """Items (item, moment, channel) of whole numbers, and what they are modulo 10."""

    x: np.ndarray
    y: np.ndarray


class Digits(NamedTuple):
    """Training and test items; `most` is the number that stands for certainty of a spike (0: counts)."""

    train: Shown
    test: Shown
    most: int


def load_digits(name: str, most_items: int) -> Digits:
    """`mnist`, `digits`: columns from left to right, the rows are channels; `shd`: 700 channels, bins of 10 ms.

    At most `most_items` training items are read, the first of the file.
    """
    data = datasets.load(name)
    if hasattr(data, "train_x"):
        columns = lambda x: np.ascontiguousarray(np.swapaxes(x, 1, 2))
        train = Shown(columns(data.train_x[:most_items]), data.train_y[:most_items])
        return Digits(train, Shown(columns(data.test_x), data.test_y), 255)
    return Digits(spoken(data.train, most_items), spoken(data.test), 0)


def spoken(trials, most_items: int | None = None) -> Shown:
    """Spike counts of `SpikeTrials`; the language is ignored (labels 10 to 19 are digits again)."""
    chosen = np.arange(len(trials))[:most_items]
    return Shown(trials.counts(BIN_MS, BINS, trials=chosen), trials.labels[chosen] % 10)


def add(
    key: Array, x: Array, y: Array, many: int, hold: int = 1, most: int = 255
) -> tuple[Array, Array]:
    """Pairs of items one after the other, (time, pair, channel), and the sums of their digits.

    Each moment is held for `hold` ticks. With `most` above 0 a value v is a spike with probability
    v / (2 most) at every tick; with 0 the numbers are shown as they are.
    """
    a, b = jr.split(key)
    which = jr.randint(a, (2, many), 0, len(x))
    both = jnp.moveaxis(
        x[which].astype(jnp.float32), 2, 1
    )  # (item of the pair, moment, pair, channel)
    seen = jnp.repeat(both.reshape(-1, *both.shape[2:]), hold, axis=0)
    if most:
        seen = (jr.uniform(b, seen.shape) < seen / (2 * most)).astype(jnp.float32)
    return seen, (y[which].astype(jnp.int32) % 10).sum(0)


def shown_ticks(digits: Digits, hold: int) -> int:
    """Ticks of a pair."""
    return 2 * hold * digits.train.x.shape[1]


def on_device(shown: Shown) -> tuple[Array, Array]:
    """The items as JAX arrays."""
    return jax.tree.map(jnp.asarray, (shown.x, shown.y))
