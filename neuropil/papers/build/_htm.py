"""The stream of htm-sequence-memory, those that foretell it, and the chunks of the experiment."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array

from neuropil.blocks import EchoState
from neuropil.cells import LSTM
from neuropil.core import System, run, start
from neuropil.memory import TemporalMemory, sparse_codes
from neuropil.plasticity import RecursiveLeastSquares

SYMBOLS = 10
# each group shares its middle; the first element decides the last (the paper's eight sequences)
SEQUENCES = (
    (6, 8, 7, 4, 2, 3, 0), (1, 8, 7, 4, 2, 3, 5), (6, 3, 4, 2, 7, 8, 5), (1, 3, 4, 2, 7, 8, 0),
    (0, 9, 7, 8, 5, 3, 4, 1), (2, 9, 7, 8, 5, 3, 4, 6), (0, 4, 3, 5, 8, 7, 9, 6), (2, 4, 3, 5, 8, 7, 9, 1),
)  # fmt: skip
SWAP = {0: 5, 5: 0, 1: 6, 6: 1}
LONGEST = 9  # a sequence and the symbol between


def table() -> tuple[Array, Array]:
    """Sequences before and after the change, padded with -1 (2, 8, 9), and their lengths (8,).

    >>> sequences, lengths = table()
    >>> sequences[:, 0, :7].tolist(), lengths.tolist()
    ([[6, 8, 7, 4, 2, 3, 0], [6, 8, 7, 4, 2, 3, 5]], [7, 7, 7, 7, 8, 8, 8, 8])
    """
    new = tuple((*s[:-1], SWAP[s[-1]]) for s in SEQUENCES)
    pad = lambda s: (*s, *[-1] * (LONGEST - len(s)))
    return jnp.array([[pad(s) for s in side] for side in (SEQUENCES, new)]), jnp.array(
        [len(s) for s in SEQUENCES]
    )


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))  # compiled once for all arms
def stream(key: Array, n: int, change: int, noisy: int, between: int) -> dict[str, Array]:
    """Symbols (n,), which sequence each belongs to, and whether it is a sequence's last element.

    Endings are swapped from element `change` on; from element `noisy` on one of the elements 1 to 3 of each
    sequence is a random symbol. After every sequence comes one of `between` other symbols.
    """
    sequences, lengths = table()

    def body(held, k):
        which, at, spoilt, i = held
        a, b, c = jr.split(jr.fold_in(key, k), 3)
        symbol = sequences[(k >= change).astype(int), which, at]
        symbol = jnp.where((k >= noisy) & (at == spoilt), jr.randint(b, (), 0, SYMBOLS), symbol)
        gap = at == lengths[which]
        symbol = jnp.where(gap, SYMBOLS + jr.randint(b, (), 0, between), symbol)
        out = {"symbol": symbol, "which": which, "last": at == lengths[which] - 1}
        draw = jr.randint(a, (), 0, len(SEQUENCES)), 0, jr.randint(c, (), 1, 4)
        kept = which, at + 1, spoilt
        held = jax.tree.map(lambda u, v: jnp.where(gap, u, v), draw, kept)
        return (*held, i + 1), out

    begin = (jr.randint(jr.fold_in(key, n), (), 0, 8), 0, 2, 0)
    return jax.lax.scan(body, begin, jnp.arange(n))[1]


class Htm(System):
    """Temporal memory told symbols: how far the predicted columns overlap with each symbol's code."""

    memory: TemporalMemory
    symbols: int = eqx.field(static=True)
    scored: int = eqx.field(static=True, default=SYMBOLS)

    def init(self, dt, key):
        a, b = jr.split(key)
        codes = sparse_codes(a, self.symbols, self.memory.columns, self.memory.active)
        return {"codes": codes, "memory": self.memory.init(dt, b)}

    def step(self, state, x, tick):
        told = {"columns": state["codes"][x["symbol"]], "learn": x["learn"]}
        memory, out = self.memory.step(state["memory"], told, tick)
        columns = out["predicted"].max(1)
        overlap = state["codes"][: self.scored] @ columns
        tie = 0.5 * jr.uniform(tick.child("tie").key, (self.scored,))
        load = columns.mean() * self.memory.columns / self.memory.active
        return state | {"memory": memory}, (overlap + tie, load)

    def shares(self, scores):
        """Share of each symbol's columns that were predicted: what the raw anomaly score falls short of 1."""
        return jnp.floor(scores) / self.memory.active

    def lesioned(self, state, share, key):
        """The state when this share of all cells is dead."""
        dead = jr.uniform(key, state["memory"]["dead"].shape) < share
        return state | {"memory": self.memory.lesioned(state["memory"], dead)}


