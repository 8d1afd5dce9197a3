"""Titans: one network for all arms, which differ in the sequence mixer; a needle and a text to train on."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array
from jaxtyping import Float, Int

from neuropil.blocks import MLP, Attention, FastWeights, RMSNorm, ShortConvolution
from neuropil.core import Chain, Residual, System, run, start
from neuropil.learn import Trainer, descend
from neuropil.memory import NeuralMemory, largest_step
from neuropil.papers.build._titans_data import TASKS, Tasks, needles
from neuropil.papers.build._titans_mix import Context, gate, layer
from neuropil.wiring import Dense
from neuropil.worlds.texts import pieces

MIXERS = ("context", "gate", "layer", "memory", "attention", "delta")


def chunk(kind: str, s: dict) -> int:
    """Tokens that a memory learns at once: a segment where it is context."""
    return min(s["window"] if kind == "context" else s["chunk"], s["length"])


def mixer(kind: str, s: dict, length: int, limits: Array | None, key: Array) -> Any:
    """A sequence mixer (width,) -> (width,). `limits`: the memory's largest step, momentum and forgetting."""
    a, b, c = jr.split(key, 3)
    width, window = s["width"], s["window"]
    look = lambda capacity, prefix: Attention.init_normal(
        width, key=b, heads=s["heads"], capacity=capacity, prefix=prefix, bias=False
    )
    if kind == "attention":
        return look(length, s["persistent"])
    if kind == "delta":
        return FastWeights.init_normal(width, heads=s["heads"], key=a, chunk=32)
    memory = NeuralMemory.init_normal(
        width, hidden=(s["inner"],), chunk=chunk(kind, s), clip=s["clip"], key=a
    )
    first, last = memory.initial
    memory = eqx.tree_at(lambda m: m.initial, memory, (first, jnp.zeros_like(last)))
    if limits is not None:
        memory = eqx.tree_at(lambda m: m.limits, memory, limits)
    if kind == "context":
        return Context.init_normal(width, memory, s["heads"], s["persistent"], c)
    if kind == "gate":
        return gate(width, memory, look(window, s["persistent"]))
    if kind == "layer":
        return layer(width, memory, look(window, s["persistent"]))
    return Chain(memory, RMSNorm(width))


class Lookup(eqx.Module):
    """The vector of a symbol."""

    table: Float[Array, "symbol width"]

    def __call__(self, symbol: Int[Array, ""]) -> Float[Array, " width"]:
        return self.table[symbol]


def network(
    kind: str, hidden: int, s: dict, length: int, limits: Array | None, key: Array
) -> Chain:
    """Embedding; blocks of norm, short convolution, mixer, linear and of norm, MLP; readout.

    Every mixer hears a few tokens at once through the convolution, so that one layer can bind a key to the
    value after it; there are no positions.
    """
    width = s["width"]
    first, last, *keys = jr.split(key, 2 + s["blocks"])
    parts = []
    for k in keys:
        a, b, c, d = jr.split(k, 4)
        mix = mixer(kind, s, length, limits, a)
        near = ShortConvolution.init_uniform(width, 3, key=b)
        out = Dense(0.5 * jr.normal(c, (width, width)) / math.sqrt(width))
        parts.append(Residual(Chain(RMSNorm(width), near, mix, out)))
        parts.append(Residual(Chain(RMSNorm(width), MLP.init_normal(width, hidden, key=d))))
    table = jr.normal(first, (s["symbols"], width)) / math.sqrt(width)
    return Chain(
        Lookup(table), *parts, RMSNorm(width), Dense.init_normal(width, s["symbols"], last)
    )


def longer(net: Chain, like: Chain) -> Chain:
    """The arrays of a network in one of the same kind built for another length."""
    arrays = jax.tree.leaves(eqx.filter(net, eqx.is_array))
    shapes, rest = eqx.partition(like, lambda leaf: hasattr(leaf, "shape"))
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(shapes), arrays), rest)


def predict(net: System, seen: Int[Array, "sample time"]) -> Float[Array, "sample time symbol"]:
    """Logits at every place of sequences read from rest."""
    return jax.vmap(lambda tokens: run(net, start(net, 1.0, jr.key(0)), tokens)[1])(seen)


