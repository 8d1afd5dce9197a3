"""Decoders of deep_ssvep.py: a tick is one window length, the last one the real recording."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from neuropil.core import System
from neuropil.core.random import fold
from neuropil.fit.neural_decoder import NeuralDecoder
from neuropil.fit.ssvep import FBCCA, TRCA, filter_bank
from neuropil.papers.fit._eegnet_data import seed_of
from neuropil.recordings.head import eeg_sensors
from neuropil.recordings.segment import epochs
from neuropil.stats import information_transfer_rate
from neuropil.worlds import datasets
from neuropil.worlds.heads import CAP9, people, ssvep

RATE, SHIFT, LATENCY = 250.0, 0.5, 0.14
_COHORTS: OrderedDict = OrderedDict()  # of a process: arms of a seed share their people
_GLOBAL: OrderedDict = OrderedDict()  # and the first stage


def _kept(store, key, make, room):
    if key not in store:
        store[key] = make()
        while len(store) > room:
            store.popitem(last=False)
    return store[key]


@dataclass(frozen=True)
class Person:
    """Trials (trial, channel, time), targets and blocks of one person, from the onset of flicker."""

    x: np.ndarray
    y: np.ndarray
    block: np.ndarray


def cohort(seed: int, settings: dict) -> list[Person]:
    """The speller's people of a seed."""

    def make():
        who = people(settings["people"], sensors=eeg_sensors(CAP9), seed=seed)
        seconds = LATENCY + max(settings["windows"]) + 0.1
        recorded = ssvep(who, settings["blocks"], targets=settings["targets"], seconds=seconds, seed=seed,
                         amplitude=settings["amplitude"])  # fmt: skip
        of = lambda r: (
            r.to_numpy().transpose(0, 2, 1),
            r.data["label"].values,
            r.data["block"].values,
        )
        return [Person(*of(r)) for r in recorded]

    named = ("people", "blocks", "targets", "windows", "amplitude")
    return _kept(_COHORTS, (seed, *(settings[n] for n in named)), make, 2)


def window(person: Person, seconds: float) -> np.ndarray:
    """What is decoded: `seconds` from the visual latency on."""
    begin = round(LATENCY * RATE)
    return person.x[:, :, begin : begin + round(seconds * RATE)]


def real() -> Person:
    """Flicker of 30 and 20 Hz at 256 Hz, five electrodes: one second from 0.14 s on, runs as blocks."""
    recording = datasets.load("muse-visual", progress=False)["ssvep"]
    cut = epochs(recording, LATENCY, LATENCY + 1.0)
    y = (cut.data["label"].values == "30 Hz").astype(int)  # 0: 20 Hz
    x = cut.to_numpy().transpose(0, 2, 1)
    return Person(x - x.mean(-1, keepdims=True), y, cut.data["from_trial"].values)


def stacked(x: np.ndarray, rate: float, bands: int, scale: float) -> np.ndarray:
    """Sub-bands one after another in the channel axis, in units in which the deviation is about 8."""
    bank = filter_bank(x, rate, bands)
    return (scale * bank.transpose(1, 0, 2, 3).reshape(len(x), -1, x.shape[2])).astype(np.float32)


