"""The dragon hatchling (the released code's form), the GPT beside it, and what is read off both."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Bool, Float, Int

from neuropil.blocks import MLP, Attention, LayerNorm, Positions, rotary, separable
from neuropil.core import Chain, Residual, System, param, run, start
from neuropil.wiring import Dense

BASE = 2.0**16  # of the rotation


def norm(x: Float[Array, "*shape width"]) -> Float[Array, "*shape width"]:
    """Layer norm without parameters."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-5)


class Hatchling(System):
    r"""BDH: positive neurons whose synapses are written by Hebb's rule while it reads.

    For every token with vector x, in every layer l (all share their weights) and head:

    $$n = \mathrm{ReLU}(E x), \quad a = S_l^\top R_t n, \quad m = n \odot \mathrm{ReLU}(D\, \mathrm{LN}(a)),$$
    $$S_l \leftarrow S_l + (R_t n) x^\top, \quad x \leftarrow \mathrm{LN}(x + \mathrm{LN}(C m))$$

    R_t turns pairs of neurons by angles that grow with the number t of the token; x begins as LN(embedding)
    and ends in logits H x. S, (layer, head, neuron, width), is the fast synaptic state, read before it is
    written. `unroll` is the same as causal linear attention without the token itself, all tokens at once.

    `gated`: m as above (else ReLU(D LN(a)) alone); `remembers`: a as above (else a token reads itself, a = x).
    Input: a token. Output: logits. State: {"synapses", "count"}.

    Source: Kosowski et al. (2025), arXiv 2509.26507, and its released code (MIT).
    """

    embed: Array = param(axes=("symbol", "width"))
    encode: Array = param(axes=("width", "head neuron"))
    gate: Array = param(axes=("head", "width", "neuron"))
    decode: Array = param(axes=("head neuron", "width"))
    head: Array = param(axes=("width", "symbol"))
    gated: Bool[Array, ""] = eqx.field(converter=jnp.asarray, default=True)
    remembers: Bool[Array, ""] = eqx.field(converter=jnp.asarray, default=True)
    layers: int = eqx.field(static=True, default=2)

    @staticmethod
    def init_normal(
        symbols: int, width: int, neurons: int, heads: int, layers: int, key: Array, **flags: Array
    ) -> Hatchling:
        """All weights normal with deviation 0.02, as in the released code."""
        a, b, c, d, e = jr.split(key, 5)
        draw = lambda k, *shape: 0.02 * jr.normal(k, shape)
        return Hatchling(
            draw(a, symbols, width), draw(b, width, neurons), draw(c, heads, width, neurons // heads),
            draw(d, neurons, width), draw(e, width, symbols), layers=layers, **flags,
        )  # fmt: skip

    def init(self, dt, key):
        heads, width, each = self.gate.shape
        synapses = jnp.zeros((self.layers, heads, each, width), self.encode.dtype)
        return {"synapses": synapses, "count": jnp.int32(0)}

    def look(
        self, state: dict[str, Array], tokens: Int[Array, " time"]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """(state, {"logits", "neurons", "gated" (time, layer, head, neuron)})."""
        heads, _, each = self.gate.shape
        x = norm(self.embed[tokens])
        place = state["count"] + jnp.arange(len(tokens))
        synapses, neurons, gated = [], [], []
        for layer in range(self.layers):
            n = jax.nn.relu(x @ self.encode).reshape(len(tokens), heads, each)
            n = jnp.moveaxis(n, 1, 0)
            q, v = rotary(n, place, BASE), jnp.broadcast_to(x[None], (heads, *x.shape))
            s, read = separable(q, q, v, None, state["synapses"][layer], strict=True)
            heard = jax.nn.relu(norm(jnp.where(self.remembers, read, v)) @ self.gate)
            m = jnp.where(self.gated, n * heard, heard)
            y = jnp.moveaxis(m, 0, 1).reshape(len(tokens), -1) @ self.decode
            x = norm(x + norm(y))
            synapses.append(s)
            neurons.append(n)
            gated.append(m)
        early = lambda a: jnp.moveaxis(jnp.stack(a), 2, 0)
        seen = {"logits": x @ self.head, "neurons": early(neurons), "gated": early(gated)}
        return {"synapses": jnp.stack(synapses), "count": state["count"] + len(tokens)}, seen

    def step(self, state, x, tick):
        """One token by the recurrent form: read the synapses, then write them."""
        heads, _, each = self.gate.shape
        now, synapses = norm(self.embed[x]), []
        for layer in range(self.layers):
            n = jax.nn.relu(now @ self.encode).reshape(heads, each)
            q = rotary(n[:, None], state["count"][None], BASE)[:, 0]
            s = state["synapses"][layer]
            read = jnp.where(self.remembers, jnp.einsum("hnw,hn->hw", s, q), now[None])
            heard = jax.nn.relu(jnp.einsum("hw,hwn->hn", norm(read), self.gate))
            m = jnp.where(self.gated, n * heard, heard)
            synapses.append(s + q[:, :, None] * now[None, None])
            now = norm(now + norm(m.reshape(-1) @ self.decode))
        return {"synapses": jnp.stack(synapses), "count": state["count"] + 1}, now @ self.head

    def unroll(self, state, xs, ticks):
        state, seen = self.look(state, xs)
        return state, seen["logits"]

    def unturned(self, state: dict[str, Array]) -> Float[Array, "layer head neuron width"]:
        """The synapses as the present token meets them: the rotation since their writing undone."""
        s = jnp.swapaxes(state["synapses"], 2, 3)
        now = jnp.broadcast_to(-(state["count"] - 1), (s.shape[2],))
        return jnp.swapaxes(rotary(s, now, BASE), 2, 3)

    def graph(self, share: float) -> Int[Array, "edge end"]:
        """The strongest excitatory neuron-to-neuron connections C E, a share of all pairs: (to, from)."""
        n = self.decode.shape[0]
        weight = (self.decode @ self.encode).T  # from a neuron, through the width, into a neuron
        weight = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, weight).ravel()
        best = jax.lax.top_k(weight, max(1, round(share * n * n)))[1]
        return jnp.stack([best // n, best % n], 1)


class Lookup(eqx.Module):
    """The vector of a symbol."""

    table: Float[Array, "symbol width"]

    def __call__(self, symbol: Int[Array, ""]) -> Float[Array, " width"]:
        return self.table[symbol]


def gpt(symbols: int, width: int, layers: int, heads: int, length: int, key: Array) -> Chain:
    """Embedding and learned positions, pre-norm blocks of attention and MLP (4 widths), a readout."""
    a, b, c, *keys = jr.split(key, 3 + layers)
    parts = []
    for k in keys:
        one, two = jr.split(k)
        mix = Attention.init_normal(width, key=one, heads=heads, capacity=length)
        parts.append(Residual(Chain(LayerNorm(width), mix)))
        parts.append(Residual(Chain(LayerNorm(width), MLP.init_normal(width, 4 * width, key=two))))
    table = 0.02 * jr.normal(a, (symbols, width))
    return Chain(
        Lookup(table),
        Positions(0.02 * jr.normal(b, (length, width))),
        *parts,
        LayerNorm(width),
        Dense.init_normal(width, symbols, c),
    )


def predict(net: System, seen: Int[Array, "piece time"]) -> Float[Array, "piece time symbol"]:
    """Logits of the next symbol at every place of pieces read from rest."""
    go = lambda tokens: run(net, start(net, 1.0, jr.key(0)), tokens)[1]
    return jax.vmap(go)(seen)


def size(net: System) -> int:
    """Numbers that can learn."""
    return sum(a.size for a in jax.tree.leaves(net) if jnp.issubdtype(a.dtype, jnp.floating))
