"""Tokeniser of neurorvq.py: convolutions, a transformer, residual codebooks, a decoder of spectra."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from neuropil.blocks import (
    LayerNorm,
    ResidualQuantiser,
    TransformerLayer,
    convolve,
    silent,
    stacked_layers,
    through,
)
from neuropil.fit.spectra import unit_circle_loss
from neuropil.wiring import Dense

TAPS = ((21, 9), (15, 7), (9, 5), (5, 3))
"""Lengths of the two filters of each branch, in samples at 200 Hz."""


def over(part, x):
    """A map of vectors over all leading axes."""
    for _ in range(x.ndim - 1):
        part = jax.vmap(part)
    return part(x)


def from_spectrum(log, cosine, sine):
    """Signals (..., time) from log(1 + amplitude) and the phases' cosines and sines, (..., frequency)."""
    strong = jnp.expm1(log)
    return jnp.fft.irfft(strong * jax.lax.complex(cosine, sine), 2 * (log.shape[-1] - 1))


class Branch(eqx.Module):
    """Two convolutions of a patch with group norm, GELU and mean pooling by 2 and 4: 8 times fewer samples."""

    one: Float[Array, "feature 1 tap"]
    two: Float[Array, "feature feature tap2"]
    gain: Float[Array, "layer feature"]
    shift: Float[Array, "layer feature"]

    @staticmethod
    def init(features, taps, key):
        a, b = jr.split(key)
        draw = lambda k, shape: jr.normal(k, shape) / jnp.sqrt(shape[1] * shape[2])
        one, two = draw(a, (features, 1, taps[0])), draw(b, (features, features, taps[1]))
        return Branch(one, two, jnp.ones((2, features)), jnp.zeros((2, features)))

    def __call__(self, patches: Float[Array, "token time"]) -> Float[Array, "token value"]:
        x = patches[None]
        for i, (w, width) in enumerate(((self.one, 2), (self.two, 4))):
            x = convolve(x, w, "same")
            # one group over all features: there are a quarter as many as in the paper
            mean = x.mean((0, 2), keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(x.var((0, 2), keepdims=True) + 1e-5)
            x = jax.nn.gelu(x * self.gain[i][:, None, None] + self.shift[i][:, None, None])
            x = x.reshape(*x.shape[:2], -1, width).mean(-1)
        return x.transpose(1, 0, 2).reshape(len(patches), -1)


class Trunk(eqx.Module):
    """Tables of place and time added to tokens (batch, channel, patch, width), then transformer layers."""

    place: Float[Array, "channel width"]
    time: Float[Array, "patch width"]
    layers: TransformerLayer

    @staticmethod
    def init(channels, patches, width, depth, heads, key):
        a, b, c = jr.split(key, 3)
        draw = lambda k, n: 0.02 * jr.normal(k, (n, width))
        layers = stacked_layers(depth, width, heads, key=c)
        return Trunk(draw(a, channels), draw(b, patches), layers)

    def __call__(self, x):
        shape = x.shape
        x = x + self.place[None, :, None] + self.time[None, None]
        return jax.vmap(lambda t: through(self.layers, t))(
            x.reshape(shape[0], -1, shape[-1])
        ).reshape(shape)


class Head(eqx.Module):
    """Two dense maps, a nonlinearity after the first and, for phases, tanh after the second."""

    one: Dense
    two: Dense
    phase: bool = eqx.field(static=True)

    @staticmethod
    def init(pre, hidden, post, phase, key):
        a, b = jr.split(key)
        make = lambda pre, post, k: Dense.init_normal(pre, post, k, bias=True)
        return Head(make(pre, hidden, a), make(hidden, post, b), phase)

    def __call__(self, x):
        if self.phase:
            return jnp.tanh(self.two.forward(jnp.tanh(self.one.forward(x))))
        return self.two.forward(jax.nn.gelu(self.one.forward(x)))


class Tokeniser(eqx.Module):
    """x (batch, channel, patch, time) to codes (..., branch, stage) and back.

    `log_mean`, `log_std` (frequency): of log amplitudes in the training part, so that codes are all that is
    sent. `angle` (0 or 1): the phase loss is the squared difference of angles, which the head of cosines
    tells in units of pi. `sent` (0 or 1): code vectors are quantised. Both are numbers, so that arms share a
    compiled program; gradients stop before all four.
    """

    branches: list[Branch]
    encoder: Trunk
    norms: list[LayerNorm]
    down: list[tuple[Dense, Dense]]
    books: list[ResidualQuantiser]
    up: list[Dense]
    decoder: Trunk
    norms2: list[LayerNorm]
    amplitude: Head
    cosine: Head
    sine: Head
    log_mean: Float[Array, "1 1 1 frequency"]
    log_std: Float[Array, "1 1 1 frequency"]
    angle: Float[Array, ""]
    sent: Float[Array, ""]

    @staticmethod
    def init(settings, branches, stages, moments, key, *, angle=False, sent=True) -> Tokeniser:
        """`branches`: how many of `TAPS`; `stages`: codebooks in a branch."""
        s = settings
        features, time = s["features"], s["patch"]
        width, inner = features * (time // 8), s["code"]
        keys = iter(jr.split(key, 8 + 5 * branches))
        each = lambda make: [make(i) for i in range(branches)]
        dense = lambda pre, post: Dense.init_normal(pre, post, next(keys), bias=True)
        trunk = lambda depth: Trunk.init(
            s["channels"], s["patches"], width, depth, s["heads"], next(keys)
        )
        book = lambda i: ResidualQuantiser.init(
            inner, s["codes"], stages, key=next(keys), unit=True, commitment=1.0, rest=0.4,
            decay=s["decay"], revive=s["revive"],
        )  # fmt: skip
        bins = time // 2 + 1
        head = lambda phase: Head.init(branches * width, 2 * bins, bins, phase, next(keys))
        return Tokeniser(
            each(lambda i: Branch.init(features, TAPS[i], next(keys))),
            trunk(s["depth"]),
            each(lambda i: LayerNorm(width)),
            each(lambda i: (dense(width, width), dense(width, inner))),
            each(book),
            each(lambda i: dense(inner, width)),
            trunk(1),
            each(lambda i: LayerNorm(width)),
            head(False), head(True), head(True), *moments, jnp.float32(angle), jnp.float32(sent),
        )  # fmt: skip

    def encode(self, x):
        """What is quantised: (batch, channel, patch, code) of every branch."""
        found = []
        for branch, norm, (one, two) in zip(self.branches, self.norms, self.down, strict=True):
            tokens = branch(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
            tokens = over(norm, self.encoder(tokens))
            found.append(over(lambda t, a=one, b=two: b.forward(jnp.tanh(a.forward(t))), tokens))
        return found

    def decode(self, values):
        """Log amplitudes (standardised), cosines and sines of phases, (..., frequency), from code vectors."""
        found = []
        for value, up, norm in zip(values, self.up, self.norms2, strict=True):
            found.append(over(norm, self.decoder(over(up.forward, value))))
        joined = jnp.concatenate(found, axis=-1)
        log, c, s = (over(head, joined) for head in (self.amplitude, self.cosine, self.sine))
        angle = jax.lax.stop_gradient(self.angle)
        turn = lambda told, of: jnp.where(angle > 0, of(c * jnp.pi), told)
        return log, turn(c, jnp.cos), turn(s, jnp.sin), c * jnp.pi

    def signal(self, log, cosine, sine):
        """The patch of a spectrum as `decode` gives it."""
        mean, std = jax.lax.stop_gradient((self.log_mean, self.log_std))
        return from_spectrum(log * std + mean, cosine, sine)

    def values(self, x, key=None):
        """Code vectors of every branch as they are sent, and what its quantiser says."""
        vectors = self.encode(x)
        said = [
            book(v, None if key is None else jr.fold_in(key, i))
            for i, (book, v) in enumerate(zip(self.books, vectors, strict=True))
        ]
        sent = jax.lax.stop_gradient(self.sent)
        return [jnp.where(sent > 0, q.value, v) for q, v in zip(said, vectors, strict=True)], said

    def loss(self, x, key):
        """Codes, amplitude, phase and time, weight 1 each."""
        values, said = self.values(x, key)
        log, c, s, angle = self.decode(values)
        full = jnp.fft.rfft(x)
        phase = jnp.angle(full)
        mean, std, plain, sent = jax.lax.stop_gradient(
            (self.log_mean, self.log_std, self.angle, self.sent)
        )
        amplitude = jnp.mean((log - (jnp.log1p(jnp.abs(full)) - mean) / std) ** 2)
        raw = jnp.mean((angle - phase) ** 2)
        turned = jnp.where(plain > 0, raw, unit_circle_loss(c, s, phase))
        codes = sum(q.loss for q in said) / len(self.books[0].layers)
        time = jnp.mean((self.signal(log, c, s) - x) ** 2)
        pull = silent(sum(q.pull for q in said))
        return amplitude + turned + time + sent * codes + pull

    def reconstruct(self, values):
        """Signals (batch, channel, patch, time) from code vectors."""
        return self.signal(*self.decode(values)[:3])
