"""Training of one deep spiking net: a tick is an epoch."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt8

from neuropil.core import System, fold
from neuropil.learn import keep_signs, minibatches, scale_gradients
from neuropil.papers.build._deep_ei_net import EIFamily, PlainFamily


class Split(eqx.Module):
    """Images as flat bytes with labels: to learn from, to choose settings on, to report."""

    train: tuple[UInt8[Array, "n pixel"], Int[Array, " n"]]
    valid: tuple[UInt8[Array, "m pixel"], Int[Array, " m"]]
    test: tuple[UInt8[Array, "k pixel"], Int[Array, " k"]]
    classes: int = eqx.field(static=True)

    @staticmethod
    def of(images: Any, train: int, valid: int, test: int) -> Split:
        """The first images of the training part, those after them, and the first of the test part.

        Raises ValueError where there are too few.
        """
        have, held = len(images.train_y), len(images.test_y)
        if train + valid > have or test > held:
            raise ValueError(
                f"{train} + {valid} images to learn from and choose on and {test} to test, but "
                f"{images.name} has {have} and {held}"
            )

        def part(x, y, begin, end):
            return jnp.asarray(x[begin:end].reshape(end - begin, -1)), jnp.asarray(
                y[begin:end].astype(np.int32)
            )

        of_train = lambda a, b: part(images.train_x, images.train_y, a, b)
        return Split(
            of_train(0, train),
            of_train(train, train + valid),
            part(images.test_x, images.test_y, 0, test),
            len(images.classes),
        )


def pixels(x: UInt8[Array, "b pixel"]) -> Float[Array, "b pixel"]:
    """0..255 -> 0..1."""
    return x.astype(jnp.result_type(float)) / 255


class Course(System):
    """A deep net learns to tell images; a tick is an epoch of shuffled batches.

    Output of a tick: mean loss, accuracy on validation and test images after it, rates of the hidden layers
    (mean spikes a step) before and after it, and the least of all parameters that may not be negative.
    """

    data: Split
    family: EIFamily | PlainFamily
    rate: Float[Array, ""]
    widths: tuple[int, ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    warm: float = eqx.field(static=True)

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return len(self.data.train[1]) // self.batch

    def optimiser(self, layers: list) -> optax.GradientTransformation:
        """SGD with momentum and decay of all parameters, warm-up and cosine; then signs and frozen layers."""
        total = self.updates * self.epochs
        warm = max(1, round(self.warm * total))
        shape = optax.warmup_cosine_decay_schedule(1e-4, 1.0, warm, total)
        gradients, steps = self.family.factors(layers)
        parts = [scale_gradients(gradients)] if gradients else []
        parts += [optax.add_decayed_weights(self.family.decay), optax.trace(0.9)]
        parts += [optax.scale_by_schedule(lambda i: -self.rate * shape(i))]
        parts += [keep_signs(self.family.signs)] if self.family.signs else []
        parts += [scale_gradients(steps)] if steps else []
        return optax.chain(*parts)

    def init(self, dt, key):
        first = jr.permutation(fold(key, "first"), len(self.data.train[1]))[: self.batch]
        widths = (*self.widths, self.data.classes)
        x = pixels(self.data.train[0][first])
        layers, rates = self.family.start(x, widths, self.steps, fold(key, "weights"))
        return {"layers": layers, "opt": self.optimiser(layers).init(layers), "rates": rates}

    def step(self, state, x, tick):
        tx = self.optimiser(state["layers"])
        images, labels = self.data.train

        def loss(layers, index):
            logits = self.family.answer(layers, pixels(images[index]), self.steps).logits
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[index]).mean()

        def update(now, index):
            layers, opt = now
            value, gradient = jax.value_and_grad(loss)(layers, index)
            change, opt = tx.update(gradient, opt, layers)
            return (optax.apply_updates(layers, change), opt), value

        index = minibatches(tick.key, len(labels), self.batch)
        (layers, opt), losses = lax.scan(update, (state["layers"], state["opt"]), index)
        after = self._tried(layers) | {"least": self._least(layers)}
        record = {"loss": losses.mean(), "rates_before": state["rates"], **after}
        return {"layers": layers, "opt": opt, "rates": after["rates"]}, record

    def _tried(self, layers) -> dict:
        """Accuracies; a batch norm uses the statistics of as many training images as are tested."""
        (valid, y), (test, z) = self.data.valid, self.data.test
        seen = self.family.answer(layers, pixels(self.data.train[0][: len(z)]), self.steps)
        answer = self.family.answer(
            layers, pixels(jnp.concatenate([valid, test])), self.steps, seen.norms
        )
        right = answer.logits.argmax(-1) == jnp.concatenate([y, z])
        return {
            "valid": right[: len(y)].mean(),
            "test": right[len(y) :].mean(),
            "rates": answer.rates,
        }

    def _least(self, layers):
        if not self.family.signs:
            return jnp.zeros(())
        kept = [[c.excite.weight, c.recruit.weight, c.inhibit, c.gain_i, c.gain_e] for c in layers]
        return jnp.min(jnp.stack([a.min() for a in jax.tree.leaves(kept)]))
