"""Part C: recall by one network for all arms, which differ in the sequence mixer alone."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from neuropil.blocks import (
    MLP,
    QLSTM,
    SSD,
    Attention,
    Gated,
    LayerNorm,
    LinearAttention,
    Positions,
    ShortConvolution,
)
from neuropil.core import Chain, Parallel, Residual, System, Tick
from neuropil.wiring import Dense
from neuropil.worlds.recall import Recall, multi_query_recall, recall_accuracy, recall_loss

# kind of mixer, its state n per channel, and its learning rate: the best of 3e-3, 1e-2, 3e-2 on
# validation data of a draw of its own (settings draw=1), with the same effort for every arm
ARMS = {
    "softmax": ("softmax", 64, 1e-2),
    "linear-4": ("linear", 4, 1e-2),
    "linear-16": ("linear", 16, 1e-2),
    "linear-64": ("linear", 64, 1e-2),
    "normalised": ("normalised", 64, 1e-2),
    "ssd": ("ssd", 64, 1e-2),
    "ssd-slow": ("ssd-slow", 64, 1e-2),
    "qlstm": ("qlstm", 1, 1e-2),
    "qlstm-reversed": ("qlstm-reversed", 1, 1e-2),
    "no-mixer": ("none", 0, 1e-2),
}


def same(x: Array) -> Array:
    """The input as it is."""
    return x


def mixer(kind: str, width: int, n: int, length: int, key: Any) -> Any:
    """A sequence mixer (width,) -> (width,) with n state entries a channel."""
    if kind == "softmax":
        return Attention.init_normal(width, key=key, keys=n, capacity=length)
    if kind == "linear":
        return LinearAttention.init_normal(width, key=key, keys=n)
    if kind == "normalised":
        return LinearAttention.init_normalised(width, key=key, keys=n)
    if kind.startswith("ssd"):
        return SSD.init_normal(
            width, n, key=key, steps=(0.001, 0.1) if kind == "ssd-slow" else None
        )
    if kind == "none":
        return same
    one, two = jr.split(key)
    core = QLSTM.init_normal(width, key=one, reversed=kind == "qlstm-reversed")
    return Gated.init_normal(width, width, core, key=two)


class Recaller(eqx.Module):
    """Tokens (time,) -> logits (time, vocabulary): embedding, positions, layers, tied readout.

    A layer is x + down(mixer([norm x_t; norm x_{t-1}])), and x + MLP(norm x) where `hidden` is not 0.
    Showing each token together with the one before lets one layer bind a key to its value.
    """

    embedding: Float[Array, "token width"]
    body: Chain

    def __init__(self, kind: str, n: int, settings: dict, key: Any):
        width, length = settings["width"], settings["length"]
        e, p, *layers = jr.split(key, 2 + settings["layers"])
        self.embedding = jr.normal(e, (settings["vocabulary"], width)) / math.sqrt(width)
        table = jr.normal(p, (length, width)) / math.sqrt(width)
        parts: dict[str, Any] = {"positions": Positions(table)}
        for i, k in enumerate(layers):
            m, d, f = jr.split(k, 3)
            before = ShortConvolution(jnp.stack([jnp.zeros(width), jnp.ones(width)]))
            both = Parallel({"now": same, "past": before}, join="concatenate")
            mix = mixer(kind, 2 * width, n, length, m)
            down = Dense.init_normal(2 * width, width, d)
            layer = Chain(norm=LayerNorm(width), both=both, mixer=mix, down=down)
            parts[f"mix{i}"] = Residual(layer)
            if settings["hidden"]:
                mlp = MLP.init_normal(width, settings["hidden"], key=f)
                parts[f"mlp{i}"] = Residual(Chain(norm=LayerNorm(width), mlp=mlp))
        self.body = Chain(**parts, norm=LayerNorm(width))

    def __call__(self, tokens: Int[Array, " time"]) -> Float[Array, "time token"]:
        key = jr.key(0)  # nothing in the body is random
        ticks = Tick(jnp.arange(len(tokens)), jnp.ones(()), jnp.broadcast_to(key, tokens.shape))
        _, h = self.body.unroll(self.body.init(1.0, key), self.embedding[tokens], ticks)
        return h @ self.embedding.T


class Sets(eqx.Module):
    """The task's data, shared by all arms and seeds."""

    train: Recall
    validation: Recall
    test: Recall


def load(settings: dict) -> Sets:
    """Three sets of sequences, drawn from keys of their own."""

    @jax.jit
    def draw(key):
        task = {k: settings[k] for k in ("length", "pairs", "vocabulary")}
        sizes = (settings["train"], settings["test"], settings["test"])
        return Sets(
            *(multi_query_recall(jr.fold_in(key, i), n, **task) for i, n in enumerate(sizes))
        )

    return draw(jr.key(1_000 + settings["draw"]))


class Training(System):
    """AdamW on the recall task; one tick is `chunk` minibatch steps and a test.

    The parameters are one flat vector, which makes the optimiser one operation. The learning rate
    falls as a cosine over the whole training.
    """

    data: Sets
    rate: Array
    fixed: Any  # what in the network is no array
    kind: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    settings: tuple = eqx.field(static=True)

    def __init__(self, arm: str, settings: dict, data: Sets):
        self.data, self.settings = data, tuple(sorted(settings.items()))
        self.kind, self.n, rate = ARMS[arm]
        self.rate = jnp.float32(settings["rate"] or rate)
        shapes = eqx.filter_eval_shape(Recaller, self.kind, self.n, settings, jr.key(0))
        self.fixed = eqx.filter(shapes, lambda leaf: not hasattr(leaf, "shape"))

    def _optimiser(self):
        s = dict(self.settings)
        falling = optax.cosine_decay_schedule(1.0, s["steps"])
        return optax.adamw(falling, weight_decay=s["decay"])

    def _network(self):
        """(flat parameters of a key, network of flat parameters)"""
        s = dict(self.settings)
        make = lambda key: eqx.filter(Recaller(self.kind, self.n, s, key), eqx.is_array)
        shapes = jax.eval_shape(make, jr.key(0))
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        restore = ravel_pytree(zeros)[1]
        flat = lambda key: ravel_pytree(make(key))[0]
        return flat, lambda weights: eqx.combine(restore(weights), self.fixed)

    def init(self, dt, key):
        # not jitted: the draws of a shape are compiled once for all arms
        weights = self._network()[0](jr.fold_in(key, dict(self.settings)["draw"]))
        return {"weights": weights, "optimiser": self._optimiser().init(weights)}

    def step(self, state, x, tick):
        s, network, optimiser = dict(self.settings), self._network()[1], self._optimiser()
        train = self.data.train

        def loss(weights, i):
            return recall_loss(jax.vmap(network(weights))(train.tokens[i]), train.targets[i])

        def minibatch(state, key):
            i = jr.randint(key, (s["batch"],), 0, len(train.tokens))
            value, slope = jax.value_and_grad(loss)(state["weights"], i)
            change, inner = optimiser.update(slope, state["optimiser"], state["weights"])
            weights = state["weights"] + self.rate * change
            return {"weights": weights, "optimiser": inner}, value

        state, losses = jax.lax.scan(minibatch, state, jr.split(tick.key, s["chunk"]))
        held = jax.tree.map(lambda *a: jnp.stack(a), self.data.validation, self.data.test)
        logits = jax.lax.map(jax.vmap(network(state["weights"])), held.tokens)
        validation, test = jax.vmap(recall_accuracy)(logits, held.targets)
        return state, {"loss": losses.mean(), "validation": validation, "test": test}
