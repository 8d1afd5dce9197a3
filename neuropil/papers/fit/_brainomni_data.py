"""Devices of brainomni.py over one simulated brain: rhythms in bursts, through the lead field of a sphere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import lfilter

from neuropil.fit.fields import Places
from neuropil.fit.sensortokens import Montage
from neuropil.recordings.head import RADIUS, cortex, eeg_sensors, lead_field, meg_sensors, sphere_of
from neuropil.recordings.mnelib import mne
from neuropil.worlds import datasets
from neuropil.worlds.heads import pink, rhythm

WINDOW, SEGMENT = 2.0, 5
"""Seconds of a window, windows of a segment."""
TASK, OTHERS, WEAK = 4, 8, 6
"""Dipoles of which one bursts in each window, dipoles that burst by chance, and those of the background."""
SEEN = ("eeg-a", "meg-a", "eeg-b", "meg-b")
NEW = ("eeg-new", "meg-new")


class Brain(NamedTuple):
    """Dipoles: `places` (source, 3) in m, unit `moments`, and frequencies `hz` of the first twelve."""

    places: np.ndarray
    moments: np.ndarray
    hz: np.ndarray


class Heard(NamedTuple):
    """Windows of a device: `x` (window, channel, time), `label` (which of four dipoles burst), `recording` (in
    which the head lay so); and for the ceiling `gain` (recording, channel, source), `noise` (channel), the
    deviation of a sensor's own noise, and `power` (source)."""

    x: np.ndarray
    label: np.ndarray
    recording: np.ndarray
    gain: np.ndarray
    noise: np.ndarray
    power: np.ndarray

    def within(self, first: int, last: int) -> Heard:
        """The windows of recordings first .. last - 1."""
        mine = (self.recording >= first) & (self.recording < last)
        return self._replace(x=self.x[mine], label=self.label[mine], recording=self.recording[mine])


class Device(NamedTuple):
    """`train` windows of a seen device (None of a new one), and `test` windows, of other recordings."""

    montage: Montage
    train: Heard | None
    test: Heard


def brain(seed: int) -> Brain:
    """12 tangential dipoles at 5 to 7.5 cm, spread evenly and then moved, and 6 weak ones anywhere."""
    rng = np.random.default_rng([seed, 0])
    n = TASK + OTHERS + WEAK
    ray = cortex(n) / (0.8 * RADIUS) + 0.15 * rng.normal(size=(n, 3))
    ray = rng.permutation(ray / np.linalg.norm(ray, axis=1, keepdims=True))
    moments = rng.normal(size=(n, 3))
    moments -= (moments * ray).sum(1, keepdims=True) * ray
    moments /= np.linalg.norm(moments, axis=1, keepdims=True)
    # the four of the task beat alike: only where they lie tells them apart
    hz = np.concatenate([np.full(TASK, 10.0), rng.permutation(np.linspace(4.0, 24.0, OTHERS))])
    return Brain(ray * rng.uniform(0.05, 0.075, (n, 1)), moments, hz)


def spread(places: np.ndarray, n: int, taken: tuple[int, ...] = ()) -> list[int]:
    """`n` of the places far from each other: each next one is farthest from those before; none is `taken`."""
    far = np.full(len(places), np.inf)
    found: list[int] = []
    free = np.ones(len(places), bool)
    free[list(taken)] = False
    here = int(np.flatnonzero(free)[0])
    for _ in range(n):
        found.append(here)
        far = np.minimum(far, np.linalg.norm(places - places[here], axis=1))
        free[here] = False
        here = int(np.where(free, far, -1.0).argmax())
    return found