class Reservoir(System):
    """Echo state network; its readout learns the next symbol by recursive least squares with forgetting."""

    net: EchoState
    rule: RecursiveLeastSquares
    symbols: int = eqx.field(static=True)
    scored: int = eqx.field(static=True, default=SYMBOLS)

    def init(self, dt, key):
        n = self.rule.features
        weight, p = jnp.zeros((self.scored, n)), self.rule.init(dt, key)
        return {"net": self.net.init(dt, key), "weight": weight, "p": p, "alive": jnp.ones(n)}

    def step(self, state, x, tick):
        r = state["net"] * state["alive"]
        target = (jnp.arange(self.scored) == x["symbol"]).astype(r.dtype)
        weight, p = self.rule.learn(state["weight"], state["p"], r, target, x["learn"])
        seen = (jnp.arange(self.symbols) == x["symbol"]).astype(r.dtype)
        r, _ = self.net.step(r, seen, tick)
        r = r * state["alive"]
        out = weight @ r
        return state | {"net": r, "weight": weight, "p": p}, (out, jnp.zeros(()))

    def shares(self, scores):
        """The readout, which approaches probabilities."""
        return jnp.clip(scores, 0, 1)

    def lesioned(self, state, share, key):
        """The state when this share of the units is silent."""
        return state | {"alive": (jr.uniform(key, state["alive"].shape) >= share).astype(float)}


class Lstm(System):
    """LSTM with a replay window: at each element one step of Adam on stretches of what came lately."""

    units: int = eqx.field(static=True)
    symbols: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    scored: int = eqx.field(static=True, default=SYMBOLS)

    def _weights(self, key):
        a, b = jr.split(key)
        cell = LSTM.init_uniform(self.symbols, self.units, a, forget=1.0)
        return {"cell": cell, "out": jr.normal(b, (self.scored, self.units)) / self.units**0.5}

    def init(self, dt, key):
        weights = self._weights(key)
        return {
            "weights": weights,
            "adam": optax.adam(self.rate).init(weights),
            "cell": weights["cell"].init(dt, key),
            "past": jnp.zeros(self.window, jnp.int32),
            "seen": jnp.int32(0),
            "alive": jnp.ones(self.units),
        }

    def _loss(self, weights, past):
        """Cross-entropy of what follows, where it is one of the scored symbols; past (batch, time)."""
        cell, h, c = weights["cell"], 0.0, 0.0
        logits = []
        for t in range(past.shape[1] - 1):  # unrolled: short
            gates = cell.weight.T[past[:, t]] + cell.bias
            gates = gates if t == 0 else gates + h @ cell.recurrent.T
            i, f, g, o = jnp.split(gates, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            logits.append(h @ weights["out"].T)
        targets = past[:, 1:].T
        log = jax.nn.log_softmax(jnp.stack(logits))
        picked = jnp.take_along_axis(log, jnp.minimum(targets, self.scored - 1)[..., None], 2)[
            ..., 0
        ]
        return -(picked * (targets < self.scored)).mean()

    def step(self, state, x, tick):
        size = LONGEST + 2
        past = state["past"].at[state["seen"] % self.window].set(x["symbol"].astype(jnp.int32))
        seen = state["seen"] + 1
        have = jnp.minimum(seen, self.window)
        back = jr.randint(tick.child("replay").key, (self.batch,), 0, jnp.maximum(have - size, 1))
        at = (seen - size - back)[:, None] + jnp.arange(size)
        slope = jax.grad(self._loss)(state["weights"], past[at % self.window])
        change, adam = optax.adam(self.rate).update(slope, state["adam"])
        learn = (x["learn"] > 0) & (have > size)
        choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(learn, a, b), new, old)
        weights = choose(optax.apply_updates(state["weights"], change), state["weights"])
        told = (jnp.arange(self.symbols) == x["symbol"]).astype(float)
        hold = jax.tree.map(lambda a: a * state["alive"], state["cell"])
        cell, h = weights["cell"].step(hold, told, tick)
        new = {"weights": weights, "adam": choose(adam, state["adam"]), "cell": cell, "past": past}
        out = weights["out"] @ (h * state["alive"])
        return state | new | {"seen": seen}, (out, jnp.zeros(()))

    def shares(self, scores):
        """Probabilities."""
        return jax.nn.softmax(scores)

    def lesioned(self, state, share, key):
        """The state when this share of the units is silent."""
        return state | {"alive": (jr.uniform(key, state["alive"].shape) >= share).astype(float)}


