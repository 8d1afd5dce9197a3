r"""Next-token models of signals: tokens of every sample and channel, patched causal attention along time.

$$e_{t c} = E_{s_{t c}} + P_t + Q_c + U_{\text{session}}, \qquad
  p(s_{t+1, c} \mid s_{\le t}) = \text{softmax}(W z_{t c} + b)$$

z is what layers of `blocks.patched` make of e at the last `queries` samples; the loss is the cross-entropy at
the last `scored` of them. Channels know of each other only where `mixing` lets them.

Source: MEG-GPT (arXiv 2510.18080) and its code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from neuropil.blocks.dropout import dropout
from neuropil.blocks.patched import PatchedLayer
from neuropil.blocks.sampling import nucleus
from neuropil.core.random import fold
from neuropil.learn.loop import train
from neuropil.learn.trainer import Trainer
from neuropil.wiring import Dense

Tokens = Int[Array, "time channel"]


class SignalGPT(eqx.Module):
    """The model of the module. Tokens (time, channel) of `length` samples -> logits of the next at the last
    `queries` of them.

    `label` is a session's number; -1 stands for the mean of all sessions (a session that is not known).

    >>> model = SignalGPT.init(5, 3, 2, length=16, queries=8, patch=2, raw=4, scored=4, key=jr.key(0))
    >>> model(jnp.zeros((16, 3), int), jnp.array(0)).shape
    (8, 3, 5)

    Raises ValueError where heads do not divide the width and for lengths that do not fit each other.
    """

    token: Float[Array, "code width"]
    position: Float[Array, "time width"]
    channel: Float[Array, "channel width"]
    session: Float[Array, "session width"]
    layers: list[PatchedLayer]
    head: Dense
    mixing: Bool[Array, "channel channel"]
    scored: int = eqx.field(static=True)
    drop: float = eqx.field(static=True)

    @staticmethod
    def init(
        codes: int,
        channels: int,
        sessions: int,
        *,
        key: Key[Array, ""],
        length: int = 80,
        queries: int = 40,
        patch: int = 4,
        raw: int = 16,
        scored: int = 8,
        width: int = 48,
        depth: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        mixing: bool = False,
        drop: float = 0.0,
    ) -> SignalGPT:
        """`codes` tokens; `mixing`: channels exchange; `drop`: dropout while learning."""
        if not 1 <= scored <= min(raw, queries):
            raise ValueError(
                f"SignalGPT: scored = {scored}; from 1 to the last raw samples and queries "
                f"({min(raw, queries)})"
            )
        table = lambda name, n: 0.3 * jr.normal(fold(key, name), (n, width))
        layers = [
            PatchedLayer.init_normal(
                width,
                heads,
                hidden or width,
                times=queries if i else length,
                queries=queries,
                patch=patch,
                raw=raw,
                key=fold(key, f"layer {i}"),
            )
            for i in range(depth)
        ]
        return SignalGPT(
            table("token", codes),
            table("position", length),
            table("channel", channels),
            jnp.zeros((sessions, width)),
            layers,
            Dense.init_normal(width, codes, fold(key, "head"), bias=True),
            jnp.ones((channels, channels), bool) if mixing else jnp.eye(channels, dtype=bool),
            scored,
            drop,
        )

    @property
    def length(self) -> int:
        """Samples of a window."""
        return self.position.shape[0]

    def _session(self, label):
        return jnp.where(label < 0, self.session.mean(0), self.session[label])

    def begin(
        self, tokens: Tokens, label: Int[Array, ""], seed: Array | None = None
    ) -> tuple[list, Float[Array, "query channel width"]]:
        """A `blocks.patched.PatchCache` for each layer and the last layer's output."""
        x = self.token[tokens] + self.position[:, None] + self.channel[None]
        x = dropout(x + self._session(label)[None, None], self.drop, seed)
        caches = []
        for i, layer in enumerate(self.layers):
            own = None if seed is None else seed + jnp.uint32(16 * (i + 1))
            cache, x = layer.begin(x, self.mixing, self.drop, own)
            caches.append(cache)
        return caches, x

    def __call__(self, tokens: Tokens, label: Int[Array, ""], seed: Array | None = None):
        return self.head.forward(self.begin(tokens, label, seed)[1])

    def extend(
        self,
        caches: list,
        tokens: Int[Array, " channel"],
        at: Int[Array, ""],
        label: Int[Array, ""],
    ) -> tuple[list, Float[Array, "channel code"]]:
        """Logits of what follows the tokens at place `at`, one of the last `scored`, and the grown caches."""
        x = self.token[tokens] + (self.position[at] + self._session(label))[None] + self.channel
        grown, last = [], self.length
        for layer, cache in zip(self.layers, caches, strict=True):
            times = cache.inputs.shape[0]
            cache, x = layer.extend(cache, x, at - (last - times), self.mixing)
            grown.append(cache)
        return grown, self.head.forward(x)

    def features(
        self, tokens: Tokens, label: Int[Array, ""] | int = -1
    ) -> Float[Array, "channel width"]:
        """The last layer's output, mean over time: what a decoder reads."""
        return self.begin(tokens, jnp.asarray(label))[1].mean(0)


