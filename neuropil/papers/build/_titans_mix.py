"""Where the memory stands: as context of attention, beside it as a gate, or before it as a layer."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jaxtyping import Float

from neuropil.blocks import Attention, RMSNorm, attention, causal, rotary
from neuropil.blocks.attention import join_heads
from neuropil.core import Chain, Parallel, System, param
from neuropil.memory import NeuralMemory
from neuropil.memory.chunks import in_chunks
from neuropil.wiring import Dense


def _even(x: Float[Array, "time width"]) -> Float[Array, "time width"]:
    """Each token with a mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-5)


class Context(System):
    r"""Memory as context: a segment is read together with what the memory says to it.

    With segments of C tokens (the memory's chunk), W the weights at the segment's begin and P learned
    tokens, $h_t = M_W(q(x_t))$, normalised as tokens are, is put before the segment, $y_t$ is $x_t$ and
    causal attention of token t over [P, h, x] up to t, the memory learns y (`NeuralMemory`), and the output is
    $y_t \odot \sigma(n_t)$ with n the normalised answer of the updated memory to y.

    Input and output: (width,). State: {"memory", "keys", "values" (2, head, C, part): what stands in the
    segment so far of h and of x, "seen" (C,)}. `step` is a segment with one token shown.

    Source: Behrouz, Zhong, Mirrokni (2024), arXiv 2501.00663, section 4.1.
    """

    memory: NeuralMemory
    attend: Attention
    back: Dense  # from what the memory says to the width of a token
    gain: Array = param(axes=("width",))

    @staticmethod
    def init_normal(
        width: int, memory: NeuralMemory, heads: int, prefix: int, key: Array
    ) -> Context:
        """Maps normal with deviation 1 / sqrt(width)."""
        a, b = jr.split(key)
        look = Attention.init_normal(
            width, key=a, heads=heads, capacity=memory.chunk, prefix=prefix, bias=False
        )
        return Context(memory, look, Dense.init_normal(width, width, b), jnp.ones(width))

    def init(self, dt, key):
        heads, size = self.attend.heads, self.memory.chunk
        room = jnp.zeros((2, heads, size, self.gain.shape[0] // heads), self.gain.dtype)
        seen = jnp.zeros(size, bool)
        return {"memory": self.memory.init(dt, key), "keys": room, "values": room, "seen": seen}

    def _segment(self, state, xs, mask, ends):
        old, size = state["memory"], self.memory.chunk
        h = join_heads(self.memory.look(old["anchor"], self.memory.queries(xs)))
        h = self.back.unroll((), _even(h), None)[1]
        q, k, v = self.attend.project(xs)
        _, far, said = self.attend.project(h)
        q, k, far = (
            rotary(a, jnp.arange(size)) for a in (q, k, far)
        )  # h_t stands where x_t stands
        keep = mask[None, None, :, None]
        keys = jnp.where(keep, jnp.stack([far, k]), state["keys"])
        values = jnp.where(keep, jnp.stack([said, v]), state["values"])
        seen = state["seen"] | mask
        _, always, told = self.attend.project(self.attend.prefix)
        flat = lambda first, a: jnp.concatenate([first, a[0], a[1]], axis=1)
        now = causal(size, size) & seen[None]
        looks = jnp.concatenate([jnp.ones((size, always.shape[1]), bool), now, now], axis=1)
        y = join_heads(attention(q, flat(always, keys), flat(told, values), looks[None]))
        y = xs + self.attend.out.unroll((), y, None)[1]
        k, v, gates = self.memory.project(y)
        memory, n = self.memory.absorb(old, self.memory.queries(y), k, v, gates, mask, ends)
        n = _even(join_heads(n)) * self.gain[None]
        state = {"memory": memory, "keys": keys, "values": values, "seen": seen & ~ends}
        return state, y * jax.nn.sigmoid(n)

    def step(self, state, x: Float[Array, " width"], tick):
        size = self.memory.chunk
        place, last = tick.i % size, (tick.i + 1) % size == 0
        room = jnp.zeros((size, *x.shape), x.dtype).at[place].set(x)
        state, ys = self._segment(state, room, jnp.arange(size) == place, last)
        return state, ys[place]

    def unroll(self, state, xs: Float[Array, "time width"], ticks):
        return in_chunks(self._segment, state, xs, ticks.i[0], self.memory.chunk)

    def rest(self):
        return jnp.zeros_like(self.gain)


class Product(eqx.Module):
    """Two branches, each through SiLU, multiplied."""

    def __call__(self, x: Float[Array, " two_widths"]) -> Float[Array, " width"]:
        a, b = jnp.split(jax.nn.silu(x), 2)
        return a * b


def gate(width: int, memory: NeuralMemory, look: Attention) -> Chain:
    """Memory as a gate: sliding attention and memory on the same input, each normalised, multiplied
    (arXiv 2501.00663, section 4.2)."""
    branches = {"attention": Chain(look, RMSNorm(width)), "memory": Chain(memory, RMSNorm(width))}
    return Chain(Parallel(branches, join="concatenate"), Product())


def layer(width: int, memory: NeuralMemory, look: Attention) -> Chain:
    """Memory as a layer: sliding attention on what the memory says (section 4.3)."""
    return Chain(memory, RMSNorm(width), look)
