"""The four classification problems of meta-neuron-lzc, drawn anew for every seed; three with a known truth.

Every problem is 24 trains of 250 ticks (1 ms), of up to four classes:

- `rate`: Poisson trains, 0.10 against 0.12 spikes a tick, 20 trains;
- `structure`: two-state Markov trains of the same rate 0.2, P(1|1) = 0.2 (memoryless) against 0.5, 20 trains;
- `template`: a random rate template for each class and train, in blocks of 10 ticks; all means are 0.1, so that
  counts say nothing, 20 trains;
- `braille`: four letters under a robot's fingertip, 12 pressure sensors as ON and OFF events, 24 trains.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil.coding import Delta
from neuropil.core import run, start
from neuropil.worlds import datasets
from neuropil.worlds.sources import BernoulliSource, MarkovSource, labelled

SETS = ("rate", "structure", "template", "braille")
CLASSES = (2, 2, 2, 4)
UNITS, WIDE, TICKS = 20, 24, 250
FRAME = 3  # ticks of a Braille reading: 76 readings fill 228 of the 250 ticks
BLOCK = 10  # ticks over which a template is constant


class Problem(eqx.Module):
    """Spikes (set, sample, time, 24) of training, validation and test, with labels (set, sample)."""

    train: Any
    valid: Any
    test: Any
    train_y: Any
    valid_y: Any
    test_y: Any


def rate_sources() -> tuple:
    """Memoryless trains of two rates."""
    return tuple(BernoulliSource(jnp.full(UNITS, p)) for p in (0.10, 0.12))


def structure_sources() -> tuple:
    """Trains of one rate, memoryless and in bursts."""
    return tuple(MarkovSource.of_rate(jnp.full(UNITS, 0.2), p) for p in (0.2, 0.5))


def template_sources(key: Array, ticks: int = TICKS) -> tuple:
    """Two random templates of rates with the same mean in every train."""
    blocks = ticks // BLOCK
    p = jr.uniform(key, (2, blocks, UNITS), maxval=0.2)
    p = jnp.clip(p - p.mean(1, keepdims=True) + 0.1, 0.0, 1.0)
    return tuple(BernoulliSource(jnp.repeat(t, BLOCK, axis=0)) for t in p)


def encoded(taxel: np.ndarray, threshold: float) -> Array:
    """Braille readings (pass, 76, 12) as events (pass, 250, 24), ON and OFF, at most one a reading."""
    encoder = Delta(12, threshold=threshold, most=1)
    carry = start(encoder, 1.0, jr.key(0))
    signal = jnp.asarray(255.0 - taxel)  # pressed is high
    events = jax.vmap(lambda x: run(encoder, carry, x)[1])(signal).reshape(*taxel.shape[:2], WIDE)
    ticks = jnp.zeros((len(taxel), TICKS, WIDE), jnp.uint8)
    return ticks.at[:, : FRAME * taxel.shape[1] : FRAME].set(events.astype(jnp.uint8))


def load(settings: dict) -> tuple[Array, Array]:
    """Events (pass, 250, 24) and labels of the letters; of the toy letters where there is no data set."""
    letters = settings["letters"].split(",")
    if settings["data"] == "digits":  # the demonstration: rows of two digits slide under the finger
        images = datasets.load("digits")
        kept = np.concatenate([np.flatnonzero(images.train_y == c)[:50] for c in range(4)])
        taxel = 255 - np.repeat(images.train_x[kept].transpose(0, 2, 1), 10, axis=1)[:, :76]
        taxel = np.concatenate([taxel, taxel[..., :4]], axis=2)
        return encoded(taxel, settings["threshold"]), jnp.repeat(jnp.arange(4), 50)
    taxel, label = datasets.load("braille-tactile-letters").pick(*letters)
    return encoded(taxel, settings["threshold"]), jnp.asarray(label)


def _padded(x: Array) -> Array:
    """24 trains, the last four silent where there are 20."""
    return jnp.pad(x, ((0, 0), (0, 0), (0, WIDE - x.shape[2]))).astype(jnp.uint8)


def sources(key: Array) -> tuple[tuple, ...]:
    """The sources of the three problems of known law, of a seed's key."""
    return rate_sources(), structure_sources(), template_sources(jr.fold_in(key, 0))


def draw(key: Array, braille: tuple[Array, Array], n: tuple[int, int, int]) -> Problem:
    """The problems of a seed: n samples for training, validation, test (Braille: 1/2, 1/5, 3/10 of the passes,
    drawn again and again where there are fewer than n, in the test set each pass once, then again)."""
    total = sum(n)
    cut = np.cumsum(n)[:2]
    xs, ys = [], []
    for k, pair in enumerate(sources(key)):
        x, y = labelled(pair, total, TICKS, jr.fold_in(key, k + 1))
        xs.append([_padded(a) for a in jnp.split(x, cut)])
        ys.append(jnp.split(y, cut))
    spikes, label = braille
    # a random order within each letter, letter after letter in turn, so that every part is balanced
    per, letters = len(label) // 4, 4
    order = jax.vmap(lambda k: jr.permutation(k, per))(jr.split(jr.fold_in(key, 9), letters))
    order = (order + per * jnp.arange(letters)[:, None]).T.reshape(-1)
    ends = [0, len(label) // 2, len(label) * 7 // 10, len(label)]
    parts = [
        order[jnp.arange(m) % (b - a) + a] for m, a, b in zip(n, ends[:-1], ends[1:], strict=True)
    ]
    xs.append([spikes[i] for i in parts])
    ys.append([label[i] for i in parts])
    join = lambda rows, c: jnp.stack([row[c] for row in rows])
    return Problem(*(join(xs, c) for c in range(3)), *(join(ys, c) for c in range(3)))
