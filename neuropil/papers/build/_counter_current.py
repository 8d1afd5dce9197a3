"""Training of counter-current's networks by any of its arms: a tick is one network on one set of images."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, UInt8

from neuropil.core import System
from neuropil.learn import minibatches
from neuropil.learn.credit import answer
from neuropil.papers.build._counter_current_net import HEIGHT, Kind, Learners, Rule

TASKS = ("mlp-first", "mlp-second", "cnn-first", "cnn-second", "auto-first")


class Part(eqx.Module):
    """Images of both sets (set, n, pixel) as bytes, with labels."""

    x: UInt8[Array, "two n pixel"]
    y: Int[Array, "two n"]

    @staticmethod
    def of(sets: list, begin: int, end: int, test: bool = False) -> Part:
        """Images begin to end of the training (or test) part of each set."""
        pick = lambda s: (s.test_x, s.test_y) if test else (s.train_x, s.train_y)
        x = np.stack([pick(s)[0][begin:end].reshape(end - begin, -1) for s in sets])
        y = np.stack([pick(s)[1][begin:end].astype(np.int32) for s in sets])
        return Part(jnp.asarray(x), jnp.asarray(y))


class Sets(eqx.Module):
    """What is learned from, what the epoch is chosen on, what is reported; mean and deviation of pixels."""

    train: Part
    valid: Part
    test: Part
    mean: Float[Array, " two"]
    picture: Float[Array, "two pixel"]
    deviation: Float[Array, " two"]
    side: tuple[int, int] = eqx.field(static=True)

    @staticmethod
    def of(sets: list, train: int, valid: int, test: int) -> Sets:
        """Raises ValueError where a set has too few images."""
        for s in sets:
            if train + valid > len(s.train_y) or test > len(s.test_y):
                raise ValueError(
                    f"{train} + {valid} images to learn and choose and {test} to test, but {s.name} has "
                    f"{len(s.train_y)} and {len(s.test_y)}"
                )
        seen = [s.train_x[:train] / 255 for s in sets]
        return Sets(
            Part.of(sets, 0, train),
            Part.of(sets, train, train + valid),
            Part.of(sets, 0, test, test=True),
            jnp.asarray([a.mean() for a in seen], jnp.float32),
            jnp.asarray([a.mean(0).ravel() for a in seen], jnp.float32),
            jnp.asarray([a.std() for a in seen], jnp.float32),
            sets[0].shape,
        )

    def batch(self, part: Part, which: Array, index: Any, kind: Kind) -> dict:
        """{"x", "y"} of some images, standardised; an autoencoder's, less the mean image, with y = x."""
        x = part.x[which, index].astype(jnp.float32) / 255
        mean = self.picture[which][None] if kind.name == "auto" else self.mean[which]
        x = kind.shaped((x - mean) / self.deviation[which], self.side)
        return {"x": x, "y": x if kind.name == "auto" else part.y[which, index]}


class Course(System):
    """A tick trains one network (`TASKS`) from its start; the epoch is chosen on validation images.

    Output of a tick: "score" (test accuracy, or the share of the test images' variance that the autoencoder
    leaves), "last" (the same after the last epoch), "valid" (epoch + 1,) and "cka" (epoch + 1, hidden layer)
    before the first epoch and after each; NaN where a network has fewer layers or epochs than the longest.
    """

    sets: Sets
    rule: Rule
    rates: Float[Array, " kind"]
    kinds: tuple[Kind, Kind, Kind]
    batch: int = eqx.field(static=True)
    probes: int = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        which = tick.i % 2  # the autoencoder's tick is even: the first set
        fits = [
            lambda k=k: self.fit(self.kinds[k], self.rates[k], which, tick.key) for k in range(3)
        ]
        return state, lax.switch(tick.i // 2, fits)

    def fit(self, kind: Kind, rate: Array, which: Array, key: Array) -> dict:
        """Train and test one network; draws depend on the key alone, not on the arm."""
        sets = self.sets
        a, b = jr.split(key)
        learners, weights, back = Learners.start(kind, sets.side, a)
        probes = sets.batch(sets.test, which, slice(0, self.probes), kind)
        held = [sets.batch(part, which, slice(None), kind) for part in (sets.valid, sets.test)]
        both = jax.tree.map(lambda *parts: jnp.concatenate(parts), *held)
        count, valid = sets.train.y.shape[1], sets.valid.y.shape[1]
        warm = max(1, min(kind.warm, kind.epochs * (count // self.batch) // 4))

        def step(carry, index):
            weights, back, i = carry
            batch = sets.batch(sets.train, which, index, kind)
            now = rate * jnp.minimum(1.0, (i + 1) / warm)
            return (*learners.moved(weights, back, batch, self.rule, now), i + 1), None

        def judged(weights):
            """(error, score) on validation and on test images."""
            outputs = jax.vmap(lambda x: answer(eqx.combine(weights, learners.fixed), x))(both["x"])
            errors = jax.vmap(kind.loss.error)(outputs, both["y"])
            if kind.name == "auto":
                spread = jnp.mean((both["x"] - both["x"].mean(0, keepdims=True)) ** 2)
                right = errors / HEIGHT / spread
            else:
                right = jnp.asarray(outputs.argmax(-1) == both["y"], errors.dtype)
            means = lambda a: (a[:valid].mean(), a[valid:].mean())
            return means(errors)[0], *means(right)

        def epoch(carry, key):
            now, least, best, _ = carry
            error, reached, tested = judged(now[0])
            best = jnp.where(error < least, tested, best)
            cka = learners.alignment(now[0], now[1], probes)
            index = minibatches(key, count, self.batch)
            # after the last epoch there is nothing more to learn, only to look
            more = now[2] < kind.epochs * len(index)
            now = lax.cond(more, lambda: lax.scan(step, now, index)[0], lambda: now)
            return (now, jnp.minimum(least, error), best, tested), (reached, cka)

        none = jnp.zeros((), both["x"].dtype)
        begin = ((weights, back, jnp.int32(0)), none + jnp.inf, none, none)
        keys = jr.split(b, kind.epochs + 1)
        (_, _, best, last), (reached, cka) = lax.scan(epoch, begin, keys)
        layers = max(k.counts for k in self.kinds) - kind.counts
        epochs = max(k.epochs for k in self.kinds) - kind.epochs
        missing = lambda a, *room: jnp.pad(a, room, constant_values=jnp.nan)
        return {
            "score": best,
            "last": last,
            "valid": missing(reached, (0, epochs)),
            "cka": missing(cka, (0, epochs), (0, layers)),
        }
