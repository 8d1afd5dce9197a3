r"""Codes of EEG and MEG that do not depend on the device: sensors described by place, direction and kind.

A signal of any number of channels becomes a fixed number of latent series (attention from learned latents to
channels: a learned inverse solution), these become residual codes, and every channel, also one that was not
seen, is read back by a query that says where its sensor is (a learned forward solution).

Source: Xiao et al. (2025), BrainOmni, arXiv:2505.18185; code OpenTSLab/BrainOmni.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, Key

from neuropil.blocks.averages import silent
from neuropil.blocks.latents import CrissCross, CrossAttention
from neuropil.blocks.plain import MLP, RMSNorm
from neuropil.blocks.quantisers import Quantised, ResidualQuantiser
from neuropil.blocks.seanet import SEANetDecoder, SEANetEncoder
from neuropil.fit.sensortokens import KINDS, Montage
from neuropil.fit.spectra import amplitude_and_phase, correlation
from neuropil.wiring import Dense

Signals = Float[Array, "batch channel time"]


def same_kind(
    kinds: Int[Array, " channel"], seen: Bool[Array, " channel"]
) -> Float[Array, "channel channel"]:
    """Row c averages over the seen channels of c's kind (all 0 where there is none)."""
    same = (kinds[:, None] == kinds[None, :]) & seen[None, :]
    return same / jnp.maximum(same.sum(1, keepdims=True), 1)


