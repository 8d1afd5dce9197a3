"""The arms of symmetric-stdp: a hidden layer that learns by itself, class cells with a teacher, readouts."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Float, Int, UInt8

from neuropil.cells import LIF
from neuropil.core import Chain, System, Tick, advance, run, start
from neuropil.learn import Trainer
from neuropil.learn.ridge import Moments
from neuropil.papers.build import _symmetric_stdp_layer as layer
from neuropil.plasticity import normalised
from neuropil.wiring import Dense
from neuropil.worlds import datasets

CLASSES = 10
ALPHAS = (
    1e-3,
    1e-2,
    1e-1,
    1.0,
)  # penalties of the linear readouts a sample, chosen on a fifth of the training
DECISIONS = ("class", "labels", "readout")
DRAW = 1  # all random numbers are drawn anew: a pilot had looked at the test images of seed 0 of draw 0


class Images(eqx.Module):
    """Grey images 0..255 (set, sample, pixel) and labels of several sets, and what differs between them."""

    train_x: UInt8[Array, "set n pixel"]
    train_y: Int[Array, "set n"]
    test_x: UInt8[Array, "set m pixel"]
    test_y: Int[Array, "set m"]
    numbers: layer.Numbers


def load(settings: dict) -> Images:
    """MNIST and Fashion-MNIST, or the digits of the demonstration, each pixel three by three.

    `held` of the training images, the last ones, take the place of the test images (0: the test images).
    """
    held = settings["held"]
    if settings["data"] == "mnist":
        sets = [datasets.load("mnist"), datasets.load("fashion-mnist")]
        wider, numbers = (lambda x: x), (layer.MNIST, layer.FASHION)
    else:
        sets = [datasets.load(settings["data"])]
        wider, numbers = (lambda x: np.kron(x, np.ones((1, 3, 3), x.dtype))), (layer.MNIST,)
    flat = lambda x: wider(x).reshape(len(x), -1)
    images = lambda part: jnp.stack([jnp.asarray(flat(getattr(d, part))) for d in sets])
    labels = lambda part: jnp.stack([jnp.asarray(getattr(d, part), jnp.int32) for d in sets])
    rows = layer.Numbers(*(jnp.asarray(c, float) for c in zip(*numbers, strict=True)))
    x, y = images("train_x"), labels("train_y")
    if not held:
        return Images(x, y, images("test_x"), labels("test_y"), rows)
    return Images(x[:, :-held], y[:, :-held], x[:, -held:], y[:, -held:], rows)


def keys_of(tick: Tick) -> Array:
    """Keys of a tick: samples, first weights, spikes while learning, frozen, at the test, what is shuffled."""
    return jr.split(jr.fold_in(tick.key, DRAW), 6)


class Sizes(NamedTuple):
    """Hidden cells; training and test images; images side by side while learning and while weights rest."""

    cells: int
    train: int
    test: int
    together: int
    chunk: int


def samples(data: Images, which: Array, sizes: Sizes, key: Array) -> tuple[tuple, tuple]:
    """((training images, labels), (test images, labels)) of a set, drawn at random; the same for all arms."""
    a, b = jr.split(key)
    one = jr.permutation(a, data.train_x.shape[1])[: sizes.train]
    two = jr.permutation(b, data.test_x.shape[1])[: sizes.test]
    train = data.train_x[which, one], data.train_y[which, one]
    return train, (data.test_x[which, two], data.test_y[which, two])


def readout(train: Array, labels: Array, test: Array) -> Int[Array, " image"]:
    """Labels by ridge regression on standardised features, its penalty chosen on a fifth of the training."""
    spread = train.std(0)
    safe = jnp.where(spread > 0, spread, 1.0)
    scale = lambda f: (f - train.mean(0)[None]) / safe[None]
    x, y = scale(train), jax.nn.one_hot(labels, CLASSES)
    kept = len(x) - len(x) // 5
    part = Moments.of(x[:kept], y[:kept])

    def right(alpha):
        w, b = part.solve(alpha * kept)
        return ((x[kept:] @ w + b[None]).argmax(1) == labels[kept:]).mean()

    best = jnp.asarray(ALPHAS)[jnp.stack([right(a) for a in ALPHAS]).argmax()]
    w, b = Moments.of(x, y).solve(best * len(x))
    return (scale(test) @ w + b[None]).argmax(1)


def assigned(train: Array, labels: Array, test: Array) -> Int[Array, " image"]:
    """Labels by Diehl and Cook's assignment: a cell votes for the class it answered to most."""
    shown = jax.nn.one_hot(labels, CLASSES)
    mean = shown.T @ train / jnp.maximum(shown.sum(0), 1.0)[:, None]
    own = jax.nn.one_hot(mean.argmax(0), CLASSES) * (train.sum(0) > 0)[:, None]
    return (test @ own / jnp.maximum(own.sum(0), 1.0)[None]).argmax(1)


