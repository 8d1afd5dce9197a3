"""Arms of neurorvq.py: a tokeniser trained on windows of EEG, and a transform coder of the same bits."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from scipy.fft import dct, idct

from neuropil.blocks import moved_or_learned, usage
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.spectra import BANDS, band_errors
from neuropil.papers.fit._neurorvq_net import Tokeniser
from neuropil.worlds import datasets

RATE, TEST_RUNS = 200.0, (4, 5)


class Patches(NamedTuple):
    """Windows (window, channel, patch, time), every patch with mean 0 and deviation 1."""

    train: np.ndarray
    test: np.ndarray


def cut(x: np.ndarray, patches: int, patch: int) -> np.ndarray:
    """Windows of a run (time, channel); those with a flat patch are left out (a run that ended early)."""
    n = len(x) // (patches * patch)
    x = x[: n * patches * patch].reshape(n, patches, patch, -1).transpose(0, 3, 1, 2)
    deviation = x.std(-1, keepdims=True)
    keep = (deviation > 1e-2).all((1, 2, 3))
    return ((x - x.mean(-1, keepdims=True)) / np.maximum(deviation, 1e-2))[keep]


def simulated(seconds: int, channels: int, runs: int) -> np.ndarray:
    """Runs (run, time, channel): rhythms of 2, 6, 10, 20 and 37 Hz in bursts, and pink noise."""
    rng = np.random.default_rng(0)
    n = round(seconds * RATE)
    hz = np.fft.rfftfreq(n, 1 / RATE)

    def shaped(gain):
        return np.fft.irfft(
            np.fft.rfft(rng.normal(size=(runs, n, channels)), axis=1) * gain[:, None], n, axis=1
        )

    x = shaped(1 / np.sqrt(np.maximum(hz, 0.5)) * (hz > 0.5) * (hz < 44.5))
    for f, strong in ((2, 0.5), (6, 0.4), (10, 0.8), (20, 0.3), (37, 0.2)):
        rhythm = shaped(np.exp(-((hz - f) ** 2) / 2))
        x += strong * rhythm / rhythm.std() * np.exp(0.5 * shaped((hz < 0.5) * 10.0))
    return x


@lru_cache(maxsize=2)
def data(which: str, channels: int, patches: int, patch: int, hop: int | None = None) -> Patches:
    """Runs 0 to 3 to learn from, in windows that begin every `hop` samples (None: side by side); runs 4 and 5
    to test on, side by side."""
    if which == "simulated":
        runs = simulated(16, channels, 6)
    else:
        from neuropil.recordings.filters import filter as bandpass
        from neuropil.recordings.filters import resample

        recording = datasets.load("muse-visual", progress=False)["n170"]
        recording = recording.select(units=recording.data["unit"].values[:channels])
        recording = resample(bandpass(recording, 0.5, 44.5, method="iir", order=3), RATE)
        runs = np.clip(np.nan_to_num(recording.to_numpy()), -500, 500)
    every = range(0, patches * patch, hop or patches * patch)
    cuts = lambda test, starts: np.concatenate(
        [
            cut(run[start:], patches, patch)
            for i, run in enumerate(runs)
            if (i in TEST_RUNS) == test
            for start in starts
        ]
    )
    return Patches(cuts(False, every).astype(np.float32), cuts(True, (0,)).astype(np.float32))


@eqx.filter_jit
def untrained(settings, branches, stages, moments, key, angle, sent):
    """A tokeniser as it begins: one program, where every draw alone would be one."""
    return Tokeniser.init(settings, branches, stages, moments, key, angle=angle, sent=sent)


@eqx.filter_jit
def train(model, x, key, steps, batch, rate):
    """Adam on what is learned, moving averages of the codebooks; batches drawn anew."""
    learn = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    descent = optax.multi_transform({"learn": learn, "average": optax.sgd(1.0)}, moved_or_learned)

    def step(carry, key):
        model, memory = carry
        rows = jr.randint(fold(key, "rows"), (batch,), 0, len(x))
        loss, slope = jax.value_and_grad(lambda m: m.loss(x[rows], fold(key, "revive")))(model)
        change, memory = descent.update(slope, memory, model)
        return (optax.apply_updates(model, change), memory), loss

    carry = (model, descent.init(model))
    (model, _), losses = jax.lax.scan(step, carry, jr.split(key, steps))
    return model, losses


@eqx.filter_jit
def recode(model, x, order):
    """Reconstructions (in the order given: `order` shuffles windows' code vectors) and codes by branch."""
    values, said = model.values(x)
    return model.reconstruct([v[order] for v in values]), [q.codes for q in said]


def transform_code(train, test, bits, bisections=30):
    """DCT and a uniform quantiser of the step that spends `bits` a patch in training; an ideal entropy code.

    Each coefficient has a code of its own, from its counts in training plus one. Returns the reconstruction
    of the test part and its bits a patch by those codes.
    """
    a, b = (dct(x.reshape(-1, x.shape[-1]), norm="ortho") for x in (train, test))

    def spent(step):
        q, p = np.round(a / step).astype(int), np.round(b / step).astype(int)
        most = max(np.abs(q).max(), np.abs(p).max())
        total = np.zeros(2)
        for i in range(a.shape[1]):
            count = np.bincount(q[:, i] + most, minlength=2 * most + 1) + 1.0 / (2 * most + 1)
            cost = -np.log2(count / count.sum())
            total += cost[q[:, i] + most].mean(), cost[p[:, i] + most].mean()
        return total, p * step

    low, high = np.log(0.05), np.log(50.0)
    for _ in range(bisections):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(np.exp(middle))[0][0] > bits else (low, middle)
    (_, used), said = spent(np.exp(high))
    return idct(said, norm="ortho").reshape(test.shape), used


def residual_code(train, test, codes, stages, rng, held=0.99):
    """Principal components that hold so much of the variance, then k-means of what each stage left over.

    Returns the reconstruction of the test part and its codes (patch, stage). Nothing is learned by gradients.
    """
    from sklearn.cluster import KMeans

    a, b = (x.reshape(-1, x.shape[-1]).astype(float) for x in (train, test))
    power, axes = np.linalg.eigh(a.T @ a)
    count = 1 + np.searchsorted(np.cumsum(power[::-1]) / power.sum(), held)
    axes = axes[:, ::-1][:, :count]
    left, rest = a @ axes, b @ axes
    said, found = np.zeros_like(rest), []
    for _ in range(stages):
        means = KMeans(codes, n_init=1, random_state=int(rng.integers(2**31))).fit(left)
        left = left - means.cluster_centers_[means.labels_]
        found.append(means.predict(rest))
        rows = means.cluster_centers_[found[-1]]
        said, rest = said + rows, rest - rows
    return (said @ axes.T).reshape(test.shape), np.stack(found, axis=-1)


class Coder(System):
    """One arm: a tick learns on the training runs and codes the test runs. The state is empty.

    `how`: "residual" (`branches` x `stages`), "single" (one branch, all stages), "one" (one stage), "angle",
    "whole" (nothing quantised), "shuffled" (codes of other windows), "dct", "pca". Output: `errors` (band;
    error, amplitude, phase), `nmse`, `bits` (a patch), `perplexity` (mean over codebooks), `losses`, `example`
    (truth and guess of one window's first channel).
    """

    how: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return jnp.zeros(())

    def step(self, state, x, tick):
        s = self.settings
        here = data(s["data"], s["channels"], s["patches"], s["patch"], s["hop"])
        branches, stages = s["branches"], s["stages"]
        sent = branches * stages * np.log2(s["codes"])
        perplexity, losses = np.nan, np.full(s["steps"], np.nan)
        if self.how == "dct":
            guess, bits = transform_code(here.train, here.test, sent)
        elif self.how == "pca":
            rng = generator(tick.key, "means")
            guess, codes = residual_code(here.train, here.test, s["codes"], branches * stages, rng)
            bits = sent
            perplexity = np.mean([usage(c, s["codes"]).perplexity for c in codes.T])
        else:
            bits = {"one": sent / stages, "whole": np.nan}.get(self.how, sent)
            branches, stages = {"single": (1, branches * stages), "one": (branches, 1)}.get(
                self.how, (branches, stages)
            )
            log = np.log1p(np.abs(np.fft.rfft(here.train))).reshape(-1, s["patch"] // 2 + 1)
            of = lambda a: jnp.asarray(a[None, None, None], jnp.float32)
            moments = (of(log.mean(0)), of(np.maximum(log.std(0), 0.05)))
            flags = (jnp.float32(self.how == "angle"), jnp.float32(self.how != "whole"))
            model = untrained(s, branches, stages, moments, fold(tick.key, "weights"), *flags)
            model, losses = train(
                model,
                jnp.asarray(here.train),
                fold(tick.key, "batches"),
                s["steps"],
                s["batch"],
                s["learning_rate"],
            )
            order = jnp.arange(len(here.test))
            if self.how == "shuffled":
                order = jr.permutation(fold(tick.key, "order"), len(here.test))
            guess, codes = recode(model, jnp.asarray(here.test), order)
            if self.how != "whole":
                each = [
                    usage(c[..., q], s["codes"]).perplexity
                    for c in codes
                    for q in range(c.shape[-1])
                ]
                perplexity = np.mean(each)
        found = band_errors(here.test, guess, RATE)
        guess = np.asarray(guess)
        nmse = ((guess - here.test) ** 2).sum() / (here.test**2).sum()
        out = {
            "errors": np.array([np.asarray(found[name]) for name in BANDS]), "nmse": nmse, "bits": bits,
            "perplexity": perplexity, "losses": losses,
            "example": np.stack([here.test[0, 0].ravel(), guess[0, 0].ravel()]),
        }  # fmt: skip
        return state, {n: jnp.asarray(v, jnp.float32) for n, v in out.items()}
