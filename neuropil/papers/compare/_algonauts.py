"""Planted subjects, encoders and V4 of algonauts_2023.py."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import numpy as np

from neuropil.coding.gabor import gabor_energy
from neuropil.compare.challenge import challenge_score, vertex_scores
from neuropil.compare.ridge import Ridge
from neuropil.core import System
from neuropil.core.random import generator
from neuropil.stats import correlate, explainable, signal_to_noise
from neuropil.worlds import datasets
from neuropil.worlds.archives import algonauts as layout
from neuropil.worlds.archives import open_algonauts

SIDES = ("lh", "rh")


@dataclass(frozen=True, eq=False)
class V4:
    """Features of the images, repeats (repeat, image, neuron) with NaN where there are fewer."""

    images: np.ndarray
    repeats: np.ndarray


def load(settings: dict) -> V4 | None:
    """Macaque V4 with its repeats, or None in the demonstration."""
    if settings["data"] != "macaque-v4":
        return None
    session = datasets.load("macaque-v4")["210325"]
    images = session.images.reshape(-1, 28, 4, 28, 4, 3).mean((2, 4)).astype(np.uint8)
    return V4(images, session.repeats.transpose(2, 1, 0))


def scenes(n: int, size: int, rng) -> np.ndarray:
    """Images (image, y, x, 3) in bytes whose power falls with frequency as in natural scenes (1 / f)."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = np.inf
    spectrum = (rng.normal(size=(n, 3, *f.shape)) + 1j * rng.normal(size=(n, 3, *f.shape))) / f
    colour = np.fft.irfft2(spectrum, s=(size, size))
    grey = colour[:, :1] + 0.3 * colour[:, 1:2]
    x = grey + 0.2 * colour
    x = x / x.std((1, 2, 3), keepdims=True)
    return np.moveaxis(np.clip(128 + 45 * x, 0, 255), 1, -1).astype(np.uint8)


def features(images: np.ndarray, kind: str, size: int = 32) -> np.ndarray:
    """Features (image, k): energies of a bank of Gabor filters with a fixed grid of fields, or pixels."""
    grey = images.astype(float).mean(-1) / 255
    if kind == "pixels":
        return grey.reshape(len(grey), -1)
    cells = grey.shape[1] // 4  # fields of 4 x 4 pixels
    energy = gabor_energy(grey, wavelengths=(4.0, 8.0), orientations=4, cells=cells)
    return np.log1p(20 * energy).reshape(len(grey), -1)


def truth(images: np.ndarray, rng, count: int = 20) -> np.ndarray:
    """The planted features (image, count): energies of Gabor filters at places and waves of their own."""
    grey = images.astype(float).mean(-1) / 255
    size = grey.shape[1]
    y, x = np.mgrid[:size, :size]
    out = []
    for _ in range(count):
        angle, wave = rng.uniform(0, np.pi), rng.uniform(4, 12)
        at = rng.uniform(size * 0.2, size * 0.8, 2)
        along = (x - at[1]) * np.cos(angle) + (y - at[0]) * np.sin(angle)
        window = np.exp(-((x - at[1]) ** 2 + (y - at[0]) ** 2) / (2 * (0.5 * wave) ** 2))
        pair = [window * f(2 * np.pi * along / wave) for f in (np.cos, np.sin)]
        pair = [g - window * (g.sum() / window.sum()) for g in pair]
        out.append(np.hypot(*((grey * g).sum((1, 2)) for g in pair)))
    f = np.stack(out, 1)
    return (f - f.mean(0)) / f.std(0)


@dataclass(frozen=True, eq=False)
class Subject:
    """A planted subject: what is on disk, and what the organisers keep to themselves."""

    name: str
    measured: np.ndarray
    signal: np.ndarray
    ceiling: np.ndarray
    split: int


