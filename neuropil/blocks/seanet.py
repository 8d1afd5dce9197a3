r"""SEANet: convolutions that halve a signal's rate again and again, and their mirror image that gives it back.

Every filter is one matrix product: a signal (time, feature) is cut into blocks of `stride` samples, blocks that
a filter sees lie side by side in a row, $y_i = W\,[x_{si}, \ldots, x_{si + K - 1}] + b$. On a CPU this is many
times faster than convolution primitives of a few features, above all within `jax.lax.scan`. Weights are normed:
$w = g\, v / |v|$ (Salimans and Kingma 2016).

Sources: Tagliasacchi et al. (2020), arXiv:2009.02095; Defossez et al. (2022), arXiv:2210.13438.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

Signals = Float[Array, "signal time feature"]
Filtered = Float[Array, "signal time2 feature2"]


def _normed(weight, gain, axis):
    """g v / |v|, with a norm for each entry of `axis`."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    shape = [1] * weight.ndim
    shape[axis] = -1
    return weight * jax.lax.rsqrt(jnp.sum(weight**2, others, keepdims=True)) * gain.reshape(shape)


def _margins(taps, stride):
    """(left, right) samples by which a signal grows before a filter, or shrinks after its mirror image."""
    right = (taps - stride) // 2
    return taps - stride - right, right


