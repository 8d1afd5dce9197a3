"""Recordings of meg_gpt.py: simulated bursts, or parcel time courses on disk in Cam-CAN's layout."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neuropil.worlds import datasets
from neuropil.worlds.bursts import GROUPS, BurstTrials, burst_task, bursts, shifted

MODES = (7.0, 17.0)
"""Hz of the simulator's two modes."""
CLASSES = ("famous", "unfamiliar", "scrambled", "button")
"""Events of the Wakeman-Henson recordings, in the order of their numbers."""


class Rest(NamedTuple):
    """Recordings (subject, time, channel): to learn from, to compare with, and a second draw as long as what
    is generated; hz (subject, mode) of the rhythms, and each mode's channels."""

    train: np.ndarray
    reference: np.ndarray
    second: np.ndarray
    hz: np.ndarray
    groups: tuple[tuple[int, ...], ...]


def made_samples(settings: dict) -> int:
    """Samples that are generated of each subject: whole blocks of `scored`."""
    return int(settings["made"] * settings["rate"]) // settings["scored"] * settings["scored"]


@lru_cache(maxsize=2)
def simulated(seed: int, subjects: int, seconds: float, rate: float, made: int) -> Rest:
    """Three draws of the same subjects."""
    hz = shifted(MODES, subjects)
    draw = lambda k, s: bursts(hz, s, rate=rate, seed=3 * seed + k).x.astype(np.float32)
    second = draw(2, max(seconds, made / rate))[:, :made]
    return Rest(draw(0, seconds), draw(1, seconds), second, hz, GROUPS)


def _scaled(x: np.ndarray) -> np.ndarray:
    """Z-scores of every channel over time (float32)."""
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def _root(name: str, layout: str) -> Path:
    root = datasets.data_folder()
    if root is None or not (root / name).is_dir():
        raise FileNotFoundError(
            f"meg-gpt: no {name} in the folder NEUROPIL_DATA; put there {layout}"
        )
    return root / name


@lru_cache(maxsize=1)
def parcels(subjects: int, seconds: float, rate: float, made: int) -> Rest:
    """Cam-CAN's resting recordings as parcel time courses: `cam-can/<subject>/sflip_parc-raw.fif` with
    channels of type "misc" at `rate` Hz. The first half of each is to learn from, the second to compare with,
    the end of the first half stands for a second draw. Rhythms: 10 and 20 Hz, of all channels.

    FileNotFoundError where there is none; ValueError for another rate, or recordings shorter than `seconds`.
    """
    from neuropil.recordings.mnelib import mne

    root = _root("cam-can", "<subject>/sflip_parc-raw.fif, source-space parcels")
    files = sorted(root.glob("*/sflip_parc-raw.fif"))[:subjects]
    if not files:
        raise FileNotFoundError(f"meg-gpt: {root} holds no <subject>/sflip_parc-raw.fif")
    n, whole = round(seconds * rate), []
    for path in files:
        raw = mne().io.read_raw_fif(path, verbose="error")
        if abs(raw.info["sfreq"] - rate) > 1e-6:
            raise ValueError(
                f"{path.name}: {raw.info['sfreq']:g} Hz, not {rate:g}; resample it first"
            )
        x = raw.get_data(picks="misc", reject_by_annotation="omit").T
        if len(x) < n:
            raise ValueError(f"{path}: {len(x) / rate:g} s; {seconds:g} s are needed")
        whole.append(_scaled(x[:n]))
    x, half = np.stack(whole), n // 2
    every = tuple(range(x.shape[2]))
    hz = np.tile([10.0, 20.0], (len(x), 1))
    return Rest(x[:, :half], x[:, half:], x[:, half - min(made, half) : half], hz, (every, every))


@lru_cache(maxsize=1)
def faces(subjects: int, length: int, rate: float) -> BurstTrials:
    """Wakeman and Henson's task in parcels: `wakeman-henson/sub<NN>_run<NN>/sflip_parc-epo.fif`, epochs from
    the event on, channels of type "misc", events named by `CLASSES`. As many trials a subject and run as the
    shortest has. There are no gates.

    FileNotFoundError where there is none."""
    from neuropil.recordings.mnelib import mne

    root = _root("wakeman-henson", "sub<NN>_run<NN>/sflip_parc-epo.fif")
    people: dict[str, list] = {}
    for path in sorted(root.glob("sub*_run*/sflip_parc-epo.fif")):
        epochs = mne().read_epochs(path, verbose="error")
        name = {number: label for label, number in epochs.event_id.items()}
        y = np.array([CLASSES.index(name[k]) for k in epochs.events[:, 2]])
        x = epochs.get_data(picks="misc").transpose(0, 2, 1)
        start = int(np.argmin(np.abs(epochs.times)))
        people.setdefault(path.parent.name.split("_")[0], []).append(
            (x[:, start : start + length].astype(np.float32), y)
        )
    if not people:
        raise FileNotFoundError(f"meg-gpt: {root} holds no sub<NN>_run<NN>/sflip_parc-epo.fif")
    cohort = list(people.values())[:subjects]
    runs = min(len(own) for own in cohort)
    least = min(len(y) for own in cohort for _, y in own[:runs])
    join = lambda of: np.stack([np.concatenate([of(r) for r in own[:runs]]) for own in cohort])
    x = join(lambda r: r[0][:least])
    deviation = x.std((1, 2), keepdims=True)
    run = np.tile(np.repeat(np.arange(runs), least), (len(cohort), 1))
    gates = np.full((*run.shape, 1), np.nan)
    return BurstTrials(
        (x - x.mean((1, 2), keepdims=True)) / deviation, join(lambda r: r[1][:least]), run, gates
    )


def rest(settings: dict, seed: int) -> Rest:
    """What is learned from and compared with."""
    s, made = settings, made_samples(settings)
    if s["data"] == "cam-can":
        return parcels(s["subjects"], s["seconds"], s["rate"], made)
    return simulated(seed, s["subjects"], s["seconds"], s["rate"], made)


@lru_cache(maxsize=2)
def _task(
    seed: int, subjects: int, trials: int, runs: int, rate: float, length: int
) -> BurstTrials:
    return burst_task(
        shifted(MODES, subjects),
        trials,
        runs=runs,
        rate=rate,
        seconds=length / rate,
        seed=10_000 + seed,
    )


def task(settings: dict, seed: int) -> BurstTrials:
    """Trials of subjects that were never rested."""
    s = settings
    if s["data"] == "cam-can":
        return faces(s["task_subjects"], s["length"], s["rate"])
    return _task(seed, s["task_subjects"], s["trials"], s["runs"], s["rate"], s["length"])


@lru_cache(maxsize=1)
def real_fields() -> np.ndarray | None:
    """Measured MEG: the evoked fields of the 102 magnetometers in four conditions, z-scored (time, channel);
    None where the file or mne is not there."""
    if not datasets.available("neuromag-average"):
        return None
    try:
        recording = datasets.load("neuromag-average", progress=False)
    except ImportError:
        return None
    mags = recording.data["unit"].values[recording.data["kind"].values == "mag"]
    x = recording.select(units=mags).to_numpy()
    return _scaled(np.concatenate(list(x), axis=1))
