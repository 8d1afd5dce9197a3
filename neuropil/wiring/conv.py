"""Convolutional wiring over one, two or more spatial axes."""

from __future__ import annotations

import math
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
    axis as one batch. `patches`: as a matrix product over the patches of the input (two spatial axes), which
    costs the same inside a loop as outside (on a CPU a quarter of the convolution inside a loop).
    """

    weight: Array = param(axes=("post", "pre", "space"))
    bias: Array | None = param(None, axes=("post",))
    stride: int = eqx.field(static=True, default=1)
    padding: Literal["SAME", "VALID"] = eqx.field(static=True, default="SAME")
    patches: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.weight.ndim < 3:
            raise ValueError(f"Conv: weight {self.weight.shape}; it must be (post, pre, *kernel)")
        if self.padding not in ("SAME", "VALID"):
            raise ValueError(f"Conv: padding={self.padding!r}; write 'SAME' or 'VALID'")
        if self.patches and self.weight.ndim != 4:
            raise ValueError(
                f"Conv: patches needs two spatial axes; weight {self.weight.shape} has {self.weight.ndim - 2}"
            )

    @staticmethod
    def init_uniform(
        pre: int,
        post: int,
        kernel: tuple[int, ...],
        key: Array,
        *,
        stride: int = 1,
        padding="SAME",
        patches: bool = False,
    ) -> Conv:
        """Weights uniform on +-1/sqrt(fan-in), no bias."""
        fan_in = pre * math.prod(kernel)
        return Conv(uniform(key, (post, pre, *kernel), fan_in), None, stride, padding, patches)

    def _many(self, xs):
        strides = (self.stride,) * (self.weight.ndim - 2)
        if self.patches:
            ys = self._product(xs)
        else:
            ys = lax.conv_general_dilated(xs, self.weight, strides, self.padding)
        if self.bias is None:
            return ys
        return ys + self.bias.reshape(1, -1, *(1,) * (self.weight.ndim - 2))

    def _product(self, xs):
        post, _, *kernel = self.weight.shape
        size, s = xs.shape[2:], self.stride
        if self.padding == "SAME":
            out = [-(-n // s) for n in size]
            need = [max((o - 1) * s + k - n, 0) for o, k, n in zip(out, kernel, size, strict=True)]
            xs = jnp.pad(xs, ((0, 0), (0, 0), *((n // 2, n - n // 2) for n in need)))
        else:
            out = [(n - k) // s + 1 for n, k in zip(size, kernel, strict=True)]
        ends = [s * (o - 1) + 1 for o in out]
        cut = [
            xs[:, :, i : i + ends[0] : s, j : j + ends[1] : s]
            for i in range(kernel[0])
            for j in range(kernel[1])
        ]
        patches = jnp.stack(cut, 2).reshape(len(xs), -1, out[0] * out[1])
        flat = self.weight.reshape(post, -1)
        return jnp.einsum("of,nfp->nop", flat, patches).reshape(len(xs), post, *out)

    def forward(self, x):
        return self._many(x[None])[0]

    def transpose(self, y, space: tuple[int, ...] | None = None):
        """Backwards; `space` is the input's spatial shape where a stride leaves it open."""
        space = space or tuple(n * self.stride for n in y.shape[1:])
        unbiased = Conv(self.weight, None, self.stride, self.padding, self.patches)
        x = jax.ShapeDtypeStruct((self.weight.shape[1], *space), y.dtype)
        return jax.linear_transpose(unbiased.forward, x)(y)[0]

    def unroll(self, state, xs, ticks):
        return state, self._many(xs)

    def unroll_batch(self, state, xs, ticks):
        ys = self._many(xs.reshape(-1, *xs.shape[2:]))
        return state, ys.reshape(*xs.shape[:2], *ys.shape[1:])
