"""Every cell to every cell: full, and of low rank."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import param
from neuropil.wiring.base import Wiring, check_weight, uniform
from neuropil.wiring.product import event_product, event_sum, row_product


class Dense(Wiring):
    r"""All to all: $y = W x + b$, W of shape (post, pre).

    `events`: go by the entries of the input that are not zero, forwards and, over a whole time axis, for the
    gradient of the weight (`event_product`). Exact for any input, faster than the matrix product where fewer
    than about one input in eight is active.

    >>> Dense(jnp.array([[1.0, 2.0]])).forward(jnp.array([3.0, 4.0]))
    Array([11.], dtype=float32)
    """

    weight: Array = param(axes=("post", "pre"))
    bias: Array | None = param(None, axes=("post",))
    events: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_weight("Dense", self.weight, 2, "(post, pre)")

    @staticmethod
    def init_uniform(pre: int, post: int, key: Array, *, bias: bool = False) -> Dense:
        """Weights (and bias) uniform on +-1/sqrt(pre)."""
        a, b = jax.random.split(key)
        return Dense(uniform(a, (post, pre), pre), uniform(b, (post,), pre) if bias else None)

    @staticmethod
    def init_normal(
        pre: int, post: int, key: Array, *, gain: float = 1.0, bias: bool = False
    ) -> Dense:
        """Weights normal with deviation gain / sqrt(pre), bias zero."""
        weight = gain / jnp.sqrt(pre) * jax.random.normal(key, (post, pre))
        return Dense(weight, jnp.zeros(post) if bias else None)

    def forward(self, x):
        # W @ x for one sample: x @ W.T would write out the transpose at every tick (15 times slower)
        if x.ndim > 1:
            y = self._rows(x)
        else:
            y = event_sum(x, self.weight) if self.events else self.weight @ x
        return y if self.bias is None else y + jnp.broadcast_to(self.bias, y.shape)

    def _rows(self, x):
        return (event_product if self.events else row_product)(x, self.weight)

    def transpose(self, y):
        return y @ self.weight

    def unroll(self, state, xs, ticks):
        ys = self._rows(xs.reshape(-1, xs.shape[-1]))  # one matrix product over the whole time axis
        if self.bias is not None:
            ys = ys + self.bias[None]  # while they are rows: XLA adds it within the product
        return state, ys.reshape(*xs.shape[:-1], self.weight.shape[0])

    def unroll_batch(self, state, xs, ticks):
        return self.unroll(state, xs, ticks)  # samples are more rows

    def rest(self):
        zero = jnp.zeros(self.weight.shape[0], self.weight.dtype)
        return zero if self.bias is None else zero + self.bias


class LowRank(Wiring):
    r"""All to all of rank r: $y = U V^\top x$, U (post, r), V (pre, r).

    Source: Mastrogiuseppe, Ostojic (2018), Neuron 99, 609.
    """

    left: Array = param(axes=("post", "rank"))
    right: Array = param(axes=("pre", "rank"))

    def __check_init__(self):
        check_weight("LowRank", self.left, 2, "(post, rank)")
        check_weight("LowRank", self.right, 2, "(pre, rank)")
        if self.left.shape[1] != self.right.shape[1]:
            raise ValueError(
                f"LowRank: left has rank {self.left.shape[1]}, right {self.right.shape[1]}; make them equal"
            )

    @staticmethod
    def init_normal(pre: int, post: int, rank: int, key: Array) -> LowRank:
        """Entries normal so that the product has deviation about 1 / sqrt(pre)."""
        a, b = jax.random.split(key)
        scale = (rank * pre) ** -0.25
        draw = lambda k, n: scale * jax.random.normal(k, (n, rank))
        return LowRank(draw(a, post), draw(b, pre))

    @property
    def weight(self) -> Array:
        """The full matrix (post, pre); for inspection, never built in `forward`."""
        return self.left @ self.right.T

    def forward(self, x):
        return (x @ self.right) @ self.left.T

    def transpose(self, y):
        return (y @ self.left) @ self.right.T

    def unroll(self, state, xs, ticks):
        return state, self.forward(xs)

    def rest(self):
        return jnp.zeros(self.left.shape[0], self.left.dtype)