class StridedFilter(eqx.Module):
    r"""Filters of K taps, every `stride`-th output: (signal, time, feature) -> (signal, time / stride, out).

    The signal is continued at its ends by its mirror image, $K - s$ samples in all.

    >>> part = StridedFilter.init(1, 3, 8, key=jr.key(0), stride=4)
    >>> part(jnp.ones((2, 16, 1))).shape
    (2, 4, 3)

    Raises ValueError where the stride divides neither the taps nor the signal.
    """

    weight: Float[Array, "out tap feature"]
    gain: Float[Array, " out"]
    bias: Float[Array, " out"]
    stride: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.weight.shape[1] % self.stride:
            raise ValueError(
                f"StridedFilter: {self.weight.shape[1]} taps are no multiple of the stride {self.stride}"
            )

    @staticmethod
    def init(
        features: int, out: int, taps: int, *, key: Key[Array, ""], stride: int = 1
    ) -> StridedFilter:
        """Weights normal with deviation 1 / sqrt(taps x features), biases zero."""
        weight = jr.normal(key, (out, taps, features)) / math.sqrt(taps * features)
        gain = jnp.sqrt(jnp.sum(weight**2, (1, 2)))
        return StridedFilter(weight, gain, jnp.zeros(out), stride)

    def __call__(self, x: Signals) -> Filtered:
        signals, time, features = x.shape
        out, taps, _ = self.weight.shape
        if time % self.stride:
            raise ValueError(
                f"StridedFilter: {time} samples are no multiple of the stride {self.stride}"
            )
        if taps > 1:
            margins = _margins(taps, self.stride)
            x = jnp.pad(x, ((0, 0), margins, (0, 0)), mode="reflect")
        blocks = x.reshape(signals, -1, self.stride * features)
        n = time // self.stride
        if taps > self.stride:
            parts = [blocks[:, i : i + n] for i in range(taps // self.stride)]
            blocks = jnp.concatenate(parts, axis=-1)
        kernel = _normed(self.weight, self.gain, 0).reshape(out, -1)
        return blocks @ kernel.T + self.bias[None, None]


class TransposedFilter(eqx.Module):
    """The mirror image: every sample adds a stretch of K taps, `stride` apart: time becomes time x stride.

    >>> part = TransposedFilter.init(3, 1, 8, key=jr.key(0), stride=4)
    >>> part(jnp.ones((2, 4, 3))).shape
    (2, 16, 1)

    Raises ValueError where the stride does not divide the taps.
    """

    weight: Float[Array, "feature tap out"]
    gain: Float[Array, " feature"]
    bias: Float[Array, " out"]
    stride: int = eqx.field(static=True)

    def __check_init__(self):
        if self.weight.shape[1] % self.stride:
            raise ValueError(
                f"TransposedFilter: {self.weight.shape[1]} taps are no multiple of the stride {self.stride}"
            )

    @staticmethod
    def init(
        features: int, out: int, taps: int, *, key: Key[Array, ""], stride: int
    ) -> TransposedFilter:
        """Weights normal with deviation 1 / sqrt(features x taps / stride), biases zero."""
        weight = jr.normal(key, (features, taps, out)) / math.sqrt(features * taps / stride)
        gain = jnp.sqrt(jnp.sum(weight**2, (1, 2)))
        return TransposedFilter(weight, gain, jnp.zeros(out), stride)

    def __call__(self, x: Signals) -> Filtered:
        signals, time, features = x.shape
        _, taps, out = self.weight.shape
        kernel = _normed(self.weight, self.gain, 0).reshape(features, -1)
        pieces = (x @ kernel).reshape(signals, time, taps // self.stride, self.stride * out)
        overlap = taps // self.stride - 1
        total = sum(
            jnp.pad(pieces[:, :, i], ((0, 0), (i, overlap - i), (0, 0))) for i in range(overlap + 1)
        )
        y = total.reshape(signals, (time + overlap) * self.stride, out)
        left, _ = _margins(taps, self.stride)
        return y[:, left : left + time * self.stride] + self.bias[None, None]


class ResidualUnit(eqx.Module):
    """W x + filter_1(ELU(filter_3(ELU x))), half as wide inside (the shortcut W is a filter of one tap)."""

    short: StridedFilter
    wide: StridedFilter
    narrow: StridedFilter

    @staticmethod
    def init(features: int, *, key: Key[Array, ""], taps: int = 3) -> ResidualUnit:
        """Filters of `taps` samples."""
        a, b, c = jr.split(key, 3)
        inner = max(features // 2, 1)
        return ResidualUnit(
            StridedFilter.init(features, features, 1, key=a),
            StridedFilter.init(features, inner, taps, key=b),
            StridedFilter.init(inner, features, 1, key=c),
        )

    def __call__(self, x: Signals) -> Signals:
        return self.short(x) + self.narrow(jax.nn.elu(self.wide(jax.nn.elu(x))))


class SkippedLSTM(eqx.Module):
    """x + LSTM(LSTM(x)): layers of long short-term memories over time, and what goes past them."""

    cells: list[eqx.nn.LSTMCell]

    @staticmethod
    def init(features: int, layers: int, *, key: Key[Array, ""]) -> SkippedLSTM:
        """`layers` cells as wide as their input."""
        return SkippedLSTM(
            [eqx.nn.LSTMCell(features, features, key=k) for k in jr.split(key, layers)]
        )

    def __call__(self, x: Signals) -> Signals:
        y = x.transpose(1, 0, 2)
        for cell in self.cells:

            def tick(state, now, cell=cell):
                state = jax.vmap(cell)(now, state)
                return state, state[0]

            zero = jnp.zeros(y.shape[1:], y.dtype)
            y = jax.lax.scan(tick, (zero, zero), y)[1]
        return x + y.transpose(1, 0, 2)


class SEANetEncoder(eqx.Module):
    """(signal, time) -> (signal, time / product of ratios, width).

    A filter to `filters` features; for every ratio a residual unit, ELU, and a strided filter of twice the
    ratio's taps that doubles the features; LSTM layers, if any; ELU and a filter to `width`.

    >>> from neuropil.blocks import SEANetEncoder
    >>> part = SEANetEncoder.init(16, filters=4, ratios=(2, 4), key=jr.key(0))
    >>> part(jnp.ones((3, 32))).shape
    (3, 4, 16)
    """

    first: StridedFilter
    # as modules: a class of this file would be another one where doctests import it a second time
    units: list[eqx.Module]
    down: list[eqx.Module]
    memory: SkippedLSTM | None
    last: StridedFilter

    @staticmethod
    def init(
        width: int,
        *,
        key: Key[Array, ""],
        filters: int = 32,
        ratios: tuple[int, ...] = (2, 4, 8),
        taps: int = 5,
        lstm: int = 0,
    ) -> SEANetEncoder:
        """`taps` of the first and last filters; `lstm` layers (the original has 2)."""
        a, b, c, *keys = jr.split(key, 3 + 2 * len(ratios))
        units, down = [], []
        for i, ratio in enumerate(ratios):
            wide = filters * 2**i
            units.append(ResidualUnit.init(wide, key=keys[2 * i]))
            down.append(
                StridedFilter.init(wide, 2 * wide, 2 * ratio, key=keys[2 * i + 1], stride=ratio)
            )
        wide = filters * 2 ** len(ratios)
        memory = SkippedLSTM.init(wide, lstm, key=b) if lstm else None
        first, last = (
            StridedFilter.init(1, filters, taps, key=a),
            StridedFilter.init(wide, width, taps, key=c),
        )
        return SEANetEncoder(first, units, down, memory, last)

    def __call__(self, x: Float[Array, "signal time"]) -> Float[Array, "signal step width"]:
        x = self.first(x[..., None])
        for unit, down in zip(self.units, self.down, strict=True):
            x = down(jax.nn.elu(unit(x)))
        x = x if self.memory is None else self.memory(x)
        return self.last(jax.nn.elu(x))


class SEANetDecoder(eqx.Module):
    """(signal, step, width) -> (signal, step x product of ratios): the encoder's mirror image.

    `ratios` as the encoder's; they are undone from the last to the first.

    >>> from neuropil.blocks import SEANetDecoder
    >>> part = SEANetDecoder.init(16, filters=4, ratios=(2, 4), key=jr.key(0))
    >>> part(jnp.ones((3, 4, 16))).shape
    (3, 32)
    """

    first: StridedFilter
    memory: SkippedLSTM | None
    up: list[eqx.Module]
    units: list[eqx.Module]
    last: StridedFilter

    @staticmethod
    def init(
        width: int,
        *,
        key: Key[Array, ""],
        filters: int = 32,
        ratios: tuple[int, ...] = (2, 4, 8),
        taps: int = 5,
        lstm: int = 0,
    ) -> SEANetDecoder:
        """As `SEANetEncoder.init`."""
        a, b, c, *keys = jr.split(key, 3 + 2 * len(ratios))
        wide = filters * 2 ** len(ratios)
        first = StridedFilter.init(width, wide, taps, key=a)
        memory = SkippedLSTM.init(wide, lstm, key=b) if lstm else None
        units, up = [], []
        for i, ratio in enumerate(reversed(ratios)):
            up.append(
                TransposedFilter.init(wide, wide // 2, 2 * ratio, key=keys[2 * i], stride=ratio)
            )
            wide //= 2
            units.append(ResidualUnit.init(wide, key=keys[2 * i + 1]))
        return SEANetDecoder(first, memory, up, units, StridedFilter.init(wide, 1, taps, key=c))

    def __call__(self, x: Float[Array, "signal step width"]) -> Float[Array, "signal time"]:
        x = self.first(x)
        x = x if self.memory is None else self.memory(x)
        for up, unit in zip(self.up, self.units, strict=True):
            x = unit(up(jax.nn.elu(x)))
        return self.last(jax.nn.elu(x))[..., 0]