class Counts(System):
    """Counter of what followed each context, fading: of each sequence (all since the symbol between) the
    endings; of a text, the letters after each two."""

    fade: float = eqx.field(static=True, default=0.5)
    contexts: int = eqx.field(static=True, default=len(SEQUENCES))
    scored: int = eqx.field(static=True, default=SYMBOLS)

    def init(self, dt, key):
        return jnp.zeros((self.contexts, self.scored))

    def step(self, state, x, tick):
        ending = (jnp.arange(self.scored) == x["symbol"]).astype(float)
        row = x["which"]
        new = state.at[row].set(self.fade * state[row] + ending)
        learn = (x["learn"] > 0) & x["last"]
        new = jnp.where(learn, new, state)
        return new, (new[x["follows"]], jnp.zeros(()))

    def shares(self, scores):
        """Shares of the counts."""
        return scores / jnp.maximum(scores.sum(1, keepdims=True), 1.0)

    def lesioned(self, state, share, key):
        """A counter has no cells to lose."""
        return state


class Chunks(System):
    """A tick is one chunk of the stream: learning before and after the change, then tests without learning.

    Of each test the state goes back to the one at its start. `freeze`: no learning after the change.
    """

    learner: Any
    chunk: int = eqx.field(static=True)
    change: int = eqx.field(static=True)  # chunks before it
    learning: int = eqx.field(static=True)  # chunks of learning in all
    between: int = eqx.field(static=True)
    lesions: Array  # share of dead cells in each chunk
    freeze: Array  # chunk from which on nothing is learnt

    def init(self, dt, key):
        data, inner = jr.split(key)
        n = self.chunk * self.lesions.shape[0]
        # the noisy chunk is the last
        shown = stream(data, n, self.change * self.chunk, n - self.chunk, self.between)
        return {"stream": shown, "learner": start(self.learner, dt, inner)}

    def step(self, state, x, tick):
        i = tick.i
        xs = jax.tree.map(
            lambda a: jax.lax.dynamic_slice(a, (i * self.chunk,), (self.chunk,)), state["stream"]
        )
        learn = jnp.full(self.chunk, (i < self.learning) & (i < self.freeze), float)
        xs = xs | {"learn": learn, "follows": jnp.roll(xs["which"], -1)}
        carry, test = state["learner"], i >= self.learning
        hurt = self.learner.lesioned(carry.state, self.lesions[i], tick.child("lesion").key)
        begun = eqx.tree_at(lambda c: c.state, carry, hurt)
        after, (scores, load) = run(self.learner, begun, xs)
        # the element at t was foretold at t - 1; the first of a chunk is not scored
        scored = xs["last"].at[0].set(False)
        right = jnp.roll(scores.argmax(1), 1) == xs["symbol"]
        count = jnp.maximum(scored.sum(), 1)
        kept = jax.tree.map(lambda a, b: jnp.where(test, a, b), _bare(carry), _bare(after))
        accuracy = (right & scored).sum() / count
        kept = eqx.tree_at(lambda c: c.key, kept, carry.key, is_leaf=lambda a: a is None)
        return state | {"learner": kept}, {"accuracy": accuracy, "predicted": load.mean()}


def _bare(carry):
    """A carry without its key, which does not change."""
    return eqx.tree_at(lambda c: c.key, carry, None)
