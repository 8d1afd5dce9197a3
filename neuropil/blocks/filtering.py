r"""Filters over time, pooling and batch norm: what networks of EEG are made of.

Arrays are (feature, batch, time): norms reduce what lies together, mixing features is one product of
large matrices, and so are filters of single features, for which convolution primitives with groups
are many times slower on a CPU. All of it is exact and differentiable.

A filter of K taps is $y_t = \sum_k w_k x_{t + k - \text{left}}$ with zeros outside (a correlation, as
deep-learning libraries have it). With `padding="same"` left = (K - 1) // 2, as in TensorFlow; a pair
(left, right) is taken as it is, (K // 2, K // 2) being PyTorch's.
"""

from __future__ import annotations

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.blocks.averages import becomes

Padding = Literal["same", "valid"] | tuple[int, int]
Signal = Float[Array, "feature batch time"]


def margins(taps: int, padding: Padding) -> tuple[int, int]:
    """(left, right) zeros for a filter of so many taps.

    >>> margins(4, "same"), margins(4, "valid"), margins(4, (2, 2))
    ((1, 2), (0, 0), (2, 2))

    """
    if padding == "same":
        return (taps - 1) // 2, taps // 2
    if padding == "valid":
        return 0, 0
    return padding


def _padded(x, taps, padding):
    """The input with its zeros, and the length of the output."""
    left, right = margins(taps, padding)
    x = jnp.pad(x, ((0, 0), (0, 0), (left, right)))
    length = x.shape[-1] - taps + 1
    if length < 1:
        raise ValueError(
            f"a filter of {taps} taps is longer than the {x.shape[-1]} samples it gets; make the "
            "window longer or the filter shorter"
        )
    return x, length


