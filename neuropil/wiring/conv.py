"""Convolutional wiring over one, two or more spatial axes."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from neuropil.core import param
from neuropil.wiring.base import Wiring, uniform


class Conv(Wiring):
    r"""Shared weights in space: input (channel, *space), output (channel', *space').

    $$y_{c'}(p) = \sum_{c, o} w_{c' c}(o)\, x_c(p s + o)$$

    `weight` is (channel', channel, *kernel), `stride` s, `padding` "SAME" or "VALID". On a CPU a
    convolution inside a time loop is several times slower than outside: `unroll` does the whole time
    axis as one batch.
    """

    weight: Array = param(axes=("post", "pre", "space"))
    bias: Array | None = param(None, axes=("post",))
    stride: int = eqx.field(static=True, default=1)
    padding: Literal["SAME", "VALID"] = eqx.field(static=True, default="SAME")

    def __check_init__(self):
        if self.weight.ndim < 3:
            raise ValueError(f"Conv: weight {self.weight.shape}; it must be (post, pre, *kernel)")
        if self.padding not in ("SAME", "VALID"):
            raise ValueError(f"Conv: padding={self.padding!r}; write 'SAME' or 'VALID'")

    @staticmethod
    def init_uniform(
        pre: int, post: int, kernel: tuple[int, ...], key: Array, *, stride: int = 1, padding="SAME"
    ) -> Conv:
        """Weights uniform on +-1/sqrt(fan-in), no bias."""
        fan_in = pre * int(jnp.prod(jnp.asarray(kernel)))
        return Conv(uniform(key, (post, pre, *kernel), fan_in), None, stride, padding)

    def _many(self, xs):
        strides = (self.stride,) * (self.weight.ndim - 2)
        ys = lax.conv_general_dilated(xs, self.weight, strides, self.padding)
        if self.bias is None:
            return ys
        return ys + self.bias.reshape(1, -1, *(1,) * (self.weight.ndim - 2))

    def forward(self, x):
        return self._many(x[None])[0]

    def transpose(self, y, space: tuple[int, ...] | None = None):
        """Backwards; `space` is the input's spatial shape where a stride leaves it open."""
        space = space or tuple(n * self.stride for n in y.shape[1:])
        unbiased = Conv(self.weight, None, self.stride, self.padding)
        x = jax.ShapeDtypeStruct((self.weight.shape[1], *space), y.dtype)
        return jax.linear_transpose(unbiased.forward, x)(y)[0]

    def unroll(self, state, xs, ticks):
        return state, self._many(xs)

    def unroll_batch(self, state, xs, ticks):
        ys = self._many(xs.reshape(-1, *xs.shape[2:]))
        return state, ys.reshape(*xs.shape[:2], *ys.shape[1:])
