"""The three networks of counter-current, and what an arm does with their gradients."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from neuropil.compare.cka import linear_cka
from neuropil.core import Chain, fold
from neuropil.learn import (
    CosinePrototypes,
    CounterCurrent,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    Paired,
    Prototypes,
    Supervised,
    activities,
    correct,
    cross_entropy,
    flatten,
    layers,
    learnable,
    unit_rms,
)
from neuropil.wiring import Conv, Dense

CLASSES, CLIP = 10, 1.0  # norm of the gradient over all forward, and over all feedback weights
HEIGHT = 28.0  # the official autoencoder weighs its losses by the height of the picture


class Rule(eqx.Module):
    """What an arm does; arrays, so that all arms are one program.

    `branch`: 0 the error through feedback weights, 1 straight to every layer, 2 counter-current; `symmetric`:
    these feedback weights are the forward weights (backpropagation); `feedback`: the feedback network learns;
    `hidden`: hidden layers learn.
    """

    branch: Int[Array, ""]
    symmetric: Bool[Array, ""]
    feedback: Bool[Array, ""]
    hidden: Bool[Array, ""]

    @staticmethod
    def of(branch: str, *, symmetric=False, feedback=True, hidden=True) -> Rule:
        """By names: "aligned", "direct" or "counter"."""
        flag = lambda b: jnp.asarray(b, bool)
        number = ("aligned", "direct", "counter").index(branch)
        return Rule(jnp.int32(number), flag(symmetric), flag(feedback), flag(hidden))


def odd(z: Array) -> Array:
    """tanh of z with mean square 1: activity cannot shrink, and without biases cannot be the same for all."""
    return jnp.tanh(unit_rms(z))


def _mean_square(output: Array, target: Array) -> Array:
    return HEIGHT * jnp.mean((output - target) ** 2)


def _chain(parts: list, after: Any) -> Chain:
    """Wirings with a map between them."""
    out = [parts[0]]
    for part in parts[1:]:
        out += [after, flatten, part] if isinstance(part, Dense) else [after, part]
    return Chain(*out)


class Kind(eqx.Module):
    """A network with its loss and the match of its two networks.

    - "mlp": bias-free, ELU, `widths` hidden cells (official code); "cnn": convolutions 3 x 3, stride 2, of
      `widths` channels, ELU; "auto": an autoencoder of dense layers.
    """

    name: str = eqx.field(static=True)
    widths: tuple[int, ...] = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    warm: int = eqx.field(static=True, default=0)

    @property
    def loss(self) -> Supervised:
        """Cross-entropy of labels, or the mean square over pixels."""
        if self.name == "auto":
            return Supervised(_mean_square)
        return Supervised(cross_entropy, measure=correct)

    @property
    def counts(self) -> int:
        """Number of hidden layers."""
        return len(self.widths)

    def shaped(self, x: Array, side: tuple[int, int]) -> Array:
        """Flat images (n, pixels) as the network wants them."""
        return x.reshape(len(x), 1, *side) if self.name == "cnn" else x

    def net(self, side: tuple[int, int], key: Array) -> Chain:
        """The forward network, weights uniform on +-1/sqrt(fan-in)."""
        keys = jr.split(key, len(self.widths) + 1)
        pixels = side[0] * side[1]
        if self.name == "cnn":
            parts, before, (h, w) = [], 1, side
            for n, k in zip(self.widths, keys[:-1], strict=True):
                part = Conv.init_uniform(before, n, (3, 3), k, stride=2, patches=True)
                parts.append(eqx.tree_at(lambda c: c.bias, part, jnp.zeros(n), is_leaf=_none))
                before, h, w = n, -(-h // 2), -(-w // 2)
            return _chain(
                [*parts, Dense.init_uniform(before * h * w, CLASSES, keys[-1])], jax.nn.elu
            )
        auto = self.name == "auto"
        sizes = (pixels, *self.widths, pixels if auto else CLASSES)
        parts = []
        for m, n, k in zip(sizes[:-1], sizes[1:], keys, strict=True):
            weight = Dense.init_uniform(m, n, k).weight
            parts.append(Dense(weight))
        return _chain(parts, odd if auto else jax.nn.elu)

    def counter(self, net: Chain, like: Any, key: Array) -> CounterCurrent:
        """The counter-current learner with the match that the official code has for this network."""
        matches = {"mlp": Prototypes(), "cnn": CosinePrototypes(), "auto": Paired(HEIGHT)}
        after = odd if self.name == "auto" else jax.nn.elu
        return CounterCurrent.init(net, like, key, match=matches[self.name], activation=after)


def _none(x):
    return x is None


def clipped(gradient: Any) -> Any:
    """A group of gradients scaled to norm `CLIP` where it is longer."""
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    return jax.tree.map(lambda g: g * jnp.minimum(1.0, CLIP / (norm + 1e-12)), gradient)


class Learners(eqx.Module):
    """One network with every way to learn it; `Rule` says which is used."""

    kind: Kind
    fixed: Any
    counter: CounterCurrent
    aligned: FeedbackAlignment
    direct: DirectFeedbackAlignment

    @staticmethod
    def start(kind: Kind, side: tuple[int, int], key: Array) -> tuple[Learners, Any, Any]:
        """(learners, forward weights, feedback weights): all drawn from the key alone, whatever the rule."""
        net = kind.net(side, fold(key, "net"))
        like = kind.shaped(jnp.zeros((1, side[0] * side[1])), side)[0]
        counter = kind.counter(net, like, fold(key, "counter"))
        weights, fixed = eqx.partition(net, learnable(net))
        back, rest = eqx.partition(counter, counter.teaches())
        aligned = FeedbackAlignment.init(net, like, fold(key, "aligned"))
        direct = DirectFeedbackAlignment.init(net, like, fold(key, "direct"))
        return Learners(kind, fixed, rest, aligned, direct), weights, back

    def direction(self, weights: Any, back: Any, batch: dict, rule: Rule) -> tuple[Any, Any]:
        """What stands for the gradient of the forward and of the feedback weights."""
        net, none = eqx.combine(weights, self.fixed), jax.tree.map(jnp.zeros_like, back)
        loss = self.kind.loss

        def aligned():
            own = [layer.wiring.weight for layer in layers(net)[1:]]
            drawn = lambda c: [w.weight for w in c.feedback]
            mixed = [
                jnp.where(rule.symmetric, a, b)
                for a, b in zip(own, drawn(self.aligned), strict=True)
            ]
            credit = eqx.tree_at(drawn, self.aligned, mixed)
            return credit.gradient(loss, weights, self.fixed, batch, None)[2], none

        def direct():
            return self.direct.gradient(loss, weights, self.fixed, batch, None)[2], none

        def counter():
            credit = eqx.combine(back, self.counter)
            return credit.gradient(loss, weights, self.fixed, batch, None)[2:]

        return lax.switch(rule.branch, (aligned, direct, counter))

    def moved(
        self, weights: Any, back: Any, batch: dict, rule: Rule, rate: Float[Array, ""]
    ) -> tuple[Any, Any]:
        """One step of SGD, forward and feedback gradients clipped each (official code)."""
        forth, down = self.direction(weights, back, batch, rule)
        last = max(forth.parts, key=int)
        parts = {
            name: g if name == last else jax.tree.map(lambda g: g * rule.hidden, g)
            for name, g in forth.parts.items()
        }
        forth = clipped(eqx.tree_at(lambda c: c.parts, forth, parts))
        down = jax.tree.map(lambda g: g * rule.feedback, clipped(down))
        go = lambda p, g: jax.tree.map(lambda p, g: p - rate * g, p, g)
        return go(weights, forth), go(back, down)

    def alignment(self, weights: Any, back: Any, batch: dict) -> Float[Array, " hidden"]:
        """CKA of the two networks at every hidden layer: activity, and signal of the same sample's target."""
        net, credit = eqx.combine(weights, self.fixed), eqx.combine(back, self.counter)
        acts = jax.vmap(lambda x: activities(net, x))(batch["x"])
        signals = credit.signals(credit.match.top(batch["y"], CLASSES))
        of = lambda c: c if self.kind.name == "auto" else c[batch["y"]]
        flat = lambda a: a.reshape(len(a), -1)
        pairs = zip(acts[1:-1], signals[1:-1], strict=True)
        return jnp.stack([linear_cka(flat(a), flat(of(c))) for a, c in pairs])
