"""What networks of EEG are made of: temporal filters and spatial ones behind them, separable filters."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, UInt

from neuropil.blocks.dropout import dropout
from neuropil.blocks.filtering import (
    BatchNorm,
    Padding,
    convolve,
    filter_each,
    glorot,
    margins,
    pool,
    window_moments,
)

Trials = Float[Array, "trial channel time"]
Seeds = UInt[Array, " site"] | None
Limits = dict[str, tuple[Callable, float, tuple[int, ...]]]


def _length(times: int, taps: int, padding: Padding) -> int:
    return times + sum(margins(taps, padding)) - taps + 1


class Dense(eqx.Module):
    """Logits of flattened maps (feature, batch, time): weight (class, feature, time), bias."""

    weight: Float[Array, "class feature time"]
    bias: Float[Array, " class"]

    def __init__(self, classes: int, features: int, times: int, key: Key[Array, ""]):
        if times < 1:
            raise ValueError("the window is too short: pooling leaves no sample for the last layer")
        self.weight = glorot((classes, features, times), features * times, classes, key)
        self.bias = jnp.zeros(classes)

    def __call__(self, x: Array) -> Float[Array, "batch class"]:
        return jnp.einsum("kft,fbt->bk", self.weight, x) + self.bias[None]


class Stem(eqx.Module):
    """Temporal filters, batch norm, a depthwise spatial filter, batch norm, ELU, mean pool, dropout.

    `temporal` (filter, tap) is the same at every channel; `spatial` (filter, depth, channel).
    """

    temporal: Float[Array, "filter tap"]
    norm: BatchNorm
    spatial: Float[Array, "filter depth channel"]
    norm2: BatchNorm
    width: int = eqx.field(static=True)
    padding: Padding = eqx.field(static=True)

    def __init__(self, channels, filters, depth, taps, width, padding, key, momentum=0.99):
        one, two = jr.split(key)
        self.temporal = glorot((filters, taps), taps, filters * taps, one)
        # Keras counts the fans of a depthwise kernel as if every channel fed every map
        fan = channels * filters, channels * depth
        self.spatial = glorot((filters, depth, channels), *fan, two)
        self.norm = BatchNorm(filters, momentum)
        self.norm2 = BatchNorm(filters * depth, momentum)
        self.width, self.padding = width, padding

    def __call__(self, x: Float[Array, "channel batch time"], training: bool):
        """(maps (filter depth, batch, pooled time), pull on moving averages), before dropout."""
        found = None
        if training:
            mean, second = window_moments(x, self.temporal.shape[1], self.padding)
            average = self.temporal @ mean
            square = jnp.einsum("fk,kl,fl->f", self.temporal, second, self.temporal)
            found = average, jnp.maximum(square - average**2, 0.0)
        scale, offset, pull = self.norm.affine(found)
        filters, depth, _ = self.spatial.shape
        mixed = jnp.einsum("fdc,cbt->fdbt", self.spatial * scale[:, None, None], x)
        y = filter_each(
            mixed.reshape(filters * depth, *mixed.shape[2:]), self.temporal, self.padding
        )
        y = y + (self.spatial.sum(2) * offset[:, None]).reshape(-1)[:, None, None]
        y, more = self.norm2(y, training)
        return pool(jax.nn.elu(y), self.width), pull + more


class Separable(eqx.Module):
    """A filter for every feature, then a mixture of features: `each` (feature, tap), `mix` (out, feature)."""

    each: Float[Array, "feature tap"]
    mix: Float[Array, "out feature"]
    padding: Padding = eqx.field(static=True)

    def __init__(self, features, out, taps, key, padding="same"):
        one, two = jr.split(key)
        self.each = glorot((features, taps), features * taps, taps, one)
        self.mix = glorot((out, features), features, out, two)
        self.padding = padding

    def __call__(self, x):
        return jnp.einsum("of,fbt->obt", self.mix, filter_each(x, self.each, self.padding))


class Branch(eqx.Module):
    """EEGNet without its last layer: stem, dropout, separable filter, batch norm, ELU, mean pool, dropout.

    With `across` the separable filter's taps lie along the channel axis, which has length 1 by then, so
    only the middle tap of each ever sees data (that is how EEGNet-Fusion was published).
    """

    stem: Stem
    separable: Separable
    norm: BatchNorm
    width: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    across: bool = eqx.field(static=True)

    def __init__(
        self, channels, filters, depth, out, taps, pools, rate, padding, across, key, momentum
    ):
        one, two = jr.split(key)
        self.stem = Stem(channels, filters, depth, taps[0], pools[0], padding, one, momentum)
        inner = padding if padding == "same" else (taps[1] // 2, taps[1] // 2)
        self.separable = Separable(filters * depth, out, taps[1], two, inner)
        self.norm = BatchNorm(out, momentum)
        self.width, self.rate, self.across = pools[1], rate, across

    def __call__(self, x, seeds: Seeds):
        one, two = (None, None) if seeds is None else seeds
        x, pull = self.stem(x, seeds is not None)
        x = dropout(x, self.rate, one)
        if self.across:
            each = self.separable.each
            x = jnp.einsum(
                "of,fbt->obt", self.separable.mix * each[:, (each.shape[1] - 1) // 2][None], x
            )
        else:
            x = self.separable(x)
        x, more = self.norm(x, seeds is not None)
        return dropout(pool(jax.nn.elu(x), self.width), self.rate, two), pull + more

    def times(self, times: int) -> int:
        """Samples that are left of a window."""
        taps = self.stem.temporal.shape[1], self.separable.each.shape[1]
        times = _length(times, taps[0], self.stem.padding) // self.stem.width
        return (
            times if self.across else _length(times, taps[1], self.separable.padding)
        ) // self.width


class EEGNetwork(eqx.Module):
    """What the decoder wants of a network: `forward`, `limits`, and `init(channels, times, classes, ...)`."""

    def forward(
        self, x: Trials, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "trial class"], Float[Array, ""]]:
        """(logits, pull on the moving averages: see `BatchNorm`). With a key: training, with dropout."""
        seeds = None if key is None else jr.bits(key, (self.sites(),), jnp.uint32)
        return self.layers(x.transpose(1, 0, 2), seeds)

    def __call__(self, x: Trials) -> Float[Array, "trial class"]:
        """Logits, with moving averages and without dropout."""
        return self.forward(x)[0]

    def limits(self) -> Limits:
        """{name: (where, largest norm, axes of the norm)} of the weights under a max-norm constraint."""
        return {}

    def sites(self) -> int:
        """Number of dropout masks."""
        return 1

    def layers(self, x: Float[Array, "channel batch time"], seeds: Seeds):
        raise TypeError("EEGNetwork is a base: write EEGNet.init(...) or another network")


class Fused(eqx.Module):
    """A temporal and a spatial convolution with nothing between them, done as one.

    `temporal` (filter, tap) with bias, `spatial` (out, filter, channel), bias or None.
    """

    temporal: Float[Array, "filter tap"]
    bias: Float[Array, " filter"]
    spatial: Float[Array, "out filter channel"]
    bias2: Float[Array, " out"] | None

    def __init__(self, channels, filters, out, taps, bias, key):
        one, two = jr.split(key)
        self.temporal, self.bias = (
            glorot((filters, taps), taps, filters * taps, one),
            jnp.zeros(filters),
        )
        self.spatial = glorot((out, filters, channels), channels * filters, channels * out, two)
        self.bias2 = jnp.zeros(out) if bias else None

    def __call__(self, x):
        kernel = jnp.einsum("fk,ofc->ock", self.temporal, self.spatial)
        constant = jnp.einsum("f,ofc->o", self.bias, self.spatial)
        constant = constant if self.bias2 is None else constant + self.bias2
        return convolve(x, kernel) + constant[:, None, None]


def parameter_count(net: EEGNetwork) -> int:
    """Trainable numbers, moving averages left out."""
    count = sum(a.size for a in jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array)))
    norms = [n for n in jax.tree.leaves(net, is_leaf=_norm) if _norm(n)]
    return count - sum(n.mean.size + n.var.size for n in norms)


def _norm(node) -> bool:
    return isinstance(node, BatchNorm)
