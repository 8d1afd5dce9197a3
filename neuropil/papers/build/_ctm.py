"""The continuous thought machine, and the networks beside it: all read a set of tokens in internal ticks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Bool, Float

from neuropil.blocks import LayerNorm, NeuronModels, Synchronisation, attention
from neuropil.blocks.attention import check_heads, join_heads, split_heads
from neuropil.cells import LSTM
from neuropil.core import System, run, start
from neuropil.wiring import Dense

Memory = tuple[Array, Array]  # keys and values, each (head, token, part)


class Reader(eqx.Module):
    """Tokens as keys and values, made once, and a query that looks at them at every tick."""

    embed: Dense
    into: Dense
    norm: LayerNorm
    query: Dense
    key: Dense
    value: Dense
    out: Dense
    heads: int = eqx.field(static=True)

    @staticmethod
    def init_uniform(features: int, width: int, heads: int, key: Array) -> Reader:
        """Weights and biases uniform within 1 / sqrt(inputs)."""
        check_heads("Reader", heads, width=width)
        first, *keys = jr.split(key, 6)
        maps = [Dense.init_uniform(width, width, k, bias=True) for k in keys]
        embed = Dense.init_uniform(features, width, first, bias=True)
        return Reader(embed, maps[0], LayerNorm(width), *maps[1:], heads)

    def memory(self, tokens: Float[Array, "token feature"]) -> Memory:
        """Keys and values of a sample's tokens."""
        seen = jax.vmap(lambda x: self.norm(self.into.forward(self.embed.forward(x))))(tokens)
        heads = lambda part: split_heads(jax.vmap(part.forward)(seen), self.heads)
        return heads(self.key), heads(self.value)

    def __call__(self, asked: Float[Array, " width"], memory: Memory) -> Float[Array, " width"]:
        q = split_heads(self.query.forward(asked)[None], self.heads)
        return self.out.forward(join_heads(attention(q, *memory))[0])


class Thinker(System):
    """A network that thinks about a memory. Input of a tick: the memory, the same at all ticks; output:
    {"logits" (position * option,), "z" (neuron,)}."""

    @abstractmethod
    def perceive(self, tokens: Float[Array, "token feature"]) -> Any:
        """What is made of a sample once, before the first tick."""

    def prepared(self) -> Thinker:
        """The network with what does not change from tick to tick worked out."""
        return self


class Thinking(System):
    """A network with a memory before it; no input. (A constant of the loop: its gradient is summed over the
    ticks, where that of an input, repeated, would be stacked.)"""

    net: Thinker
    memory: Any

    def init(self, dt, key):
        return self.net.init(dt, key)

    def step(self, state, x, tick):
        return self.net.step(state, self.memory, tick)


def think(net: Thinker, tokens: Float[Array, "token feature"], ticks: int) -> dict[str, Array]:
    """Outputs of a sample over internal ticks, each (tick, ...)."""
    net = net.prepared()
    whole = Thinking(net, net.perceive(tokens))
    return run(whole, start(whole, 1.0, jr.key(0)), n=ticks)[1]