def plant(root: Path, s: dict, rng) -> list[Subject]:
    """Eight subjects in the challenge's folders: signals W f(image) of deviation s, noise 1, 1 to 3 repeats."""
    out = []
    for i, name in enumerate(layout.SUBJECTS):
        train, test = s["train"], max(int(layout.TEST[i] * s["share"]), 8)
        sizes = {
            side: s["vertices"] - (3 + j if i in (5, 7) else 0) for j, side in enumerate(SIDES)
        }
        images = scenes(train + test, 32, rng)
        f = truth(images, rng)
        many = sum(sizes.values())
        ratio = np.exp(rng.uniform(np.log(0.1), np.log(1.5), many)) * (rng.random(many) > 0.1)
        weights = rng.normal(size=(f.shape[1], many)) / np.sqrt(f.shape[1])
        signal = f @ weights
        signal = (signal - signal.mean(0)) / signal.std(0)
        repeats = rng.integers(1, 4, (train + test, 1))
        measured = ratio * signal + rng.normal(size=signal.shape) / np.sqrt(repeats)
        sides = {"lh": measured[:train, : sizes["lh"]], "rh": measured[:train, sizes["lh"] :]}
        ids = np.sort(rng.choice(73_000, train + test, replace=False))
        layout.write_subject(
            root / name,
            train=sides,
            train_images=images[:train],
            test_images=images[train:],
            train_ids=ids[:train],
            test_ids=ids[train:],
            regions={f"{side}.prf-visualrois": np.arange(n) % 8 for side, n in sizes.items()},
        )
        top = np.asarray(explainable(ratio, repeats[train:, 0]))
        out.append(Subject(name, measured[train:], signal[train:], top, sizes["lh"]))
    return out


def fit_predict(
    arm: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, keep: int, rng
) -> np.ndarray:
    """Predictions of an arm: principal components of scaled features, then least squares (or ridge)."""
    if arm == "shuffled":
        y = y[rng.permutation(len(y))]
    mean, sd = x.mean(0), x.std(0)
    sd = np.where(sd > 0, sd, 1)
    x, new = (x - mean) / sd, (new - mean) / sd  # by the training images only
    if arm == "ridge":
        return Ridge().fit(x, y).predict(new)
    axes = np.linalg.svd(x, full_matrices=False)[2][:keep].T
    z = np.c_[np.ones(len(x)), x @ axes]
    return np.c_[np.ones(len(new)), new @ axes] @ np.linalg.lstsq(z, y, rcond=None)[0]


class Challenge(System):
    """An arm: one tick writes folders, reads them, predicts, submits, reads the submission and scores it."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    v4: V4 | None = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        kind = "pixels" if self.arm == "pixels" else "energy"
        predictions, ours = {}, {}
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            subjects = plant(root, s, generator(key, "planted"))
            for subject in subjects:
                recording = open_algonauts(root / subject.name)
                if self.arm == "truth":
                    said = subject.signal
                else:
                    seen = features(
                        layout.read_images(layout.image_paths(root / subject.name, "training")),
                        kind,
                    )
                    new = features(
                        layout.read_images(layout.image_paths(root / subject.name)), kind
                    )
                    y = recording.to_numpy()[:, 0].astype(float)
                    said = fit_predict(
                        self.arm, seen, y, new, s["components"], generator(key, subject.name)
                    )
                predictions[subject.name] = {
                    "lh": said[:, : subject.split],
                    "rh": said[:, subject.split :],
                }
                ours[subject.name] = said
            path = layout.write_submission(root / "submission.zip", predictions, root)
            back = layout.read_submission(path)
        read = [np.concatenate([back[p.name][side] for side in SIDES], 1) for p in subjects]
        wrong = max(
            float(np.abs(r - ours[p.name].astype(np.float32)).max())
            for r, p in zip(read, subjects, strict=True)
        )
        top, measured = [p.ceiling for p in subjects], [p.measured for p in subjects]
        score = challenge_score(
            read, measured, top, resamples=s["resamples"], permutations=s["resamples"]
        )
        each = np.concatenate(
            [vertex_scores(correlate(r, y), t) for r, y, t in zip(read, measured, top, strict=True)]
        )
        every = np.concatenate(top)
        return state, {
            "score": np.array(score.value),
            "interval": np.array(score.interval),
            "chance": np.array(score.null.mean()),
            "known": np.array(each[every > 0].mean()),
            "median": np.array(np.median(each)),
            "wrong": np.array(wrong),
            "ceiling": every,
            "each": each,
            "v4": np.array(self.neurons(key, kind)),
        }

    def neurons(self, key, kind) -> float:
        """The same on macaque V4: neurons for vertices, the ceiling from the repeats of the training images."""
        if self.v4 is None or self.arm == "truth":
            return float("nan")
        s, rng = self.settings, generator(key, "v4")
        repeats = self.v4.repeats
        order = rng.permutation(repeats.shape[1])
        test, train = order[:160], order[160:]
        y = np.nanmean(repeats, 0)
        x = features(self.v4.images, kind)
        said = fit_predict(self.arm, x[train], y[train], x[test], s["components"], rng)
        counts = np.isfinite(repeats[:, test, 0]).sum(0)
        top = np.asarray(explainable(signal_to_noise(repeats[:, train]), counts))
        return challenge_score(said, y[test], top, resamples=2, permutations=2).value
