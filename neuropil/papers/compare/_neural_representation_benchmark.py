"""Recorded and simulated populations of neural_representation_benchmark.py."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax

from neuropil.compare.kernel_analysis import generalisation, kernel_curves
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.learn.loop import minibatches
from neuropil.worlds import datasets

SIDE = 40  # pixels of the canvas on which objects vary
LEVELS = ("low", "medium", "high")
SHIFT = (0.0, 3.0, 6.0)  # pixels, either way
SCALE = (0.0, 0.2, 0.4)  # share, either way
CLUTTER = (0.0, 0.25, 0.5)  # contrast of a pink background
ADAM = optax.adam(1e-3)
EPOCHS = {"it": (0.1, 0.3), "before": (-0.3, -0.1)}  # seconds from onset


@dataclass(frozen=True, eq=False)
class World:
    """Objects (image, height, width) 0..1 with labels, to train on and to test; a recording, or None."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    recording: object | None


def load(settings: dict) -> World:
    """Fashion-MNIST and the recording of IT; or the digits alone."""
    images = datasets.load(settings["data"])
    part = lambda x, y, n: (x[:n] / np.float32(images.train_x.max()), y[:n].astype(int))
    real = settings["data"] != "digits" and datasets.available("macaque-it-7objects")
    return World(
        part(images.train_x, images.train_y, settings["images"]),
        part(images.test_x, images.test_y, len(images.test_y)),
        datasets.load("macaque-it-7objects") if real else None,
    )


def pink(rng: np.random.Generator, n: int) -> np.ndarray:
    """Images of noise whose amplitude falls with frequency as 1/f, from 0 to 1."""
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    f[0, 0] = np.inf
    shape = (n, *f.shape)
    x = np.fft.irfft2((rng.normal(size=shape) + 1j * rng.normal(size=shape)) / f, (SIDE, SIDE))
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    return ((x - low) / (high - low)).astype(np.float32)


