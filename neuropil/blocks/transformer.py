"""Transformer layers over any set of tokens, with any mask: maps with no time in them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key

from neuropil.blocks.attention import attention, check_heads, join_heads, projections, split_heads
from neuropil.blocks.plain import MLP, LayerNorm
from neuropil.wiring import Dense


class TransformerLayer(eqx.Module):
    """x + MHA(LN x), then x + MLP(LN x) (pre-norm; Xiong et al. 2020) on tokens (token, width).

    The mask says which token may look at which (True: may); tokens have no order but what they carry.

    >>> import jax.numpy as jnp
    >>> part = TransformerLayer.init_normal(8, 2, key=jr.key(0))
    >>> part(jnp.ones((5, 8))).shape
    (5, 8)

    Raises ValueError where heads do not divide the width.
    """

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    norm: LayerNorm
    norm2: LayerNorm
    mlp: MLP
    heads: int = eqx.field(static=True)

    @staticmethod
    def init_normal(width: int, heads: int, *, key: Key[Array, ""], hidden: int | None = None):
        """Weights normal with deviation 1 / sqrt(inputs); `hidden` of the MLP is 4 width by default."""
        check_heads("TransformerLayer", heads, width=width)
        one, two = jr.split(key)
        maps = projections(width, width, one, None, True)
        mlp = MLP.init_normal(width, hidden or 4 * width, key=two)
        return TransformerLayer(*maps, LayerNorm(width), LayerNorm(width), mlp, heads)

    def __call__(
        self, x: Float[Array, "token width"], mask: Bool[Array, "token token"] | None = None
    ) -> Float[Array, "token width"]:
        seen = jax.vmap(self.norm)(x)
        maps = (self.query, self.key, self.value)
        q, k, v = (split_heads(jax.vmap(part.forward)(seen), self.heads) for part in maps)
        mixed = attention(q, k, v, None if mask is None else mask[None])
        x = x + jax.vmap(self.out.forward)(join_heads(mixed))
        return x + jax.vmap(self.mlp)(jax.vmap(self.norm2)(x))


def stacked_layers(
    depth: int, width: int, heads: int, *, key: Key[Array, ""], hidden: int | None = None
) -> TransformerLayer:
    """`depth` layers in one tree, a leading axis on every array: compiled once, run by `through`."""
    make = lambda k: TransformerLayer.init_normal(width, heads, key=k, hidden=hidden)
    return eqx.filter_vmap(make)(jr.split(key, depth))


def through(
    layers: TransformerLayer,
    x: Float[Array, "token width"],
    mask: Bool[Array, "token token"] | None = None,
) -> Float[Array, "token width"]:
    """Tokens through layers made by `stacked_layers`, by a scan over their leading axis.

    >>> import jax.numpy as jnp
    >>> layers = stacked_layers(3, 8, 2, key=jr.key(0))
    >>> through(layers, jnp.ones((5, 8))).shape
    (5, 8)
    """
    arrays, static = eqx.partition(layers, eqx.is_array)

    def one(x, arrays):
        return eqx.combine(arrays, static)(x, mask), None

    return jax.lax.scan(one, x, arrays)[0]