def filter_each(
    x: Signal, w: Float[Array, "filter tap"], padding: Padding = "same"
) -> Float[Array, "feature batch time2"]:
    r"""Every feature by a filter of its own: $y_{f,t} = \sum_k w_{f,k} x_{f,t + k - \text{left}}$.

    With fewer filters than features each filter serves as many features in a row. The signal is cut
    into blocks of L >= K - 1 samples; one product with the L x 2L matrix of shifted taps gives what a
    block adds to its own outputs and to those of the block before.

    >>> x = jnp.arange(5.0).reshape(1, 1, 5)
    >>> filter_each(x, jnp.array([[0.0, 0.0, 1.0]]))[0, 0].tolist()
    [1.0, 2.0, 3.0, 4.0, 0.0]

    Raises ValueError where filters do not divide features, or are longer than the padded signal.
    """
    features, batch, _ = x.shape
    filters, taps = w.shape
    if features % filters:
        raise ValueError(f"{filters} filters cannot be shared by {features} features")
    x, length = _padded(x, taps, padding)
    if taps == 1:
        return x * jnp.repeat(w, features // filters, axis=0)[:, :, None]
    # short blocks waste less on the matrix's zeros, long ones make fewer rows
    block = min(max(taps - 1, 32), max(length, taps - 1))
    blocks = -(-length // block) + 1
    x = jnp.pad(x, ((0, 0), (0, 0), (0, max(0, blocks * block - x.shape[-1]))))
    x = x[..., : blocks * block].reshape(filters, -1, blocks, block)
    period = 2 * block
    ring = jnp.pad(w, ((0, 0), (0, period - taps)))
    # row m of the matrix is the ring turned by m: written as a table whose rows are one too short
    table = jnp.tile(ring, (1, period))[:, : period * (period - 1)]
    shifted = table.reshape(filters, period, period - 1)[..., :block]
    z = jnp.einsum("frnl,fml->frnm", x, shifted)
    y = z[:, :, :-1, :block] + z[:, :, 1:, block:]
    return y.reshape(features, batch, -1)[..., :length]


def convolve(
    x: Signal, w: Float[Array, "out feature tap"], padding: Padding = "valid"
) -> Float[Array, "out batch time2"]:
    r"""Full convolution over time: $y_{o,t} = \sum_{f,k} w_{o,f,k} x_{f,t + k - \text{left}}$.

    A convolution primitive in the layout that it is fast in (batch, time, feature): on a CPU products
    with shifted copies, or in the Fourier domain, were measured slower.

    >>> x = jnp.stack([jnp.arange(4.0), jnp.ones(4)])[:, None]
    >>> convolve(x, jnp.array([[[1.0, 1.0], [0.0, 10.0]]]))[0, 0].tolist()
    [11.0, 13.0, 15.0]

    Raises ValueError where features differ or the filter is longer than the padded signal.
    """
    _, features, taps = w.shape
    if features != x.shape[0]:
        raise ValueError(f"the weight is for {features} features, the signal has {x.shape[0]}")
    x, _ = _padded(x, taps, padding)
    if taps == 1:
        return jnp.einsum("of,fbt->obt", w[:, :, 0], x)
    y = jax.lax.conv_general_dilated(
        x.transpose(1, 2, 0),
        w.transpose(2, 1, 0),
        (1,),
        "VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return y.transpose(2, 0, 1)


def window_moments(
    x: Signal, taps: int, padding: Padding = "same"
) -> tuple[Float[Array, " tap"], Float[Array, "tap tap2"]]:
    r"""Mean $\mu_k$ and second moment $R_{kl}$ of what a filter sees, over features, batch and time.

    With $\tilde x$ the padded signal, $\mu_k = \langle \tilde x_{t+k} \rangle$ and
    $R_{kl} = \langle \tilde x_{t+k} \tilde x_{t+l} \rangle$ over the outputs t of the filter, so a
    filter w applied to every feature has the mean $w^\top \mu$ and the variance
    $w^\top (R - \mu \mu^\top) w$: batch norm of all filters of all channels without computing one
    of them. $R_{k+1,l+1}$ differs from $R_{kl}$ by its ends alone, hence only the first row costs a
    pass over the signal.

    >>> mean, second = window_moments(jnp.array([[[1.0, 2.0, 3.0]]]), 2, "valid")
    >>> mean.tolist(), second.tolist()
    ([1.5, 2.5], [[2.5, 4.0], [4.0, 6.5]])
    """
    x, length = _padded(x, taps, padding)
    x = x.reshape(-1, x.shape[-1])
    count = len(x) * length
    first, last = x[:, :taps], x[:, length - 1 :]  # the signal at t = 0 and at the last t
    total = x[:, :length].sum()
    gone = jnp.concatenate([jnp.zeros(1), jnp.cumsum((last[:, 1:] - first[:, :-1]).sum(0))])
    mean = (total + gone) / count
    blocks = -(-length // taps)
    ahead = jnp.pad(x, ((0, 0), (0, (blocks + 1) * taps - x.shape[-1])))
    own = jnp.where(jnp.arange(blocks * taps) < length, ahead[:, : blocks * taps], 0.0)
    own, ahead = own.reshape(-1, taps), ahead.reshape(len(x), blocks + 1, taps)
    ahead = jnp.concatenate([ahead[:, :-1], ahead[:, 1:]], axis=-1).reshape(-1, 2 * taps)
    row = _diagonals(own.T @ ahead).sum(0)
    ends = last[:, 1:].T @ last[:, 1:] - first[:, :-1].T @ first[:, :-1]
    ends = jnp.pad(_diagonals(jnp.pad(ends, ((0, 1), (0, taps + 1)))), ((1, 0), (0, 0)))[:-1]
    upper = _rows(row[None] + jnp.cumsum(ends, axis=0))
    return mean, (upper + upper.T - jnp.diag(jnp.diag(upper))) / count


def _diagonals(a):
    """(n, 2n) -> (n, n): entry (i, d) is a[i, i + d]."""
    n = len(a)
    return jnp.pad(a.reshape(-1), (0, n)).reshape(n, 2 * n + 1)[:, :n]


def _rows(d):
    """The inverse: (n, n) with d[i, j - i] at (i, j) above the diagonal, 0 below."""
    n = len(d)
    return jnp.pad(d, ((0, 0), (0, n + 1))).reshape(-1)[: 2 * n * n].reshape(n, 2 * n)[:, :n]


def pool(
    x: Signal, size: int, stride: int | None = None, how: Literal["mean", "max"] = "mean"
) -> Float[Array, "feature batch time2"]:
    """Mean or maximum of windows of `size` samples every `stride` (by default size); the rest is left out.

    >>> pool(jnp.arange(6.0).reshape(1, 1, 6), 4, 2)[0, 0].tolist()
    [1.5, 3.5]

    Raises ValueError for a window longer than the signal, or a size that is no multiple of the stride.
    """
    stride = stride or size
    if size % stride or how not in ("mean", "max"):
        raise ValueError(f"pool: size {size} is no multiple of stride {stride}, or how={how!r}")
    if x.shape[-1] < size:
        raise ValueError(f"pool: windows of {size} samples, but there are {x.shape[-1]}")
    if size == 1:
        return x
    many, count = size // stride, (x.shape[-1] - size) // stride + 1
    cells = x[..., : (count + many - 1) * stride].reshape(*x.shape[:-1], -1, stride)
    cells = cells.mean(-1) if how == "mean" else cells.max(-1)
    windows = [cells[..., i : i + count] for i in range(many)]
    if how == "mean":
        return sum(windows[1:], windows[0]) / many
    return jnp.stack(windows).max(0) if many > 1 else windows[0]


class BatchNorm(eqx.Module):
    r"""$(x - \mu) / \sqrt{\sigma^2 + \epsilon} \cdot g + b$ per feature of (feature, batch, time).

    While training $\mu, \sigma^2$ are the batch's, and the second output says what the moving averages
    become, $m \leftarrow \text{momentum}\, m + (1 - \text{momentum}) \mu$ and likewise v (see
    `blocks.averages`). Else m and v are used.

    >>> norm = BatchNorm(1)
    >>> norm(jnp.array([[[1.0, 3.0]]]), True)[0].round(2).tolist()
    [[[-1.0, 1.0]]]
    """

    gain: Float[Array, " feature"]
    shift: Float[Array, " feature"]
    mean: Float[Array, " feature"]
    var: Float[Array, " feature"]
    momentum: float = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    def __init__(self, features: int, momentum: float = 0.99, epsilon: float = 1e-3):
        self.gain, self.shift = jnp.ones(features), jnp.zeros(features)
        self.mean, self.var = jnp.zeros(features), jnp.ones(features)
        self.momentum, self.epsilon = momentum, epsilon

    def __call__(self, x: Signal, training: bool) -> tuple[Signal, Float[Array, ""]]:
        found = None
        if training:
            mean = x.mean((1, 2))
            found = mean, jnp.mean((x - mean[:, None, None]) ** 2, axis=(1, 2))
        scale, offset, pull = self.affine(found)
        return x * scale[:, None, None] + offset[:, None, None], pull

    def affine(
        self, found: tuple[Float[Array, " feature"], Float[Array, " feature"]] | None
    ) -> tuple[Float[Array, " feature"], Float[Array, " feature"], Float[Array, ""]]:
        """(scale, offset, pull on the averages) for a batch's (mean, variance), or None: the averages."""
        mean, var = (self.mean, self.var) if found is None else found
        pull = jnp.zeros(())
        if found is not None:
            keep = self.momentum
            pull = becomes(self.mean, keep * self.mean + (1 - keep) * mean)
            pull = pull + becomes(self.var, keep * self.var + (1 - keep) * var)
        scale = self.gain * jax.lax.rsqrt(var + self.epsilon)
        return scale, self.shift - mean * scale, pull


def clip_norm(w: Array, largest: float, axis: tuple[int, ...] | int) -> Array:
    """Weights whose norm over `axis` exceeds `largest` scaled down to it (max-norm constraint).

    >>> [f"{w:.2f}" for w in clip_norm(jnp.array([[3.0, 4.0], [0.3, 0.4]]), 1.0, 1).ravel()]
    ['0.60', '0.80', '0.30', '0.40']
    """
    square = jnp.sum(w**2, axis=axis, keepdims=True)
    over = square > largest**2
    return jnp.where(over, w * (largest * jax.lax.rsqrt(jnp.where(over, square, 1.0))), w)


def glorot(shape: tuple[int, ...], fan_in: int, fan_out: int, key: Array) -> Array:
    """Uniform on +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    edge = math.sqrt(6 / (fan_in + fan_out))
    return jax.random.uniform(key, shape, minval=-edge, maxval=edge)
