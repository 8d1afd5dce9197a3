r"""A token for every sample of a signal, learned: a GRU that chooses codes, and a short kernel for each code.

$$h_t = \text{GRU}(x_t, h_{t-1}), \quad l_t = \text{LN}(W h_t + b) / T, \quad
  a_t = \tau\, \text{softmax}(l_t) + (1 - \tau)\, \text{onehot}(\arg\max l_t)$$
$$\hat x_t = c + \sum_{k < d} \sum_v K_{v k}\, a_{t + k - \lfloor (d - 1) / 2 \rfloor, v}$$

Learned by the squared error while tau falls from 1 to 0; then a code is the argmax. All channels share one
tokeniser. Source: MEG-GPT (arXiv 2510.18080) and its code, where T = 1 and the argmax is of logits with Gumbel
noise, also at test; T = 0.1 and no noise: its PyTorch rewrite (EphysTokenizer).
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
from jaxtyping import Array, Float, Int, Key

from neuropil.blocks.plain import LayerNorm
from neuropil.blocks.scalars import ScalarQuantiser
from neuropil.cells import GRU
from neuropil.core.random import fold
from neuropil.learn.loop import train
from neuropil.learn.trainer import Trainer
from neuropil.wiring import Dense


class SampleTokeniser(eqx.Module):
    """The tokeniser of the module on one channel (time,): `encode` to codes, `decode` to a signal.

    >>> part = SampleTokeniser.init(8, units=4, taps=3, key=jr.key(0))
    >>> codes = part.encode(jnp.zeros(20))
    >>> codes.shape, part.decode(codes).shape
    ((20,), (20,))
    """

    cell: GRU
    read: Dense
    norm: LayerNorm
    kernels: Float[Array, "code tap"]
    constant: Float[Array, ""]
    temperature: float = eqx.field(static=True, default=0.1)

    @staticmethod
    def init(
        codes: int,
        *,
        key: Key[Array, ""],
        units: int = 32,
        taps: int = 10,
        temperature: float = 0.1,
    ) -> SampleTokeniser:
        """`codes` codes, a GRU of `units`, kernels of `taps` samples."""
        return SampleTokeniser(
            GRU.init_uniform(1, units, fold(key, "cell")),
            Dense.init_normal(units, codes, fold(key, "read"), bias=True),
            LayerNorm(codes),
            0.3 * jr.normal(fold(key, "kernels"), (codes, taps)),
            jnp.zeros(()),
            temperature,
        )

    @staticmethod
    def init_quantiles(
        x: Float[np.ndarray, "window time"], codes: int, *, key: Key[Array, ""], **more
    ) -> SampleTokeniser:
        r"""Begun as a quantile quantiser: levels $l_v$ of `ScalarQuantiser.quantile` as kernels of one tap, and
        logits $l_v \tilde x - l_v^2 / 2$ (nearest level), $\tilde x$ the best linear guess of x from the GRU's
        state as it begins. From `init`, a few hundred steps leave most codes unused.

        `more`: units, taps, temperature of `init`."""
        model = SampleTokeniser.init(codes, key=key, **more)
        x = np.asarray(x, np.float32)
        levels = ScalarQuantiser.quantile(x, codes).levels
        h = np.asarray(_states(model.cell, jnp.asarray(x))).reshape(x.size, -1)
        full = np.hstack([h, np.ones((len(h), 1), h.dtype)])
        slope = jnp.asarray(np.linalg.lstsq(full, x.ravel(), rcond=None)[0], float)
        read = Dense(levels[:, None] * slope[None, :-1], levels * slope[-1] - levels**2 / 2)
        middle = (model.kernels.shape[1] - 1) // 2
        kernels = jnp.zeros_like(model.kernels).at[:, middle].set(levels)
        return eqx.tree_at(lambda m: (m.read, m.kernels), model, (read, kernels))

    @property
    def codes(self) -> int:
        """Number of codes."""
        return self.kernels.shape[0]

    def logits(self, x: Float[Array, " time"]) -> Float[Array, "time code"]:
        """How well each code fits each sample."""
        _, h = self.cell.unroll(self.cell.rest(), x[:, None], None)
        return jax.vmap(self.norm)(self.read.forward(h)) / self.temperature

    def weights(self, x: Float[Array, " time"], tau: Float[Array, ""]) -> Float[Array, "time code"]:
        """Soft choice times tau, and hard choice times 1 - tau."""
        logits = self.logits(x)
        hard = jax.nn.one_hot(jnp.argmax(logits, axis=-1), self.codes, dtype=logits.dtype)
        return tau * jax.nn.softmax(logits) + (1 - tau) * hard

    def reconstruct(self, weights: Float[Array, "time code"]) -> Float[Array, " time"]:
        """The signal of weighted codes: every code's kernel laid down at its place."""
        time, taps = weights.shape[0], self.kernels.shape[1]
        before = (taps - 1) // 2
        laid = jnp.pad(weights @ self.kernels, ((before, taps - 1 - before), (0, 0)))
        return self.constant + sum(laid[k : k + time, k] for k in range(taps))

    def encode(self, x: Float[Array, " time"]) -> Int[Array, " time"]:
        """The code of each sample."""
        return jnp.argmax(self.logits(x), axis=-1)

    def decode(self, codes: Int[Array, " time"]) -> Float[Array, " time"]:
        """The signal of codes."""
        return self.reconstruct(jax.nn.one_hot(codes, self.codes, dtype=self.kernels.dtype))