def next_token_loss(model: SignalGPT, batch: dict[str, Array], key: Any) -> Float[Array, ""]:
    """Cross-entropy (nats) of windows "tokens" (window, length + 1, channel) of sessions "label"."""
    seeds = jr.bits(key, (len(batch["label"]),), jnp.uint32)

    def one(tokens, label, seed):
        logits = model(tokens[:-1], label, seed if model.drop else None)[-model.scored :]
        said = jax.nn.log_softmax(logits)
        told = jnp.take_along_axis(said, tokens[-model.scored :, :, None], axis=-1)
        return -jnp.mean(told)

    return jnp.mean(jax.vmap(one)(batch["tokens"], batch["label"], seeds))


def token_windows(
    tokens: Int[np.ndarray, "session time channel"], length: int, count: int
) -> dict[str, np.ndarray]:
    """`count` windows of `length` samples, as evenly spread over all sessions as whole samples allow, and
    their sessions' numbers: data for `next_token_loss`.

    >>> data = token_windows(np.arange(12).reshape(2, 6, 1), 3, 4)
    >>> data["tokens"][:, :, 0].tolist(), data["label"].tolist()
    ([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]], [0, 0, 1, 1])

    Raises ValueError where a session is shorter than a window.
    """
    sessions, time, _ = tokens.shape
    if time < length:
        raise ValueError(f"token_windows: {time} samples are fewer than a window of {length}")
    each = np.diff(np.linspace(0, count, sessions + 1).round().astype(int))
    starts = [np.linspace(0, time - length, n).round().astype(int) for n in each]
    label = np.repeat(np.arange(sessions), each)
    place = np.concatenate(starts)[:, None] + np.arange(length)
    return {"tokens": tokens[label[:, None], place], "label": label}


@lru_cache
def _adam(rate: float):
    """One optimiser a rate: another object would compile the step again."""
    return optax.adam(rate)


def fit_gpt(
    model: SignalGPT,
    data: dict[str, np.ndarray],
    *,
    key: Key[Array, ""],
    epochs: int = 1,
    batch: int = 16,
    rate: float = 1e-3,
) -> tuple[SignalGPT, np.ndarray]:
    """The model trained by Adam on windows of `token_windows`, and the loss of every step.

    Example: `model, losses = fit_gpt(model, token_windows(tokens, model.length + 1, 8000), key=key)`.
    """
    trainer = Trainer(model, next_token_loss, _adam(rate))
    fit = train(trainer, data, epochs=epochs, batch=batch, key=key, progress=False)
    return fit.model, fit.steps["loss"]


@eqx.filter_jit
def generate(
    model: SignalGPT,
    prompt: Int[Array, "many time channel"],
    labels: Int[Array, " many"],
    blocks: int,
    key: Key[Array, ""],
    p: float = 0.99,
    temperature: float = 1.0,
) -> Int[Array, "many new channel"]:
    """`blocks * scored` new tokens of each of many sequences, by nucleus sampling of mass `p`.

    The window slides by `scored` samples; within a block keys and values are kept, so a token costs one query
    (the logits are those of the whole window: only places that the loss has scored are asked).

    **Arguments**: `prompt`, the last `length + 1 - scored` tokens known; channels are drawn independently
    given the past, as the model says.

    Raises ValueError for a prompt of another length.
    """
    known = model.length + 1 - model.scored
    if prompt.shape[1] != known:
        raise ValueError(
            f"generate: the prompt has {prompt.shape[1]} samples; give the last {known}"
        )
    places = model.length - model.scored + jnp.arange(model.scored)

    def one(prompt, label, key):
        def block(known, key):
            blank = jnp.zeros((model.scored, known.shape[1]), known.dtype)
            caches, _ = model.begin(jnp.concatenate([known[:-1], blank]), label)

            def grow(carry, now):
                caches, last = carry
                at, key = now
                caches, logits = model.extend(caches, last, at, label)
                new = nucleus(logits, key, p, temperature).astype(known.dtype)
                return (caches, new), new

            keys = jr.split(key, model.scored)
            _, fresh = jax.lax.scan(grow, (caches, known[-1]), (places, keys))
            return jnp.concatenate([known, fresh])[model.scored :], fresh

        _, fresh = jax.lax.scan(block, prompt, jr.split(key, blocks))
        return fresh.reshape(-1, prompt.shape[1])

    return jax.vmap(one)(prompt, labels, jr.split(key, len(labels)))


@eqx.filter_jit
def window_features(
    model: SignalGPT, tokens: Int[Array, "window time channel"]
) -> Float[Array, "window feature"]:
    """Features of windows of sessions that are not known, flat; window after window, to spare memory."""
    return jax.lax.map(lambda t: model.features(t).ravel(), tokens, batch_size=16)
