r"""Convolutional networks that decode EEG: ShallowConvNet, DeepConvNet, EEGNet, EEGNet-Fusion, MI-EEGNet.

Input (trial, channel, time) in microvolts, output one logit a class. They are made of the parts of
`blocks.filtering`. Where a network filters every channel over time, norms the filters and then mixes
channels, the mixing comes first here and the norm's statistics come from `window_moments`: the same
numbers and gradients for the part of the work that the channels make (an eighth in EEGNet with 22).

Sources: Schirrmeister et al. 2017 (Shallow, Deep), Lawhern et al. 2018 (EEGNet), Roots et al. 2020
(Fusion), Riyad et al. 2021 (MI-EEGNet); layers as in `arl-eegmodels` and in the code of Kollod et al. 2023.
Initial weights are Glorot uniform, biases zero.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key

from neuropil.blocks.dropout import dropout
from neuropil.blocks.filtering import BatchNorm, Padding, convolve, glorot, pool
from neuropil.fit.eegparts import Branch, Dense, EEGNetwork, Fused, Separable, Stem, parameter_count


class EEGNet(EEGNetwork):
    r"""EEGNet-F1,D (Lawhern et al. 2018): 2,900 parameters for 64 channels of 2 s at 160 Hz and 4 classes.

    Temporal filters of half a second, one set of D spatial filters for each (norm at most 1), separable
    filters, a dense layer (norm at most 0.25).

    >>> net = EEGNet.init(64, 320, 4, rate=160.0, key=jr.key(0))
    >>> parameter_count(net), net(jnp.zeros((2, 64, 320))).shape
    (2900, (2, 4))

    Raises ValueError for windows that pooling leaves nothing of.
    """

    branch: Branch
    dense: Dense

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        rate: float | int = 128.0,
        key: Key[Array, ""],
        filters: int = 8,
        depth: int = 2,
        out: int | None = None,
        taps: int | None = None,
        taps2: int = 16,
        pools: tuple[int, int] = (4, 8),
        drop: float = 0.5,
        padding: Padding = "same",
        momentum: float = 0.99,
    ) -> EEGNet:
        """`taps`: length of the temporal filters (by default rate / 2), `out`: features of the separable
        layer (filters x depth), `rate` the sampling rate in Hz."""
        one, two = jr.split(key)
        taps, out = taps or int(rate / 2), out or filters * depth
        branch = Branch(
            channels, filters, depth, out, (taps, taps2), pools, drop, padding, False, one, momentum
        )
        return EEGNet(branch, Dense(classes, out, branch.times(times), two))

    def layers(self, x, seeds):
        x, pull = self.branch(x, seeds)
        return self.dense(x), pull

    def sites(self):
        return 2

    def limits(self):
        return {
            "spatial": (lambda n: n.branch.stem.spatial, 1.0, (2,)),
            "dense": (lambda n: n.dense.weight, 0.25, (1, 2)),
        }


class EEGNetFusion(EEGNetwork):
    """Three EEGNets side by side with filters of a quarter, a half and a whole second (Roots et al. 2020).

    Their separable filters are (8, 1), (16, 1) and (32, 1): see `Branch` for what that means.

    >>> parameter_count(EEGNetFusion.init(64, 320, 4, rate=160.0, key=jr.key(0)))
    26996
    """

    branches: list[Branch]
    dense: Dense

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        rate: float | int = 128.0,
        key: Key[Array, ""],
        filters: tuple[int, int, int] = (8, 16, 32),
        depth: int = 2,
        drop: float = 0.5,
        taps: tuple[int, int, int] | None = None,
        pools: tuple[int, int] = (4, 8),
        momentum: float = 0.99,
    ) -> EEGNetFusion:
        """`filters` of each branch; the separable layers have twice as many features."""
        keys = jr.split(key, 4)
        taps = taps or (int(rate / 4), int(rate / 2), int(rate))
        parts = zip(filters, taps, (8, 16, 32), keys, strict=False)
        branches = [
            Branch(channels, n, depth, 2 * n, (long, short), pools, drop, "same", True, k, momentum)
            for n, long, short, k in parts
        ]
        return EEGNetFusion(
            branches, Dense(classes, 2 * sum(filters), branches[0].times(times), keys[3])
        )

    def layers(self, x, seeds):
        said = [
            b(x, None if seeds is None else seeds[2 * i : 2 * i + 2])
            for i, b in enumerate(self.branches)
        ]
        return self.dense(jnp.concatenate([y for y, _ in said])), sum(p for _, p in said)

    def sites(self):
        return 6

    def limits(self):
        spatial = {
            f"spatial{i}": (lambda n, i=i: n.branches[i].stem.spatial, 1.0, (2,)) for i in range(3)
        }
        return spatial | {"dense": (lambda n: n.dense.weight, 0.25, (1, 2))}


class MIEEGNet(EEGNetwork):
    """EEGNet's stem with an Inception block of four paths behind it (Riyad et al. 2021).

    >>> parameter_count(MIEEGNet.init(64, 320, 4, rate=160.0, key=jr.key(0)))
    134020
    """

    stem: Stem
    enter: list[Array]
    first: list[Separable]
    norms: list[BatchNorm]
    second: list[Separable]
    joined: BatchNorm
    last: Separable
    norm: BatchNorm
    dense: Dense
    rate: float = eqx.field(static=True)

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        rate: float | int = 128.0,
        key: Key[Array, ""],
        filters: int = 64,
        depth: int = 2,
        taps: int | None = None,
        pools: int = 4,
        drop: float = 0.5,
        momentum: float = 0.99,
    ) -> MIEEGNet:
        """`filters` F1; the paths have F1 features each, the last layer 4 F1."""
        keys = iter(jr.split(key, 12))
        taps, wide = taps or int(rate / 2), filters * depth
        if times // pools < 2:
            raise ValueError("the window is too short: pooling leaves less than two samples")
        stem = Stem(channels, filters, depth, taps, pools, "same", next(keys), momentum)
        enter = [glorot((filters, wide), wide, filters, next(keys)) for _ in range(4)]
        pair = lambda: [Separable(filters, filters, n, next(keys)) for n in (7, 9)]
        first, second = pair(), pair()
        norms = [BatchNorm(filters, momentum) for _ in range(2)]
        last = Separable(4 * filters, 4 * filters, 5, next(keys))
        dense = Dense(classes, 4 * filters, 1, next(keys))
        wide = lambda: BatchNorm(4 * filters, momentum)
        ends = wide(), last, wide(), dense
        return MIEEGNet(stem, enter, first, norms, second, *ends, drop)

    def layers(self, x, seeds):
        training = seeds is not None
        seeds = [None] * 4 if seeds is None else list(seeds)
        x, pull = self.stem(x, training)
        x = dropout(x, self.rate, seeds[0])
        mix = lambda w, x: jnp.einsum("of,fbt->obt", w, x)
        paths = []
        for i in range(2):
            y, more = self.norms[i](self.first[i](mix(self.enter[i], x)), training)
            y = self.second[i](dropout(jax.nn.elu(y), self.rate, seeds[1 + i]))
            paths.append(pool(y, 2))
            pull = pull + more
        paths.append(mix(self.enter[2], pool(x, 2)))
        paths.append(mix(self.enter[3], x[..., ::2])[..., : paths[2].shape[-1]])
        x, more = self.joined(jnp.concatenate(paths), training)
        y, last = self.norm(self.last(jax.nn.elu(x)), training)
        y = dropout(jax.nn.elu(y), self.rate, seeds[3])
        return self.dense(y.mean(-1, keepdims=True)), pull + more + last

    def sites(self):
        return 4

    def limits(self):
        return {
            "spatial": (lambda n: n.stem.spatial, 1.0, (2,)),
            "dense": (lambda n: n.dense.weight, 0.25, (1, 2)),
        }


class ShallowConvNet(EEGNetwork):
    r"""Shallow ConvNet (Schirrmeister et al. 2017): log of the mean power of learned spatial-spectral
    filters, then a linear map: filter-bank CSP as a network.

    Sizes are those for 128 Hz at every rate, as published; for 250 Hz give taps=25, width=75, stride=15.
    `how="max"` is what the code of Kollod et al. has in place of the mean.

    >>> parameter_count(ShallowConvNet.init(64, 320, 4, key=jr.key(0)))
    109444
    """

    fused: Fused
    norm: BatchNorm
    dense: Dense
    width: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    how: Literal["mean", "max"] = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    floor: float = eqx.field(static=True)

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        rate: float | int = 128.0,
        key: Key[Array, ""],
        filters: int = 40,
        taps: int = 13,
        width: int = 35,
        stride: int = 7,
        how: Literal["mean", "max"] = "mean",
        drop: float = 0.5,
        floor: float = 1e-7,
    ) -> ShallowConvNet:
        """`width`, `stride` of the pool in samples; `floor`: least power of the log."""
        one, two = jr.split(key)
        left = (times - taps + 1 - width) // stride + 1
        fused = Fused(channels, filters, filters, taps, False, one)
        dense = Dense(classes, filters, left, two)
        return ShallowConvNet(
            fused, BatchNorm(filters, 0.9, 1e-5), dense, width, stride, how, drop, floor
        )

    def layers(self, x, seeds):
        seed = None if seeds is None else seeds[0]
        y, pull = self.norm(self.fused(x), seeds is not None)
        y = pool(y**2, self.width, self.stride, self.how)
        y = jnp.log(jnp.clip(y, self.floor, 1e4))
        return self.dense(dropout(y, self.rate, seed)), pull

    def limits(self):
        return {
            "temporal": (lambda n: n.fused.temporal, 2.0, (1,)),
            "spatial": (lambda n: n.fused.spatial, 2.0, (1, 2)),
            "dense": (lambda n: n.dense.weight, 0.5, (1, 2)),
        }


class DeepConvNet(EEGNetwork):
    """Deep ConvNet (Schirrmeister et al. 2017): four blocks of convolution, batch norm, ELU and max pool.

    Sizes are those for 128 Hz (`arl-eegmodels`); for 250 Hz give taps=10, width=3.

    >>> parameter_count(DeepConvNet.init(64, 320, 4, key=jr.key(0)))
    185329
    """

    fused: Fused
    kernels: list[Array]
    biases: list[Array] | None
    norms: list[BatchNorm]
    dense: Dense
    width: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    @staticmethod
    def init(
        channels: int,
        times: int,
        classes: int,
        *,
        rate: float | int = 128.0,
        key: Key[Array, ""],
        filters: tuple[int, ...] = (25, 50, 100, 200),
        taps: int = 5,
        width: int = 2,
        drop: float = 0.5,
        bias: bool = True,
    ) -> DeepConvNet:
        """`filters` of the blocks, `width` of their pools, `bias` before norms or not."""
        keys = iter(jr.split(key, len(filters) + 1))
        fused = Fused(channels, filters[0], filters[0], taps, bias, next(keys))
        ends = list(pairwise(filters))
        kernels = [glorot((o, i, taps), i * taps, o * taps, next(keys)) for i, o in ends]
        biases = [jnp.zeros(o) for _, o in ends] if bias else None
        for _ in filters:
            times = (times - taps + 1) // width
        dense = Dense(classes, filters[-1], times, next(keys))
        norms = [BatchNorm(n, 0.9, 1e-5) for n in filters]
        return DeepConvNet(fused, kernels, biases, norms, dense, width, drop)

    def layers(self, x, seeds):
        pull = jnp.zeros(())
        for i, norm in enumerate(self.norms):
            x = self.fused(x) if i == 0 else convolve(x, self.kernels[i - 1])
            if i and self.biases is not None:
                x = x + self.biases[i - 1][:, None, None]
            x, more = norm(x, seeds is not None)
            # ELU rises, so it may follow the pool: the same numbers for a part of the exponentials
            x = jax.nn.elu(pool(x, self.width, how="max"))
            x, pull = dropout(x, self.rate, None if seeds is None else seeds[i]), pull + more
        return self.dense(x), pull

    def sites(self):
        return len(self.norms)

    def limits(self):
        inner = {
            f"kernel{i}": (lambda n, i=i: n.kernels[i], 2.0, (1, 2))
            for i in range(len(self.kernels))
        }
        return inner | {
            "temporal": (lambda n: n.fused.temporal, 2.0, (1,)),
            "spatial": (lambda n: n.fused.spatial, 2.0, (1, 2)),
            "dense": (lambda n: n.dense.weight, 0.5, (1, 2)),
        }


NETWORKS: dict[str, Callable] = {
    "shallow": ShallowConvNet.init,
    "deep": DeepConvNet.init,
    "eegnet": EEGNet.init,
    "fusion": EEGNetFusion.init,
    "mi-eegnet": MIEEGNet.init,
}

__all__ = [
    "NETWORKS",
    "DeepConvNet",
    "EEGNet",
    "EEGNetFusion",
    "MIEEGNet",
    "ShallowConvNet",
    "parameter_count",
]