class Arm(eqx.Module):
    """What an arm does; arrays, so that all of them are one program.

    `learns`: the hidden layer; `scaling`, `thresholds`: those two are at work; `order`: see
    `layer.coincidence`; `shuffled`: the teacher drives random classes; `decision`: by which of `DECISIONS`.
    """

    learns: Int[Array, ""]
    scaling: Int[Array, ""]
    thresholds: Float[Array, ""]
    order: Float[Array, ""]
    shuffled: Int[Array, ""]
    decision: Int[Array, ""]

    @staticmethod
    def of(
        learns: bool = True,
        scaling: bool = True,
        thresholds: bool = True,
        symmetric: bool = True,
        shuffled: bool = False,
        decision: str = "class",
    ) -> Arm:
        """From plain values."""
        return Arm(
            jnp.int32(learns),
            jnp.int32(scaling),
            jnp.asarray(float(thresholds)),
            jnp.asarray(1.0 if symmetric else -1.0),
            jnp.int32(shuffled),
            jnp.int32(DECISIONS.index(decision)),
        )


class Local(System):
    """A tick is an image set: learn the hidden layer, hold it, learn the class cells, test.

    Output of a tick: `accuracy` by the arm's decision, and by each of them; the share of test images without a
    class spike; hidden spikes an image; mean theta; share of input weights above 0.9; for the figures counts of
    hidden and class cells for the first test images.
    """

    data: Images
    arm: Arm
    sizes: Sizes = eqx.field(static=True)
    most: int = eqx.field(static=True)
    kept: int = eqx.field(static=True, default=200)
    ticks: int = eqx.field(static=True, default=round(layer.SHOWN / layer.DT))

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        keys = keys_of(tick)
        n = jax.tree.map(lambda a: a[tick.i], self.data.numbers)
        train, test = samples(self.data, tick.i, self.sizes, keys[0])
        w, theta = self._hidden(train[0], n, keys[1], keys[2])
        driven = jnp.where(self.arm.shuffled, jr.permutation(keys[5], train[1]), train[1])
        counts, change = self._frozen(w, theta, n, train[0], keys[3], self._taught_by)
        out = self._output(change, driven, n, keys[5])
        spikes = lambda hidden, key: layer.class_counts(hidden, out)
        seen, answers = self._frozen(w, theta, n, test[0], keys[4], spikes)
        guesses = (
            answers.argmax(1),
            assigned(counts, train[1], seen),
            readout(counts, train[1], seen),
        )
        right = jnp.stack([(g == test[1]).mean() for g in guesses])
        result = {"accuracy": right[self.arm.decision]}
        result |= {f"by-{name}": right[k] for k, name in enumerate(DECISIONS)}
        result |= {
            "silent": (answers.sum(1) == 0).mean(),
            "spikes": seen.sum(1).mean(),
            "theta": theta.mean(),
            "saturated": (w > 0.9).mean(),
        }
        first = {"hidden": seen, "classes": answers, "label": test[1]}
        return state, result | {k: v[: self.kept].astype(jnp.int32) for k, v in first.items()}

    def _draw(self, images, n, key):
        chances = layer.chances(images, n.bright)
        one = lambda key, p: layer.drawn(key, p, self.ticks, self.most)
        return jax.vmap(one)(jr.split(key, len(images)), chances)

    def _hidden(self, images, n, key, noise):
        """(input weights, theta) after the training images, a few at a time."""
        b, cells = self.sizes.together, self.sizes.cells
        w = 0.3 * jr.uniform(key, (cells, images.shape[1]))
        scaled = lambda w: jnp.where(self.arm.scaling, normalised(w, n.total), w)

        def few(k, carry):
            w, theta, v = carry
            w = scaled(w)
            some = lax.dynamic_slice_in_dim(images, k * b, b)
            spikes = self._draw(some, n, jr.fold_in(noise, k))
            begin = layer.rested(v, jnp.broadcast_to(theta, (b, cells)))
            plus = n.plus * self.arm.thresholds
            after, hidden = layer.presented(w, begin, spikes, n, plus)
            theta = theta + (after.theta - theta[None]).sum(0)
            passed = b * (layer.SHOWN + layer.BLANK) * self.arm.thresholds  # they rest without it
            theta = theta * jnp.exp(-passed / n.decay)
            v = layer.REST + (after.v - layer.REST) * jnp.exp(-layer.BLANK / layer.TAU)
            return layer.grown(w, spikes, hidden, n.rate), theta, v

        first = scaled(w), jnp.full(cells, layer.FIRST), jnp.full((b, cells), layer.REST)
        many = jnp.where(self.arm.learns > 0, len(images) // b, 0)
        w, theta, _ = lax.fori_loop(0, many, few, first)
        return scaled(w), theta

    def _taught_by(self, hidden, key):
        """What each image's teacher adds to the weights from hidden cells (image, cell), times 1 / nu."""
        p = layer.TEACHER * layer.DT / 1000
        teacher = jr.bernoulli(key, p / (1 + p), hidden.shape[:2]).astype(hidden.dtype)
        return jax.vmap(layer.coincidence, (0, 0, None))(hidden, teacher, self.arm.order)

    def _frozen(self, w, theta, n, images, key, of):
        """(spike counts of hidden cells, what `of` makes of their spikes), nothing learning."""
        size = self.sizes.chunk
        parts = images.reshape(-1, size, images.shape[1])

        def chunk(now):
            some, key = now
            a, b = jr.split(key)
            at = jnp.broadcast_to(theta, (size, len(theta)))
            begin = layer.rested(jnp.full_like(at, layer.REST), at)
            _, hidden = layer.presented(w, begin, self._draw(some, n, a), n, jnp.zeros(()))
            return hidden.sum(1), of(hidden, b)

        found = lax.map(chunk, (parts, jr.split(key, len(parts))))
        return jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), found)

    def _output(self, change, labels, n, key):
        """Output weights (class, cell) after every training image in turn."""
        w = 0.3 * jr.uniform(key, (CLASSES, self.sizes.cells))

        def image(w, now):
            return layer.taught(w, *now, n, self.arm.scaling), None

        w, _ = lax.scan(image, w, (change, labels))
        return jnp.where(self.arm.scaling, normalised(w, n.mean_out * w.shape[1]), w)


