r"""Softmax attention: a pure function, and a `System` whose state is the cache of keys and values.

$$a_{ij} = \frac{\exp(s\, q_i \cdot k_j)}{\sum_{j' \in M_i} \exp(s\, q_i \cdot k_{j'})}, \qquad
  y_i = \sum_{j \in M_i} a_{ij} v_j$$

with $s = 1/\sqrt{\text{width}}$ and $M_i$ the keys which the mask lets query i see.
Source: Vaswani et al. (2017), arXiv 1706.03762.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from neuropil.core import System, Tick, param
from neuropil.wiring import Dense


def attention_weights(
    q: Float[Array, "*batch query width"],
    k: Float[Array, "*batch key width"],
    mask: Bool[Array, "*#batch #query #key"] | None = None,
    *,
    scale: float | int | None = None,
) -> Float[Array, "*batch query key"]:
    """How much each query looks at each key: softmax over the keys the mask allows (True: may look).

    `scale` multiplies the products; by default 1 / sqrt(width). Each row sums to 1; the row of a
    query that may see nothing is 0 (not NaN), also in its gradient.

    >>> attention_weights(jnp.zeros((1, 2)), jnp.ones((4, 2)))
    Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    score = jnp.einsum("...qw,...kw->...qk", q, k) * scale
    if mask is not None:
        score = jnp.where(mask, score, -jnp.inf)
    top = jax.lax.stop_gradient(score.max(axis=-1, keepdims=True))
    weight = jnp.exp(score - jnp.where(jnp.isfinite(top), top, 0.0))
    total = weight.sum(axis=-1, keepdims=True)
    return weight / jnp.where(total == 0, 1.0, total)


def attention(
    q: Float[Array, "*batch query width"],
    k: Float[Array, "*batch key width"],
    v: Float[Array, "*batch key value"],
    mask: Bool[Array, "*#batch #query #key"] | None = None,
    *,
    scale: float | int | None = None,
) -> Float[Array, "*batch query value"]:
    """Values averaged by `attention_weights`. Heads, if any, are leading axes.

    **Arguments**: queries, keys, values with any equal leading axes; `mask` True where a query may
    see a key, broadcast; `scale` of the products, 1 / sqrt(width) by default.

    >>> v = jnp.array([[1.0], [3.0]])
    >>> attention(jnp.zeros((2, 4)), jnp.ones((2, 4)), v, causal(2, 2))
    Array([[1.],
           [2.]], dtype=float32)
    """
    return attention_weights(q, k, mask, scale=scale) @ v


