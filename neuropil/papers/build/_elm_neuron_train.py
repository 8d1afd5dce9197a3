"""The two tests of elm-neuron: imitate the detailed neuron, add two digits that were seen as spikes."""

from __future__ import annotations

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.core import System, advance, run, start
from neuropil.learn import Trainer
from neuropil.learn.optimiser import learnable
from neuropil.papers.build._elm_neuron_digits import add
from neuropil.papers.build._elm_neuron_models import Spec
from neuropil.papers.build._elm_neuron_teacher import CLIP, REST


def outputs(model: System, xs: Array) -> Array:
    """What a model puts out for a batch of inputs (time, sample, channel): (time, sample, ...)."""
    carry = start(model, 1.0, jr.key(0))
    return jax.vmap(lambda x: run(model, carry, x)[1], 1, 1)(xs)


def last(model: System, xs: Array) -> Array:
    """The read-out at the last tick only, (sample, class)."""
    cell, read = model.parts["cell"], model.parts["read"]
    return jax.vmap(read.forward)(outputs(cell, xs)[-1])


def area_under_curve(labels: Array, scores: Array) -> Array:
    """Chance that a spike's score is above a silent bin's, ties one half (`stats.auroc` in JAX)."""
    order = jnp.sort(scores)
    below, upto = (jnp.searchsorted(order, scores, side=side) for side in ("left", "right"))
    ranks = (below + upto + 1) / 2
    m = labels.sum()
    n = labels.size - m
    return ((ranks * labels).sum() - m * (m + 1) / 2) / (m * n)


def imitation_loss(model, batch, key):
    """Half cross-entropy of the spikes, half squared error of the voltage; the first ticks do not count."""
    x, spike, v = batch
    y = outputs(model, x)[-len(spike) :]
    spikes = optax.sigmoid_binary_cross_entropy(y[..., 0], spike).mean()
    return 0.5 * spikes + 0.5 * jnp.mean((y[..., 1] - v) ** 2)


def adding_loss(model, batch, key):
    """Cross-entropy of the sum at the last tick."""
    x, y = batch
    logits = last(model, x)
    right = jnp.mean(jnp.argmax(logits, -1) == y)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), {"right": right}


@lru_cache(maxsize=16)
def optimiser(rate: float, steps: int) -> optax.GradientTransformation:
    """Adam, cosine to 0, gradients clipped to norm 1. Cached: the same function is the same program."""
    decay = optax.cosine_decay_schedule(rate, steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(decay))


class Trained(System):
    """A model in training; a tick is `every` steps and a test. Subclasses draw batches and test."""

    spec: Spec = eqx.field(static=True)
    trainer: Trainer
    batch: int = eqx.field(static=True)
    every: int = eqx.field(static=True)

    def init(self, dt, key):
        """Like-named draws of every arm come from the same key."""
        model, begin = self.spec(key), start(self.trainer, 1.0, key)
        fresh = eqx.filter(model, learnable(model))
        return eqx.tree_at(lambda c: c.state["inner"].theta, begin, fresh)

    def step(self, state, x, tick):
        def one(carry, key):
            carry, out = advance(self.trainer, carry, self.draw(key))
            return carry, out["loss"]

        state, losses = lax.scan(one, state, jr.split(tick.key, self.every))
        return state, {"loss": losses.mean(), **self.test(self.trainer.model(state))}


class Imitation(Trained):
    """Windows of the detailed neuron's input and output; tested on whole simulations never trained on."""

    x: Array  # (time, simulation, channel), signed
    spike: Array  # (time, simulation)
    v: Array  # (time, simulation), (min(v, clip) - rest) / 10 mV
    held: tuple[Array, Array, Array]
    window: int = eqx.field(static=True)
    burn: int = eqx.field(static=True)

    def draw(self, key):
        a, b = jr.split(key)
        which = jr.randint(a, (self.batch,), 0, self.x.shape[1])
        begin = jr.randint(b, (self.batch,), 0, len(self.x) - self.window + 1)

        def cut(k, t):
            take = lambda array, t, n: lax.dynamic_slice_in_dim(array, t, n)
            late = t + self.burn, self.window - self.burn
            x = take(self.x[:, k], t, self.window).astype(jnp.float32)
            return x, take(self.spike[:, k], *late), take(self.v[:, k], *late)

        return jax.vmap(cut, out_axes=1)(which, begin)

    def test(self, model):
        x, spike, v = self.held
        y = outputs(model, x.astype(jnp.float32))
        skip = 2 * self.burn  # as much again, so that every model's memory has filled
        p, u, s, v = y[skip:, :, 0], y[skip:, :, 1], spike[skip:], v[skip:]
        squared = jnp.mean((u - v) ** 2)
        return {
            "auc": area_under_curve(s.ravel(), p.ravel()),
            "r2": 1 - squared / jnp.var(v),
            "rmse": 10 * jnp.sqrt(squared),
            "shown": jnp.stack([jax.nn.sigmoid(p[:300, 0]), 10 * u[:300, 0] + REST], -1),
        }


class Adding(Trained):
    """Two digits, one after the other as spikes; their sum at the end."""

    x: Array  # (item, moment, channel)
    y: Array
    pairs: tuple[Array, Array]  # what is tested: spikes (time, pair, channel), sums
    hold: int = eqx.field(static=True)
    most: int = eqx.field(static=True)

    def draw(self, key):
        return add(key, self.x, self.y, self.batch, self.hold, self.most)

    def test(self, model):
        x, y = self.pairs
        many = min(250, x.shape[1])
        right = lax.map(
            lambda k: (
                jnp.argmax(last(model, lax.dynamic_slice_in_dim(x, k, many, 1)), -1)
                == lax.dynamic_slice_in_dim(y, k, many)
            ),
            jnp.arange(x.shape[1] // many) * many,
        )
        return {"accuracy": right.mean()}


def target(soma: Array) -> Array:
    """The voltage to be fitted: clipped below the spikes, centred, in 10 mV (as in the paper)."""
    return (jnp.minimum(soma, CLIP) - REST) / 10


class Stages(System):
    """Tests one after the other, each for its own number of ticks; what the other one measures is NaN."""

    parts: dict[str, Trained]
    ticks: tuple[tuple[str, int], ...] = eqx.field(static=True)

    def init(self, dt, key):
        return {name: self.parts[name].init(dt, key) for name, _ in self.ticks}

    def step(self, state, x, tick):
        begin, shapes, branches = 0, {}, []
        now = jnp.int32(0)
        for place, (name, many) in enumerate(self.ticks):
            part = self.parts[name]
            go = lambda state, part=part, name=name: part.step(state[name], None, tick)
            shapes |= jax.eval_shape(go, state)[1]
            branches.append((name, go))
            now = jnp.where(tick.i >= begin, place, now)
            begin += many
        gaps = {n: jnp.full(s.shape, jnp.nan, s.dtype) for n, s in shapes.items()}

        def taken(name, go):
            def one(state):
                new, found = go(state)
                return {**state, name: new}, {**gaps, **found}

            return one

        return lax.switch(now, [taken(*b) for b in branches], state)