class Pixels(System):
    """The linear readout on the pixels of the same images."""

    data: Images
    sizes: Sizes = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        train, test = samples(self.data, tick.i, self.sizes, keys_of(tick)[0])
        guess = readout(train[0] / 255.0, train[1], test[0] / 255.0)
        return state, {"accuracy": (guess == test[1]).mean()}


class Net(eqx.Module):
    """Pixels as a constant current into spiking cells, whose mean output is read linearly."""

    first: Dense
    rest: Chain

    def __call__(self, image: Array, key: Array) -> Array:
        current = self.first.forward(image)
        many = jnp.broadcast_to(current, (20, *current.shape))
        return run(self.rest, start(self.rest, 1.0, key), many)[1].mean(0)


def _loss(net, batch, key):
    logits = jax.vmap(net, (0, None))(batch[0] / 255.0, key)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean()


class Surrogate(System):
    """As many hidden spiking cells, trained by surrogate gradients through time on the same images."""

    data: Images
    trainer: Trainer
    sizes: Sizes = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)

    @staticmethod
    def of(data: Images, sizes: Sizes, epochs: int, batch: int) -> Surrogate:
        """With a network of the sizes."""
        pixels, cells = data.train_x.shape[2], sizes.cells
        cell = LIF(cells, tau=10.0)
        rest = Chain(cell=cell, out=Dense(jnp.zeros((CLASSES, cells)), jnp.zeros(CLASSES)))
        net = Net(Dense(jnp.zeros((cells, pixels)), jnp.zeros(cells)), rest)
        learn = ("first.*", "rest.parts.out.*")
        trainer = Trainer(net, _loss, optax.adam(2e-3), learn=learn)
        return Surrogate(data, trainer, sizes, epochs, batch)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        keys = keys_of(tick)
        train, test = samples(self.data, tick.i, self.sizes, keys[0])
        carry = start(self.trainer, 1.0, keys[1])
        where = lambda c: (
            c.state["inner"].theta.first.weight,
            c.state["inner"].theta.rest.parts["out"].weight,
        )
        drawn = []
        for gain, key, old in zip((4.0, 1.0), jr.split(keys[2]), where(carry), strict=True):
            drawn.append(gain * jr.normal(key, old.shape) / old.shape[1] ** 0.5)
        carry = eqx.tree_at(where, carry, tuple(drawn))
        rounds = self.sizes.train // self.batch
        epochs = jax.vmap(lambda key: jr.permutation(key, self.sizes.train)[: rounds * self.batch])
        order = epochs(jr.split(keys[3], self.epochs)).reshape(-1, self.batch)
        update = lambda c, i: (advance(self.trainer, c, (train[0][i], train[1][i]))[0], None)
        carry, _ = lax.scan(update, carry, order)
        net = self.trainer.model(carry)
        logits = lax.map(lambda image: net(image / 255.0, keys[4]), test[0], batch_size=100)
        return state, {"accuracy": (logits.argmax(1) == test[1]).mean()}
