"""Spiking units beside which an astrocyte keeps a matrix-valued memory, in a small language model."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool, Float, Int

from neuropil.blocks import LayerNorm, Retention, linear_scan
from neuropil.cells import Triangle
from neuropil.core import Batched, Chain, Residual, System, run, start
from neuropil.learn import Trainer, descend
from neuropil.papers.build._astro_snn_data import BLANK, CHANNEL, Tasks
from neuropil.wiring import Dense

THRESHOLD = 0.5
FORGETS = -30.0  # logit of a decay of zero


class TripartiteUnit(System):
    r"""Neurons whose firing an astrocyte adds to, without reset, so that all ticks can be done at once.

    $$u_t = b\, u_{t-1} + (1 - b)\, \sigma(W x_t), \qquad s_t = \Theta(u_t + o_t - \vartheta)$$

    o_t is what the astrocyte's memory (`Retention`) says, scaled to stay near the threshold, where a spike has
    a gradient: $g\, H_t q_t / \sqrt{1 + \overline{(H_t q_t)^2}}$; or nothing. `graded`: the unit puts out
    u + o - theta itself. `free`: the membrane's decays b learn. State: {"u", and "memory" where there is one}.

    Source: Shen et al. (2023), arXiv 2312.07625, preview figure; the decay and q, k, v are read into it.
    """

    wires: Dense
    logit: Float[Array, " cell"]
    memory: Retention | None
    graded: Bool[Array, ""]
    free: Bool[Array, ""]
    gain: Float[Array, " cell"] | None = None
    surrogate: Triangle = eqx.field(default_factory=lambda: Triangle(2.0))

    def _decay(self):
        logit = jnp.where(self.free, self.logit, jax.lax.stop_gradient(self.logit))
        return jax.nn.sigmoid(logit)

    def _fired(self, u, o):
        z = u + o - THRESHOLD
        return jnp.where(self.graded, z, self.surrogate(z))

    def _heard(self, o):
        """The astrocyte's output, at most about half a threshold: beyond that a spike has no gradient."""
        return self.gain * o * jax.lax.rsqrt(jnp.mean(o**2) + 1.0)

    def init(self, dt, key):
        state = {"u": jnp.zeros_like(self.logit)}
        return state if self.memory is None else state | {"memory": self.memory.init(dt, key)}

    def step(self, state, x, tick):
        b = self._decay()
        u = b * state["u"] + (1 - b) * jax.nn.sigmoid(self.wires.forward(x))
        if self.memory is None:
            return {"u": u}, self._fired(u, jnp.zeros_like(u))
        memory, o = self.memory.step(state["memory"], x, tick)
        return {"u": u, "memory": memory}, self._fired(u, self._heard(o))

    def unroll(self, state, xs, ticks):
        b = self._decay()
        current = jax.nn.sigmoid(self.wires.unroll((), xs, ticks)[1])
        decays = jnp.broadcast_to(b, current.shape)
        u = linear_scan(decays, (1 - b)[None] * current, state["u"])
        if self.memory is None:
            return {"u": u[-1]}, self._fired(u, jnp.zeros_like(u))
        memory, o = self.memory.unroll(state["memory"], xs, ticks)
        return {"u": u[-1], "memory": memory}, self._fired(u, jax.vmap(self._heard)(o))


class Embed(eqx.Module):
    """The sum of a vector for every symbol of the two channels; a blank is silence, no input at all."""

    first: Float[Array, "symbol width"]
    second: Float[Array, "other width"]

    def __call__(self, seen: Int[Array, "2"]) -> Float[Array, " width"]:
        spoken = jnp.where(seen[0] > 0, self.first[seen[0]], 0.0)
        return spoken + jnp.where(seen[1] != BLANK, self.second[seen[1]], 0.0)


class Spike(eqx.Module):
    """Spikes of a vector of currents, or (`graded`) the currents themselves."""

    graded: Bool[Array, ""]
    surrogate: Triangle = eqx.field(default_factory=lambda: Triangle(2.0))

    def __call__(self, x: Array) -> Array:
        return jnp.where(self.graded, jax.nn.relu(x), self.surrogate(x - THRESHOLD))


class Kind(eqx.Module):
    """What an arm's network is. Arrays but for `astrocyte` and `width`: two programs for all arms.

    `remembers`: the astrocyte's decays are spread (else they are 0: it knows the present token alone);
    `graded`: no spikes; `spread`: the membrane's time constants are spread and learn (else all are 2 ticks).
    """

    remembers: Bool[Array, ""]
    graded: Bool[Array, ""]
    spread: Bool[Array, ""]
    astrocyte: bool = eqx.field(static=True)
    width: int = eqx.field(static=True)

    @staticmethod
    def of(width: int, astrocyte: bool, *flags: str) -> Kind:
        """By the names of its flags."""
        flag = lambda name: jnp.asarray(name in flags, bool)
        return Kind(flag("remembers"), flag("graded"), flag("spread"), astrocyte, width)