def varied(objects: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Objects shifted and scaled at random on a background, as far as each one's `level` (image,) allows."""
    n, h, w = objects.shape
    fit = 28 / h  # all sets fill as much of the canvas as Fashion-MNIST does
    shift = np.array(SHIFT)[level][:, None] * rng.uniform(-1, 1, (n, 2))
    scale = fit * (1 + np.array(SCALE)[level] * rng.uniform(-1, 1, n))
    at = np.arange(SIDE) - (SIDE - 1) / 2
    out = np.zeros((n, SIDE, SIDE), np.float32)
    rows, columns = (
        (at[None] - shift[:, [i]]) / scale[:, None] + (size - 1) / 2 for i, size in ((0, h), (1, w))
    )

    def taken(y, x):
        ok = ((y >= 0) & (y < h))[:, :, None] & ((x >= 0) & (x < w))[:, None, :]
        y, x = y.clip(0, h - 1), x.clip(0, w - 1)
        return np.where(ok, objects[np.arange(n)[:, None, None], y[:, :, None], x[:, None, :]], 0)

    y0, x0 = np.floor(rows).astype(int), np.floor(columns).astype(int)
    fy, fx = (rows - y0)[:, :, None], (columns - x0)[:, None, :]
    for dy in (0, 1):  # bilinear
        for dx in (0, 1):
            weight = (fy if dy else 1 - fy) * (fx if dx else 1 - fx)
            out += (weight * taken(y0 + dy, x0 + dx)).astype(np.float32)
    behind = np.array(CLUTTER, np.float32)[level][:, None, None] * pink(rng, n)
    return np.maximum(out, behind * (out < 0.05))


def energies(images: np.ndarray) -> np.ndarray:
    """Gabor energy of 3 wavelengths and 4 orientations, averaged over 4 x 4 parts: 192 numbers."""
    f = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    seen, out = np.fft.rfft2(images), []
    for wave in (4.0, 8.0, 16.0):
        for angle in np.arange(4) * np.pi / 4:
            centre = np.cos(angle) / wave, np.sin(angle) / wave
            # one side of the spectrum: the modulus of the analytic signal is the energy of a quadrature pair
            turn = [
                np.exp(-((f[0] - s * centre[0]) ** 2 + (f[1] - s * centre[1]) ** 2) * wave**2 * 4)
                for s in (1, -1)
            ]
            even = np.fft.irfft2(seen * (turn[0] + turn[1]), (SIDE, SIDE))
            odd = np.fft.irfft2(1j * seen * (turn[0] - turn[1]), (SIDE, SIDE))
            energy = np.hypot(even, odd)
            out.append(energy.reshape(len(images), 4, SIDE // 4, 4, SIDE // 4).mean((2, 4)))
    return np.stack(out, 1).reshape(len(images), -1)


class Net(eqx.Module):
    """Two strided convolutions, a layer of `units` rectified cells, a readout."""

    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    sites: eqx.nn.Linear
    out: eqx.nn.Linear

    @classmethod
    def of(cls, key, units, classes):
        a, b, c, d = jr.split(key, 4)
        return cls(
            eqx.nn.Conv2d(1, 12, 5, 2, 2, key=a),
            eqx.nn.Conv2d(12, 24, 5, 2, 2, key=b),
            eqx.nn.Linear(24 * (SIDE // 4) ** 2, units, key=c),
            eqx.nn.Linear(units, classes, key=d),
        )

    def penultimate(self, image):
        x = jax.nn.relu(self.first(image[None]))
        x = jax.nn.relu(self.second(x))
        return jax.nn.relu(self.sites(x.ravel()))

    def __call__(self, image):
        return self.out(self.penultimate(image))


# one step compiled and looped over: convolutions inside a compiled loop are far slower on a CPU
@eqx.filter_jit(donate="all-except-first")
def _step(data, net, moments):
    x, y = data

    def loss(net):
        return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(net)(x), y).mean()

    change, moments = ADAM.update(eqx.filter_grad(loss)(net), moments)
    return eqx.apply_updates(net, change), moments


def network(settings: dict, world: World, key, untrained: bool) -> Net:
    """A network that learnt the classes at all three levels of variation mixed, anew in every epoch."""
    x, y = world.train
    net = Net.of(fold(key, "weights"), settings["units"], int(y.max()) + 1)
    if untrained:
        return net
    moments, rng = ADAM.init(eqx.filter(net, eqx.is_array)), generator(key, "variations")
    for epoch in range(settings["epochs"]):
        level = rng.integers(0, 3, len(x))
        parts = [
            slice(i, i + 1000) for i in range(0, len(x), 1000)
        ]  # in pieces, for the memory's sake
        seen = np.concatenate([varied(x[p], level[p], rng) for p in parts])
        for batch in np.asarray(
            minibatches(fold(key, f"epoch {epoch}"), len(x), settings["batch"])
        ):
            net, moments = _step((jnp.asarray(seen[batch]), jnp.asarray(y[batch])), net, moments)
    return net


@eqx.filter_jit
def _sites(net, x):
    return lax.map(net.penultimate, x, batch_size=100)


def standardised(x: np.ndarray) -> np.ndarray:
    """Every unit of mean 0 and sd 1; units that do not vary are left out."""
    x = x[:, x.std(0) > 1e-9 * max(np.abs(x).max(), 1e-300)]
    return (x - x.mean(0)) / x.std(0)


def counts(rates: np.ndarray, sites: int, settings: dict, rng: np.random.Generator) -> np.ndarray:
    """Mean spike counts over `trials` of as many sites, all with the same mean count and Poisson noise."""
    live = np.flatnonzero(rates.mean(0) > 1e-6 * rates.mean())
    rates = rates[:, rng.permutation(live)[:sites]]
    rates = settings["spikes"] * rates / rates.mean(0)
    return rng.poisson(settings["trials"] * rates) / settings["trials"]


class Benchmark(System):
    """An arm: one tick is a seed's whole experiment, on the pairings, images and noise that all arms see."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    world: World = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        return state, self.recorded(state["key"]) | self.simulated(state["key"])

    def recorded(self, key) -> dict:
        """Kernel analysis of the pseudo-population, and of fewer of its neurons; NaN where there is none."""
        sizes, n = self.settings["neurons"], 420
        if self.world.recording is None or self.arm not in ("it", "before", "shuffled", "labels"):
            return {"real": np.full(len(sizes), np.nan), "real_curve": np.full(n + 1, np.nan),
                    "real_new": np.array(np.nan)}  # fmt: skip
        rng = generator(key, "pairing")
        x, y, _ = self.world.recording.population(*EPOCHS.get(self.arm, EPOCHS["it"]), rng)
        x, order = standardised(x), generator(key, "neurons").permutation(x.shape[1])
        y, x = self.controlled(y, x, key)
        areas = []
        for size in sizes:
            found = kernel_curves(x[:, order[order < x.shape[1]][:size]], y)
            areas.append(found.area)
        return {"real": np.array(areas), "real_curve": found.error, "real_new": self.new(x, y, key)}

    def simulated(self, key) -> dict:
        """Kernel analysis at every level of variation; NaN of an arm that is not for it."""
        s, n = self.settings, self.settings["shown"]
        if self.arm == "before":
            return {"simulated": np.full(3, np.nan), "curve": np.full((3, n + 1), np.nan),
                    "new": np.full(3, np.nan), "accuracy": np.array(np.nan)}  # fmt: skip
        rng = generator(key, "images")
        objects, labels = self.world.test
        kinds = np.unique(labels)
        shown = np.concatenate(
            [rng.permutation(np.flatnonzero(labels == k))[: n // len(kinds)] for k in kinds]
        )
        y, net = labels[shown], None
        if self.arm in ("it", "untrained"):
            net = network(s, self.world, key, self.arm != "it")
        areas, curves, new, right = [], [], [], []
        for level in range(3):
            images = varied(objects[shown], np.full(len(shown), level), rng)
            x = self.population(images, net, generator(key, f"sites {level}"))
            truth, x = self.controlled(y, x, key)
            found = kernel_curves(x, truth)
            areas.append(found.area)
            curves.append(found.error)
            new.append(self.new(x, truth, key))
            if net is not None:
                said = jax.vmap(net)(jnp.asarray(images)).argmax(1)
                right.append(np.mean(np.asarray(said) == y))
        right = np.mean(right) if right else np.nan
        return {"simulated": np.array(areas), "curve": np.array(curves), "new": np.array(new),
                "accuracy": np.array(right)}  # fmt: skip

    def population(self, images, net, rng) -> np.ndarray:
        """What the arm's sites say of the images."""
        if self.arm in ("pixels", "labels"):
            return standardised(images.reshape(len(images), -1))
        rates = energies(images) if net is None else np.asarray(_sites(net, jnp.asarray(images)))
        return standardised(counts(rates, self.settings["sites"], self.settings, rng))

    def controlled(self, y, x, key):
        """Labels shuffled for the control; the labels themselves, nearly, for the ceiling."""
        rng = generator(key, "control")
        if self.arm == "shuffled":
            return rng.permutation(y), x
        if self.arm == "labels":
            return y, np.eye(int(y.max()) + 1)[y] + 1e-3 * rng.normal(
                size=(len(y), int(y.max()) + 1)
            )
        return y, x

    def new(self, x, y, key) -> np.ndarray:
        """Share of the labels' variance that is predicted on left-out samples, at the best complexity of the
        mean over splits."""
        rng, curves = generator(key, "splits"), []
        for _ in range(self.settings["splits"]):
            train = np.zeros(len(y), bool)
            for kind in np.unique(y):
                own = rng.permutation(np.flatnonzero(y == kind))
                train[own[: round(0.7 * len(own))]] = True
            curves.append(generalisation(x, y, train))
        return np.array(np.mean(curves, 0).max())