def standardised(
    x: Signals, kinds: Int[Array, " channel"], seen: Bool[Array, " channel"]
) -> Signals:
    """Every kind of sensor against the mean of its seen channels, over one deviation for all of them.

    A virtual average reference, and one scale a window and kind: relations between channels stay. What is not
    `seen` enters neither. Kinds that nothing was seen of stay as they are.

    >>> x = jnp.array([[[1.0, -1.0], [3.0, 1.0], [9.0, 9.0]]])
    >>> seen = jnp.array([True, True, False])
    >>> standardised(x, jnp.array([0, 0, 0]), seen)[0, :2].tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    mean = same_kind(kinds, seen)
    x = x - jnp.einsum("cd,bdt->bct", mean, x)
    power = jnp.einsum("cd,bd->bc", mean, jnp.mean(x**2, axis=-1))
    return x * jax.lax.rsqrt(jnp.where(power > 0, power, 1.0))[..., None]


def scored(x: Signals) -> Signals:
    """Every channel of every window with mean 0 and deviation 1."""
    x = x - x.mean(-1, keepdims=True)
    return x / (jnp.sqrt(jnp.mean(x**2, -1, keepdims=True)) + 1e-6)


class SensorEmbedding(eqx.Module):
    r"""What a sensor is, as a vector: $g = \text{RMS}(u + \text{MLP}(u))$,
    $u = W_2\,\text{SELU}(W_1 [p, d]) + E_{\text{kind}}$ of its place p, direction d and kind.

    >>> montage = Montage.of(jnp.eye(3) * 0.09, ["eeg"] * 3)
    >>> SensorEmbedding.init(16, key=jr.key(0))(montage).shape
    (3, 16)
    """

    place: Dense
    place2: Dense
    kind: Float[Array, "kind width"]
    mlp: MLP
    norm: RMSNorm

    @staticmethod
    def init(width: int, *, key: Key[Array, ""]) -> SensorEmbedding:
        """Weights normal with deviation 1 / sqrt(inputs); rows of the table of kinds with 0.02."""
        a, b, c, d = jr.split(key, 4)
        return SensorEmbedding(
            Dense.init_normal(6, width // 2, a, bias=True),
            Dense.init_normal(width // 2, width, b, bias=True),
            0.02 * jr.normal(c, (len(KINDS), width)),
            MLP.init_normal(width, 4 * width, key=d, activation=jax.nn.selu),
            RMSNorm(width),
        )

    def __call__(self, montage: Montage) -> Float[Array, "channel width"]:
        along = montage.directions
        along = jnp.zeros_like(montage.positions) if along is None else along
        both = jnp.concatenate([montage.positions, along], axis=1)
        u = self.place2.forward(jax.nn.selu(self.place.forward(both))) + self.kind[montage.kinds]
        return jax.vmap(self.norm)(u + jax.vmap(self.mlp)(u))


class Told(NamedTuple):
    """Loss of a batch, and its parts: `time` |error|, `pcc` correlation, `amplitude`, `phase`, `codes`."""

    loss: Float[Array, ""]
    time: Float[Array, ""]
    pcc: Float[Array, ""]
    amplitude: Float[Array, ""]
    phase: Float[Array, ""]
    codes: Float[Array, ""]


def reconstruction_loss(truth: Signals, guess: Signals, codes: Float[Array, ""]) -> Told:
    r"""$\langle|\hat x - x|\rangle + e^{-r} + c + A + \varphi / 2$: error, mean correlation r, what the codes
    cost, and errors of amplitude and phase (`fit.spectra.amplitude_and_phase`). A perfect guess costs
    $e^{-1} + c$."""
    time = jnp.mean(jnp.abs(guess - truth))
    pcc = jnp.mean(correlation(truth, guess))
    errors = amplitude_and_phase(truth, guess)
    loss = time + jnp.exp(-pcc) + codes + errors.amplitude + 0.5 * errors.phase
    return Told(loss, time, pcc, errors.amplitude, errors.phase, codes)


class SensorTokeniser(eqx.Module):
    """Windows (batch, channel, time) of any montage -> codes (batch, step, latent, stage) -> windows.

    `embedding`: what describes sensors, `SensorEmbedding` or any other module of what `sensors` holds, to
    (channel, width). Encoder and decoder act on each channel alone, attention on each step alone.

    >>> model = SensorTokeniser.init(16, latents=2, heads=2, filters=4, ratios=(4, 4), codes=8, key=jr.key(0))
    >>> montage = Montage.of(jnp.eye(3) * 0.09, ["eeg"] * 3)
    >>> model.codes(jnp.ones((2, 3, 32)), montage).shape
    (2, 2, 2, 4)
    """

    embedding: Callable[[Any], Array]
    encoder: SEANetEncoder
    latents: Float[Array, "latent width"]
    inward: CrossAttention
    quantiser: ResidualQuantiser
    outward: CrossAttention
    decoder: SEANetDecoder

    @staticmethod
    def init(
        width: int = 256,
        *,
        key: Key[Array, ""],
        latents: int = 16,
        heads: int = 4,
        filters: int = 32,
        ratios: tuple[int, ...] = (2, 4, 8),
        lstm: int = 0,
        codes: int = 512,
        stages: int = 4,
        decay: float = 0.99,
        embedding: Callable[[Any], Array] | None = None,
    ) -> SensorTokeniser:
        """Latents normal with deviation 1: they must differ, or they all read the same for ever. What reads
        sources begins sqrt(width) times as strong, since these have length 1: else all channels are told
        alike, which for channels that sum to zero is nothing, and training stands still at first."""
        a, b, c, d, e, f, g = jr.split(key, 7)
        book = ResidualQuantiser.init(
            width, codes, stages, key=e, decay=decay, commitment=0.25 / stages, rotate=True
        )
        outward = CrossAttention.init_normal(width, heads, key=f)
        outward = eqx.tree_at(
            lambda m: (m.key.weight, m.value.weight), outward, replace_fn=lambda w: w * width**0.5
        )
        more = {"filters": filters, "ratios": ratios, "lstm": lstm}
        return SensorTokeniser(
            SensorEmbedding.init(width, key=a) if embedding is None else embedding,
            SEANetEncoder.init(width, key=b, **more),
            jr.normal(c, (latents, width)),
            CrossAttention.init_normal(width, heads, key=d),
            book,
            outward,
            SEANetDecoder.init(width, key=g, **more),
        )

    def sources(
        self, x: Signals, g: Float[Array, "channel width"]
    ) -> Float[Array, "batch step latent width"]:
        """Latent series of windows whose channels are described by g; every vector has length 1."""
        batch, channels, time = x.shape
        f = self.encoder(x.reshape(-1, time))
        f = f.reshape(batch, channels, *f.shape[1:]).transpose(0, 2, 1, 3)
        latents = jnp.broadcast_to(self.latents, (*f.shape[:2], *self.latents.shape))
        y = self.inward(latents, f + g[None, None], f)
        return y * jax.lax.rsqrt(jnp.sum(y**2, axis=-1, keepdims=True) + 1e-12)

    def channels(
        self, z: Float[Array, "batch step latent width"], g: Float[Array, "channel width"]
    ) -> Signals:
        """Signals of the channels that g describes."""
        query = jnp.broadcast_to(g, (*z.shape[:2], *g.shape))
        y = self.outward(query, z, z).transpose(0, 2, 1, 3)
        return self.decoder(y.reshape(-1, *y.shape[2:])).reshape(*y.shape[:2], -1)

    def read(self, x: Signals, sensors: Any) -> Quantised:
        """Sources and their codes."""
        return self.quantiser(self.sources(x, self.embedding(sensors)))

    def codes(self, x: Signals, sensors: Any) -> Int[Array, "batch step latent stage"]:
        """Codes alone."""
        return self.read(x, sensors).codes

    def hidden(
        self,
        x: Signals,
        kinds: Int[Array, " channel"],
        sensors: Any,
        order: Int[Array, " channel"],
        n: int,
    ) -> tuple[Signals, Signals]:
        """Truth and guess of all channels, in `order`; its first `n` are not seen (nor is their scale)."""
        x, sensors, kinds = x[:, order], jax.tree.map(lambda a: a[order], sensors), kinds[order]
        x = standardised(x, kinds, jnp.arange(len(order)) >= n)
        g = self.embedding(sensors)
        z = self.quantiser(self.sources(x[:, n:], g[n:])).value
        return scored(x), self.channels(z, g)

    def loss(
        self,
        x: Signals,
        kinds: Int[Array, " channel"],
        sensors: Any,
        key: Key[Array, ""],
        share: float = 0.25,
        noise: float = 0.1,
    ) -> tuple[Float[Array, ""], Told]:
        """A `share` of the channels is hidden, the others are seen with `noise`; all must be told."""
        n = max(int(share * x.shape[1]), 1)
        order = jr.permutation(jr.fold_in(key, 0), x.shape[1])
        x, sensors, kinds = x[:, order], jax.tree.map(lambda a: a[order], sensors), kinds[order]
        x = standardised(x, kinds, jnp.arange(len(order)) >= n)
        g = self.embedding(sensors)
        heard = x[:, n:] + noise * jr.normal(jr.fold_in(key, 1), x[:, n:].shape)
        said = self.quantiser(self.sources(heard, g[n:]), jr.fold_in(key, 2))
        told = reconstruction_loss(scored(x), self.channels(said.value, g), said.loss)
        return told.loss + silent(said.pull), told

    def begun(
        self,
        x: Signals,
        kinds: Int[Array, " channel"],
        sensors: Any,
        key: Key[Array, ""],
        most: int = 4096,
    ) -> SensorTokeniser:
        """The same with codebooks that begin at the means of what a batch gives (k-means)."""
        x = standardised(x, kinds, jnp.ones(x.shape[1], bool))
        z = self.sources(x, self.embedding(sensors))
        z = z.reshape(-1, z.shape[-1])
        z = z[jr.permutation(jr.fold_in(key, 0), len(z))[:most]]
        return eqx.tree_at(lambda m: m.quantiser, self, self.quantiser.begun(z, jr.fold_in(key, 1)))


def masked(
    z: Float[Array, "*place width"],
    vector: Float[Array, " width"],
    key: Key[Array, ""],
    share: float = 0.5,
) -> tuple[Float[Array, "*place width"], Bool[Array, "*place"]]:
    """Places hidden with chance `share`: a random other token of the batch, or in 80 % of them `vector`.

    Returns the tokens and which were hidden.

    >>> z, hidden = masked(jnp.zeros((4, 8, 2)), jnp.ones(2), jr.key(0))
    >>> z.shape, hidden.shape
    ((4, 8, 2), (4, 8))
    """
    a, b, c = jr.split(key, 3)
    place = z.shape[:-1]
    hidden = jr.uniform(a, place) < share
    flat = z.reshape(-1, z.shape[-1])
    other = flat[jr.permutation(b, len(flat))].reshape(z.shape)
    covered = hidden & (jr.uniform(c, place) < 0.8)
    z = jnp.where(hidden[..., None], other, z)
    wide = jnp.broadcast_to(vector, z.shape)
    return jnp.where(covered[..., None], wide, z), hidden


class SourcePredictor(eqx.Module):
    """What is hidden of quantised sources, told from the rest: layers that look along time and latents in turn.

    Tokens (latent, time, width) are sums of code vectors; `identity` (latent, width) is added. Logits
    (latent, time, stage, code). `features`: what the last layer but one says, vectors of length 1.

    >>> model = SourcePredictor.init(8, 4, depth=2, codes=16, stages=3, key=jr.key(0))
    >>> model(jnp.ones((2, 5, 8)), jnp.ones((2, 8))).shape
    (2, 5, 3, 16)
    """

    vector: Float[Array, " width"]
    layers: list[CrissCross]
    head: Dense
    stages: int = eqx.field(static=True)

    @staticmethod
    def init(
        width: int,
        heads: int,
        *,
        depth: int,
        codes: int,
        stages: int,
        key: Key[Array, ""],
    ) -> SourcePredictor:
        """The mask vector is normal with deviation 1."""
        a, b, *keys = jr.split(key, 2 + depth)
        layers = [CrissCross.init_normal(width, heads, key=k) for k in keys]
        head = Dense.init_normal(width, stages * codes, b, bias=True)
        return SourcePredictor(jr.normal(a, (width,)), layers, head, stages)

    def __call__(
        self, z: Float[Array, "latent time width"], identity: Float[Array, "latent width"]
    ) -> Float[Array, "latent time stage code"]:
        x = z + identity[:, None]
        for layer in self.layers:
            x = layer(x)
        logits = jax.vmap(self.head.forward)(x.reshape(-1, x.shape[-1]))
        return logits.reshape(*x.shape[:2], self.stages, -1)

    def features(
        self, z: Float[Array, "latent time width"], identity: Float[Array, "latent width"]
    ) -> Float[Array, "latent time width"]:
        """For read-outs: nothing is hidden, and the last layer is left out."""
        x = z + identity[:, None]
        for layer in self.layers[:-1]:
            x = layer(x)
        return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-12)

    def loss(
        self,
        z: Float[Array, "batch latent time width"],
        codes: Int[Array, "batch latent time stage"],
        identity: Float[Array, "latent width"],
        key: Key[Array, ""],
        share: float = 0.5,
    ) -> Float[Array, ""]:
        """Cross-entropy (nats) of the codes of hidden places."""
        seen, hidden = masked(z, self.vector, key, share)
        logits = jax.vmap(lambda z: self(z, identity))(seen)
        each = -jnp.take_along_axis(jax.nn.log_softmax(logits), codes[..., None], axis=-1)[..., 0]
        return jnp.sum(each.mean(-1) * hidden) / jnp.maximum(hidden.sum(), 1)