def size(net: System) -> int:
    """Numbers that can learn: all but the memory's limits."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(net)
    named = [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
    return sum(
        a.size
        for name, a in named
        if jnp.issubdtype(getattr(a, "dtype", int), jnp.floating) and "limits" not in name
    )


class Learns(System):
    """A tick is a task (needles, then a text): a new network is trained on it and tested.

    Output: "loss" (nats, a running mean), "found" (test length,) the share of needles told rightly in plain
    filler, "found-hard" where the filler is made of keys and values, "bits" a character; NaN where it is not
    the task.
    """

    tasks: Tasks
    limits: Array | None  # an array, so that arms that differ in it alone share one program
    kind: str = eqx.field(static=True)
    hidden: int = eqx.field(static=True)
    settings: tuple = eqx.field(static=True)

    def __init__(self, kind: str, settings: dict, tasks: Tasks, gates: tuple | None):
        self.tasks, self.kind, self.hidden = tasks, kind, settings["hidden_" + kind]
        self.limits = None
        if gates is not None:
            share, momentum, forgetting = gates
            step = share * largest_step(chunk(kind, settings), momentum)
            self.limits = jnp.asarray((step, momentum, forgetting), jnp.float32)
        self.settings = tuple(sorted(settings.items()))

    def network(self, length: int, key: Array) -> Chain:
        """The arm's network for sequences of a length."""
        s = dict(self.settings)
        return network(self.kind, self.hidden, s, length, self.limits, key)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        s, task = dict(self.settings), tick.i % len(TASKS)
        a, b, c = jr.split(tick.key, 3)

        def batch(key, many, part):
            return jax.lax.cond(
                task == 0,
                lambda: needles(key, many, s["length"], s["needles"], True),
                lambda: (*pieces(key, getattr(self.tasks, part), many, s["length"]),
                         jnp.ones((many, s["length"]))),
            )  # fmt: skip

        def loss(net, _, key):
            seen, wanted, weight = batch(key, s["batch"], "train")
            nats = optax.softmax_cross_entropy_with_integer_labels(predict(net, seen), wanted)
            return (nats * weight).sum() / weight.sum()

        many = jnp.where(task == 0, s["updates"], s["text_updates"])
        warm = lambda k: jnp.minimum(1.0, (k + 1) / (0.05 * many))
        cosine = lambda k: (
            s["rate"] * warm(k) * (1 + jnp.cos(jnp.pi * jnp.minimum(k / many, 1))) / 2
        )
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(cosine))
        net, smooth = descend(Trainer(self.network(s["length"], a), loss, tx), b, many)

        found, told = self._judge(net, c, task)
        needle = lambda a: jnp.where(task == 0, a, jnp.nan)
        return state, {
            "loss": smooth,
            "bits": jnp.where(task == 1, told, jnp.nan),
            "found": needle(found[:, 0]),
            "found-hard": needle(found[:, 1]),
        }

    def _judge(self, net: Chain, key: Array, task: Array) -> tuple[Array, Array]:
        """Share of needles told rightly (length, filler), and bits of a symbol.

        Every sequence stands at the begin of one as long as the longest: what follows cannot be seen, so that
        one program does every length, and the text.
        """
        s = dict(self.settings)
        longest, many = max(s["lengths"]), s["judged"]
        wide = longer(net, jax.eval_shape(lambda: self.network(longest, jr.key(0))))
        part = self.tasks.test if s["judge"] == "test" else self.tasks.valid
        fill = lambda a: jnp.pad(a, ((0, 0), (0, longest - a.shape[1])))

        def text(key):
            seen, wanted = pieces(key, part, many, s["length"])
            return fill(seen), fill(wanted), fill(jnp.ones(seen.shape))

        def some(now):
            key, length, hard = now
            seen, wanted, weight = jax.lax.cond(
                task == 0,
                lambda: needles(key, many, length, s["needles"], hard, longest),
                lambda: text(key),
            )
            logits = predict(wide, seen)
            nats = optax.softmax_cross_entropy_with_integer_labels(logits, wanted)
            share = lambda a: (a * weight).sum() / weight.sum()
            return share(logits.argmax(-1) == wanted), share(nats) / math.log(2)

        shape = (len(s["lengths"]), 2, s["rounds"])
        each = lambda a, axis: jnp.broadcast_to(jnp.expand_dims(a, axis), shape).ravel()
        lengths, hard = jnp.asarray(s["lengths"]), jnp.array([False, True])
        rounds = (jr.split(key, math.prod(shape)), each(lengths, (1, 2)), each(hard, (0, 2)))
        found, told = jax.lax.map(some, rounds)
        return found.reshape(shape).mean(-1), told.mean()
