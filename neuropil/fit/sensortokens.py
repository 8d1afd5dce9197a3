r"""Tokens of (channel, time) with sensors' places and kinds, and models pretrained on them without labels.

A recording of any montage becomes patches of a few samples of one channel each. A token carries its patch,
where its sensor is, what kind it is, and when; the transformer knows channels by that alone, so sensors
may be left out, put in another order, or be new.

Masked: a share of the tokens is hidden and told from the others (He et al. 2022; for EEG Kostas et al. 2021,
Jiang et al. 2024). Autoregressive: what a channel does next is told from all channels until now.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key
from sklearn.base import BaseEstimator, TransformerMixin

from neuropil.blocks.averages import silent
from neuropil.blocks.plain import LayerNorm
from neuropil.blocks.transformer import TransformerLayer, stacked_layers, through
from neuropil.fit.eegparts import EEGNetwork
from neuropil.wiring import Dense

KINDS = ("eeg", "mag", "grad", "seeg", "ecog", "lfp", "roi", "other")
"""Kinds of sensors that a model tells apart."""


class Montage(eqx.Module):
    """Where sensors are and what they are: `positions` (channel, 3) in units of the head's radius, `kinds`
    (channel,) numbers in `KINDS`, and, for models that ask for it, `directions` (channel, 3): unit vectors
    along which a coil measures the field or its gradient, 0 for electrodes.

    >>> Montage.of(np.eye(3) * 0.09, ["eeg"] * 3).positions.round(2).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    positions: Float[Array, "channel 3"]
    kinds: Int[Array, " channel"]
    directions: Float[Array, "channel 3"] | None = None

    @staticmethod
    def of(positions: Any, kinds: Any, radius: float = 0.09) -> Montage:
        """From positions in metres and names of kinds (unknown ones are "other").

        Raises ValueError for positions that are missing, not finite or not three numbers each."""
        positions = np.asarray(positions, float)
        if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
            raise ValueError(
                f"positions are {positions.shape}; every sensor needs three finite numbers (metres). "
                "Set them first, for instance from a standard montage"
            )
        numbers = [KINDS.index(k) if k in KINDS else len(KINDS) - 1 for k in kinds]
        if len(numbers) != len(positions):
            raise ValueError(f"{len(numbers)} kinds for {len(positions)} positions; give one each")
        return Montage(jnp.asarray(positions / radius, float), jnp.asarray(numbers, jnp.int32))

    @staticmethod
    def from_info(info: Any, radius: float = 0.09) -> Montage:
        """From an MNE `Info`: places in the head's frame, and directions: the normal of a magnetometer or
        axial gradiometer, the axis in its plane that a planar gradiometer measures along, 0 for electrodes."""
        kinds = info.get_channel_types()
        head = np.eye(4) if info["dev_head_t"] is None else info["dev_head_t"]["trans"]
        loc = np.array([ch["loc"] for ch in info["chs"]])
        where, along = loc[:, :3].copy(), np.zeros((len(loc), 3))
        for i, kind in enumerate(kinds):
            if kind in ("mag", "grad"):
                where[i] = head[:3, :3] @ where[i] + head[:3, 3]
                along[i] = head[:3, :3] @ (loc[i, 3:6] if kind == "grad" else loc[i, 9:12])
        found = Montage.of(where, kinds, radius)
        return Montage(found.positions, found.kinds, jnp.asarray(along, float))

    @staticmethod
    def from_recording(recording: Any) -> Montage:
        """From a `Recording`'s positions and its column `kind` (EEG where there is none)."""
        if recording.positions is None:
            raise ValueError("the recording has no positions of its sensors; set a montage first")
        scale = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}[recording.positions_unit]
        have = recording.data.coords
        kinds = have["kind"].values if "kind" in have else ["eeg"] * recording.shape[2]
        return Montage.of(recording.positions * scale, kinds)


