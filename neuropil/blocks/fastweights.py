r"""Weights that are rewritten as they are read: the delta rule as a layer, with forgetting."""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from neuropil.blocks.attention import check_heads, join_heads, projections, split_heads
from neuropil.blocks.recurrence import separable
from neuropil.core import System, Tick
from neuropil.wiring import Dense


def unit_silu(x: Float[Array, "*shape part"]) -> Float[Array, "*shape part"]:
    r"""SiLU, then length 1 over the last axis: $\varphi(x) = s / \sqrt{|s|^2 + 10^{-6}}$, $s = x \sigma(x)$.

    >>> unit_silu(jnp.array([100.0, 0.0])).round(3).tolist()
    [1.0, 0.0]
    """
    s = jax.nn.silu(x)
    return s * jax.lax.rsqrt(jnp.sum(s**2, axis=-1, keepdims=True) + 1e-6)


class FastWeights(System):
    r"""Fast weights written by the delta rule: a new value for a key replaces the old one.

    $$S_t = a_t (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top, \qquad y_t = W_o\, S_t^\top q_t$$

    per head, with $q = \varphi(W_q x)$, $k = \varphi(W_k x)$, $v = W_v x$, how much is written
    $\beta = \sigma(W_\beta x + b_\beta)$, how much is kept $a = \sigma(W_a x + b_a)$ (1 where `keep` is None).
    Keys of length 1 and beta = 1 read back exactly what was written last. Beside it stand `LinearAttention`
    (adds, never replaces) and `Retention` (fades at a rate of its own); all are sums over the past with a
    separable kernel.

    Input and output: (width,). State: S, (head, key, value). `unroll` works in chunks of `chunk` tokens, as
    matrix products and a triangular solve, from any state.

    >>> from neuropil.core import run, start
    >>> part = FastWeights.init_normal(8, heads=2, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 8)))[1].shape
    (5, 8)

    Sources: Schlag, Irie, Schmidhuber (2021), ICML (delta rule); Yang, Kautz, Hatamizadeh (2024), arXiv
    2412.06464 (with forgetting: gated DeltaNet).

    Raises ValueError where heads do not divide the widths or the chunk holds no token.
    """

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    write: Dense
    keep: Dense | None = None
    features: Callable = eqx.field(static=True, default=unit_silu)
    heads: int = eqx.field(static=True, default=1)
    chunk: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        keys, values = self.key.weight.shape[0], self.value.weight.shape[0]
        check_heads("FastWeights", self.heads, keys=keys, values=values)
        if self.chunk < 1:
            raise ValueError(f"FastWeights: chunk = {self.chunk}; give 1 token or more")

    @staticmethod
    def init_normal(
        width: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        keys: int | None = None,
        forgets: bool = True,
        span: float = 100.0,
        chunk: int = 32,
    ) -> FastWeights:
        """Weights normal with deviation 1 / sqrt(width), no biases but the gates': half is written, and what
        is kept fades over `span` tokens (never, without `forgets`)."""
        maps = projections(width, keys or width, key, None, False)
        a, b = jr.split(jr.fold_in(key, 4))
        gate = lambda k, bias: Dense(
            jr.normal(k, (heads, width)) / math.sqrt(width), jnp.full(heads, bias)
        )
        keep = gate(b, math.log(span - 1)) if forgets else None
        return FastWeights(*maps, gate(a, 0.0), keep, heads=heads, chunk=chunk)

    def project(self, xs: Float[Array, "time width"]) -> tuple[Array, ...]:
        """Query and key features, values (head, time, part); log a and beta (head, time)."""
        rows = lambda part: part.unroll((), xs, None)[1]
        heads = lambda part: split_heads(rows(part), self.heads)
        q, k = self.features(heads(self.query)), self.features(heads(self.key))
        write = jax.nn.sigmoid(rows(self.write)).T
        if self.keep is None:
            kept = jnp.zeros_like(write)
        else:
            kept = jax.nn.log_sigmoid(rows(self.keep)).T
        return q, k, heads(self.value), kept, write

    def init(self, dt, key):
        keys, values = (d.weight.shape[0] // self.heads for d in (self.key, self.value))
        return jnp.zeros((self.heads, keys, values), self.key.weight.dtype)

    def step(self, state: Float[Array, "head key value"], x: Float[Array, " width"], tick: Tick):
        q, k, v, kept, write = (a[:, 0] for a in self.project(x[None]))
        state = jnp.exp(kept)[:, None, None] * state
        error = v - jnp.einsum("hkv,hk->hv", state, k)
        state = state + k[:, :, None] * (write[:, None] * error)[:, None, :]
        return state, self.out.forward(jnp.einsum("hkv,hk->hv", state, q).reshape(-1))

    def unroll(
        self, state: Float[Array, "head key value"], xs: Float[Array, "time width"], ticks: Tick
    ):
        q, k, v, kept, write = self.project(xs)
        state, ys = separable(q, k, v, kept, state, self.chunk, write=write)
        return state, self.out.unroll((), join_heads(ys), ticks)[1]

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)
