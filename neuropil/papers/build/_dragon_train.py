"""Training on a text, its loss on the test part, and what the synapses say about a concept."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array
from jaxtyping import Bool, Float, Int

from neuropil.core import System
from neuropil.learn import Trainer, descend
from neuropil.papers.build._dragon import Hatchling, gpt, predict
from neuropil.worlds import datasets
from neuropil.worlds.texts import bits, load_codes, pieces

TEXTS = ("tiny-shakespeare", "wikitext2-valid-test")
FOLLOWED = 64  # pieces in which synapses are chosen, and as many in which the chosen one is judged


class Texts(eqx.Module):
    """Two texts as symbols, and which symbols are capitals."""

    train: Int[Array, "text n"]
    valid: Int[Array, "text k"]
    test: Int[Array, "text m"]
    capital: Bool[Array, "text symbol"]


def load(settings: dict) -> Texts:
    """Both texts, each with symbols of its own, cut to one length."""
    size = settings["symbols"] - 1
    symbols = [datasets.load(name).codes(size)[1] for name in TEXTS]
    capital = np.array([[s.isupper() for s in (*own, *"?" * size)][: size + 1] for own in symbols])
    return Texts(**load_codes(TEXTS, size), capital=jnp.asarray(capital))


def in_name(tokens: Int[Array, "*piece time"], capital: Bool[Array, " symbol"]) -> Array:
    """Where a token is a capital beside a capital: a speaker's name, in a play."""
    is_capital = capital[tokens]
    edge = jnp.zeros_like(is_capital[..., :1])
    before = jnp.concatenate([edge, is_capital[..., :-1]], -1)
    after = jnp.concatenate([is_capital[..., 1:], edge], -1)
    return is_capital & (before | after)


def selectivity(net: Hatchling, tokens: Int[Array, "piece time"], label: Bool[Array, "piece time"]):
    """Choose the synapse, and the neuron, that differ most with a concept in the first half of the pieces
    (difference of means over the root of summed variances); follow them in the second half.

    Controls: labels of other pieces, handed on by one. Returns {"trace", "neuron-trace", "shuffled-trace"
    (piece, time), "label", "other" (piece, time)} of the second half.
    """
    many = len(tokens) // 2
    first = jax.vmap(lambda _: net.init(1.0, None))(jnp.arange(many))

    def follow(tokens, collect, begin):
        def one(now, token):
            state, kept = now
            state, seen = jax.vmap(net.look)(state, token[:, None])
            flat = lambda a: a.reshape(many, -1)
            here = {"synapse": flat(jax.vmap(net.unturned)(state)), "neuron": flat(seen["neurons"])}
            kept, out = collect(kept, here)
            return (state, kept), out

        return jax.lax.scan(one, (first, begin), tokens.T)

    labels = jnp.stack([label, jnp.roll(label, 1, 0)])  # the true ones, and those of another piece

    def sums(kept, here):
        at, totals = kept
        weight = jnp.stack([labels[:, :many, at], ~labels[:, :many, at]], 1).astype(jnp.float32)
        moments = lambda a: jnp.stack([a, a**2])
        add = lambda total, a: total + jnp.einsum("lcp,mpk->lcmk", weight, moments(a))
        return (at + 1, jax.tree.map(add, totals, here)), None

    shapes = {
        "synapse": np.prod(first["synapses"].shape[1:]),
        "neuron": net.layers * net.encode.shape[1],
    }
    empty = {name: jnp.zeros((2, 2, 2, int(n))) for name, n in shapes.items()}
    (_, (_, totals)), _ = follow(tokens[:many], sums, (jnp.int32(0), empty))
    count = jnp.stack([labels[:, :many].sum((1, 2)), (~labels[:, :many]).sum((1, 2))], 1)

    def best(total):
        mean = total / jnp.maximum(count, 1)[:, :, None, None]
        spread = (mean[:, :, 1] - mean[:, :, 0] ** 2).sum(1)
        gap = mean[:, 0, 0] - mean[:, 1, 0]
        return jnp.argmax(gap * jax.lax.rsqrt(jnp.maximum(spread, 1e-12)), -1)

    chosen = jax.tree.map(best, totals)

    def pick(kept, here):
        pair = here["synapse"][:, chosen["synapse"]]
        return kept, (pair[:, 0], pair[:, 1], here["neuron"][:, chosen["neuron"][0]])

    _, (trace, shuffled, neuron) = follow(tokens[many:], pick, ())
    return {
        "trace": trace.T, "shuffled-trace": shuffled.T, "neuron-trace": neuron.T,
        "label": labels[0, many:], "other": labels[1, many:], "tokens": tokens[many:],
    }  # fmt: skip


class Reads(System):
    """A tick is a text: a new network is trained on it and tested.

    Output: "loss" (training, nats, a running mean), "bits" a character on the test part; of a hatchling also
    the shares of active neurons, the strongest connections, and what a synapse does in speakers' names.
    """

    texts: Texts
    flags: dict[str, Array]
    updates: Int[Array, ""]
    rate: Float[Array, ""]
    settings: tuple = eqx.field(static=True)
    hatchling: bool = eqx.field(static=True)

    def __init__(self, settings: dict, texts: Texts, hatchling: bool, updates: int, **flags: bool):
        self.texts, self.hatchling = texts, hatchling
        self.flags = {name: jnp.asarray(flag) for name, flag in flags.items()}
        self.updates = jnp.int32(updates)
        self.rate = jnp.float32(settings["rate"] if hatchling else settings["gpt_rate"])
        self.settings = tuple(sorted(settings.items()))

    def network(self, key: Array) -> System:
        """The arm's network with new weights."""
        s = dict(self.settings)
        if not self.hatchling:
            return gpt(
                s["symbols"], s["gpt_width"], s["gpt_layers"], s["gpt_heads"], s["length"], key
            )
        form = (s["symbols"], s["width"], s["neurons"], s["heads"], s["layers"])
        return Hatchling.init_normal(*form, key, **self.flags)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        s, text = dict(self.settings), tick.i % len(TEXTS)
        a, b, c, d = jr.split(tick.key, 4)
        codes = self.texts.train[text]

        def loss(net, batch, key):
            seen, wanted = pieces(key, codes, s["batch"], s["length"])
            return bits(predict(net, seen), wanted).mean() * np.log(2)

        many = jnp.maximum(self.updates, 1)
        warm = lambda k: jnp.minimum(1.0, (k + 1) / (0.05 * many))
        cosine = lambda k: (
            self.rate * warm(k) * (1 + jnp.cos(jnp.pi * jnp.minimum(k / many, 1))) / 2
        )
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(cosine))
        net, smooth = descend(Trainer(self.network(a), loss, tx), b, self.updates)
        part = self.texts.valid if s["judge"] == "valid" else self.texts.test
        seen, wanted = pieces(c, part[text], s["tested"], s["length"])
        out = {"loss": smooth, "bits": bits(predict(net, seen), wanted).mean()}
        return state, out | (self._inside(net, text, seen, d) if self.hatchling else {})

    def _inside(self, net, text, seen, key):
        s = dict(self.settings)
        _, found = jax.vmap(lambda t: net.look(net.init(1.0, None), t))(seen[: s["tested"] // 4])
        active = lambda name: (found[name] > 0).mean()
        tokens, _ = pieces(key, self.texts.test[text], 2 * FOLLOWED, s["length"])
        label = in_name(tokens, self.texts.capital[text])
        followed = selectivity(net, tokens, label)
        return {
            "active-neurons": active("neurons"), "active-gated": active("gated"),
            "edges": net.graph(0.02),
        } | followed  # fmt: skip
