"""NALSM's arms: a liquid settled by STDP with and without the astrocyte, or set by hand, and its readout."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from neuropil.core import System
from neuropil.papers.build import _nalsm_liquid as liquid
from neuropil.stats.criticality import branching_factor
from neuropil.worlds import datasets

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the ridge readout, chosen by validation
TRACES = 20  # samples whose branching is measured


class Digits(eqx.Module):
    """Pixel probabilities (set, sample, pixel) and labels of several image sets, training and test apart."""

    train_x: Float[Array, "set n pixel"]
    train_y: Int[Array, "set n"]
    test_x: Float[Array, "set m pixel"]
    test_y: Int[Array, "set m"]
    names: tuple[str, ...] = eqx.field(static=True)


def load(settings: dict) -> Digits:
    """Every image over its own sum, then over the largest value of its part: all drive the liquid alike."""
    names = ("mnist", "fashion-mnist") if settings["data"] == "mnist" else (settings["data"],)
    sets = [datasets.load(name) for name in names]

    def chances(images):
        x = images.reshape(len(images), -1).astype("float32")
        x = x / x.sum(1, keepdims=True).clip(1)
        return jnp.asarray(x / x.max())

    stacked = lambda part: jnp.stack([jnp.asarray(getattr(d, part), jnp.int32) for d in sets])
    return Digits(
        jnp.stack([chances(d.train_x) for d in sets]),
        stacked("train_y"),
        jnp.stack([chances(d.test_x) for d in sets]),
        stacked("test_y"),
        names,
    )


class Sizes(NamedTuple):
    """How much is run: images to settle and their ms; samples to learn from, to choose by and to test on."""

    settle: int = 2000
    settle_ms: int = 20
    train: int = 2000
    valid: int = 500
    test: int = 2000
    ms: int = 250


class Samples(NamedTuple):
    """Images and labels of a seed."""

    train: tuple[Array, Array]
    valid: tuple[Array, Array]
    test: tuple[Array, Array]


def samples(data: Digits, which: Array, sizes: Sizes, key: Array) -> Samples:
    """Random training and validation samples (disjoint) and test samples of one image set."""
    a, b = jr.split(key)
    order = jr.permutation(a, data.train_x.shape[1])[: sizes.train + sizes.valid]
    test = jr.permutation(b, data.test_x.shape[1])[: sizes.test]
    take = lambda i: (data.train_x[which, i], data.train_y[which, i])
    return Samples(
        take(order[: sizes.train]),
        take(order[sizes.train :]),
        (data.test_x[which, test], data.test_y[which, test]),
    )


def readout(features: list[Array], labels: list[Array], classes: int = 10) -> tuple[Array, Array]:
    """(validation, test) accuracy of a linear readout, its penalty chosen by validation.

    Features are each sample's own share (counts over their sum), standardised on training samples.
    """
    share = [f / jnp.maximum(f.sum(1, keepdims=True), 1e-12) for f in features]
    mean, spread = share[0].mean(0), share[0].std(0)
    safe = jnp.where(spread > 0, spread, 1.0)
    x = [(f - mean[None]) / safe[None] for f in share]
    target = jax.nn.one_hot(labels[0], classes)
    offset = target.mean(0)
    gram, cross = x[0].T @ x[0] / len(x[0]), x[0].T @ (target - offset[None]) / len(x[0])

    def right(penalty):
        w = jnp.linalg.solve(gram + penalty * jnp.eye(len(gram)), cross)
        guess = lambda f: (f @ w + offset[None]).argmax(1)
        return [(guess(f) == y).mean() for f, y in zip(x[1:], labels[1:], strict=True)]

    found = jnp.stack([jnp.stack(right(p)) for p in PENALTIES])
    best = found[found[:, 0].argmax()]
    return best[0], best[1]


class Arm(eqx.Module):
    """What an arm does; arrays, so that all liquids are one program.

    `settle`: images of plasticity before the test, 0 for none; `gain`: the astrocyte's; `clamped`: A is held at
    the mean that it had; `fresh`: traces start at 0 with every image; `sizes`, `count`: magnitudes of the
    weights that are tried, the best by validation being kept.
    """

    settle: Int[Array, ""]
    gain: Float[Array, ""]
    clamped: Int[Array, ""]
    fresh: Bool[Array, ""]
    sizes: Float[Array, " candidate"]
    count: Int[Array, ""]

    @staticmethod
    def of(
        settle: int,
        gain: float = 0.0,
        clamped: bool = False,
        fresh: bool = False,
        tried=(liquid.TOP,),
    ) -> Arm:
        """An arm that settles with a gain, or tries magnitudes by hand (at most five)."""
        padded = jnp.asarray([*tried, *[0.0] * (5 - len(tried))], float)
        return Arm(
            jnp.int32(settle),
            jnp.asarray(gain, float),
            jnp.int32(clamped),
            jnp.asarray(fresh, bool),
            padded,
            jnp.int32(len(tried)),
        )


class Liquids(System):
    """A tick is an image set: draw the liquid, settle it, count its spikes with frozen weights, read them out.

    Output of a tick: test accuracy, validation accuracy, branching factor with plasticity (as published) and
    with frozen weights, rate of the liquid (Hz), mean |weight| of liquid synapses over their bound, mean of A,
    and the magnitude that was chosen.
    """

    data: Digits
    arm: Arm
    grid: tuple[int, int, int] = eqx.field(static=True)
    sizes: Sizes = eqx.field(static=True)
    chunk: int = eqx.field(static=True, default=250)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        a, b, c, d = jr.split(tick.key, 4)
        drawn = samples(self.data, tick.i, self.sizes, a)
        top = liquid.Topology.draw(b, self.grid, self.data.train_x.shape[2])
        cell = liquid.astrocyte(self.arm.gain)

        # the clamped arm settles twice: once to learn the mean of A, once with A held there
        def settled(w):
            def phase(k, carry):
                _, mean = carry
                clamp = jnp.where(k == 1, mean, jnp.nan)
                many, ms = self.arm.settle, self.sizes.settle_ms
                return liquid.settle(
                    w, top, cell, drawn.train[0], c, clamp, ms, many, self.arm.fresh
                )

            return lax.fori_loop(0, 1 + self.arm.clamped, phase, (w, jnp.zeros(())))

        def attempt(k, best):
            w, mean = settled(top.sign * self.arm.sizes[k])
            counts = [self._counts(w, part[0], d, n) for n, part in enumerate(drawn)]
            valid, test = readout(counts, [part[1] for part in drawn])
            mine = {
                "w": w,
                "valid": valid,
                "accuracy": test,
                "rate": counts[2].mean() / self.sizes.ms * 1000,
                "astrocyte": mean,
                "magnitude": self.arm.sizes[k],
            }
            return jax.tree.map(
                lambda new, old: jnp.where(valid > best["valid"], new, old), mine, best
            )

        zero = jnp.zeros(())
        names = ("accuracy", "rate", "astrocyte", "magnitude")
        nothing = {"w": top.sign, "valid": zero - 1} | dict.fromkeys(names, zero)
        best = lax.fori_loop(0, self.arm.count, attempt, nothing)
        w = best.pop("w")
        return state, best | self._branching(
            w, top, cell, drawn.test[0][:TRACES], best["astrocyte"], d
        )

    def _counts(self, w, images, key, n):
        """Spike counts of every image, a chunk at a time."""
        key = jr.fold_in(key, n)
        size = min(self.chunk, len(images))
        parts = images[: len(images) // size * size].reshape(-1, size, images.shape[1])
        keys = jr.split(key, len(parts))
        counts = lax.map(lambda now: liquid.frozen(w, now[0], now[1], self.sizes.ms), (parts, keys))
        return counts.reshape(-1, len(w))

    def _branching(self, w, top, cell, images, mean, key):
        wiring = top.mask[:, : top.cells] > 0
        clamp = jnp.where(self.arm.clamped > 0, mean, jnp.nan)
        edge = min(25, self.sizes.ms // 4)
        each = jax.vmap(lambda s: branching_factor(s, wiring, 4, edge))
        show = lambda p, k: liquid.presented(w, top, cell, p, k, clamp, self.sizes.ms)
        keys = jr.split(jr.fold_in(key, 9), len(images))
        moving = lax.cond(
            self.arm.settle > 0,
            lambda: each(jax.vmap(show)(images, keys)).mean(),
            lambda: jnp.asarray(jnp.nan),
        )
        still = each(liquid.frozen(w, images, keys[0], self.sizes.ms, keep=True)).mean()
        inside = top.mask[:, : top.cells]
        strength = (jnp.abs(w[:, : top.cells]) * inside).sum() / inside.sum() / liquid.TOP
        return {"branching": moving, "branching_frozen": still, "strength": strength}


class Pixels(System):
    """The readout on the pixels themselves, of the same samples or (`everything`) of all there are."""

    data: Digits
    everything: bool = eqx.field(static=True)
    sizes: Sizes = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        drawn = samples(self.data, tick.i, self.sizes, jr.split(tick.key, 4)[0])
        train = (self.data.train_x[tick.i], self.data.train_y[tick.i])
        parts = Samples(train if self.everything else drawn.train, drawn.valid, drawn.test)
        valid, test = readout([p[0] for p in parts], [p[1] for p in parts])
        return state, {"accuracy": test, "valid": valid}
