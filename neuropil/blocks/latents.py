"""Attention between two sets of tokens, and layers that look along two axes in turn."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from neuropil.blocks.attention import attention, check_heads, rotary
from neuropil.blocks.plain import MLP, RMSNorm
from neuropil.wiring import Dense


def _rows(part: Dense, x: Array) -> Array:
    """A dense map of the last axis, as one matrix product."""
    return part.unroll((), x, None)[1]


def _heads(x, heads):
    """(..., token, width) -> (..., head, token, part)."""
    return jnp.swapaxes(x.reshape(*x.shape[:-1], heads, -1), -2, -3)


def _joined(x):
    """(..., head, token, part) -> (..., token, width)."""
    x = jnp.swapaxes(x, -2, -3)
    return x.reshape(*x.shape[:-2], -1)


class CrossAttention(eqx.Module):
    r"""Tokens of one set read those of another: $y = W_o\, \text{att}(q, W_k k, W_v v)$, several heads.

    Queries are taken as they are, without a map of their own, and nothing goes past the attention. Learned
    queries that read the channels of a recording turn any number of channels into as many sources (an inverse
    solution); queries that describe channels read sources back into channels (a forward solution).

    Queries (*batch, query, width), keys and values (*batch, key, width) have equal leading axes.

    >>> part = CrossAttention.init_normal(8, 2, key=jr.key(0))
    >>> part(jnp.ones((3, 8)), jnp.ones((5, 8)), jnp.ones((5, 8))).shape
    (3, 8)

    Raises ValueError where heads do not divide the width.
    """

    key: Dense
    value: Dense
    out: Dense
    heads: int = eqx.field(static=True)

    @staticmethod
    def init_normal(width: int, heads: int, *, key: Key[Array, ""]) -> CrossAttention:
        """Weights normal with deviation 1 / sqrt(width), biases zero."""
        check_heads("CrossAttention", heads, width=width)
        maps = [Dense.init_normal(width, width, k, bias=True) for k in jr.split(key, 3)]
        return CrossAttention(*maps, heads)

    def __call__(
        self,
        query: Float[Array, "*batch query width"],
        key: Float[Array, "*batch key width"],
        value: Float[Array, "*batch key width"],
    ) -> Float[Array, "*batch query width"]:
        q, k, v = (
            _heads(x, self.heads) for x in (query, _rows(self.key, key), _rows(self.value, value))
        )
        return _rows(self.out, _joined(attention(q, k, v)))


class CrissCross(eqx.Module):
    r"""A layer over tokens (latent, time): one half of the width looks along time, the other along latents.

    $[a, b] = \text{RMS}(x)$, $x \leftarrow x + [\text{space}(b), \text{time}(a)]$, then
    $x \leftarrow x + \text{MLP}(\text{RMS}(x))$ with SELU, four times as wide inside. The halves change places,
    so what was mixed along time meets the other latents in the next layer. Rotary positions along time spread
    their frequencies over all heads together.

    Source: Xiao et al. (2025), BrainOmni, arXiv:2505.18185; the split: Wang et al. (2024), arXiv:2412.07236.

    >>> part = CrissCross.init_normal(8, 4, key=jr.key(0))
    >>> part(jnp.ones((3, 5, 8))).shape
    (3, 5, 8)

    Raises ValueError for an odd number of heads, and where they do not divide the width.
    """

    time: tuple[Dense, Dense]
    space: tuple[Dense, Dense]
    norm: RMSNorm
    norm2: RMSNorm
    mlp: MLP
    heads: int = eqx.field(static=True)

    @staticmethod
    def init_normal(width: int, heads: int, *, key: Key[Array, ""]) -> CrissCross:
        """Weights normal with deviation 1 / sqrt(inputs), biases zero."""
        if heads % 2:
            raise ValueError(
                f"CrissCross: {heads} heads cannot be shared by two axes; make it even"
            )
        check_heads("CrissCross", heads, width=width)
        a, b, c, d, e = jr.split(key, 5)
        half = width // 2
        pair = lambda one, two: (
            Dense.init_normal(half, 3 * half, one, bias=True),
            Dense.init_normal(half, half, two, bias=True),
        )
        mlp = MLP.init_normal(width, 4 * width, key=e, activation=jax.nn.selu)
        return CrissCross(pair(a, b), pair(c, d), RMSNorm(width), RMSNorm(width), mlp, heads // 2)

    def _look(self, maps, x, position=None):
        q, k, v = jnp.split(_rows(maps[0], x), 3, axis=-1)
        if position is not None:
            q, k = rotary(q, position), rotary(k, position)
        q, k, v = (_heads(a, self.heads) for a in (q, k, v))
        return _rows(maps[1], _joined(attention(q, k, v)))

    def __call__(self, x: Float[Array, "latent time width"]) -> Float[Array, "latent time width"]:
        over = lambda norm, x: jax.vmap(jax.vmap(norm))(x)
        a, b = jnp.split(over(self.norm, x), 2, axis=-1)
        time = self._look(self.time, a, jnp.arange(x.shape[1]))
        space = self._look(self.space, b.transpose(1, 0, 2)).transpose(1, 0, 2)
        x = x + jnp.concatenate([space, time], axis=-1)
        return x + over(self.mlp, over(self.norm2, x))