def causal(queries: int, keys: int, window: int | None = None) -> Bool[Array, "query key"]:
    """Mask in which query i sees keys 0..i, or only the last `window` of them (i itself included).

    >>> causal(3, 3, window=2).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    ahead = jnp.arange(keys)[None, :] - jnp.arange(queries)[:, None]
    seen = ahead <= 0
    return seen if window is None else seen & (ahead > -window)


def rotary(
    x: Float[Array, "*batch time width"],
    position: Int[Array, " time"],
    base: float = 1e4,
) -> Float[Array, "*batch time width"]:
    r"""Each pair (2i, 2i + 1) of entries turned by the angle position base^(-2i / width).

    Applied to queries and keys, their products depend on the distance between two tokens alone:
    $(R_a q) \cdot (R_b k) = q \cdot R_{b - a} k$.

    Source: Su et al. (2021), arXiv 2104.09864.

    >>> [round(float(a), 3) for a in rotary(jnp.array([[1.0, 0.0]]), jnp.array([2]))[0]]
    [-0.416, 0.909]

    Raises ValueError for an odd width.
    """
    width = x.shape[-1]
    if width % 2:
        raise ValueError(f"rotary: width = {width}, but entries turn in pairs; make it even")
    rate = base ** (-jnp.arange(0, width, 2, dtype=x.dtype) / width)
    angle = position.astype(x.dtype)[:, None] * rate[None]
    lead = (1,) * (x.ndim - 2)
    cos, sin = (f(angle).reshape(*lead, *angle.shape) for f in (jnp.cos, jnp.sin))
    even, odd = x[..., ::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1).reshape(x.shape)


def split_heads(x: Float[Array, "time width"], heads: int) -> Float[Array, "head time part"]:
    """(time, heads * part) -> (head, time, part)."""
    return jnp.moveaxis(x.reshape(x.shape[0], heads, -1), 1, 0)


def join_heads(x: Float[Array, "head time part"]) -> Float[Array, "time width"]:
    """(head, time, part) -> (time, heads * part)."""
    return jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1)


def check_heads(name: str, heads: int, **widths: int) -> None:
    """Refuse a width that the heads cannot share."""
    for what, width in widths.items():
        if heads < 1 or width % heads:
            raise ValueError(
                f"{name}: {what} = {width} cannot be shared by {heads} heads; make it a multiple"
            )


class Attention(System):
    r"""Causal multi-head self-attention as a system: one token (width,) in, one out, a tick.

    The state is a ring of the last `capacity` keys and values and the count of tokens so far. A
    token sees itself and the `capacity - 1` tokens before it, so the ring *is* the definition: with
    a capacity of at least the length of the sequence this is full causal attention, and with a
    smaller one it is sliding-window attention (older tokens are forgotten, never an error).

    `unroll` does all tokens at once (the parallel form), also from a state in mid-run; `parallel` is
    the same from rest and saves the look into the empty ring. `prefix` (token, width), where there is
    one, are learned tokens before the first that every token sees and no ring forgets (persistent
    memory: Sukhbaatar et al. 2019, arXiv 1907.01470).

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> part = Attention.init_normal(8, heads=2, capacity=16, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 8)))[1].shape
    (5, 8)

    Raises ValueError where heads do not divide the widths or the capacity is not positive.
    """

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    heads: int = eqx.field(static=True, default=1)
    capacity: int = eqx.field(static=True, default=512)
    prefix: Array | None = param(None, axes=("token", "width"))

    def __check_init__(self):
        keys, values = self.key.weight.shape[0], self.value.weight.shape[0]
        check_heads("Attention", self.heads, keys=keys, values=values)
        if self.capacity < 1:
            raise ValueError(f"Attention: capacity = {self.capacity}; at least 1 token must fit")

    @staticmethod
    def init_normal(
        width: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        keys: int | None = None,
        capacity: int = 512,
        scale: float | int | None = None,
        bias: bool = True,
        prefix: int = 0,
    ) -> Attention:
        """Weights normal with deviation `scale` (1 / sqrt(width) by default), biases zero.

        `keys` is the width of all queries together (`width` by default), shared by the heads; `prefix` the
        number of learned tokens in front, normal with deviation 1.
        """
        first = jr.normal(jr.fold_in(key, 4), (prefix, width)) if prefix else None
        maps = projections(width, keys or width, key, scale, bias)
        return Attention(*maps, heads, capacity, first)

    def init(self, dt, key):
        keys, values = (d.weight.shape[0] // self.heads for d in (self.key, self.value))
        kind = self.key.weight.dtype
        return {
            "keys": jnp.zeros((self.heads, self.capacity, keys), kind),
            "values": jnp.zeros((self.heads, self.capacity, values), kind),
            "count": jnp.int32(0),
        }

    def project(self, xs: Float[Array, "time width"]) -> tuple[Array, Array, Array]:
        """Queries, keys and values, each (head, time, part)."""
        parts = (self.query, self.key, self.value)
        return tuple(split_heads(jax.vmap(part.forward)(xs), self.heads) for part in parts)

    def _look(self, q, k, v, mask):
        """Attention to the keys the mask shows, and to the prefix."""
        if self.prefix is not None:
            _, first, said = self.project(self.prefix)
            k, v = jnp.concatenate([first, k], axis=1), jnp.concatenate([said, v], axis=1)
            seen = jnp.ones((mask.shape[0], len(self.prefix)), bool)
            mask = jnp.concatenate([seen, mask], axis=1)
        return attention(q, k, v, mask[None])

    def step(self, state: dict[str, Array], x: Float[Array, " width"], tick: Tick):
        q, k, v = self.project(x[None])
        slot = state["count"] % self.capacity
        keys = state["keys"].at[:, slot].set(k[:, 0])
        values = state["values"].at[:, slot].set(v[:, 0])
        count = state["count"] + 1
        filled = jnp.arange(self.capacity) < count
        y = self._look(q, keys, values, filled[None])
        return {"keys": keys, "values": values, "count": count}, self.out.forward(join_heads(y)[0])

    def unroll(self, state: dict[str, Array], xs: Float[Array, "time width"], ticks: Tick):
        q, k, v = self.project(xs)
        n = xs.shape[0]
        keys = jnp.concatenate([state["keys"], k], axis=1)
        values = jnp.concatenate([state["values"], v], axis=1)
        past = _ring_mask(state["count"], n, self.capacity)
        mask = jnp.concatenate([past, causal(n, n, self.capacity)], axis=1)
        y = self._look(q, keys, values, mask)
        kept = jnp.arange(max(0, n - self.capacity), n)  # what a later token can still see
        slots = (state["count"] + kept) % self.capacity
        state = {
            "keys": state["keys"].at[:, slots].set(k[:, kept]),
            "values": state["values"].at[:, slots].set(v[:, kept]),
            "count": state["count"] + n,
        }
        return state, jax.vmap(self.out.forward)(join_heads(y))

    def parallel(self, xs: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """All outputs from rest, without a state: what `unroll` gives from `init`."""
        q, k, v = self.project(xs)
        y = self._look(q, k, v, causal(len(xs), len(xs), self.capacity))
        return jax.vmap(self.out.forward)(join_heads(y))

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)


def _ring_mask(count: Int[Array, ""], n: int, capacity: int) -> Bool[Array, "query slot"]:
    """Which slots of a ring that has taken `count` tokens each of the next n queries still sees."""
    slot = jnp.arange(capacity)
    taken = count - 1 - (count - 1 - slot) % capacity  # number of the token in the slot
    first_seen = count + jnp.arange(n) - capacity + 1
    return (taken[None, :] >= 0) & (taken[None, :] >= first_seen[:, None])


def projections(
    width: int, keys: int, key: Key[Array, ""], scale: float | int | None, bias: bool
) -> tuple[Any, ...]:
    """Dense query, key, value and output maps; weights of deviation `scale`, biases zero."""
    scale = 1.0 / math.sqrt(width) if scale is None else scale
    ends = ((keys, width), (keys, width), (width, width), (width, width))
    return tuple(
        Dense(scale * jr.normal(k, shape), jnp.zeros(shape[0]) if bias else None)
        for k, shape in zip(jr.split(key, 4), ends, strict=True)
    )
