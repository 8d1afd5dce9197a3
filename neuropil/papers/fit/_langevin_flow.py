"""Populations, recordings and models of langevin_flow.py: one tick is all fits of an arm and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.fit.gpfa import GPFA, PoissonReadout
from neuropil.fit.langevin import LangevinFlow
from neuropil.fit.sequential import SequentialAutoencoder, SequentialVAE
from neuropil.stats.likelihood import bits_per_spike
from neuropil.worlds.series import lorenz_field, rk4

WIDTHS = (1.0, 2.0, 3.0, 5.0, 8.0)  # bins: sd of the Gaussian that smooths spikes
LATENTS = 3  # of GPFA; the Lorenz system has as many
DT = 0.015  # time units a bin


class Trials(NamedTuple):
    """Counts (trial, bin, unit) to learn from and to be judged by; the last `held` units are predicted
    but not read. `rates` are the true ones of the test trials, where they are known."""

    train: np.ndarray
    test: np.ndarray
    held: int
    rates: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Segments:
    """Counts (segment, bin, unit) of a recording."""

    counts: np.ndarray


def population(rng: np.random.Generator, s: dict) -> Trials:
    """Poisson units driven by a Lorenz system from `conditions` starts on its attractor."""
    n, bins = s["conditions"], s["bins"]
    first = rng.normal(size=(n, 3)) * 5 + np.array([0.0, 0.0, 25.0])
    step = jax.vmap(rk4(lorenz_field, DT))
    scan = lambda x: jax.lax.scan(lambda x, _: (step(x), x), x, None, length=s["settle"] + bins)
    path = np.asarray(jax.jit(scan)(jnp.asarray(first, float))[1])[s["settle"] :].swapaxes(0, 1)
    path = path - path.mean((0, 1))
    path = path / np.abs(path).max()
    loading = rng.uniform(1, 2, (3, s["units"])) * rng.choice([-1, 1], (3, s["units"]))
    rates = np.exp(path @ loading)
    rates = s["mean"] * rates / rates.mean((0, 1))
    counts = rng.poisson(rates[:, None], (n, s["repeats"], bins, s["units"])).astype(float)
    kept = s["repeats"] - s["tested"]  # repeats of each condition
    test = counts[:, kept:].reshape(-1, bins, s["units"])
    truth = np.repeat(rates, s["tested"], axis=0)
    return Trials(counts[:, :kept].reshape(-1, bins, s["units"]), test, s["held"], truth)


def load(settings: dict) -> Segments:
    """Segments of the recorded units while the animal runs; none in a demonstration."""
    if settings["data"] != "hippocampus-linear-track":
        return Segments(np.zeros((0, settings["bins"], 1)))
    from neuropil.worlds import datasets

    session = datasets.load("hippocampus-linear-track")
    (low, high), *_ = [(a, b) for name, a, b in session.epochs if name == "run" and b - a > 300]
    counts = np.asarray(session.recording(20.0, start=low, stop=high).data.values)[0].astype(float)
    n = len(counts) // settings["bins"]
    return Segments(counts[: n * settings["bins"]].reshape(n, settings["bins"], -1))


def recorded(rng: np.random.Generator, segments: np.ndarray, held: int) -> Trials:
    """A fifth of the segments in five blocks for the test; the units held out are drawn."""
    block = np.arange(len(segments)) * 25 // len(segments)
    test = np.isin(block, rng.permutation(25)[:5])
    train = segments[~test]
    alive = np.flatnonzero(train.sum((0, 1)) > 50)
    order = rng.permutation(alive)
    return Trials(train[..., order], segments[test][..., order], held, None)


def smoothed(counts: np.ndarray, width: float) -> np.ndarray:
    """Counts averaged in time by a Gaussian, whose weights inside the trial sum to 1."""
    t = np.arange(counts.shape[1])
    weight = np.exp(-0.5 * ((t[:, None] - t[None]) / width) ** 2)
    return np.einsum("st,ntu->nsu", weight / weight.sum(1, keepdims=True), counts)


def network(arm: str, s: dict, seed: int, updates: int) -> SequentialAutoencoder:
    """The autoencoder of an arm; the three of the Langevin kind share a compiled program."""
    if arm == "sequential-vae":  # it learns slower, and an update of it is three times cheaper
        updates = s["longer"] * updates
    how = dict(updates=updates, batch=s["batch"], rate=s["rate"], keep=s["keep"], seed=seed,
               samples=s["samples"])  # fmt: skip
    if arm == "sequential-vae":
        options = {"hidden": s["generator"], "encoder": s["generator"], "factors": s["factors"]}
        return SequentialAutoencoder(SequentialVAE.of, options=options, **how)
    options = {
        "hidden": s["hidden"],
        "feedforward": s["feedforward"],
        "pull": jnp.int32(arm != "no-potential"),
        "shown": jnp.int32(arm != "no-latents"),
    }
    return SequentialAutoencoder(LangevinFlow.of, options=options, kl=s["kl"], **how)


def predicted(arm: str, trials: Trials, s: dict, key, updates: int):
    """Rates (trial, bin, unit) that an arm expects in the test trials, and its network, if it has one."""
    train, test, seen = trials.train, trials.test, trials.train.shape[2] - trials.held
    if arm == "true-rates":
        return trials.rates, None
    if arm == "mean":
        return np.broadcast_to(train.mean((0, 1)), test.shape), None
    x, read = train[..., :seen], test[..., :seen]
    if arm == "gpfa":
        model = GPFA(LATENTS, iterations=s["iterations"]).fit(x)
        return PoissonReadout().fit(model.transform(x), train).predict(model.transform(read)), None
    if arm == "smoothed":
        inner = np.arange(len(x)) % 5 > 0  # a fifth of the training trials chooses the width
        fits = {w: PoissonReadout().fit(smoothed(x[inner], w), train[inner]) for w in WIDTHS}
        gain = lambda w: fits[w].score(smoothed(x[~inner], w), train[~inner])
        best = max(WIDTHS, key=gain)
        full = PoissonReadout().fit(smoothed(x, best), train)
        return full.predict(smoothed(read, best)), None
    seed = int(generator(key, "network").integers(2**31))
    model = network(arm, s, seed, updates).fit(x, train[..., seen:])
    return model.predict(read), model


def held_bits(trials: Trials, rates: np.ndarray) -> float:
    """Bits per spike of the units that were not read, over their mean rates in the training trials."""
    seen = trials.train.shape[2] - trials.held
    flat = jnp.asarray(trials.train[..., seen:].mean((0, 1)), float)
    return float(bits_per_spike("poisson", trials.test[..., seen:], rates[..., seen:], flat))


def explained(truth: np.ndarray, rates: np.ndarray) -> float:
    """R2 of rates, each unit over all trials and bins, then the mean of units."""
    wrong = ((truth - rates) ** 2).sum((0, 1))
    return float(1 - np.mean(wrong / ((truth - truth.mean((0, 1))) ** 2).sum((0, 1))))


@eqx.filter_jit
def _fresh(net, x, keys):
    """Rates where the decoder is given noise in place of z and v, of as large a deviation."""

    def one(x, key):
        a, b, c = jr.split(key, 3)
        z, v, h, _ = net.latents(x, a)
        noise = lambda key, like: like.std() * jr.normal(key, like.shape)
        return net.decode(noise(b, z), noise(c, v), h)

    draws = lambda key: jax.vmap(one)(x, jr.split(key, len(x)))
    return jnp.exp(jax.lax.map(draws, keys).mean(0))


class Modelling(System):
    """An arm: one tick is its fits to a population and, where there is one, to the recording."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    segments: Segments = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, arm, key = self.settings, self.arm, state["key"]
        trials = population(generator(key, "population"), s)
        rates, model = predicted(arm, trials, s, key, s["updates"])
        fresh = np.nan
        if isinstance(getattr(model, "network_", None), LangevinFlow):
            read = jnp.asarray(trials.test[..., : -trials.held], float)
            keys = jr.split(fold(key, "fresh"), s["samples"])
            fresh = explained(trials.rates, np.asarray(_fresh(model.network_, read, keys)))
        real = np.nan
        if len(self.segments.counts) and s["real_updates"] and arm != "true-rates":
            track = recorded(generator(key, "recording"), self.segments.counts, s["held"])
            real = held_bits(track, predicted(arm, track, s, key, s["real_updates"])[0])
        loss = np.full(s["updates"], np.nan)
        if model is not None:
            loss = model.history_["poisson"][-s["updates"] :]
        return state, {
            "rates": np.array(explained(trials.rates, rates)),
            "bits": np.array(held_bits(trials, rates)),
            "fresh": np.array(fresh),
            "real": np.array(real),
            "loss": np.asarray(loss, float),
            "trace": np.asarray(np.stack([trials.rates[0], rates[0]]), float)[..., -2:],
        }