@lru_cache(maxsize=2)
def devices(sizes: tuple[int, ...]) -> dict[str, Any]:
    """MNE `Info` of each device; `sizes` in the order of `SEEN`, then `NEW`.

    EEG: parts of three caps (10-05, BioSemi, HydroCel). MEG: parts of a Neuromag helmet at places that no two
    devices share, and heads that sit in it otherwise: "meg-a" and "meg-new" have a magnetometer and two planar
    gradiometers at each place, "meg-b" a magnetometer and one gradiometer.
    """
    lib = mne()
    size = dict(zip((*SEEN, *NEW), sizes, strict=True))
    found = {}
    for name, montage in (
        ("eeg-a", "biosemi128"),
        ("eeg-b", "spherical_1005"),
        ("eeg-new", "GSN-HydroCel-128"),
    ):
        where = lib.channels.make_standard_montage(montage).get_positions()["ch_pos"]
        names = [n for n in where if np.isfinite(where[n]).all()]
        chosen = spread(np.array([where[n] for n in names]), size[name])
        found[name] = eeg_sensors([names[i] for i in sorted(chosen)], montage)
    taken: list[int] = []
    for name, many, shift in (
        ("meg-a", 3, (0.0, 0.0, 0.0)),
        ("meg-b", 2, (0.0, 0.004, 0.004)),
        ("meg-new", 3, (0.004, -0.004, 0.0)),
    ):
        info = meg_sensors("neuromag", shift=shift)
        labels = [n[:-1] for n in info["ch_names"]]
        places = list(dict.fromkeys(labels))
        first = np.array([info["chs"][labels.index(p)]["loc"][:3] for p in places])
        chosen = spread(first, size[name] // many, tuple(taken))
        taken += chosen
        mine = {places[i] for i in chosen}
        kinds = info.get_channel_types()
        picked, used = [], set()
        for i, (place, kind) in enumerate(zip(labels, kinds, strict=True)):
            if place in mine and (many == 3 or (place, kind) not in used):
                used.add((place, kind))
                picked.append(i)
        found[name] = lib.pick_info(info, picked)
    return found


def real_sensors() -> list[Any]:
    """The 60 electrodes and 306 coils of the MNE sample recording, around the centre of its head."""
    lib = mne()
    path = datasets.fetch("neuromag-average", False)["test-ave.fif.gz"]
    info = lib.read_evokeds(path, condition=0, verbose="error").info
    eeg = lib.pick_info(info, lib.pick_types(info, meg=False, eeg=True, exclude=[]))
    loc = np.array([ch["loc"][:3] for ch in eeg["chs"]])
    centre = sphere_of(loc)[0]
    ray = (loc - centre) / np.linalg.norm(loc - centre, axis=1, keepdims=True) * RADIUS
    cap = lib.create_info(eeg["ch_names"], 64.0, "eeg", verbose="error")
    dig = lib.channels.make_dig_montage(
        dict(zip(cap["ch_names"], ray, strict=True)), coord_frame="head"
    )
    coils = lib.pick_info(info, lib.pick_types(info, meg=True, exclude=[]))
    moved = coils["dev_head_t"]["trans"].copy()
    moved[:3, 3] -= centre
    coils["dev_head_t"] = lib.transforms.Transform("meg", "head", moved)
    return [cap.set_montage(dig, verbose="error"), coils]


def turned(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """A rotation by up to so many degrees about any axis."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(0, degrees))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def moments(
    rng: np.random.Generator, brain: Brain, segments: int, hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Dipole moments (segment, time, source) and labels (segment, window): rhythms behind gates of half a
    second, smooth over a quarter; of the four of the task one is open for a whole window, at 1.5 times."""
    chunk = round(hz * WINDOW / 4)
    time = SEGMENT * 4 * chunk
    label = rng.integers(TASK, size=(segments, SEGMENT))
    on = rng.random((segments, time // chunk, TASK + OTHERS)) < 0.4
    gate = on.astype(float)
    gate[..., :TASK] = 1.5 * (np.repeat(label, 4, 1)[..., None] == np.arange(TASK))
    gate = np.repeat(0.1 + 0.9 * gate, chunk, 1)
    taps = chunk // 2
    smooth = np.hanning(taps + 2)[1:-1]
    gate = np.pad(gate, ((0, 0), (taps, 0), (0, 0)), mode="edge")
    gate = lfilter(smooth / smooth.sum(), 1, gate, axis=1)[:, taps:]
    parts = [rhythm(rng, (segments, time, 1), hz, own, 1.0) for own in brain.hz]
    strong = np.concatenate(parts, 2) * gate
    return np.concatenate([strong, 0.3 * pink(rng, (segments, time, WEAK), hz)], 2), label


class Hearing(NamedTuple):
    """How all devices hear: samples a second `hz`, `snr` of deviations, heads turned by up to `degrees`, and
    `segments` of 10 s a recording."""

    hz: float
    snr: float
    degrees: float
    segments: int


def listen(
    brain: Brain,
    info: Any,
    seed: int,
    name: str,
    recordings: int,
    how: Hearing,
) -> Heard:
    """What a device hears of the brain in recordings in which the head lies turned. Sensor noise is 1 / snr of
    the deviation of each kind of sensor; each kind is scaled to deviation 1."""
    rng = np.random.default_rng([seed, 1, *name.encode()])
    turns = np.stack([turned(rng, how.degrees) for _ in range(recordings)])
    place = lambda a: np.einsum("rij,sj->rsi", turns, a).reshape(-1, 3)
    field = lead_field(info, place(brain.places), place(brain.moments))
    gain = field.gain.reshape(len(field.gain), recordings, -1).transpose(1, 0, 2)
    q, label = moments(rng, brain, recordings * how.segments, how.hz)
    recording = np.repeat(np.arange(recordings), how.segments)
    noise = np.zeros(len(field.gain))
    power = (q**2).mean((0, 1))
    for kind in np.unique(field.kinds):
        mine = field.kinds == kind
        scale = np.sqrt(np.einsum("rcs,s->rc", gain[:, mine] ** 2, power).mean())
        gain[:, mine] /= scale
        noise[mine] = 1 / how.snr
    x = np.matmul(gain[recording], q.transpose(0, 2, 1)).astype(np.float32)
    x += noise[:, None].astype(np.float32) * rng.standard_normal(x.shape, np.float32)
    x = x.reshape(len(x), x.shape[1], SEGMENT, -1).transpose(0, 2, 1, 3)
    return Heard(
        x.reshape(-1, *x.shape[2:]),
        label.ravel(),
        np.repeat(recording, SEGMENT),
        gain,
        noise,
        power,
    )


def join(montages: list[Montage]) -> Montage:
    """Sensors of several devices as one."""
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *montages)


@lru_cache(maxsize=1)
def data(
    sizes: tuple[int, ...], train: int, test: int, new: int, how: Hearing, seed: int
) -> dict[str, Device]:
    """Devices by name: `train` and `test` recordings of the seen ones, `new` of those left out of training."""
    whole, found = brain(seed), {}
    for name, info in devices(sizes).items():
        n = train + test if name in SEEN else new
        heard = listen(whole, info, seed, name, n, how)
        first = train if name in SEEN else 0
        learned = heard.within(0, train) if name in SEEN else None
        found[name] = Device(Montage.from_info(info), learned, heard.within(first, n))
    return found


def real(how: Hearing, seed: int) -> Device:
    """The same brain under the electrodes and coils of a real recording: one segment in each of 4 places."""
    sensors = real_sensors()
    heard = listen(brain(seed), sensors, seed, "real", 4, how._replace(segments=1))
    return Device(join([Montage.from_info(info) for info in sensors]), None, heard)


def places(montage: Montage) -> Places:
    """For interpolation: electrodes share one field, coils another; planar gradiometers read its slope."""
    kinds = np.asarray(montage.kinds)
    along = np.where((kinds == 2)[:, None], np.asarray(montage.directions, float), 0.0)
    return Places(np.asarray(montage.positions, float), along, (kinds > 0).astype(float))


def folds(channels: int, share: float = 0.25) -> np.ndarray:
    """Orders of channels (fold, channel): each begins with other ones to hide, so that nearly all are once."""
    n = max(int(share * channels), 1)
    mixed = np.random.default_rng(channels).permutation(channels)
    return np.stack([np.roll(mixed, -i * n) for i in range(channels // n)]).astype(np.int32)


def grid(name: str) -> Places:
    """16 places, spread over the head or, of coils, over a helmet 2.5 cm above it."""
    where = cortex(16) / (0.8 * RADIUS) * (1.0 if name.startswith("eeg") else 1.3)
    return Places.values(where)._replace(group=np.full(16, float(name.startswith("meg"))))
