"""What arms of brainomni.py are asked: channels that are hidden, and which dipole bursts."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuropil.fit.fields import FieldGP, best_field, minimum_norm, nearest
from neuropil.fit.sensorcodes import SensorTokeniser, same_kind, scored, standardised
from neuropil.fit.spectra import correlation
from neuropil.papers.fit._brainomni_data import NEW, SEEN, Device, folds, grid, places
from neuropil.papers.fit._brainomni_net import Sensors

CHUNK = 40
BANDS = ((4, 8), (8, 13), (13, 20), (20, 30))
LENGTHS, NOISES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4), (0.01, 0.03, 0.1, 0.3)


@eqx.filter_jit
def told(model, x, sensors, order, n):
    """Truth and guess of all channels in `order`, the first `n` of them hidden; correlations."""
    truth, guess = model.hidden(x, sensors.montage.kinds, sensors, order, n)
    return truth, guess, correlation(truth, guess)


@eqx.filter_jit
def read(model, x, sensors):
    """Correlations of all channels, all of them given; log power of the quantised sources; codes."""
    kinds = sensors.montage.kinds
    x = standardised(x, kinds, jnp.ones(len(kinds), bool))
    said = model.read(x, sensors)
    guess = model.channels(said.value, model.embedding(sensors))
    power = jnp.log(jnp.mean(said.value**2, axis=1) + 1e-6)
    return correlation(scored(x), guess), power.reshape(len(x), -1), said.codes


def accuracy(train, label, test, truth) -> float:
    """Of a ridge classifier on standardised features; its strength by leaving one window out."""
    learner = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))
    return float(learner.fit(train, label).score(test, truth))


def band_power(x: np.ndarray, rate: float) -> np.ndarray:
    """(window, series x band): log power."""
    hz = np.fft.rfftfreq(x.shape[-1], 1 / rate)
    power = np.abs(np.fft.rfft(x)) ** 2
    each = [power[..., (hz >= a) & (hz < b)].mean(-1) for a, b in BANDS]
    return np.log(np.stack(each, -1) + 1e-12).reshape(len(x), -1)


def by_channel(channels: int, tell) -> np.ndarray:
    """Correlation of each channel where it was hidden; `tell(order, n)` gives (window, n) for the first n."""
    total, count = np.zeros(channels), np.zeros(channels)
    for order in folds(channels):
        n = max(channels // 4, 1)
        total[order[:n]] += np.asarray(tell(order, n)).mean(0)
        count[order[:n]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def correlations(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Over time, as `fit.spectra.correlation`."""
    return np.asarray(correlation(jnp.asarray(truth), jnp.asarray(guess)))


def pieces(x: np.ndarray):
    """Chunks of windows, all of one size."""
    for i in range(0, len(x) - CHUNK + 1, CHUNK):
        yield jnp.asarray(x[i : i + CHUNK], jnp.float32)