def waves(x: Float[Array, "*item axis"], octaves: int = 4) -> Float[Array, "*item wave"]:
    """sin and cos of pi 2^k x, k = 0..octaves - 1, of every coordinate: places as smooth features.

    >>> waves(jnp.zeros((2, 3))).shape
    (2, 24)
    """
    angle = jnp.pi * x[..., None] * 2.0 ** jnp.arange(octaves).reshape(*(1,) * x.ndim, -1)
    both = jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return both.reshape(*x.shape[:-1], -1)


class SensorTransformer(eqx.Module):
    """Tokens (channel, patch) -> features and a guess of each token's patch.

    **Arguments**: `patch` samples a token; `width`, `depth`, `heads`; `goal`: "masked" or "next".

    >>> model = SensorTransformer.init(8, width=16, depth=1, heads=2, key=jr.key(0))
    >>> montage = Montage.of(np.eye(3) * 0.09, ["eeg"] * 3)
    >>> x = jnp.ones((3, 32))
    >>> model.features(x, montage).shape, float(model.loss(x, montage, jr.key(1))) > 0
    ((12, 16), True)

    Raises ValueError where heads do not divide the width, or a window is no multiple of the patch.
    """

    embed: Dense
    place: Dense
    kind: Float[Array, "kind width"]
    hidden: Float[Array, " width"]
    layers: TransformerLayer
    norm: LayerNorm
    guess: Dense
    goal: Literal["masked", "next"] = eqx.field(static=True)
    share: float = eqx.field(static=True)

    @staticmethod
    def init(
        patch: int,
        *,
        key: Key[Array, ""],
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        goal: Literal["masked", "next"] = "masked",
        share: float = 0.5,
    ) -> SensorTransformer:
        """`share` of the tokens that are hidden (masked)."""
        if not 0 < share < 1:
            raise ValueError(
                f"share = {share}; hide more than none and less than all of the tokens"
            )
        keys = jr.split(key, 6)
        return SensorTransformer(
            Dense.init_normal(patch, width, keys[0], bias=True),
            Dense.init_normal(24 + 2, width, keys[1], bias=True),
            0.1 * jr.normal(keys[2], (len(KINDS), width)),
            0.1 * jr.normal(keys[3], (width,)),
            stacked_layers(depth, width, heads, key=keys[4]),
            LayerNorm(width),
            Dense.init_normal(width, patch, keys[5], bias=True),
            goal,
            share,
        )

    def patches(self, x: Float[Array, "channel time"]) -> Float[Array, "token sample"]:
        """Tokens, channel by channel. Values should have a deviation of about 1."""
        patch = self.embed.weight.shape[1]
        if x.shape[1] % patch:
            raise ValueError(
                f"a window of {x.shape[1]} samples is no multiple of the patch {patch}"
            )
        return x.reshape(-1, patch)

    def _tokens(self, patches, montage, hide=None):
        channels = len(montage.kinds)
        times = patches.shape[0] // channels
        values = jax.vmap(self.embed.forward)(patches)
        if hide is not None:
            values = jnp.where(hide[:, None], self.hidden[None], values)
        clock = jnp.arange(times) / 16.0
        clock = jnp.stack([jnp.sin(clock), jnp.cos(clock)], axis=1)
        where = jnp.repeat(waves(montage.positions), times, axis=0)
        carried = jnp.concatenate([where, jnp.tile(clock, (channels, 1))], axis=1)
        kinds = jnp.repeat(self.kind[montage.kinds], times, axis=0)
        return values + jax.vmap(self.place.forward)(carried) + kinds

    def _mask(self, tokens: int, channels: int) -> Bool[Array, "token token"] | None:
        if self.goal == "masked":
            return None
        when = jnp.tile(jnp.arange(tokens // channels), channels)
        return when[None, :] <= when[:, None]

    def features(
        self,
        x: Float[Array, "channel time"],
        montage: Montage,
        hide: Bool[Array, " token"] | None = None,
    ) -> Float[Array, "token width"]:
        """What the last layer says of every token; `hide` tokens whose values it may not see."""
        patches = self.patches(x)
        tokens = self._tokens(patches, montage, hide)
        mixed = through(self.layers, tokens, self._mask(len(tokens), len(montage.kinds)))
        return jax.vmap(self.norm)(mixed)

    def loss(
        self, x: Float[Array, "channel time"], montage: Montage, key: Key[Array, ""]
    ) -> Float[Array, ""]:
        """Mean squared error of hidden patches, or of every channel's next patch."""
        patches = self.patches(x)
        if self.goal == "next":
            said = jax.vmap(self.guess.forward)(self.features(x, montage))
            table = lambda a: a.reshape(len(montage.kinds), -1, a.shape[-1])
            return jnp.mean((table(said)[:, :-1] - table(patches)[:, 1:]) ** 2)
        hide = jr.uniform(key, (len(patches),)) < self.share
        said = jax.vmap(self.guess.forward)(self.features(x, montage, hide))
        each = jnp.mean((said - patches) ** 2, axis=1)
        return jnp.sum(each * hide) / jnp.maximum(hide.sum(), 1)


def pretraining_loss(model: SensorTransformer, batch: dict[str, Array], key: Key[Array, ""]):
    """Loss of a batch for `learn.Trainer`: "x" (trial, channel, time), "positions", "kinds" (a montage a
    trial, so that batches may mix recordings with as many channels)."""
    keys = jr.split(key, len(batch["x"]))
    one = lambda x, p, k, key: model.loss(x, Montage(p, k), key)
    return jnp.mean(jax.vmap(one)(batch["x"], batch["positions"], batch["kinds"], keys))


class TokenClassifier(EEGNetwork):
    """A pretrained model with a linear head on the mean of its features: for `NeuralDecoder` (fine-tuning).

    `frozen`: only the head learns (a probe trained by gradients).
    """

    model: SensorTransformer
    montage: Montage
    head: Dense
    scale: float = eqx.field(static=True, default=1.0)
    frozen: bool = eqx.field(static=True, default=False)

    @staticmethod
    def build(model: SensorTransformer, montage: Montage, scale: float = 1.0, frozen: bool = False):
        """A function for `NeuralDecoder(network=...)`; values are divided by `scale` first."""

        def make(channels, times, classes, *, rate=128.0, key):
            if channels != len(montage.kinds):
                raise ValueError(f"{channels} channels, but the montage has {len(montage.kinds)}")
            head = Dense.init_normal(model.norm.gain.shape[0], classes, key, bias=True)
            return TokenClassifier(model, montage, head, scale, frozen)

        return make

    def layers(self, x, seeds):
        model = self.model
        if self.frozen:
            arrays, static = eqx.partition(model, eqx.is_array)
            model = eqx.combine(jax.lax.stop_gradient(arrays), static)
        montage = jax.tree.map(jax.lax.stop_gradient, self.montage)
        read = lambda x: model.features(x / self.scale, montage).mean(0)
        pooled = jax.vmap(read, in_axes=1)(x)
        return jax.vmap(self.head.forward)(pooled), silent(jnp.zeros(()))


@eqx.filter_jit
def _pooled(model, montage, x):
    return jax.vmap(lambda x: model.features(x, montage).mean(0))(x)


class FrozenFeatures(TransformerMixin, BaseEstimator):
    """Mean features of a pretrained model, untouched: put it before any scikit-learn classifier (probing).

    - `model`, `montage`; `scale`: what values are divided by (their deviation in pretraining).
    """

    def __init__(self, model=None, montage=None, scale=1.0):
        self.model = model
        self.montage = montage
        self.scale = scale

    def fit(self, X, y=None) -> FrozenFeatures:
        """Learns nothing."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X) -> Float[np.ndarray, "trial width"]:
        x = np.asarray(X, np.float32) / self.scale
        return np.asarray(_pooled(self.model, self.montage, x))