@eqx.filter_jit
def _states(cell, x):
    return jax.vmap(lambda x: cell.unroll(cell.rest(), x[:, None], None)[1])(x)


def tokeniser_loss(model: SampleTokeniser, batch: dict[str, Array], key: Any) -> Float[Array, ""]:
    """Squared error of windows "x" (window, time) at the softness "tau" (window,), for `learn.Trainer`."""
    one = lambda x, tau: jnp.mean((x - model.reconstruct(model.weights(x, tau))) ** 2)
    return jnp.mean(jax.vmap(one)(batch["x"], batch["tau"]))


@lru_cache
def _adam(rate: float):
    """One optimiser a rate: another object would compile the step again."""
    return optax.adam(rate)


def fit_tokeniser(
    model: SampleTokeniser,
    x: Float[np.ndarray, "window time"],
    *,
    key: Key[Array, ""],
    stages: int = 10,
    batch: int = 32,
    rate: float = 1e-3,
    least: float = 0.0,
) -> tuple[SampleTokeniser, np.ndarray]:
    """Trained for `stages` passes over windows of single channels, tau falling from 1 to `least` in equal
    steps; the model and the losses of its steps.

    Example: `model, losses = fit_tokeniser(SampleTokeniser.init(32, key=key), windows, key=key)`.
    """
    trainer = Trainer(model, tokeniser_loss, _adam(rate))
    carry, fit, losses = None, None, []
    for tau in np.linspace(1.0, least, stages):
        data = {"x": np.asarray(x, np.float32), "tau": np.full(len(x), tau, np.float32)}
        begin = {"key": key} if carry is None else {"carry": carry}
        fit = train(trainer, data, epochs=1, batch=batch, progress=False, **begin)
        carry = fit.carry
        losses.append(fit.steps["loss"])
    return fit.model, np.concatenate(losses)  # pyright: ignore


@eqx.filter_jit
def _each(function, x):
    """A function of one channel, of every column of every window: window after window, to spare memory."""
    return jax.lax.map(jax.vmap(function, 1, 1), x)


def encode_recording(
    model: Any, x: Float[np.ndarray, "time channel"], window: int = 200, margin: int = 10
) -> Int[np.ndarray, "time channel"]:
    """Codes of a long recording, in windows of `window` that overlap by `margin` at either end, so that every
    code is chosen with a past (a GRU begins each window anew).

    `model`: anything with `encode` of one channel. Raises ValueError where margins leave nothing."""
    if window <= 2 * margin:
        raise ValueError(f"encode_recording: window = {window}; more than two margins of {margin}")
    x = np.asarray(x, np.float32)
    hop = window - 2 * margin
    count = -(-len(x) // hop)
    padded = np.pad(x, ((margin, count * hop - len(x) + margin), (0, 0)), mode="edge")
    starts = np.arange(count) * hop
    cut = padded[starts[:, None] + np.arange(window)]
    codes = np.asarray(_each(model.encode, jnp.asarray(cut)))
    return codes[:, margin : window - margin].reshape(count * hop, -1)[: len(x)]


@eqx.filter_jit
def _decoded(model, codes):
    return jax.vmap(model.decode, 1, 1)(codes)


def decode_recording(
    model: Any, codes: Int[np.ndarray, "time channel"]
) -> Float[np.ndarray, "time channel"]:
    """The signal of every channel's codes."""
    return np.asarray(_decoded(model, jnp.asarray(codes)))


def explained(x: np.ndarray, guess: np.ndarray) -> float:
    """Percentage of the variance of x (time, channel) that the guess explains, all channels together.

    >>> x = np.array([[1.0], [-1.0]])
    >>> explained(x, x), explained(x, 0 * x)
    (100.0, 0.0)
    """
    x, guess = np.asarray(x, float), np.asarray(guess, float)
    return float(100 * (1 - ((x - guess) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()))


class Vocabulary(eqx.Module):
    """Codes that occur, sorted by how often, as labels 1..n; label 0 stands for any that never did.

    >>> words = Vocabulary.of(np.array([5, 2, 5]), 8)
    >>> words.labels(np.array([5, 2, 7])).tolist(), words.codes(np.array([1, 2, 0])).tolist()
    ([1, 2, 0], [5, 2, 5])
    """

    order: Int[np.ndarray, " label"]
    counts: Int[np.ndarray, " label"]
    size: int = eqx.field(static=True)

    @staticmethod
    def of(codes: Int[np.ndarray, "*any"], size: int) -> Vocabulary:
        """Of the codes of training data, of `size` there could be."""
        counts = np.bincount(np.asarray(codes).ravel(), minlength=size)
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        return Vocabulary(order, counts[order], size)

    def labels(self, codes: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
        """The label of each code."""
        table = np.zeros(self.size, int)
        table[self.order] = 1 + np.arange(len(self.order))
        return table[np.asarray(codes)]

    def codes(self, labels: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
        """The code of each label; 0, and labels that are none, are read as the commonest code."""
        table = np.full(self.size + 1, self.order[0])
        table[1 : 1 + len(self.order)] = self.order
        return table[np.asarray(labels)]