class Network:
    """A tokeniser as what the judge asks."""

    def __init__(self, model: SensorTokeniser, rows: dict[str, np.ndarray]):
        self.model, self.rows = model, rows

    def sensors(self, name: str, device: Device) -> Sensors:
        """Of a device; a device without rows in the table gets its first ones."""
        n = len(device.montage.kinds)
        return Sensors(device.montage, jnp.asarray(self.rows.get(name, np.arange(n) % 8)))

    def channels(self, name: str, device: Device, some: int | None = None) -> np.ndarray:
        """Hidden correlation of each channel over the test windows (or `some` of them)."""
        sensors = self.sensors(name, device)
        x = device.test.x[:some]
        parts = list(pieces(x)) if len(x) >= CHUNK else [jnp.asarray(x, jnp.float32)]

        def tell(order, n):
            each = [told(self.model, x, sensors, jnp.asarray(order), n)[2][:, :n] for x in parts]
            return np.concatenate(each)

        return by_channel(x.shape[1], tell)

    def read(self, name: str, device: Device, x: np.ndarray):
        """Mean correlation of all channels, all given; features; codes."""
        sensors = self.sensors(name, device)
        found = [read(self.model, part, sensors) for part in pieces(x)]
        return (
            float(np.mean([a[0] for a in found])),
            np.concatenate([a[1] for a in found]),
            np.concatenate([a[2] for a in found]),
        )

    def features(self, name, device, heard):
        """For the read-out."""
        return self.read(name, device, heard.x)[1]

    def window(self, name: str, device: Device) -> np.ndarray:
        """Truth and guess of a hidden channel in the first test window."""
        order = jnp.asarray(folds(len(device.montage.kinds))[0])
        part = next(pieces(device.test.x))
        n = max(len(order) // 4, 1)
        truth, guess, _ = told(self.model, part, self.sensors(name, device), order, n)
        return np.stack([truth[0, 0], guess[0, 0]])


class Linear:
    """A linear map from seen to hidden channels as what the judge asks.

    "gp": of a Gaussian process over places, its length and noise chosen on training windows of each modality;
    "nearest" sensor; "minimum-norm" with the true lead field, powers and noise of each recording.
    """

    def __init__(self, how: str, devices: dict[str, Device], hz: float):
        self.how, self.hz, self.field = how, hz, {}
        for first in SEEN[:2] if how == "gp" else ():
            device = devices[first]
            channels = len(device.montage.kinds)
            hidden = np.zeros((len(folds(channels)), channels), bool)
            for row, order in zip(hidden, folds(channels), strict=True):
                row[order[: max(channels // 4, 1)]] = True
            x = self.standard(device, device.train.x[:CHUNK], np.ones(channels, bool))
            self.field[first[:3]], _ = best_field(
                x, places(device.montage), hidden, LENGTHS, NOISES
            )

    def standard(self, device, x, seen):
        """As the networks hear it."""
        return np.asarray(
            standardised(jnp.asarray(x), device.montage.kinds, jnp.asarray(seen)), float
        )

    def channels(self, name: str, device: Device, some: int | None = None) -> np.ndarray:
        """Hidden correlation of each channel over the test windows."""
        heard = device.test

        def tell(order, n):
            truth, guess = self.guess(
                name, device, order, n, heard.x[:some], heard.recording[:some]
            )
            return correlations(truth, guess)

        return by_channel(heard.x.shape[1], tell)

    def guess(self, name, device, order, n, x, recording):
        """Truth and guess of the first n channels in `order`."""
        seen = ~np.isin(np.arange(len(order)), order[:n])
        out, kept = order[:n], np.flatnonzero(seen)
        if self.how == "minimum-norm":
            return self._inverse(device, seen, out, kept, x, recording)
        x = self.standard(device, x, seen)
        where = places(device.montage)
        if self.how == "nearest":
            gain = nearest(where[kept], where[out])
        else:
            gain = self._field(name).gain(where[kept], where[out])
        return x[:, out], np.einsum("hs,wst->wht", gain, x[:, kept])

    def _field(self, name) -> FieldGP:
        return self.field[name[:3]] if name[:3] in self.field else self.field["eeg"]

    def _inverse(self, device, seen, out, kept, x, recording):
        heard = device.test
        mean = np.asarray(same_kind(device.montage.kinds, jnp.asarray(seen)), float)
        referred = np.eye(len(seen)) - mean
        x = np.einsum("cd,wdt->wct", referred, x.astype(float))
        noise = referred @ np.diag(heard.noise**2) @ referred.T
        guess = np.zeros((len(x), len(out), x.shape[-1]))
        for r in np.unique(recording):
            gain = referred @ heard.gain[r]
            within = noise[np.ix_(kept, kept)]
            inverse = minimum_norm(gain[kept], within, heard.power)
            # what hidden and seen sensors share through the reference is known too
            shared = noise[np.ix_(out, kept)] @ np.linalg.pinv(
                (gain[kept] * heard.power) @ gain[kept].T + within, rcond=1e-10, hermitian=True
            )
            mine = recording == r
            guess[mine] = np.einsum("hs,wst->wht", gain[out] @ inverse + shared, x[mine][:, kept])
        return x[:, out], guess

    def features(self, name, device, heard):
        """Log power of bands: of the field at 16 places, or of each dipole."""
        if self.how == "minimum-norm":
            q = np.zeros((len(heard.x), len(heard.power), heard.x.shape[-1]))
            for r in np.unique(heard.recording):
                mine = heard.recording == r
                inverse = minimum_norm(heard.gain[r], np.diag(heard.noise**2), heard.power)
                q[mine] = np.einsum("sc,wct->wst", inverse, heard.x[mine])
            return band_power(q, self.hz)
        x = self.standard(device, heard.x, np.ones(heard.x.shape[1], bool))
        gain = nearest if self.how == "nearest" else self._field(name).gain
        there = np.einsum("gc,wct->wgt", gain(places(device.montage), grid(name)), x)
        return band_power(there, self.hz)

    def window(self, name: str, device: Device) -> np.ndarray:
        """Truth and guess of a hidden channel in the first test window."""
        order = folds(len(device.montage.kinds))[0]
        n = max(len(order) // 4, 1)
        x, recording = device.test.x[:1], device.test.recording[:1]
        truth, guess = self.guess(name, device, order, n, x, recording)
        return np.stack(
            [np.asarray(scored(jnp.asarray(a[None, :1])))[0, 0] for a in (truth[0], guess[0])]
        )


def judge(arm: Network | Linear, devices: dict[str, Device], readout: int) -> dict[str, Any]:
    """Scores of an arm: hidden channels of new and of seen devices, and the read-out on new devices."""
    found: dict[str, Any] = {}
    each = {name: arm.channels(name, device) for name, device in devices.items()}
    for kind, new in zip(("eeg", "meg"), NEW, strict=True):
        mine = [name for name in SEEN if name.startswith(kind)]
        found[f"{kind}_new"] = np.nanmean(each[new])
        found[f"{kind}_seen"] = np.mean([np.nanmean(each[name]) for name in mine])
        x, label = [], []
        for name in mine:
            part = devices[name].train
            part = part._replace(x=part.x[:readout], recording=part.recording[:readout])
            x.append(arm.features(name, devices[name], part))
            label.append(devices[name].train.label[: len(x[-1])])
        test = arm.features(new, devices[new], devices[new].test)
        truth = devices[new].test.label[: len(test)]
        found[f"{kind}_task"] = accuracy(np.concatenate(x), np.concatenate(label), test, truth)
        found[f"{kind}_channels"] = each[new]
        found[f"{kind}_window"] = arm.window(new, devices[new])
    return found