class Speller(System):
    """A decoder over window lengths; the state is the seed of its people.

    `how`: "two-stage", "global" (first stage only), "own" (second stage only), "fbcca", "trca". Output:
    `accuracy` (window, person) and `rate` (bits a minute, the same), NaN but in the tick's row; `muse`.
    """

    how: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True, default=False)

    def init(self, dt, key):
        return jnp.int32(0)

    def step(self, state, x, tick):
        s, i = self.settings, int(tick.i)
        seed = int(state) if i else seed_of(fold(tick.key, "cohort"))
        accuracy = np.full((len(s["windows"]), s["people"]), np.nan)
        rate, muse = accuracy.copy(), np.nan
        if i == len(s["windows"]):
            if s["data"] == "muse-visual":
                muse = self._real(seed)
        else:
            seconds = s["windows"][i]
            accuracy[i] = self._cohort(seed, seconds)
            rate[i] = information_transfer_rate(accuracy[i], s["targets"], seconds + SHIFT)
        out = {"accuracy": accuracy, "rate": rate, "muse": muse}
        return jnp.int32(seed), {n: jnp.asarray(v, jnp.float32) for n, v in out.items()}

    def _cohort(self, seed, seconds):
        s, crowd = self.settings, cohort(seed, self.settings)
        last = s["blocks"] - 1
        cut = [window(p, seconds) for p in crowd]
        frequencies = 8.0 + 0.2 * np.arange(s["targets"])
        score = lambda said, p: float(np.mean(said == p.y[p.block == last]))
        if self.how in ("fbcca", "trca"):
            found = []
            for p, x in zip(crowd, cut, strict=True):
                make = FBCCA(frequencies, rate=RATE) if self.how == "fbcca" else TRCA(rate=RATE)
                model = make.fit(x[p.block < last], p.y[p.block < last])
                found.append(score(model.predict(x[p.block == last]), p))
            return found
        inputs = [stacked(x, RATE, s["bands"], s["scale"]) for x in cut]
        first = None
        if self.how != "own":
            key = (seed, seconds, self.shuffled, *(str(v) for v in s.values()))
            first = _kept(_GLOBAL, key, lambda: self._first(seed, crowd, inputs, last), 4)
        found = []
        for k, (p, x) in enumerate(zip(crowd, inputs, strict=True)):
            model = first
            if self.how != "global":
                rows = p.block < last
                model = self._second(seed + k, first, x[rows], p.y[rows])
            found.append(score(model.predict(x[p.block == last]), p))
        return found

    def _decoder(self, seed, epochs, batch, drop, rate=RATE):
        s = self.settings
        options = {
            "features": s["features"], "bands": s["bands"], "drops": (drop, drop, s["last_drop"]),
            "scale": s["first_weights"],
        }  # fmt: skip
        return NeuralDecoder("deep-ssvep", options=options, rate=rate, epochs=epochs, batch=batch,
                             step=s["step"], penalty=s["penalty"], seed=seed % 2**16)  # fmt: skip

    def _taught(self, seed, y):
        return np.random.default_rng(seed).permutation(y) if self.shuffled else y

    def _first(self, seed, crowd, inputs, last):
        s = self.settings
        x = np.concatenate([x[p.block < last] for p, x in zip(crowd, inputs, strict=True)])
        y = np.concatenate([p.y[p.block < last] for p in crowd])
        return self._decoder(seed, s["epochs"], s["batch"], 0.1).fit(x, self._taught(seed, y))

    def _second(self, seed, first, x, y, rate=RATE):
        s = self.settings
        alone = first is None
        passes = s["own_epochs"] if alone else s["tune"]
        decoder = self._decoder(seed, passes, len(x), 0.1 if alone else s["tune_drop"], rate)
        start = (
            None
            if alone
            else replace(first.network_, drops=(s["tune_drop"],) * 2 + (s["last_drop"],))
        )
        return decoder.fit(x, self._taught(seed, y), start=start)

    def _real(self, seed):
        """Even runs to odd ones and back; of the networks only the one that needs nobody else."""
        if self.how in ("two-stage", "global") or self.shuffled:
            return np.nan
        person, found = real(), []
        for test in (person.block % 2 == 1, person.block % 2 == 0):
            x, y = person.x, person.y
            if self.how == "own":
                x = stacked(x, 256.0, self.settings["bands"], self.settings["scale"])
                model = self._second(seed, None, x[~test], y[~test], 256.0)
            else:
                make = {
                    "fbcca": FBCCA([20.0, 30.0], rate=256.0, harmonics=3),
                    "trca": TRCA(rate=256.0),
                }
                model = make[self.how].fit(x[~test], y[~test])
            found.append(np.mean(model.predict(x[test]) == y[test]))
        return float(np.mean(found))
