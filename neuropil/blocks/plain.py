"""Maps with no time in them (norms, MLP), and the two parts that only know when they are: position
and short convolution."""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from neuropil.core import System, Tick, param
from neuropil.wiring import Dense


class LayerNorm(eqx.Module):
    r"""$(x - \bar x) / \sqrt{\mathrm{var}(x) + \epsilon} \cdot g + b$ over one vector (width,).

    >>> LayerNorm(2)(jnp.array([1.0, 3.0])).round(3).tolist()
    [-1.0, 1.0]
    """

    gain: Float[Array, " width"]
    shift: Float[Array, " width"]
    epsilon: float = eqx.field(static=True)

    def __init__(self, width: int, epsilon: float = 1e-5):
        self.gain, self.shift = jnp.ones(width), jnp.zeros(width)
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, " width"]) -> Float[Array, " width"]:
        centred = x - x.mean()
        spread = jnp.mean(centred**2)
        return centred * jax.lax.rsqrt(spread + self.epsilon) * self.gain + self.shift


class RMSNorm(eqx.Module):
    r"""$x / \sqrt{\overline{x^2} + \epsilon} \cdot g$ over one vector (width,).

    >>> RMSNorm(2)(jnp.array([3.0, 3.0])).round(3).tolist()
    [1.0, 1.0]
    """

    gain: Float[Array, " width"]
    epsilon: float = eqx.field(static=True)

    def __init__(self, width: int, epsilon: float = 1e-5):
        self.gain, self.epsilon = jnp.ones(width), epsilon

    def __call__(self, x: Float[Array, " width"]) -> Float[Array, " width"]:
        return x * jax.lax.rsqrt(jnp.mean(x**2) + self.epsilon) * self.gain


class MLP(eqx.Module):
    """W2 activation(W1 x + b1) + b2 on one vector (width,).

    >>> MLP.init_normal(4, 16, key=jr.key(0))(jnp.ones(4)).shape
    (4,)
    """

    up: Dense
    down: Dense
    activation: Callable = eqx.field(static=True, default=jax.nn.gelu)

    @staticmethod
    def init_normal(
        width: int, hidden: int, *, key: Key[Array, ""], activation: Callable = jax.nn.gelu
    ) -> MLP:
        """Weights normal with deviation 1 / sqrt(inputs), biases zero."""
        one, two = jr.split(key)
        up = Dense.init_normal(width, hidden, one, bias=True)
        return MLP(up, Dense.init_normal(hidden, width, two, bias=True), activation)

    def __call__(self, x: Float[Array, " width"]) -> Float[Array, " width"]:
        return self.down.forward(self.activation(self.up.forward(x)))


def sinusoids(length: int, width: int) -> Float[Array, "position width"]:
    """Table of sin and cos at wavelengths from 2 pi to 2 pi 1e4 (Vaswani et al. 2017).

    >>> sinusoids(3, 4).shape
    (3, 4)
    """
    rate = jnp.exp(jnp.arange(0, width, 2) * (-math.log(1e4) / width))
    angle = jnp.arange(length)[:, None] * rate[None, :]
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(length, -1)[:, :width]


class Positions(System):
    """Adds the row of a table that belongs to the token's number since `init`: y_t = x_t + P_t.

    The state is the number of tokens so far. Sequences longer than the table are refused: at once in
    `unroll` where its length alone is too much, else when the first row is missing.

    >>> from neuropil.core import run, start
    >>> part = Positions(sinusoids(8, 2))
    >>> run(part, start(part, 1.0, jr.key(0)), jnp.zeros((2, 2)))[1].round(2).tolist()
    [[0.0, 1.0], [0.8399999737739563, 0.5399999618530273]]
    """

    table: Array = param(axes=("position", "width"))

    def init(self, dt, key):
        return jnp.int32(0)

    def _late(self) -> str:
        return f"Positions: the table has {len(self.table)} rows; make it as long as the sequence"

    def step(self, state: Array, x: Float[Array, " width"], tick: Tick):
        state = eqx.error_if(state, state >= len(self.table), self._late())
        return state + 1, x + self.table[state]

    def unroll(self, state: Array, xs: Float[Array, "time width"], ticks: Tick):
        n = xs.shape[0]
        if n > len(self.table):
            raise ValueError(f"{self._late()} ({n} tokens were given)")
        state = eqx.error_if(state, state + n > len(self.table), self._late())
        return state + n, xs + jax.lax.dynamic_slice_in_dim(self.table, state, n)


class ShortConvolution(System):
    r"""Depthwise causal convolution: $y_t = \sum_{l < k} w_l \odot x_{t-l} + b$; w_0 meets the newest.

    The state is the last k - 1 inputs, oldest first. Written as k shifted products, since grouped
    convolutions are slow on a CPU.

    >>> from neuropil.core import run, start
    >>> delay = ShortConvolution(jnp.array([[0.0], [1.0]]))
    >>> run(delay, start(delay, 1.0, jr.key(0)), jnp.array([[1.0], [2.0]]))[1][:, 0].tolist()
    [0.0, 1.0]
    """

    weight: Array = param(axes=("lag", "width"))
    bias: Array | None = param(None, axes=("width",))

    @staticmethod
    def init_uniform(width: int, lags: int, *, key: Key[Array, ""]) -> ShortConvolution:
        """Weights and bias uniform on +-1 / sqrt(lags)."""
        draw = lambda k, shape: jr.uniform(k, shape, minval=-1.0, maxval=1.0) / math.sqrt(lags)
        one, two = jr.split(key)
        return ShortConvolution(draw(one, (lags, width)), draw(two, (width,)))

    def init(self, dt, key):
        lags, width = self.weight.shape
        return jnp.zeros((lags - 1, width), self.weight.dtype)

    def step(self, state: Float[Array, "past width"], x: Float[Array, " width"], tick: Tick):
        state, ys = self.unroll(state, x[None], tick)
        return state, ys[0]

    def unroll(
        self, state: Float[Array, "past width"], xs: Float[Array, "time width"], ticks: Tick
    ):
        n, lags = xs.shape[0], self.weight.shape[0]
        heard = jnp.concatenate([state, xs])
        ys = sum(self.weight[l][None] * heard[lags - 1 - l : lags - 1 - l + n] for l in range(lags))
        return heard[n:], ys if self.bias is None else ys + self.bias[None]

    def rest(self):
        return jnp.zeros(self.weight.shape[1], self.weight.dtype)
