"""The tasks of dcls-delays: a code in which only relative spike times say what is shown, and real spikes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array
from jaxtyping import Float, Int

STEP = 10.0  # ms: one step of every task (the braille letters name no unit of time)


class Split(eqx.Module):
    """Trials as counts (trial, step, channel) with labels, for training and for testing."""

    x: Any
    y: Any
    test_x: Any
    test_y: Any


class DelayCode(eqx.Module):
    """A class is a pattern of onsets d over channels; a trial shows it jittered, shifted and in noise.

    Channel k of class c spikes once, at round(d[c, k] + N(0, 1) + shift), d uniform in 0 .. span - 1,
    shift uniform in 0 .. shifts - 1 and common to all channels; the spike is kept with probability
    `kept`, and noise spikes come with probability `noise` a channel and step. All classes have the same
    number of spikes in every channel: rates say nothing.
    """

    classes: int = eqx.field(static=True, default=20)
    channels: int = eqx.field(static=True, default=40)
    train: int = eqx.field(static=True, default=2000)
    test: int = eqx.field(static=True, default=1000)
    span: int = eqx.field(static=True, default=40)
    shifts: int = eqx.field(static=True, default=20)
    kept: float = eqx.field(static=True, default=0.8)
    noise: float = eqx.field(static=True, default=0.01)

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.span + self.shifts

    def onsets(self, key: Array) -> Int[Array, "c k"]:
        """The classes' patterns; a key is one draw of the whole task."""
        return jr.randint(jr.fold_in(key, 0), (self.classes, self.channels), 0, self.span)

    def draw(self, key: Array) -> Split:
        """Training and test trials of the task of this key."""
        n = self.train + self.test
        a, b, c, d = jr.split(jr.fold_in(key, 1), 4)
        y = jnp.arange(n) % self.classes
        shift = jr.randint(a, (n, 1), 0, self.shifts)
        at = jnp.round(self.onsets(key)[y] + shift + jr.normal(b, (n, self.channels)))
        at = jnp.clip(at, 0, self.steps - 1).astype(jnp.int32)
        at = jnp.where(jr.uniform(c, at.shape) < self.kept, at, -1)
        shown = at[:, None] == jnp.arange(self.steps)[None, :, None]
        x = shown | (jr.uniform(d, shown.shape) < self.noise)
        return Split(x[: self.train], y[: self.train], x[self.train :], y[self.train :])

    def log_likelihood(self, key: Array, x: Array) -> Float[Array, "n c"]:
        """log p(trial | class) up to a constant, shifts summed out: the ideal observer's evidence.

        With one signal spike at most in a channel, its likelihood ratio to noise alone is
        1 - kept + (kept / noise) sum_t q(t - d - shift) x_t, with q the rounded normal density.
        """
        t = jnp.arange(self.steps)
        upper = jax.scipy.stats.norm.cdf(t[None] + 0.5 - t[:, None])
        lower = jax.scipy.stats.norm.cdf(t[None] - 0.5 - t[:, None])
        upper = jnp.where(
            t[None] == self.steps - 1, 1.0, upper
        )  # beyond the ends counts at the ends
        lower = jnp.where(t[None] == 0, 0.0, lower)
        heard = jnp.einsum("ntk,mt->nmk", x.astype(jnp.float32), upper - lower)
        ratio = jnp.log(1 - self.kept + self.kept / self.noise * heard)
        at = (
            self.onsets(key)[:, None] + jnp.arange(self.shifts)[None, :, None]
        )  # class, shift, channel
        channel = jnp.arange(self.channels)
        each = jax.vmap(lambda trial: trial[at, channel[None, None]].sum(-1))(ratio)
        return jax.scipy.special.logsumexp(each, axis=-1)


class Recorded(eqx.Module):
    """Real trials with a fixed split; `raw` (training, test): features for the ceiling."""

    split: Split
    classes: int = eqx.field(static=True)
    raw: Any = None

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.split.x.shape[1]

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return self.split.x.shape[2]

    def draw(self, key: Array) -> Split:
        """The trials, whatever the key."""
        return self.split


def braille(letters: Any, threshold: float, every: int) -> Recorded:
    """Events of the taxels of a robot's fingertip, 12 channels up and 12 down.

    x = 1 - reading / 255; an event where one step changes it by more than `threshold`. Every `every`-th
    pass of a letter is a test pass.
    """
    x = 1 - letters.taxel.astype(np.float32) / 255
    change = np.diff(x, axis=1, prepend=x[:, :1])
    events = np.concatenate([change > threshold, change < -threshold], axis=2)
    order = np.zeros(len(letters.label), int)
    for letter in np.unique(letters.label):
        mine = letters.label == letter
        order[mine] = np.arange(mine.sum())
    held = order % every == every - 1
    mixed = np.random.default_rng(0).permutation(len(held))  # the file goes letter by letter
    train, test = mixed[~held[mixed]], mixed[held[mixed]]
    y = np.asarray(letters.label, np.int32)
    return Recorded(
        Split(events[train], y[train], events[test], y[test]),
        classes=len(letters.letters),
        raw=tuple(x[rows].reshape(len(rows), -1) for rows in (train, test)),
    )


def spoken(speech: Any, steps: int, pool: int) -> Recorded:
    """Spoken digits as counts of 10 ms, channels summed by `pool`; the published split."""
    counts = [part.counts(STEP, steps, pool=pool) for part in (speech.train, speech.test)]
    labels = [part.labels.astype(np.int32) for part in (speech.train, speech.test)]
    mixed = np.random.default_rng(0).permutation(len(labels[0]))  # the file goes speaker by speaker
    counts[0], labels[0] = counts[0][mixed], labels[0][mixed]
    wide = -(-steps // 10)  # the ceiling sees sums over tenths of the time
    coarse = lambda c: np.stack([c[:, t : t + wide].sum(1) for t in range(0, steps, wide)], 1)
    return Recorded(
        Split(counts[0], labels[0], counts[1], labels[1]),
        classes=len(speech.words),
        raw=tuple(coarse(c).reshape(len(c), -1).astype(np.float32) for c in counts),
    )
