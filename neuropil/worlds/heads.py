"""Simulated people under EEG and MEG: many subjects whose brains and skills differ, through a lead field.

Every subject is drawn from (seed, number): subject 7 is the same person in a cohort of 8 and of 80. What is
recorded is known exactly: which sources moved, by how much, and how well a subject can do the task at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.signal import lfilter

from neuropil.recordings import Recording
from neuropil.recordings.head import (
    NOISE,
    RADIUS,
    UNITS,
    LeadField,
    cortex,
    eeg_sensors,
    lead_field,
    sphere_of,
)
from neuropil.recordings.mnelib import mne

CAP22 = (
    "Fz FC3 FC1 FCz FC2 FC4 C5 C3 C1 Cz C2 C4 C6 CP3 CP1 CPz CP2 CP4 P1 Pz P2 POz".split()
)  # fmt: skip
"""The 22 electrodes of BCI Competition IV, set 2a."""
CAP9 = "Pz PO5 PO3 POz PO4 PO6 O1 Oz O2".split()
"""The nine electrodes over visual cortex that are customary for SSVEP."""

AREAS: dict[str, str] = {
    "hand-left": "C3", "hand-right": "C4", "foot": "Cz", "tongue-left": "C5", "tongue-right": "C6",
    "visual-left": "O1", "visual-right": "O2", "visual": "Oz", "parietal": "Pz", "frontal": "Fz",
    "temporal-left": "T7", "temporal-right": "T8",
}  # fmt: skip
"""Area -> the electrode above it. The hand areas are named by the side of the brain they lie on."""


class Person(NamedTuple):
    """A subject: `field` (sensors x (areas, then background)), `areas`, and traits that data depend on.

    `alpha`: frequency of the mu and alpha rhythms (Hz); `beta` of the beta rhythm; `skill`: how deep the
    rhythm of a moved hand falls, 0..1; `slope`: exponent of the background's 1/f^slope power; `loud`: its
    amplitude; `delay`: of the visual response (s).
    """

    number: int
    field: LeadField
    areas: tuple[str, ...]
    alpha: float
    beta: float
    skill: float
    slope: float
    loud: float
    delay: float
    seed: int


def people(
    n: int,
    *,
    sensors: Any = None,
    areas: Sequence[str] = tuple(AREAS),
    seed: int = 0,
    background: int = 48,
    spread: float | int = 1.0,
    save: bool = False,
) -> list[Person]:
    """`n` subjects under `sensors` (an MNE `Info` or several; the 22 electrodes of `CAP22`).

    `spread` scales how far subjects lie apart (0: all alike): where their areas lie (6 mm), how their dipoles
    tilt, their rhythms (alpha 10 +- 1 Hz), their skill (mean 0.5), background and delays. `save`: keep the lead
    fields in the cache. ValueError: no subject, an unknown area.
    """
    if n < 1:
        raise ValueError(f"A cohort of {n} subjects is none: give 1 or more.")
    strange = [a for a in areas if a not in AREAS]
    if strange:
        raise ValueError(f"The area {strange[0]!r} is not known: choose among {', '.join(AREAS)}.")
    sensors = eeg_sensors(CAP22) if sensors is None else sensors
    centres = _directions(areas) * RADIUS * 0.8
    out = []
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        where = np.concatenate([centres, cortex(background)])
        where = where + rng.normal(0, 0.006 * spread, where.shape)
        # sources stay within the brain, whatever was drawn
        reach = np.linalg.norm(where, axis=1, keepdims=True)
        where *= np.minimum(1, 0.87 * RADIUS / reach)
        outward = where / np.linalg.norm(where, axis=1, keepdims=True)
        # cortex is folded: a dipole is partly tangential, which is all that MEG sees of it
        tilt = rng.normal(0, 0.35 + 0.35 * spread, where.shape)
        moments = outward + tilt - (tilt * outward).sum(1, keepdims=True) * outward
        moments /= np.linalg.norm(moments, axis=1, keepdims=True)
        alpha, skill = rng.normal(10, spread), rng.beta(2.5, 2.5)
        out.append(
            Person(
                number=k,
                field=lead_field(sensors, where, moments, save=save),
                areas=tuple(areas),
                alpha=float(np.clip(alpha, 7.5, 13)),
                beta=float(np.clip(2 * alpha + rng.normal(0, spread), 16, 28)),
                skill=float(0.5 + spread * (skill - 0.5)),
                slope=float(np.clip(rng.normal(1.1, 0.2 * spread), 0.5, 2)),
                loud=float(np.exp(rng.normal(0, 0.25 * spread))),
                delay=float(np.clip(rng.normal(0.14, 0.02 * spread), 0.08, 0.2)),
                seed=seed,
            )
        )
    return out


def _directions(areas: Sequence[str]) -> np.ndarray:
    places = mne().channels.make_standard_montage("spherical_1005").get_positions()["ch_pos"]
    rays = np.array(list(places.values()))
    ray = np.array([places[AREAS[a]] for a in areas]) - sphere_of(rays)[0]
    return ray / np.linalg.norm(ray, axis=1, keepdims=True)


def rhythm(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    rate: float,
    hz: float,
    width: float = 1.5,
) -> Float[np.ndarray, "trial time source"]:
    """A noisy oscillation of unit variance: z(t + 1) = exp((2 pi i hz - pi width) / rate) z(t) + noise, its
    real part: a Lorentzian peak at `hz`, `width` Hz wide, in its stationary state from the first sample."""
    pole = np.exp((2j * np.pi * hz - np.pi * width) / rate)
    trial, time, source = shape
    noise = rng.normal(size=(2, trial, time, source)) * np.sqrt(1 - abs(pole) ** 2)
    first = rng.normal(size=(2, trial, 1, source))
    z = noise[0] + 1j * noise[1]
    start = pole * (first[0] + 1j * first[1])
    return lfilter([1.0], [1.0, -pole], z, axis=1, zi=start)[0].real


def pink(
    rng: np.random.Generator, shape: tuple[int, int, int], rate: float, slope: float = 1.0
) -> Float[np.ndarray, "trial time source"]:
    """Gaussian noise with power 1 / f^slope above 1 Hz (flat below), unit variance, over axis 1."""
    trial, time, source = shape
    f = np.fft.rfftfreq(2 * time, 1 / rate)  # twice as long, so that the ends do not meet
    shaped = np.maximum(f, 1.0) ** (-slope / 2)
    power = 2 * (shaped[1:-1] ** 2).sum() + shaped[0] ** 2 + shaped[-1] ** 2
    shaped = shaped / np.sqrt(power / (2 * time))
    spectrum = np.fft.rfft(rng.normal(size=(trial, 2 * time, source)), axis=1)
    return np.fft.irfft(spectrum * shaped[:, None], 2 * time, 1)[:, :time]


def listen(
    person: Person,
    currents: Float[np.ndarray, "trial time area"],
    rng: np.random.Generator,
    rate: float,
    *,
    background: float | int = 12.0,
    start: float | int = 0.0,
    trials: Mapping[str, Any] | None = None,
    events: Any = None,
    task: str = "",
) -> Recording:
    """What the sensors of `person` record of `currents` (nA m, in the order of `person.areas`).

    `background`: nA m of each background source (pink); sensor noise as usual (0.05 uV, 3 fT and 3 fT/cm per
    root Hz). Values in uV, fT and fT/cm (column `measure`), float32; columns `kind`, positions in metres,
    `normal_x`, ... of MEG coils.
    """
    field = person.field
    n_area = len(person.areas)
    n_trial, n_time, _ = currents.shape
    noise = pink(rng, (n_trial, n_time, len(field.sources) - n_area), rate, person.slope)
    moments = np.concatenate([currents, background * person.loud * noise], 2) * 1e-9
    kinds = field.kinds.tolist()
    scale = np.array([UNITS[k][1] for k in kinds])
    floor = np.array([NOISE[k] for k in kinds]) * np.sqrt(rate / 2)
    values = field.project(moments) * scale + floor * rng.normal(size=(n_trial, n_time, len(kinds)))
    measure = [UNITS[k][0] for k in kinds]
    columns = {"kind": field.kinds, "measure": np.array(measure)}
    if np.isfinite(field.normals).any():
        columns |= {f"normal_{c}": field.normals[:, i] for i, c in enumerate("xyz")}
    given = {"subject": np.full(n_trial, person.number)} | dict(trials or {})
    return Recording.from_array(
        values.astype(np.float32),
        rate=rate,
        unit=measure[0] if len(set(measure)) == 1 else "mixed",
        labels=field.labels,
        start=start,
        trials=given,
        columns=columns,
        positions=field.positions,
        positions_unit="m",
        events=events,
        about={
            "source": f"simulated {task}, seed {person.seed}, subject {person.number}".replace(
                "  ", " "
            )
        },
    )


IMAGERY = {
    "left": ("hand-right",),
    "right": ("hand-left",),
    "feet": ("foot",),
    "tongue": ("tongue-left", "tongue-right"),
}
"""Imagined movement -> the areas whose rhythms fall (a hand is moved by the other side of the brain)."""


def motor_imagery(
    subjects: Sequence[Person] | int,
    trials: int = 72,
    *,
    classes: Sequence[str] = ("left", "right"),
    rate: float | int = 128.0,
    seconds: float | int = 3.0,
    sessions: int = 2,
    mu: float | int = 30.0,
    depth: float | int = 0.7,
    seed: int = 0,
) -> list[Recording]:
    """Imagined movements: the mu and beta rhythms over the areas in `IMAGERY` fall by depth x skill of the
    subject from 0.5 s after the cue (time 0) on, all else goes on.

    One recording a subject, trial columns `label`, `session` (trials in turn, each with a cap that sits a
    little otherwise), `subject`; `mu` is the amplitude of the rhythm in nA m. A subject with little skill
    cannot be decoded by anybody: that is meant. ValueError: an unknown class.

    Example: `motor_imagery(20, classes=("left", "right", "feet", "tongue"))`.
    """
    strange = [c for c in classes if c not in IMAGERY]
    if strange:
        raise ValueError(
            f"The class {strange[0]!r} is not known: choose among {', '.join(IMAGERY)}."
        )
    cohort = people(subjects, seed=seed) if isinstance(subjects, int) else subjects
    n_time = round(seconds * rate)
    t = np.arange(n_time) / rate
    fall = np.clip((t - 0.5) / 0.3, 0, 1)  # the ramp of desynchronisation
    out = []
    for person in cohort:
        rng = np.random.default_rng([seed, 1, person.number])
        label = np.resize(np.arange(len(classes)), trials)
        session = np.arange(trials) * sessions // trials
        for s in range(sessions):
            here = session == s
            label[here] = rng.permutation(np.resize(np.arange(len(classes)), here.sum()))
        motor = sorted({a for c in IMAGERY.values() for a in c})
        currents = np.zeros((trials, n_time, len(person.areas)))
        for j, area in enumerate(person.areas):
            if area in motor:
                moved = np.array([area in IMAGERY[c] for c in classes])[label]
                envelope = 1 - depth * person.skill * moved[:, None] * fall
                part = mu * rhythm(rng, (trials, n_time, 1), rate, person.alpha)
                part += 0.35 * mu * rhythm(rng, (trials, n_time, 1), rate, person.beta, 3.0)
                currents[:, :, j] = part[:, :, 0] * envelope
            elif area.startswith("visual") or area == "parietal":
                currents[:, :, j] = (
                    0.8 * mu * rhythm(rng, (trials, n_time, 1), rate, person.alpha + 0.5)
                )[:, :, 0]
        columns = {"label": np.array(classes)[label], "session": session}
        rec = listen(person, currents, rng, rate, trials=columns, task="motor imagery")
        out.append(_capped(rec, session, rng))
    return out


def _capped(recording: Recording, session: np.ndarray, rng: np.random.Generator) -> Recording:
    """Another gain of every sensor in every session (5 %): a cap is never put on twice in the same way."""
    gain = 1 + 0.05 * rng.normal(size=(session.max() + 1, recording.shape[2])).astype(np.float32)
    recording.data.values *= gain[session][:, None]
    return recording


def ssvep(
    subjects: Sequence[Person] | int,
    repeats: int = 6,
    *,
    targets: int = 40,
    rate: float | int = 250.0,
    seconds: float | int = 2.0,
    first: float | int = 8.0,
    step: float | int = 0.2,
    amplitude: float | int = 22.0,
    seed: int = 0,
) -> list[Recording]:
    """A speller: targets flicker at first + k step Hz with phases k pi / 2 (joint frequency and phase), each
    looked at `repeats` times (the column `block`).

    The visual areas answer with the flicker and three harmonics (amplitudes 1, 0.6, 0.3, 0.15 x subject's own
    factors) after the subject's delay, above ongoing alpha and background; before the delay there is no answer.
    Trial columns `label` (target), `frequency`, `phase`, `block`, `subject`. Time 0 is the onset of flicker.
    Without `Person`s: `n` subjects under the nine electrodes of `CAP9`.
    """
    if isinstance(subjects, int):
        cohort = people(subjects, sensors=eeg_sensors(CAP9), seed=seed)
    else:
        cohort = subjects
    n_time, n = round(seconds * rate), targets * repeats
    t = np.arange(n_time) / rate
    label = np.tile(np.arange(targets), repeats)
    hz = first + step * label
    phase = label * 0.5 * np.pi % (2 * np.pi)
    out = []
    for person in cohort:
        rng = np.random.default_rng([seed, 2, person.number])
        since = np.maximum(t - person.delay, 0)
        on = t >= person.delay
        own = np.exp(rng.normal(0, 0.3, 4))
        lag = rng.uniform(0, 2 * np.pi, 4)  # of each harmonic: the subject's own, not the target's
        response = sum(
            a
            * own[h]
            * np.sin((h + 1) * (2 * np.pi * hz[:, None] * since + phase[:, None]) + lag[h])
            for h, a in enumerate((1.0, 0.6, 0.3, 0.15))
        )
        currents = np.zeros((n, n_time, len(person.areas)))
        for j, area in enumerate(person.areas):
            alpha = 0.0
            if area.startswith("visual"):
                share = 1.0 if area == "visual" else 0.6
                currents[:, :, j] = amplitude * share * response * on
                alpha = 20.0
            elif area == "parietal":
                alpha = 30.0
            if alpha:
                currents[:, :, j] += (
                    alpha * rhythm(rng, (n, n_time, 1), rate, person.alpha)[:, :, 0]
                )
        columns = {
            "label": label,
            "frequency": hz,
            "phase": phase,
            "block": np.repeat(np.arange(repeats), targets),
        }
        out.append(listen(person, currents, rng, rate, trials=columns, task="SSVEP"))
    return out


STATES = {
    "rest": {"parietal": 1.0, "visual": 1.0, "visual-left": 0.8, "visual-right": 0.8},
    "listening": {"temporal-left": 1.0, "temporal-right": 1.0, "frontal": 0.4},
    "moving": {"hand-left": 1.0, "hand-right": 0.6, "foot": 0.5},
}
"""State of `states` -> how loud the rhythm of each area is in it."""


def states(
    subjects: Sequence[Person] | int,
    seconds: float | int = 60.0,
    *,
    rate: float | int = 128.0,
    stay: float | int = 4.0,
    amplitude: float | int = 60.0,
    seed: int = 0,
) -> list[Recording]:
    """Continuous activity that dwells in the states of `STATES` (`stay` s each on average, in bursts of the
    subject's alpha, and theta in the temporal areas); EEG and MEG of the same brain where the sensors are both.

    One trial a subject; the events say the states (onset, duration, label). For pretraining, tokenisers and
    whatever must carry over to sensors it never saw.
    """
    cohort = people(subjects, seed=seed) if isinstance(subjects, int) else subjects
    n_time = round(seconds * rate)
    names = list(STATES)
    out = []
    for person in cohort:
        rng = np.random.default_rng([seed, 3, person.number])
        change = rng.random(n_time) < 1 / (stay * rate)
        change[0] = True
        begins = np.flatnonzero(change)
        first = rng.integers(len(names))
        order = (first + np.cumsum(rng.integers(1, len(names), len(begins)))) % len(names)
        state = order[np.cumsum(change) - 1]
        ramp = np.exp(-np.arange(round(rate)) / (0.1 * rate))
        currents = np.zeros((1, n_time, len(person.areas)))
        for j, area in enumerate(person.areas):
            level = np.array([STATES[s].get(area, 0.15) for s in names])[state]
            level = lfilter(ramp / ramp.sum(), 1, level - level[0]) + level[0]
            hz = person.alpha * (0.55 if area.startswith("temporal") else 1.0)
            currents[0, :, j] = amplitude * level * rhythm(rng, (1, n_time, 1), rate, hz)[0, :, 0]
        events = pd.DataFrame(
            {
                "onset": begins / rate,
                "duration": np.diff([*begins, n_time]) / rate,
                "label": [names[i] for i in order],
                "trial": 0,
            }
        )
        out.append(listen(person, currents, rng, rate, events=events, task="states"))
    return out
