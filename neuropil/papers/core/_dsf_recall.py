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

# task, kind of mixer, its state n per channel, and its learning rate: the best of 3e-3, 1e-2, 3e-2 on
# validation data of a draw of its own (settings draw=1), with the same effort for every arm. The
# qLSTM, whose n is 1, leaves chance on the easier task only.
ARMS = {
    "softmax": ("hard", "softmax", 64, 1e-2),
    "linear-4": ("hard", "linear", 4, 1e-2),
    "linear-16": ("hard", "linear", 16, 1e-2),
    "linear-64": ("hard", "linear", 64, 1e-2),
    "normalised": ("hard", "normalised", 64, 1e-2),
    "ssd": ("hard", "ssd", 64, 1e-2),
    "ssd-slow": ("hard", "ssd-slow", 64, 1e-2),
    "no-mixer": ("hard", "none", 0, 1e-2),
    "qlstm": ("easy", "qlstm", 1, 1e-2),
    "qlstm-reversed": ("easy", "qlstm-reversed", 1, 1e-2),
}


def task(name: str, settings: dict) -> dict:
    """Length, pairs and vocabulary of the hard or the easy recall task."""
    before = "" if name == "hard" else "easy_"
    return {key: settings[before + key] for key in ("length", "pairs", "vocabulary")}


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


def load(settings: dict) -> dict[str, Sets]:
    """The data of both tasks; the three sets of a task are cut from one draw."""
    train, test = settings["train"], settings["test"]
    ends = (0, train, train + test, train + 2 * test)
    data, key = {}, jr.key(1_000 + settings["draw"])
    for name in ("hard", "easy"):
        draw = lambda key, name=name: multi_query_recall(key, ends[-1], **task(name, settings))
        whole = jax.jit(draw)(key)
        cut = lambda i, whole=whole: jax.tree.map(lambda a: a[ends[i] : ends[i + 1]], whole)
        data[name] = Sets(*(cut(i) for i in range(3)))
    return data


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

    def __init__(self, arm: str, settings: dict, data: dict[str, Sets]):
        which, self.kind, self.n, rate = ARMS[arm]
        settings = settings | task(which, settings)
        self.data, self.settings = data[which], tuple(sorted(settings.items()))
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