class CTM(Thinker):
    r"""Neurons with models of their own, and their synchronisation as what they say and ask.

    $$q = W_q\, s^{ask}(z), \quad o = \mathrm{attend}(q), \quad a = \mathrm{LN}(\mathrm{GLU}(W [o; z])), \quad
      z_d \leftarrow f_d(a_d \text{ of the last M ticks}), \quad y = W_y\, s^{say}(z)$$

    State: {"z", "history", "ask", "say"}. The synchronisation that speaks has seen $z^1$ before the first tick.

    `private`: every neuron has its own model (else all use that of neuron 0); `synchronised`: s as above (else
    z itself, filled up with zeros, in its place for asking and for speaking).
    """

    reader: Reader
    asks: Dense
    synapse: Dense
    norm: LayerNorm
    models: NeuronModels
    ask: Synchronisation
    say: Synchronisation
    speak: Dense
    first: Float[Array, " neuron"]
    private: Bool[Array, ""] = eqx.field(converter=jnp.asarray, default=True)
    synchronised: Bool[Array, ""] = eqx.field(converter=jnp.asarray, default=True)

    @staticmethod
    def init_uniform(
        features: int, answers: int, key: Array, *, neurons: int, width: int, heads: int, chosen: int,
        memory: int, hidden: int, **flags: bool
    ) -> CTM:  # fmt: skip
        """Maps uniform within 1 / sqrt(inputs), z^1 within 1 / sqrt(neurons), no decay; pairs by `pairing`."""
        a, b, c, d, e, f, g, h = jr.split(key, 8)
        pairs = chosen * (chosen + 1) // 2
        dense = lambda k, pre, post: Dense.init_uniform(pre, post, k, bias=True)
        together = lambda k: Synchronisation(jnp.zeros(pairs), *pairing(neurons, chosen, k))
        z = jr.uniform(h, (neurons,), minval=-1.0, maxval=1.0) / neurons**0.5
        return CTM(
            Reader.init_uniform(features, width, heads, a), dense(b, pairs, width),
            dense(c, width + neurons, 2 * neurons), LayerNorm(neurons),
            NeuronModels.init_uniform(neurons, memory=memory, hidden=hidden, key=d),
            together(e), together(f), dense(g, pairs, answers), z, **flags,
        )  # fmt: skip

    def perceive(self, tokens):
        return self.reader.memory(tokens)

    def prepared(self) -> CTM:
        parts = lambda m: (m.inner, m.inner_bias, m.outer, m.outer_bias)
        tie = lambda w: jnp.where(self.private, w, jnp.broadcast_to(w[:1], w.shape))
        models = eqx.tree_at(parts, self.models, [tie(w) for w in parts(self.models)])
        return eqx.tree_at(lambda net: net.models, self, models)

    def init(self, dt, key):
        z = self.first
        said = {"alpha": z[self.say.left] * z[self.say.right], "beta": jnp.ones_like(self.say.rate)}
        return {
            "z": z,
            "history": self.models.init(dt, key),
            "ask": self.ask.init(dt, key),
            "say": said,
        }

    def step(self, state, x: Memory, tick):
        ask, s = self.ask.step(state["ask"], state["z"], tick)
        seen = self.reader(self.asks.forward(self._means(s, state["z"])), x)
        into = self.synapse.forward(jnp.concatenate([seen, state["z"]]))
        history, z = self.models.step(state["history"], self.norm(jax.nn.glu(into)), tick)
        say, s = self.say.step(state["say"], z, tick)
        logits = self.speak.forward(self._means(s, z))
        state = {"z": z, "history": history, "ask": ask, "say": say}
        return state, {"logits": logits, "z": z}

    def _means(self, s: Array, z: Array) -> Array:
        return jnp.where(self.synchronised, s, jnp.pad(z, (0, max(0, s.size - z.size)))[: s.size])


def pairing(neurons: int, chosen: int, key: Array) -> tuple[Array, Array]:
    """Both ends of chosen (chosen + 1) / 2 pairs: two draws of neurons with replacement, the first i of one
    with the first j >= i of the other (the source's "random" pairing, which is not symmetric)."""
    left, right = jr.randint(key, (2, chosen), 0, neurons)
    i, j = jnp.triu_indices(chosen)
    return left[i], right[j]


class Recurrent(Thinker):
    """An LSTM in the place of the neurons: its hidden state asks and speaks; it hears what was looked at."""

    reader: Reader
    asks: Dense
    cell: LSTM
    speak: Dense
    first: Float[Array, "2 unit"]

    @staticmethod
    def init_uniform(
        features: int, answers: int, key: Array, *, units: int, width: int, heads: int
    ):
        """Maps uniform within 1 / sqrt(inputs), the first state within 1 / sqrt(units)."""
        a, b, c, d, e = jr.split(key, 5)
        dense = lambda k, pre, post: Dense.init_uniform(pre, post, k, bias=True)
        first = jr.uniform(e, (2, units), minval=-1.0, maxval=1.0) / units**0.5
        cell = LSTM.init_uniform(width, units, c)
        reader = Reader.init_uniform(features, width, heads, a)
        return Recurrent(reader, dense(b, units, width), cell, dense(d, units, answers), first)

    def perceive(self, tokens):
        return self.reader.memory(tokens)

    def init(self, dt, key):
        return {"h": self.first[0], "c": self.first[1]}

    def step(self, state, x: Memory, tick):
        state, h = self.cell.step(state, self.reader(self.asks.forward(state["h"]), x), tick)
        return state, {"logits": self.speak.forward(h), "z": h}


class Feedforward(Thinker):
    """Two hidden layers on all tokens at once, in one tick."""

    up: Dense
    mix: Dense
    speak: Dense

    @staticmethod
    def init_uniform(inputs: int, answers: int, key: Array, *, units: int) -> Feedforward:
        """Weights and biases uniform within 1 / sqrt(inputs)."""
        a, b, c = jr.split(key, 3)
        dense = lambda k, pre, post: Dense.init_uniform(pre, post, k, bias=True)
        return Feedforward(
            dense(a, inputs, units), dense(b, units, units), dense(c, units, answers)
        )

    def perceive(self, tokens):
        return tokens.ravel()

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        h = jax.nn.silu(self.mix.forward(jax.nn.silu(self.up.forward(x))))
        return state, {"logits": self.speak.forward(h), "z": h}


def size(net: System) -> int:
    """Numbers that can learn."""
    arrays = jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array_like))
    return sum(a.size for a in arrays)
