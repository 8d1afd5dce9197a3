"""Two cues of a digit's class: a picture, and the events of a camera that looks at another picture."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from neuropil.worlds import datasets

BINS = 4  # time bins of the event stream, and steps of the spiking network
SACCADE = ((0, 1), (1, 0), (0, -1), (-1, 0))  # direction (row, column) of the eye in each bin
THRESHOLD = 0.5  # change of log intensity that makes an event


class Pool(eqx.Module):
    """Pictures and event streams by the same index, sorted by label.

    `images` (n, pixel) in 0..1; `events` (n, bin, unit) counts, ON and OFF over 2 x 2 pixels; samples of
    class c stand at `first[c]` .. `first[c + 1]`.
    """

    images: Float[Array, "n pixel"]
    events: Float[Array, "n bin unit"]
    first: Int[Array, " classes_and_end"]

    def draw(self, key: Array, n: int) -> Pairs:
        """n pairs of a picture and the event stream of another sample of its class, both at random."""
        a, b, c = jr.split(key, 3)
        label = jr.randint(a, (n,), 0, len(self.first) - 1)
        low, size = self.first[label], self.first[label + 1] - self.first[label]
        pick = lambda k: low + (jr.uniform(k, (n,)) * size).astype(jnp.int32)
        return Pairs(self.images[pick(b)], self.events[pick(c)], label)


class Pairs(NamedTuple):
    """Samples of both cues with their label."""

    image: Float[Array, "n pixel"]
    events: Float[Array, "n bin unit"]
    label: Int[Array, " n"]


class Cues(eqx.Module):
    """Samples to learn from and, apart from them, to test on."""

    train: Pool
    test: Pool
    name: str = eqx.field(static=True)


def events_of(images: np.ndarray, steps: int = 2) -> np.ndarray:
    """Events while the eye goes round a square of `steps` pixels: (n, bin, 2 x pooled pixels).

    A pixel makes an ON (OFF) event where its log intensity rises (falls) by more than `THRESHOLD` in a step
    of one pixel; counts are summed over the steps of a bin and over 2 x 2 pixels.
    """
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (steps, steps), (steps, steps)))
    at = np.array([steps, steps])
    look = lambda p: np.log(0.1 + padded[:, p[0] : p[0] + height, p[1] : p[1] + width])
    out = np.zeros((n, len(SACCADE), 2, height // 2, width // 2), np.float32)
    before = look(at)
    for k, direction in enumerate(SACCADE):
        for _ in range(steps):
            at = at + direction
            now = look(at)
            for sign in (0, 1):
                change = (now - before) if sign == 0 else (before - now)
                event = (change > THRESHOLD)[:, : height // 2 * 2, : width // 2 * 2]
                out[:, k, sign] += event.reshape(n, height // 2, 2, width // 2, 2).sum((2, 4))
            before = now
    return out.reshape(n, len(SACCADE), -1)


def pool(images: np.ndarray, labels: np.ndarray) -> Pool:
    """Images 0..255 (n, height, width) as a pool of both cues."""
    order = np.argsort(labels, kind="stable")
    x = images[order].astype(np.float32) / max(float(images.max()), 1.0)
    first = np.searchsorted(labels[order], np.arange(int(labels.max()) + 2))
    flat = x.reshape(len(x), -1)
    return Pool(jnp.asarray(flat), jnp.asarray(events_of(x)), jnp.asarray(first, jnp.int32))


def load(settings: dict) -> Cues:
    """The first `settings["pool"]` samples of the training and of the test part."""
    data = datasets.load(settings["data"])
    n = settings["pool"]
    return Cues(
        pool(data.train_x[:n], data.train_y[:n]), pool(data.test_x[:n], data.test_y[:n]), data.name
    )


def degraded(pairs: Pairs, snr: Array, key: Array) -> Pairs:
    """Both cues with noise of variance mean(x^2) / 10^(snr / 10), snr in dB.

    The picture gets Gaussian noise; the event stream gets events that nothing caused, Poisson with that
    variance (drawn by inversion up to 8 a bin: their mean stays below 2).
    """
    a, b = jr.split(key)
    power = 10 ** (-snr / 10)
    spread = jnp.sqrt(power * jnp.mean(pairs.image**2))
    image = pairs.image + spread * jr.normal(a, pairs.image.shape)
    rate = power * jnp.mean(pairs.events**2)
    u, term, total = jr.uniform(b, pairs.events.shape), jnp.exp(-rate), jnp.exp(-rate)
    spurious = jnp.zeros_like(pairs.events)
    for k in range(1, 9):
        spurious += u > total
        term = term * rate / k
        total = total + term
    return Pairs(image, pairs.events + spurious, pairs.label)


def cue_samples(cues: Cues, key: Array, sizes: tuple[int, int, int], snr: Array) -> list[Pairs]:
    """Training, validation (both from the training pool) and test pairs at a strength of the cues."""
    keys = jr.split(key, 6)
    pools = (cues.train, cues.train, cues.test)
    drawn = [p.draw(k, n) for p, k, n in zip(pools, keys[:3], sizes, strict=True)]
    return [degraded(pairs, snr, k) for pairs, k in zip(drawn, keys[3:], strict=True)]


def standardised(samples: list[Pairs]) -> list[Pairs]:
    """Every cue with the mean and deviation of the training samples (one number each, over all units)."""
    scale = lambda x, like: (x - like.mean()) / like.std()
    train = samples[0]
    return [
        Pairs(scale(s.image, train.image), scale(s.events, train.events), s.label) for s in samples
    ]
