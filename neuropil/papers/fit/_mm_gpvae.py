"""Trials of mm_gpvae.py, spikes with a digit that turns and grows, and the arms that learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.gp import ExactGP, FourierGP, squared_exponential
from neuropil.papers.fit._mm_gpvae_net import MultiModal, Uses, answers, learn
from neuropil.papers.fit._mm_gpvae_score import affine_r2
from neuropil.worlds import datasets

LENGTH = 10.0  # of the true latents, bins
SD = (0.5**0.5, 0.3**0.5)  # neural, shared
DEGREES = 120.0  # turned for a shared latent of 1
WHITE = 0.01  # bins: a length at which the kernel is the identity


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits of one kind, (image, height, width) in 0..1."""

    images: np.ndarray


def load(settings: dict) -> Digits:
    """Images of the digit 3."""
    images = datasets.load(settings["data"])
    return Digits((images.train_x[images.train_y == 3] / 255.0).astype(np.float32))


def turned(images: np.ndarray, degrees: np.ndarray, zoom: np.ndarray, side: int) -> np.ndarray:
    """Images (n, h, h), each in the middle of a black square of `side`, turned counter-clockwise and
    enlarged; bilinear: (n, side, side)."""
    n, h = len(images), images.shape[1]
    across = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(across, across, indexing="ij")
    turn = np.deg2rad(degrees)[:, None]
    cos, sin, z = np.cos(turn), np.sin(turn), zoom[:, None]
    x, y = x.ravel()[None], y.ravel()[None]
    u = (cos * x - sin * y) / z + (h - 1) / 2 + 1  # column of the image with its border of one
    v = (sin * x + cos * y) / z + (h - 1) / 2 + 1
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(n, -1)
    u, v = np.clip(u, 0, h + 1), np.clip(v, 0, h + 1)
    i, j = np.minimum(v.astype(int), h), np.minimum(u.astype(int), h)
    a, b = v - i, u - j
    at = lambda i, j: np.take_along_axis(padded, i * (h + 2) + j, axis=1)
    out = (1 - a) * ((1 - b) * at(i, j) + b * at(i, j + 1))
    out = out + a * ((1 - b) * at(i + 1, j) + b * at(i + 1, j + 1))
    return out.reshape(n, side, side)


@dataclass(frozen=True, eq=False)
class Trials:
    """`latents` (trial, 3, bin), `counts` and `rates` (trial, bin, neuron), `images` (trial, bin, pixel);
    `loading` (neuron, 2) and `offset` (neuron,) of the log rates."""

    latents: np.ndarray
    counts: np.ndarray
    rates: np.ndarray
    images: np.ndarray
    loading: np.ndarray
    offset: np.ndarray


