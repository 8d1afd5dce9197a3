r"""A matrix-valued memory with decay: written with keys and values, read with queries."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from neuropil.blocks.attention import check_heads, join_heads, projections, split_heads
from neuropil.core import System, Tick, param
from neuropil.wiring import Dense


class Retention(System):
    r"""Fast weights that fade: a memory beside the neurons, of the same size however long the sequence.

    $$H_t = \lambda H_{t-1} + v_t k_t^\top, \qquad o_t = H_t q_t / \sqrt{d_k}
      = \sum_{r \le t} \lambda^{t-r} v_r\, (k_r \cdot q_t) / \sqrt{d_k}$$

    per head, with q, k, v linear in the input and a decay lambda a head that is learned (as a logit, between 0
    and 1). It is linear attention without feature map and with decay; the memory of an astrocyte in
    AstroSNN, and retention in RetNet. `unroll` is the explicit sum, all ticks at once.

    Input: (width,). Output: (values,), the heads side by side. State: H, (head, d_v, d_k).

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> part = Retention.init_normal(8, heads=2, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 8)))[1].shape
    (5, 8)

    Sources: Schlag, Irie, Schmidhuber (2021), ICML (fast weights); Sun et al. (2023), arXiv 2307.08621.

    Raises ValueError where heads do not divide the widths.
    """

    query: Dense
    key: Dense
    value: Dense
    logit: Array = param(axes=("head",))
    heads: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        keys, values = self.key.weight.shape[0], self.value.weight.shape[0]
        check_heads("Retention", self.heads, keys=keys, values=values)
        if self.logit.shape != (self.heads,):
            raise ValueError(f"Retention: {self.logit.shape} decays for {self.heads} heads")

    @staticmethod
    def init_normal(
        width: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        spans: tuple[float, float] = (10.0, 1000.0),
    ) -> Retention:
        """Weights normal with deviation 1 / sqrt(width); decays 1 - 1 / span, spans (ticks) evenly apart on a
        logarithmic scale from head to head."""
        query, keys, value, _ = projections(width, width, key, None, False)
        span = np.geomspace(*spans, heads)
        return Retention(query, keys, value, np.log(span - 1), heads)

    @property
    def decay(self) -> Float[Array, " head"]:
        """lambda of every head."""
        return jax.nn.sigmoid(self.logit)

    def init(self, dt, key):
        keys, values = (d.weight.shape[0] // self.heads for d in (self.key, self.value))
        return jnp.zeros((self.heads, values, keys), self.key.weight.dtype)

    def step(self, state: Float[Array, "head value key"], x: Float[Array, " width"], tick: Tick):
        q, k, v = (a[:, 0] for a in self._project(x[None]))
        state = self.decay[:, None, None] * state + v[:, :, None] * k[:, None, :]
        o = jnp.einsum("hvk,hk->hv", state, q) / np.sqrt(q.shape[-1])
        return state, o.reshape(-1)

    def _project(self, xs):
        parts = (self.query, self.key, self.value)
        return tuple(split_heads(jax.vmap(part.forward)(xs), self.heads) for part in parts)

    def unroll(
        self, state: Float[Array, "head value key"], xs: Float[Array, "time width"], ticks: Tick
    ):
        q, k, v = self._project(xs)
        n, scale = xs.shape[0], np.sqrt(q.shape[-1])
        lag = np.arange(n)[:, None] - np.arange(n)[None, :]
        log = jax.nn.log_sigmoid(self.logit)  # of the decay: its powers do not underflow on the way
        powers = lambda lags: jnp.exp(lags[None] * log.reshape(-1, *(1,) * lags.ndim))
        fade = jnp.where(jnp.asarray(lag >= 0)[None], powers(np.maximum(lag, 0)), 0.0)
        o = jnp.einsum("hts,hsv->htv", jnp.einsum("htk,hsk->hts", q, k) * fade, v)
        since = powers(np.arange(1, n + 1))  # decay of the first state at every tick
        o = o + since[:, :, None] * jnp.einsum("hvk,htk->htv", state, q)
        left = powers(np.arange(n)[::-1])  # decay of every write until the end
        state = since[:, -1, None, None] * state + jnp.einsum("ht,htv,htk->hvk", left, v, k)
        return state, join_heads(o / scale)

    def rest(self):
        return jnp.zeros(self.value.weight.shape[0], self.value.weight.dtype)