def network(kind: Kind, symbols: int, blocks: int, heads: int, longest: float, key: Array) -> Chain:
    """Embedding; blocks of norm, unit, linear and of norm, linear, spikes, linear, all with a way round."""
    width = kind.width
    spans = np.geomspace(2.0, longest, width)

    def block(key):
        a, b, c, d, e = jr.split(key, 5)
        memory = None
        if kind.astrocyte:
            memory = Retention.init_normal(width, heads=heads, key=a, spans=(20.0, 10 * longest))
            logit = jnp.where(kind.remembers, memory.logit, FORGETS)
            memory = eqx.tree_at(lambda m: m.logit, memory, logit)
        logit = jnp.where(kind.spread, jnp.log(spans - 1), 0.0)
        unit = TripartiteUnit(
            Dense.init_normal(width, width, b),
            logit,
            memory,
            kind.graded,
            kind.spread,
            jnp.full(width, 0.3) if kind.astrocyte else None,
        )
        mixing = Chain(LayerNorm(width), unit, Dense.init_normal(width, width, c))
        token = Chain(
            LayerNorm(width),
            Dense.init_normal(width, 2 * width, d),
            Spike(kind.graded),
            Dense.init_normal(2 * width, width, e),
        )
        return [Residual(mixing), Residual(token)]

    keys = jr.split(key, blocks + 3)
    parts = [part for k in keys[3:] for part in block(k)]
    table = lambda key, n: jr.normal(key, (n, width))
    return Chain(
        Embed(table(keys[0], symbols), table(keys[2], CHANNEL)),
        *parts,
        LayerNorm(width),
        Dense.init_normal(width, symbols, keys[1], bias=True),
    )


def size(kind: Kind, symbols: int, blocks: int, heads: int) -> int:
    """Numbers that can learn (a membrane's decays are counted where they do)."""
    net = jax.eval_shape(lambda: network(kind, symbols, blocks, heads, 60.0, jr.key(0)))
    floats = [a for a in jax.tree.leaves(net) if jnp.issubdtype(a.dtype, jnp.floating)]
    return sum(a.size for a in floats) - (0 if bool(kind.spread) else blocks * kind.width)


def read(
    net: Chain, seen: Int[Array, "sample time 2"], key: Array
) -> Float[Array, "time sample symbol"]:
    """Logits of the next symbol at every tick."""
    system = Batched(net, seen.shape[0])
    return run(system, start(system, 1.0, key), seen.swapaxes(0, 1))[1]


class Learns(System):
    """A tick is a task: a new network is trained on it and tested.

    Output of a tick: loss of training (a running mean over 32 updates); for recall the share of right answers
    at each delay; for a text bits a character on the test part (NaN where it is not the task).
    `updates`: for recall, and for a text.
    """

    tasks: Tasks
    kind: Kind
    blocks: int = eqx.field(static=True, default=2)
    heads: int = eqx.field(static=True, default=2)
    updates: tuple[int, int] = eqx.field(static=True, default=(800, 300))
    batch: int = eqx.field(static=True, default=32)
    tested: int = eqx.field(static=True, default=512)
    rate: float = eqx.field(static=True, default=3e-3)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        a, b, c = jr.split(tick.key, 3)
        symbols = self.tasks.symbols
        net = network(self.kind, symbols, self.blocks, self.heads, float(max(self.tasks.delays)), a)

        def loss(net, batch, key):
            u, v = jr.split(key)
            seen, wanted, weight = self.tasks.batch(u, self.batch, tick.i, "train")
            nats = optax.softmax_cross_entropy_with_integer_labels(read(net, seen, v), wanted.T)
            return (nats * weight.T).sum() / weight.sum()

        many = jnp.where(tick.i == 0, *self.updates)
        cosine = lambda k: self.rate * (1 + jnp.cos(jnp.pi * jnp.minimum(k / many, 1.0))) / 2
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(cosine))
        net, smooth = descend(Trainer(net, loss, tx), b, many)
        out = self.test(net, tick.i, c)
        return state, out | {"loss": smooth}

    def test(self, net: Chain, task: Array, key: Array) -> dict[str, Array]:
        """Accuracy by delay, or bits a character."""
        a, b = jr.split(key)
        seen, wanted, weight = self.tasks.batch(a, self.tested, task, "test")
        logits = read(net, seen, b).swapaxes(0, 1)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, wanted)
        bits = (nats * weight).sum() / weight.sum() / np.log(2)
        right = (logits.argmax(-1) == wanted)[:, -1]
        delay = self.tasks.delay_of(seen)
        share = jnp.stack(
            [(right * (delay == d)).sum() / (delay == d).sum() for d in self.tasks.delays]
        )
        recall = task == 0
        return {
            "recall": jnp.where(recall, share, jnp.nan),
            "bits": jnp.where(recall, jnp.nan, bits),
        }