def simulate(rng: np.random.Generator, digits: np.ndarray, settings: dict) -> Trials:
    """All trials of a seed, those to train on first."""
    n, bins, neurons = settings["train"] + settings["test"], settings["bins"], settings["neurons"]
    kernel = np.asarray(squared_exponential(bins, LENGTH), float) + 1e-6 * np.eye(bins)
    z = rng.normal(size=(n, 3, bins)) @ np.linalg.cholesky(kernel).T
    z = z * np.array([*SD, settings["zoom_sd"]])[:, None] + np.array([0, 0, 1.0])[:, None]
    loading, offset = rng.uniform(-1.5, 1.5, (neurons, 2)), rng.uniform(-0.5, 0.5, neurons)
    rates = np.exp(np.einsum("kln,cl->knc", z[:, :2], loading) + offset)
    h, pool = digits.shape[1], settings["pool"]
    side = pool * round(36 * h / 28 / pool)
    chosen = np.arange(n * bins) % len(digits)  # the next handwriting in every frame
    images = np.empty((n, bins, (side // pool) ** 2), np.float32)
    for k in range(n):
        frame = digits[chosen[k * bins : (k + 1) * bins]]
        frame = turned(frame, DEGREES * z[k, 1], np.maximum(np.abs(z[k, 2]), 0.2), side)
        frame = frame.reshape(bins, side // pool, pool, side // pool, pool).mean((2, 4))
        images[k] = frame.reshape(bins, -1)
    return Trials(z, rng.poisson(rates).astype(np.float32), rates, images, loading, offset)


@lru_cache(maxsize=1)
def _kept(seed: int, digits: Digits, settings: tuple) -> Trials:
    return simulate(np.random.default_rng(seed), digits.images, dict(settings))


def most_likely(trials: Trials, rows, settings: dict, steps: int = 12) -> np.ndarray:
    """Latents (trial, 2, bin) of largest posterior density given spikes, true loadings and true prior, by
    Newton's method in the Fourier domain."""
    gp = FourierGP.of(settings["bins"], shortest=LENGTH, floor=1e-6)
    B, prior = np.asarray(gp.basis, float), np.asarray(gp.spectrum, float)
    f = gp.size
    inverse = 1 / np.concatenate([prior * SD[0] ** 2, prior * SD[1] ** 2])
    found = np.empty((len(rows), 2, settings["bins"]))
    for k, row in enumerate(rows):
        c, y = np.zeros(2 * f), trials.counts[row]
        for _ in range(steps):
            eta = (c.reshape(2, f) @ B).T @ trials.loading.T + trials.offset
            rate = np.exp(np.minimum(eta, 10))
            slope = np.einsum("nc,cl,fn->lf", y - rate, trials.loading, B).ravel()
            curve = np.einsum("nc,cl,cm->lmn", rate, trials.loading, trials.loading)
            H = np.einsum("lmn,fn,gn->lfmg", curve, B, B, optimize=True).reshape(2 * f, 2 * f)
            move = np.linalg.solve(H + np.diag(inverse), slope - inverse * c)
            c = c + move * min(1.0, 2.0 / (np.abs(move.reshape(2, f) @ B).max() + 1e-9))
        found[k] = c.reshape(2, f) @ B
    return found


class Learning(System):
    """An arm: one tick is its whole training, and what it infers of trials it has not seen.

    `how`: "fourier", "time", "iid" or "map"; `modalities`: see `Uses`; `shuffled`: images of another trial.
    Output: `table` (inferred, true) of R2 with the truths neural, shared, zoom and the shared one of the trial
    whose images were shown; `span` R2 of the shared latent from all inferred ones; `rates` R2; `picture` share
    of the pixels' variance left; `length` in bins; `losses`; `trace` of one test trial; `frames`.
    """

    how: str = eqx.field(static=True)
    modalities: str = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    digits: Digits = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        seed = int(np.asarray(jr.key_data(fold(key, "trials"))).ravel()[-1])
        told = ("train", "test", "bins", "neurons", "zoom_sd", "pool")
        trials = _kept(seed, self.digits, tuple((n, s[n]) for n in told))
        split = np.arange(s["train"]), s["train"] + np.arange(s["test"])
        source = np.arange(len(trials.counts))  # trial whose images are shown with these spikes
        if self.shuffled:
            source = np.concatenate([np.roll(rows, 1) for rows in split])
        truth = np.concatenate([trials.latents, trials.latents[source, 1:2]], axis=1)
        truth[:, 2] = trials.latents[source, 2]
        out = (
            self._map(trials, split) if self.how == "map" else self._fit(trials, source, split, key)
        )
        z, test = out.pop("latents"), split[1]
        sides = [(a[split[0]], a[test]) for a in (z, truth)]
        flat = lambda a: a.transpose(0, 2, 1).reshape(-1, a.shape[1])
        (z0, z1), (t0, t1) = [tuple(flat(a) for a in side) for side in sides]
        table = [affine_r2(z0[:, [i]], t0, z1[:, [i]], t1) for i in range(z.shape[1])]
        used = np.isfinite(z0).all(0)
        span = affine_r2(z0[:, used], t0[:, 1:2], z1[:, used], t1[:, 1:2])[0]
        trace = np.stack([z[test[0]], truth[test[0], :3]])
        return state, {"table": np.array(table), "span": np.array(span), "trace": trace, **out}

    def _map(self, trials, split):
        rows = np.concatenate(split)
        z = np.full(trials.latents.shape, np.nan)
        z[rows, :2] = most_likely(trials, rows, self.settings)
        eta = np.einsum("kln,cl->knc", z[split[1], :2], trials.loading) + trials.offset
        told = trials.rates[split[1]]
        rates = 1 - ((np.exp(eta) - told) ** 2).sum() / ((told - told.mean((0, 1))) ** 2).sum()
        nothing = np.array(np.nan)
        frames = np.full((2, 6, trials.images.shape[2]), np.nan)
        losses = np.full(self.settings["epochs"], np.nan)
        return {"latents": z, "rates": np.array(rates), "picture": nothing, "length": np.array(LENGTH),
                "losses": losses, "frames": frames}  # fmt: skip

    def _fit(self, trials, source, split, key):
        s, (train, test) = self.settings, split
        counts, images = jnp.asarray(trials.counts), jnp.asarray(trials.images[source])
        centre = images[train].mean((0, 1))
        images = images - centre[None, None]
        begin = dict(length=s["length"], floor=0.01)
        if self.how == "fourier":
            gp = FourierGP.of(s["bins"], shortest=LENGTH, **begin)
        else:  # a kernel this short is white, and the gradient of its length is 0
            gp = ExactGP.of(s["bins"], **(begin | ({"length": WHITE} if self.how == "iid" else {})))
        mean = jnp.maximum(counts[train].mean((0, 1)), 1e-2)
        # begins at the variance of the pixels: with much more, images would weigh too little at first and
        # spikes alone settle how their two latents are mixed
        noise = (images[train] ** 2).mean()
        weights = fold(key, "weights")
        model = MultiModal(gp, mean, images.shape[2], s["widths"], weights, noise)
        uses = Uses.of(self.modalities)
        rng = generator(key, "order")
        model, losses = learn(
            model, counts[train], images[train], uses, epochs=s["epochs"], batch=s["batch"],
            rates=(s["rate"], s["loading_rate"]), key=fold(key, "noise"), rng=rng,
        )  # fmt: skip
        z, rates, seen = (np.array(a, float) for a in answers(model, counts, images, uses))
        if self.modalities == "spikes":
            z[:, 2] = np.nan
        if self.modalities == "images":
            z[:, 0] = np.nan
        told, shown = trials.rates[test], np.asarray(images)[test]
        r2 = 1 - ((rates[test] - told) ** 2).sum() / ((told - told.mean((0, 1))) ** 2).sum()
        left = ((seen[test] - shown) ** 2).sum() / (shown**2).sum()
        pick = np.linspace(0, s["bins"] - 1, 6).astype(int)
        frames = np.stack([shown[0, pick], seen[test][0, pick]]) + np.asarray(centre)
        return {
            "latents": z,
            "rates": np.array(r2 if self.modalities != "images" else np.nan),
            "picture": np.array(left if self.modalities != "spikes" else np.nan),
            "length": np.array(jnp.exp(model.gp.log_length)),
            "losses": losses,
            "frames": frames,
        }


def build(how: str, modalities: str = "both", shuffled: bool = False):
    """An arm that learns so."""

    def make(settings: dict, digits: Digits) -> Learning:
        return Learning(how, modalities, shuffled, settings, digits)

    return make
