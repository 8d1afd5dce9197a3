r"""A vision transformer: patches of an image as tokens, a class token before them.

$$x_0 = [c;\; E p_1; \dots; E p_P] + \text{place}, \qquad x_l = \mathrm{layer}_l(x_{l-1})$$

with $p_i$ the pixels of patch i. Source: Dosovitskiy et al. (2021), arXiv 2010.11929.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key

from neuropil.blocks.attention import check_heads
from neuropil.blocks.plain import LayerNorm
from neuropil.blocks.transformer import TransformerLayer, stacked_layers
from neuropil.wiring import Dense


def patches(image: Float[Array, "row column *channel"], size: int) -> Float[Array, "patch pixel"]:
    """Squares of `size` pixels from left to right, then down, each flattened.

    >>> patches(jnp.arange(16.0).reshape(4, 4), 2)[1].tolist()
    [2.0, 3.0, 6.0, 7.0]

    Raises ValueError where squares do not fill the image.
    """
    high, wide = image.shape[:2]
    if high % size or wide % size:
        raise ValueError(
            f"patches: an image of {high} x {wide} is not filled by squares of {size} pixels; resize it"
        )
    cut = image.reshape(high // size, size, wide // size, size, -1)
    return jnp.swapaxes(cut, 1, 2).reshape(-1, cut.shape[-1] * size * size)


class VisionTransformer(eqx.Module):
    """Tokens (1 + patch, width) of an image (row, column[, channel]); the first is the class token.

    `hidden` (patch,) replaces patches by a learned token before the first layer (masked image modelling).
    `levels(image)` gives the tokens after the embedding and after each layer (depth + 1, 1 + patch, width),
    before the last norm: what is compared with a brain.

    >>> net = VisionTransformer.init_normal(8, side=16, patch=4, depth=2, heads=2, key=jr.key(0))
    >>> net(jnp.zeros((16, 16))).shape, net.levels(jnp.zeros((16, 16))).shape
    ((17, 8), (3, 17, 8))

    Raises ValueError for heads that do not divide the width and for images of another size.
    """

    embed: Dense
    first: Float[Array, " width"]
    masked: Float[Array, " width"]
    place: Float[Array, "token width"]
    layers: TransformerLayer
    norm: LayerNorm
    patch: int = eqx.field(static=True)

    @staticmethod
    def init_normal(
        width: int,
        *,
        side: int,
        patch: int,
        depth: int,
        heads: int,
        key: Key[Array, ""],
        channels: int = 1,
        hidden: int | None = None,
    ) -> VisionTransformer:
        """For square images of `side` pixels; tokens and places normal with deviation 0.02."""
        check_heads("VisionTransformer", heads, width=width)
        if side % patch:
            raise ValueError(
                f"VisionTransformer: side = {side} is no multiple of patch = {patch}; make it one"
            )
        one, two, three = jr.split(key, 3)
        count = (side // patch) ** 2
        table = 0.02 * jr.normal(one, (count + 3, width))
        embed = Dense.init_normal(patch * patch * channels, width, two, bias=True)
        layers = stacked_layers(depth, width, heads, key=three, hidden=hidden)
        return VisionTransformer(
            embed, table[0], table[1], table[2:], layers, LayerNorm(width), patch
        )

    def embedded(
        self,
        image: Float[Array, "row column *channel"],
        hidden: Bool[Array, " patch"] | None = None,
    ) -> Float[Array, "token width"]:
        """Tokens before the first layer."""
        tokens = jax.vmap(self.embed.forward)(patches(image, self.patch))
        if len(tokens) + 1 != len(self.place):
            raise ValueError(
                f"VisionTransformer: an image of {image.shape[0]} x {image.shape[1]} has {len(tokens)} patches,"
                f" but the network has {len(self.place) - 1} places; resize the image"
            )
        if hidden is not None:
            tokens = jnp.where(hidden[:, None], self.masked[None], tokens)
        return jnp.concatenate([self.first[None], tokens]) + self.place

    def levels(
        self, image: Float[Array, "row column *channel"]
    ) -> Float[Array, "level token width"]:
        """Tokens after the embedding and after every layer."""
        x = self.embedded(image)
        arrays, static = eqx.partition(self.layers, eqx.is_array)

        def one(x, arrays):
            x = eqx.combine(arrays, static)(x)
            return x, x

        return jnp.concatenate([x[None], jax.lax.scan(one, x, arrays)[1]])

    def __call__(
        self,
        image: Float[Array, "row column *channel"],
        hidden: Bool[Array, " patch"] | None = None,
    ) -> Float[Array, "token width"]:
        arrays, static = eqx.partition(self.layers, eqx.is_array)
        one = lambda x, arrays: (eqx.combine(arrays, static)(x), None)
        x = jax.lax.scan(one, self.embedded(image, hidden), arrays)[0]
        return jax.vmap(self.norm)(x)
