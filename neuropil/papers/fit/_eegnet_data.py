"""What the networks of eegnet_family.py are compared on: simulated people, and one real person."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import numpy as np
from scipy.signal import butter, sosfiltfilt

from neuropil.recordings.filters import filter as bandpass
from neuropil.recordings.filters import resample
from neuropil.recordings.head import eeg_sensors
from neuropil.recordings.segment import epochs
from neuropil.worlds import datasets
from neuropil.worlds.heads import CAP22, IMAGERY, motor_imagery, people

CLASSES = tuple(IMAGERY)
EXPERIMENTS = {"n170": "face", "p300": "target"}


@dataclass(frozen=True)
class Trials:
    """Trials (trial, channel, time) of one person, labels, and the session or run of each.

    `rhythms`: the same trials filtered to 8 to 30 Hz before they were cut (for CSP); `true`: log power of the
    areas that moved, seen through the person's own lead field, at the person's own frequencies.
    """

    x: np.ndarray
    y: np.ndarray
    session: np.ndarray
    rhythms: np.ndarray
    true: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)


def seed_of(key) -> int:
    """A number for numpy's generators out of a run's key."""
    return int(jax.random.randint(key, (), 0, 2**31 - 1))


def _band(x, low, high, rate):
    sos = butter(4, (low, high), "bandpass", fs=rate, output="sos")
    return sosfiltfilt(sos, x, axis=-1).astype(np.float32)


def _log_power(x):
    return np.log(np.mean(x**2, axis=-1) + 1e-12)


def sources(person, x, rate: float, at: slice) -> np.ndarray:
    """Log power of mu and beta in each motor area, by the filter of least variance that knows where the area
    is, which way it points, and the person's frequencies (what no decoder of labels is told)."""
    motor = sorted({a for c in IMAGERY.values() for a in c})
    gain = person.field.gain[:, [person.areas.index(a) for a in motor]]
    columns = []
    for hz, half in ((person.alpha, 1.5), (person.beta, 3.0)):
        filtered = _band(x, hz - half, hz + half, rate)[..., at]
        flat = filtered.transpose(1, 0, 2).reshape(x.shape[1], -1).astype(float)
        cov = flat @ flat.T / flat.shape[1]
        cov += 0.05 * np.trace(cov) / len(cov) * np.eye(len(cov))
        weights = np.linalg.solve(cov, gain)
        weights /= (gain * weights).sum(0)
        columns.append(_log_power(np.einsum("cs,nct->nst", weights, filtered)))
    return np.concatenate(columns, axis=1)


@lru_cache(maxsize=2)
def cohort(
    seed: int, subjects: int, trials: int, rate: float, classes: int, deep: float
) -> tuple[Trials, ...]:
    """The simulated people of a seed, each with two sessions; windows from 0.75 to 1.75 s after the cue."""
    drawn = people(subjects, sensors=eeg_sensors(CAP22), seed=seed)
    names = CLASSES[:classes]
    recorded = motor_imagery(
        drawn, trials, classes=names, rate=rate, seconds=2.5, depth=deep, seed=seed
    )
    at = slice(round(0.75 * rate), round(1.75 * rate))
    found = []
    for person, rec in zip(drawn, recorded, strict=True):
        x = rec.to_numpy().transpose(0, 2, 1)
        y = np.searchsorted(sorted(names), rec.data["label"].values)
        rhythms = _band(x, 8.0, 30.0, rate)[..., at]
        true = sources(person, x, rate, at)
        found.append(Trials(x[..., at], y, rec.data["session"].values, rhythms, true))
    return tuple(found)


@lru_cache(maxsize=1)
def real() -> dict[str, Trials]:
    """Two experiments of one person: 0 to 0.8 s after the stimulus at 128 Hz, 1 to 30 Hz, each run a session.

    Class 1 is the face, or the target. Trials over 100 uV (blinks, clipping) are left out, as the experiments'
    own notebooks do with such an amplitude limit.
    """
    found = {}
    for name, recording in datasets.load("muse-visual", progress=False).items():
        if name not in EXPERIMENTS:
            continue
        calm = recording.select(units=recording.data["unit"].values[:4])
        calm = resample(bandpass(calm, 1.0, 30.0, method="iir"), 128.0)
        cut = epochs(calm, 0.0, 0.8125)
        x = cut.to_numpy().transpose(0, 2, 1).astype(np.float32)
        keep = np.abs(x).max((1, 2)) < 100
        y = (cut.data["label"].values == EXPERIMENTS[name]).astype(int)
        found[name] = Trials(x[keep], y[keep], cut.data["from_trial"].values[keep], x[keep])
    return found
