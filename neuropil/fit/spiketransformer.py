r"""Neuroformer's network: a generative transformer over spike tokens with cross-attended modalities.

Tokens of the current window are embedded as id + sinusoid of time + learned position, pass causal
self-attention, are fused with the past state, the stimulus and the behaviour by cross-attention
(in this order), and pass causal self-attention again. Two linear heads on the same position give
the next id and the next time. Every block is

$$x \leftarrow q + \mathrm{MHA}(\mathrm{LN}_1 q,\, s,\, s), \qquad
  x \leftarrow \mathrm{LN}_f(x + \mathrm{MLP}(\mathrm{LN}_2 x)):$$

keys and values are the *raw* source, only queries are normalised, and each block ends in a norm of
its own. That is the official network; a standard pre-norm block is another one.

All functions here take one window; `jax.vmap` makes a batch. The maps have no time in them, so they
are plain modules. Source: Antoniades et al. 2023 and the official code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from neuropil.blocks.dropout import dropout
from neuropil.fit.tokens import SpikeTokens, Windows


def sinusoid(value: Array, width: int) -> Float[Array, "*value width"]:
    """sin and cos of value * exp(-2 i ln(1e4) / width), interleaved: a code of continuous time."""
    rate = jnp.exp(jnp.arange(0, width, 2) * (-math.log(1e4) / width))
    angle = jnp.multiply.outer(jnp.asarray(value, rate.dtype), rate)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(*angle.shape[:-1], width)


class Linear(eqx.Module):
    """x W + b on the last axis; weights normal with deviation `scale`, bias zero or absent."""

    weight: Float[Array, "input output"]
    bias: Float[Array, " output"] | None

    def __init__(self, inputs: int, outputs: int, key, *, scale=0.02, bias: bool = True):
        self.weight = scale * jr.normal(key, (inputs, outputs))
        self.bias = jnp.zeros(outputs) if bias else None

    def __call__(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + jnp.broadcast_to(self.bias, y.shape)


class Norm(eqx.Module):
    """Layer norm over the last axis with gain and shift."""

    gain: Float[Array, " width"]
    shift: Float[Array, " width"]

    def __init__(self, width: int):
        self.gain, self.shift = jnp.ones(width), jnp.zeros(width)

    def __call__(self, x):
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        spread = jnp.mean(centred**2, axis=-1, keepdims=True)
        gain, shift = (jnp.broadcast_to(a, x.shape) for a in (self.gain, self.shift))
        return centred * jax.lax.rsqrt(spread + 1e-5) * gain + shift


class Attention(eqx.Module):
    """Multi-head attention of queries (token, width) to a source; 4 E^2 + 4 E parameters."""

    query: Linear
    key: Linear
    value: Linear
    out: Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, key, *, scale=0.02):
        if width % heads:
            raise ValueError(f"width {width} is no multiple of {heads} heads")
        q, k, v, o = jr.split(key, 4)
        self.query, self.key = (Linear(width, width, i, scale=scale) for i in (q, k))
        self.value, self.out = (Linear(width, width, i, scale=scale) for i in (v, o))
        self.heads = heads

    def __call__(self, x, source, mask=None, *, rate: float = 0.0, seeds=None):
        """(output, attention (head, token, source)); the attention is the one before dropout.

        Where heads x tokens are fewer than the source, the projections of keys and values are moved
        to the other side of the products, (q W_k^T) s instead of q (s W_k): the same numbers for a
        third of the work. The key's bias adds the same to all scores of a query: softmax drops it.
        """
        heads, dim = self.heads, x.shape[-1] // self.heads
        weight, residual = (None, None) if seeds is None else seeds
        q = self.query(x).reshape(-1, heads, dim)
        few = heads * x.shape[0] < source.shape[0]
        if few:
            wk = self.key.weight.reshape(-1, heads, dim)
            score = jnp.einsum("the,se->hts", jnp.einsum("thd,ehd->the", q, wk), source)
        else:
            score = jnp.einsum("thd,shd->hts", q, self.key(source).reshape(-1, heads, dim))
        score = score / math.sqrt(dim)
        if mask is not None:
            score = jnp.where(mask[None], score, -jnp.inf)
        attention = jax.nn.softmax(score, axis=-1)
        a = dropout(attention, rate, weight)
        if few:
            wv = self.value.weight.reshape(-1, heads, dim)
            mixed = jnp.einsum("the,ehd->thd", jnp.einsum("hts,se->the", a, source), wv)
            bias = self.value.bias.reshape(1, heads, dim)
            mixed = mixed + jnp.sum(a, axis=-1).T[..., None] * bias
        else:
            mixed = jnp.einsum("hts,shd->thd", a, self.value(source).reshape(-1, heads, dim))
        return dropout(self.out(mixed.reshape(x.shape)), rate, residual), attention


class Block(eqx.Module):
    """One block (equations of the module): 12 E^2 + 15 E parameters."""

    attention: Attention
    up: Linear
    down: Linear
    first: Norm
    second: Norm
    last: Norm
    rate: float = eqx.field(static=True)

    def __init__(self, width: int, heads: int, key, *, rate: float = 0.0, scale=0.02):
        a, u, d = jr.split(key, 3)
        self.attention = Attention(width, heads, a, scale=scale)
        self.up = Linear(width, 4 * width, u, scale=scale)
        self.down = Linear(4 * width, width, d, scale=scale)
        self.first, self.second, self.last = Norm(width), Norm(width), Norm(width)
        self.rate = rate

    def __call__(self, x, source=None, mask=None, *, seeds=None):
        """(x, attention); self-attention where no source is given. Three seeds for dropout."""
        source = x if source is None else source
        pair, last = (None, None) if seeds is None else (seeds[:2], seeds[2])
        mixed, attention = self.attention(self.first(x), source, mask, rate=self.rate, seeds=pair)
        x = x + mixed
        x = x + dropout(self.down(jax.nn.gelu(self.up(self.second(x)))), self.rate, last)
        return self.last(x), attention


@dataclass(frozen=True)
class Behaviour:
    """A behavioural variable: `samples` values a window. With `attend` the spikes cross-attend to
    them, with `predict` a linear head on the mean over positions gives one value (never both: the
    head would copy its input)."""

    name: str
    samples: int = 1
    attend: bool = False
    predict: bool = False

    def __post_init__(self):
        if self.attend == self.predict:
            raise ValueError(f"behaviour {self.name!r}: set either attend or predict to True")


class Outputs(eqx.Module):
    """What the network says about one window (or a batch): logits after every position of the input
    `ids[:-1]`, the last layer, predicted behaviour, mean features by modality, attention by stack
    (layer, head, token, source)."""

    id_logits: Float[Array, "*window token ids"]
    time_logits: Float[Array, "*window token times"]
    hidden: Float[Array, "*window token width"]
    behaviour: dict[str, Array]
    features: dict[str, Float[Array, "*window width"]]
    attention: dict[str, Float[Array, "*window layer head token source"]]


class SpikeTransformer(eqx.Module):
    """A generative model of spikes in windows, given past spikes, stimulus and behaviour.

    **Arguments**

    - `tokens`: the vocabulary; `width` E; `heads`; `rate`: dropout;
    - `layers`: blocks in each stack; `state` counts both self-attention stacks (before and after
      fusion), `history`, `stimulus` (encoder and cross-attention) and `behaviour` the cross ones;
    - `behaviours`: variables that are attended to or predicted; `frames`: (time, height, width) of
      the stimulus and `patch` its kernel, where there is one;
    - `scale`: deviation of the initial weights.

    Keys that are PAD are not masked in cross-attention and count in means, as in the official code.

    >>> import jax, jax.random as jr, numpy as np
    >>> vocabulary = SpikeTokens(units=3, bins=2, past_bins=4, length=6, past_length=8)
    >>> model = SpikeTransformer(vocabulary, width=8, heads=2, key=jr.key(0))
    >>> window = vocabulary.windows(np.eye(12, 3, dtype=int), [4, 6])
    >>> jax.vmap(model)(window).id_logits.shape
    (2, 5, 6)

    Raises ValueError for a width that the heads do not divide, or inputs that were not declared.
    """

    ids: Float[Array, "ids width"]
    place: Float[Array, "token width"]
    past_place: Float[Array, "past width"]
    encoder: list[Block]
    history: list[Block]
    patches: tuple[Linear, Norm] | None
    stimulus_encoder: list[Block]
    stimulus: list[Block]
    lift: dict[str, tuple[Linear, Linear]]
    behaviour: list[Block]
    decoder: list[Block]
    id_head: Linear
    time_head: Linear
    heads_of: dict[str, Linear]
    align: Linear
    tokens: SpikeTokens = eqx.field(static=True)
    behaviours: tuple[Behaviour, ...] = eqx.field(static=True)
    patch: tuple[int, int, int] = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    def __init__(
        self,
        tokens: SpikeTokens,
        *,
        key: PRNGKeyArray,
        width: int = 256,
        heads: int = 8,
        layers: dict[str, int] | None = None,
        behaviours: tuple[Behaviour, ...] = (),
        frames: tuple[int, int, int] | None = None,
        patch: tuple[int, int, int] = (3, 8, 8),
        rate: float = 0.2,
        scale: float = 0.02,
    ):
        depth = {"state": 1, "history": 1, "stimulus": 1, "behaviour": 1, **(layers or {})}
        if set(depth) != {"state", "history", "stimulus", "behaviour"}:
            raise ValueError(f"layers names state, history, stimulus, behaviour; not {set(depth)}")
        if width % 4:
            raise ValueError(f"width must be a multiple of 4 for its sinusoids, not {width}")
        if frames is not None and any(n % p for n, p in zip(frames, patch, strict=True)):
            raise ValueError(f"patch {patch} must divide frames {frames}")
        keys = iter(jr.split(key, 64 + 2 * len(behaviours)))
        linear = lambda i, o, bias=True: Linear(i, o, next(keys), scale=scale, bias=bias)
        block = lambda n: [
            Block(width, heads, next(keys), rate=rate, scale=scale) for _ in range(n)
        ]
        attended = [b for b in behaviours if b.attend]
        self.ids = scale * jr.normal(next(keys), (tokens.id_vocabulary, width))
        self.place = jnp.zeros((tokens.length - 1, width))
        self.past_place = jnp.zeros((tokens.past_length, width))
        self.encoder = block(depth["state"])
        self.history = block(depth["history"])
        seen = depth["stimulus"] if frames is not None else 0
        self.patches = (linear(math.prod(patch), width), Norm(width)) if seen else None
        self.stimulus_encoder, self.stimulus = block(seen), block(seen)
        self.lift = {
            b.name: (linear(1, 2 * width, False), linear(2 * width, width, False)) for b in attended
        }
        self.behaviour = block(depth["behaviour"] if attended else 0)
        self.decoder = block(depth["state"])
        self.id_head = linear(width, tokens.id_vocabulary, False)
        self.time_head = linear(width, tokens.time_vocabulary, False)
        self.heads_of = {b.name: linear(width, 1) for b in behaviours if b.predict}
        self.align = linear(width, width, False)
        self.tokens, self.behaviours, self.patch, self.rate = tokens, behaviours, patch, rate

    def __call__(
        self,
        window: Windows,
        behaviour: dict[str, Array] | None = None,
        frames: Float[Array, "time height width"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Outputs:
        """All outputs for one window; `key` turns dropout on."""
        wanted = {b.name for b in self.behaviours if b.attend}
        if set(behaviour or {}) - wanted or (frames is not None and self.patches is None):
            raise ValueError(
                f"this model attends to behaviour {sorted(wanted)} and "
                f"{'a stimulus' if self.patches else 'no stimulus'} only"
            )
        stacks = (self.encoder, self.history, self.stimulus_encoder, self.stimulus)
        sites = 1 + sum(len(s) for s in (*stacks, self.behaviour, self.decoder))
        seeds = [None] * sites if key is None else list(jr.bits(key, (sites, 3), jnp.uint32))
        one, two, three = (None,) * 3 if key is None else seeds[-1]
        x = self.embed(window.ids[:-1], window.times[:-1], self.place)
        x = first = dropout(x, self.rate, one)
        past = self.embed(window.past_ids, window.past_times, self.past_place)
        past = dropout(past, self.rate, two)
        causal = jnp.tril(jnp.ones((x.shape[0],) * 2, bool))
        attention, features = {}, {}

        def stack(name, blocks, x, source=None, mask=None):
            maps = []
            for block in blocks:
                x, a = block(x, source, mask, seeds=seeds.pop(0))
                maps.append(a)
            if maps:
                attention[name] = jnp.stack(maps)
            return x

        x = stack("encoder", self.encoder, x, mask=causal)
        x = stack("history", self.history, x, past)
        if frames is not None:
            seen = jnp.concatenate([first[:1], self.embed_frames(frames)])
            seen = stack("stimulus_encoder", self.stimulus_encoder, seen)
            features["stimulus"] = jnp.mean(seen, axis=0)
            x = stack("stimulus", self.stimulus, x, seen)
        if behaviour:
            values = dropout(self.embed_behaviour(behaviour), self.rate, three)
            features["behaviour"] = jnp.mean(values, axis=0)
            x = stack("behaviour", self.behaviour, x, values)
        x = stack("decoder", self.decoder, x, mask=causal)
        pooled = features["spikes"] = jnp.mean(x, axis=0)
        said = {name: head(pooled)[0] for name, head in self.heads_of.items()}
        return Outputs(self.id_head(x), self.time_head(x), x, said, features, attention)

    def embed(self, ids, times, place) -> Float[Array, "token width"]:
        """id + sinusoid of the time value + learned position (times are whole: a table of them)."""
        code = sinusoid(jnp.arange(self.tokens.time_vocabulary), self.ids.shape[1])
        return self.ids[ids] + code[times] + place[: ids.shape[0]]

    def embed_frames(self, frames) -> Float[Array, "patch width"]:
        """Patches that do not overlap -> linear -> norm -> ReLU (a strided 3-D convolution)."""
        shape = [k for n, p in zip(frames.shape, self.patch, strict=True) for k in (n // p, p)]
        cut = frames.reshape(shape).transpose(0, 2, 4, 1, 3, 5).reshape(-1, math.prod(self.patch))
        linear, norm = self.patches
        return jax.nn.relu(norm(linear(cut)))

    def embed_behaviour(self, values: dict[str, Array]) -> Float[Array, "sample width"]:
        """Two-layer map of each value + sinusoid of its sample number, variables in sorted order,
        + sinusoid of the place in the joined sequence (on the first half of the width)."""
        width, rows = self.ids.shape[1], []
        for name in sorted(values):
            up, down = self.lift[name]
            sample = jnp.arange(values[name].shape[0])
            rows.append(down(jax.nn.gelu(up(values[name][:, None]))) + sinusoid(sample, width))
        rows = jnp.concatenate(rows)
        place = sinusoid(jnp.arange(rows.shape[0]), width // 2)
        return rows + jnp.concatenate([place, jnp.broadcast_to(place[:1], place.shape)], axis=1)
