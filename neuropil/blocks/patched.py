r"""Causal attention to patches of the past and to its last samples, for sequences of samples of many channels.

Keys are learned sums of whole patches, $\bar x_i = \sum_l w_l x_{iP + l} + b$, and the last `raw` samples
themselves; queries are the last `queries` samples. A query sees a patch or a sample that has ended by its own
time. Channels are a batch axis of this; then what each head says may be mixed across channels, at one time.

Source: Huang et al. (2025), arXiv 2510.18080 (MEG-GPT), and its code; queries at the end only: Hawthorne et al.
(2022), arXiv 2202.07765.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from neuropil.blocks.attention import attention, check_heads, join_heads, split_heads
from neuropil.blocks.dropout import dropout
from neuropil.blocks.plain import MLP, LayerNorm
from neuropil.wiring import Dense


def patched_causal(times: int, queries: int, patch: int, raw: int) -> Bool[Array, "query key"]:
    """Mask: which of the `times / patch` patches and the last `raw` samples each of the last `queries`
    samples sees: those that end at or before it.

    >>> patched_causal(4, 2, 2, 1).astype(int).tolist()
    [[1, 0, 0], [1, 1, 1]]

    Raises ValueError where patches do not fill the sequence, or it is shorter than `queries` or `raw`.
    """
    if patch < 1 or times % patch:
        raise ValueError(
            f"patched_causal: {times} samples are no whole number of patches of {patch}"
        )
    if not (1 <= queries <= times and 0 <= raw <= times):
        raise ValueError(
            f"patched_causal: queries = {queries}, raw = {raw}; at most {times} samples"
        )
    ends = jnp.arange(patch - 1, times, patch)
    seen = jnp.concatenate([ends, jnp.arange(times - raw, times)])
    return seen[None, :] <= jnp.arange(times - queries, times)[:, None]


class PatchCache(NamedTuple):
    """What a layer keeps of a sequence that grows: its inputs, and keys and values of patches and samples."""

    inputs: Float[Array, "time channel width"]
    keys: Float[Array, "key channel width"]
    values: Float[Array, "key channel width"]


class PatchedAttention(eqx.Module):
    """The attention of the module, on `times` samples: (time, channel, width) -> (query, channel, width).

    `mixing` (channel, channel), True where a channel may take what another says; the identity, or None, keeps
    channels apart to the bit. `begin` is the same with a cache, which `extend` grows sample by sample.

    >>> part = PatchedAttention.init_normal(8, 2, times=8, queries=4, patch=2, raw=2, key=jr.key(0))
    >>> part(jnp.ones((8, 3, 8))).shape
    (4, 3, 8)

    Raises ValueError where heads do not divide the width, and for lengths that do not fit each other.
    """

    patch: Dense
    patched: Dense
    raw: Dense
    query: Dense
    across: Dense
    out: Dense
    heads: int = eqx.field(static=True)
    lengths: tuple[int, int, int, int] = eqx.field(static=True)

    @staticmethod
    def init_normal(
        width: int,
        heads: int,
        *,
        times: int,
        queries: int,
        patch: int,
        raw: int,
        key: Key[Array, ""],
    ) -> PatchedAttention:
        """Weights normal with deviation 1 / sqrt(inputs), biases zero; a patch begins as its mean."""
        check_heads("PatchedAttention", heads, width=width)
        patched_causal(times, queries, patch, raw)
        ends = (2 * width, 2 * width, width, 2 * width, width)
        maps = [
            Dense.init_normal(width, n, k, bias=True)
            for n, k in zip(ends, jr.split(key, 5), strict=True)
        ]
        mean = Dense(jnp.full((1, patch), 1 / patch), jnp.zeros(1))
        return PatchedAttention(mean, *maps, heads, (times, queries, patch, raw))

    @property
    def mask(self) -> Bool[Array, "query key"]:
        """`patched_causal` of these lengths."""
        return patched_causal(*self.lengths)

    def _summary(
        self, x: Float[Array, "time channel width"]
    ) -> Float[Array, "patch channel width"]:
        pieces = x.reshape(-1, self.lengths[2], *x.shape[1:])
        return jnp.einsum("plcw,l->pcw", pieces, self.patch.weight[0]) + self.patch.bias[0]

    def _look(self, asked, keys, values, mask, mixing):
        """asked (query, channel, width): inputs at the queries' times."""
        split = partial(split_heads, heads=self.heads)
        q, k, v = (jax.vmap(split, 1)(a) for a in (self.query.forward(asked), keys, values))
        said = attention(q, k, v, mask[None, None])  # (channel, head, query, part)
        if mixing is None:
            return self.out.forward(jax.vmap(join_heads, out_axes=1)(said))
        cq, ck = jnp.split(self.across.forward(asked), 2, axis=-1)
        cq, ck = jax.vmap(split)(cq), jax.vmap(split)(ck)  # (query, head, channel, part)
        mixed = attention(cq, ck, said.transpose(2, 1, 0, 3), mixing[None, None])
        return self.out.forward(jax.vmap(join_heads)(mixed))

    def begin(
        self,
        x: Float[Array, "time channel width"],
        mixing: Bool[Array, "channel channel"] | None = None,
    ) -> tuple[Any, Float[Array, "query channel width"]]:
        """A `PatchCache` of the sequence and what is said at the queries' times."""
        times, queries, _, raw = self.lengths
        if x.shape[0] != times:
            raise ValueError(f"PatchedAttention: {x.shape[0]} samples; this one takes {times}")
        told = jnp.concatenate(
            [self.patched.forward(self._summary(x)), self.raw.forward(x[times - raw :])]
        )
        keys, values = jnp.split(told, 2, axis=-1)
        y = self._look(x[times - queries :], keys, values, self.mask, mixing)
        return PatchCache(x, keys, values), y

    def __call__(
        self,
        x: Float[Array, "time channel width"],
        mixing: Bool[Array, "channel channel"] | None = None,
    ) -> Float[Array, "query channel width"]:
        return self.begin(x, mixing)[1]

    def extend(
        self,
        cache: Any,
        x: Float[Array, "channel width"],
        at: Int[Array, ""],
        mixing: Bool[Array, "channel channel"] | None = None,
    ) -> tuple[Any, Float[Array, "channel width"]]:
        """The cache with the sample at place `at` (one of the last `raw`) put in, and what is said there.

        What the cache holds of later places is not seen.
        """
        times, queries, patch, raw = self.lengths
        inputs = cache.inputs.at[at].set(x)
        piece = jax.lax.dynamic_slice_in_dim(inputs, at // patch * patch, patch)
        rows = jnp.stack([at // patch, times // patch + at - (times - raw)])
        told = jnp.concatenate(
            [self.patched.forward(self._summary(piece)), self.raw.forward(x)[None]]
        )
        keys, values = jnp.split(told, 2, axis=-1)
        keys, values = cache.keys.at[rows].set(keys), cache.values.at[rows].set(values)
        mask = self.mask[at - (times - queries)][None]
        y = self._look(x[None], keys, values, mask, mixing)[0]
        return PatchCache(inputs, keys, values), y


def leaky_relu(x: Array) -> Array:
    """max(x, 0.2 x): the slope of TensorFlow's default."""
    return jax.nn.leaky_relu(x, 0.2)


class PatchedLayer(eqx.Module):
    """LN(x + attention), then LN(x + MLP) (post-norm), on the last `queries` samples of the input.

    >>> layer = PatchedLayer.init_normal(8, 2, 8, times=8, queries=4, patch=2, raw=2, key=jr.key(0))
    >>> layer(jnp.ones((8, 3, 8))).shape
    (4, 3, 8)
    """

    attention: PatchedAttention
    norm: LayerNorm
    norm2: LayerNorm
    mlp: MLP

    @staticmethod
    def init_normal(
        width: int,
        heads: int,
        hidden: int,
        *,
        key: Key[Array, ""],
        activation: Callable = leaky_relu,
        **lengths: int,
    ) -> PatchedLayer:
        """`lengths`: times, queries, patch, raw of `PatchedAttention`."""
        one, two = jr.split(key)
        part = PatchedAttention.init_normal(width, heads, key=one, **lengths)
        mlp = MLP.init_normal(width, hidden, key=two, activation=activation)
        return PatchedLayer(part, LayerNorm(width), LayerNorm(width), mlp)

    def _rest(self, x, said, rate=0.0, seed=None):
        drop = lambda a, n: dropout(a, rate, None if seed is None else seed + jnp.uint32(n))
        each = lambda norm, a: jax.vmap(jax.vmap(norm))(a)
        x = each(self.norm, x + drop(said, 1))
        # all rows at once, where the MLP itself takes one vector
        up = self.mlp.activation(self.mlp.up.forward(x))
        return each(self.norm2, x + drop(self.mlp.down.forward(up), 2))

    def begin(self, x, mixing=None, rate: float = 0.0, seed=None):
        """Cache and output; dropout of `rate` on both branches where there is a `seed`."""
        cache, said = self.attention.begin(x, mixing)
        return cache, self._rest(x[x.shape[0] - said.shape[0] :], said, rate, seed)

    def __call__(self, x, mixing=None):
        return self.begin(x, mixing)[1]

    def extend(self, cache, x, at, mixing=None):
        """See `PatchedAttention.extend`."""
        cache, said = self.attention.extend(cache, x, at, mixing)
        return cache, self._rest(x[None], said[None])[0]
