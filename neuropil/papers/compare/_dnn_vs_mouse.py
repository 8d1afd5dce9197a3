"""Networks, simulated areas and layer profiles of dnn_vs_mouse_cortex.py."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax

from neuropil.compare.cca import basis, correlations
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.learn.loop import minibatches
from neuropil.stats import midranks
from neuropil.worlds import datasets

# output channels, side of the kernel, stride, and whether the stage begins with a pooling; a dense one follows
STAGES = ((8, 5, 2, False), (8, 3, 1, False), (16, 3, 1, True), (16, 3, 1, False), (32, 3, 1, True))
DENSE = 64
DEPTH = len(STAGES) + 1
AREAS = {"primary": 2, "A": 3, "B": 4, "C": 4}  # the stage that each simulated area reads, from 1


@dataclass(frozen=True, eq=False)
class Bank:
    """Activity of every stage of every network, (network, image, unit) each, before and after training, their
    test accuracy, and the same for the real images with their responses (image, neuron), or None."""

    trained: tuple[np.ndarray, ...]
    untrained: tuple[np.ndarray, ...]
    accuracy: np.ndarray
    real: tuple | None


def begin(key, side: int, classes: int) -> list:
    """He-initialised weights and zero biases; convolutions first, then two dense layers."""
    out, ins, keys = [], 1, iter(jr.split(key, DEPTH + 1))
    for channels, width, stride, pooled in STAGES:
        shape = (channels, ins, width, width)
        draw = jr.normal(next(keys), shape) * np.sqrt(2 / (ins * width**2))
        out.append((draw, jnp.zeros(channels)))
        ins, side = channels, side // 2 if pooled else -(-side // stride)
    sizes = (ins * side**2, DENSE, classes)
    for a, b in pairwise(sizes):
        out.append((jr.normal(next(keys), (a, b)) * np.sqrt(2 / a), jnp.zeros(b)))
    return out


def pool(x):
    """Largest of each 2 x 2."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def stages(weights, x) -> list:
    """Activity (image, unit) of every stage, rectified, and the logits last; x (image, side, side)."""
    x, out = x[:, None], []
    for (w, b), (_, _, stride, pooled) in zip(weights[:-2], STAGES, strict=True):
        x = pool(x) if pooled else x
        x = jax.nn.relu(lax.conv(x, w, (stride, stride), "SAME") + b[None, :, None, None])
        out.append(x.reshape(len(x), -1))
    x = x.reshape(len(x), -1)
    for i, (w, b) in enumerate(weights[-2:]):
        x = x @ w + b[None]
        x = jax.nn.relu(x) if i == 0 else x
        out.append(x)
    return out


@eqx.filter_jit(donate="all")
def update(weights, slow, x, y):
    """One step of Adam (1e-3) on the cross-entropy."""

    def loss(w):
        return optax.softmax_cross_entropy_with_integer_labels(stages(w, x)[-1], y).mean()

    change, slow = optax.adam(1e-3).update(jax.grad(loss)(weights), slow)
    return optax.apply_updates(weights, change), slow


def load(settings: dict) -> Bank:
    """Networks that differ in initial weights and order of images only, seen through the same test images."""
    images = datasets.load(settings["data"])
    top = images.train_x.max()
    n = min(settings["images"], len(images.train_x))
    x = np.asarray(images.train_x[:n] / top, np.float32)
    y = np.asarray(images.train_y[:n]).astype(np.int32)
    at = np.linspace(0, len(images.test_x) - 1, min(settings["pool"], len(images.test_x))).astype(
        int
    )
    shown, truth = np.asarray(images.test_x[at] / top, np.float32), images.test_y[at]
    v4 = real(settings, x.shape[1])
    see = jax.jit(stages)
    kept = {name: [] for name in ("trained", "untrained", "seen", "unseen")}
    right = []
    for key in jr.split(fold(jr.key(0), "networks"), settings["networks"]):
        weights = begin(key, x.shape[1], len(images.classes))
        look = lambda name, batch, w: kept[name].append([np.asarray(a) for a in see(w, batch)])
        look("untrained", shown, weights)
        if v4:
            look("unseen", v4[0], weights)
        slow = optax.adam(1e-3).init(weights)
        for k in jr.split(key, settings["epochs"]):
            for rows in np.asarray(minibatches(k, n, settings["batch"])):
                weights, slow = update(weights, slow, x[rows], y[rows])
        look("trained", shown, weights)
        if v4:
            look("seen", v4[0], weights)
        right.append(np.mean(kept["trained"][-1][-1].argmax(1) == truth))
    layers = {
        k: tuple(np.stack(a) for a in zip(*v, strict=True))[:DEPTH] for k, v in kept.items() if v
    }
    return Bank(layers["trained"], layers["untrained"], np.array(right),
                (v4[1], layers["seen"], layers["unseen"]) if v4 else None)  # fmt: skip


def real(settings: dict, side: int):
    """Macaque V4: images, grey and as small as the network's own, and mean responses; None without the data."""
    if settings["data"] == "digits" or not datasets.available("macaque-v4"):
        return None
    v4 = datasets.load("macaque-v4")["210325"]
    grey = v4.images.mean(-1)
    step = grey.shape[1] // side
    n = step * side
    small = grey[:, :n, :n].reshape(len(grey), side, step, side, step).mean((2, 4)) / 255
    return small.astype(np.float32)[: settings["real"]], v4.mean.T[: settings["real"]]


def area(rng: np.random.Generator, stage: np.ndarray, neurons: int, snr: float, repeats: int):
    """Responses (image, neuron) of neurons that rectify a sparse random mix (a tenth) of a stage's standardised
    units; noise of a single trial has variance 1 / snr of the signal's and the skew of an exponential, and
    `repeats` trials are averaged (snr 0: no noise)."""
    spread = stage.std(0)
    units = (stage[:, spread > 0] - stage[:, spread > 0].mean(0)) / spread[spread > 0]
    mix = rng.normal(size=(units.shape[1], neurons))
    mix *= rng.random(mix.shape) < 0.1
    mix[rng.integers(0, len(mix), neurons), np.arange(neurons)] += 1e-3  # no neuron without input
    signal = np.maximum(units @ mix, 0)
    noise = rng.gamma(repeats, 1 / repeats, signal.shape) - 1  # the mean of exponentials, about 0
    return signal if snr == 0 else signal + signal.std(0) * noise / np.sqrt(snr)


def ssm(x: np.ndarray) -> np.ndarray:
    """Similarity matrix as its upper triangle: Pearson correlation of images over units, 0 where an image has
    no variance over units (a rectified layer can be silent)."""
    x = x - x.mean(1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-12)
    return (x @ x.T)[np.triu_indices(len(x), 1)]


def rotated(x: np.ndarray) -> np.ndarray:
    """Coordinates (image, component) in which all inner products are those of the units, in float64."""
    x = np.asarray(x, float) - np.asarray(x, float).mean(0)
    values, axes = np.linalg.eigh(x @ x.T)
    keep = values > values[-1] * 1e-12
    return axes[:, keep] * np.sqrt(values[keep])


def explained(layer: np.ndarray, responses: np.ndarray) -> float:
    """Mean leave-one-out R2 of a ridge regression of all neurons on a layer, the best of 7 penalties."""
    x = layer - layer.mean(0)
    y = responses - responses.mean(0)
    values, axes = np.linalg.eigh(x @ x.T)
    values, weights = np.maximum(values, 0), axes.T @ y
    found = []
    for alpha in np.mean(values) * 10.0 ** np.arange(-3, 4):
        shrink = values / (values + alpha)
        hat = (axes**2 * shrink).sum(1) + 1 / len(x)  # the mean is fitted too
        left = (y - axes @ (shrink[:, None] * weights)) / (1 - hat)[:, None]
        found.append(1 - ((left**2).sum(0) / np.maximum((y**2).sum(0), 1e-12)).mean())
    return float(max(found))


class Profiles(System):
    """An arm: one tick is a seed's whole experiment, on the networks, images and neurons that all arms see."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    bank: Bank = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        rng = generator(key, "who")
        source, other = rng.permutation(len(self.bank.accuracy))[:2]
        shown = rng.permutation(self.bank.trained[0].shape[1])[: max(s["stimuli"])]
        compared = self.bank.untrained if self.arm == "untrained" else self.bank.trained
        whose = source if self.arm == "ceiling" else other
        layers = [self.prepared(a[whose][shown]) for a in compared]
        snr = 0.0 if self.arm == "ceiling" else s["snr"]
        areas = [
            area(generator(key, name), self.bank.trained[stage - 1][source][shown].astype(float),
                 max(s["neurons"]), snr, s["repeats"])
            for name, stage in AREAS.items()
        ]  # fmt: skip
        if self.arm == "shuffled":
            order = generator(key, "shuffle").permutation(len(shown))
            areas = [a[order] for a in areas]
        grid = (len(s["neurons"]), len(s["stimuli"]), s["resamples"], len(AREAS), DEPTH)
        profile, draw = np.zeros(grid), generator(key, "subsets")
        for j, r in np.ndindex(grid[1:3]):
            rows = draw.permutation(len(shown))[: s["stimuli"][j]]
            kept = [self.seen(a[rows]) for a in layers]
            for i in range(grid[0]):
                for k, responses in enumerate(areas):
                    cells = draw.permutation(responses.shape[1])[: s["neurons"][i]]
                    profile[i, j, r, k] = self.compare(kept, responses[np.ix_(rows, cells)])
        return state, {
            "profile": profile,
            "real": self.on_real(whose),
            "network": np.array(self.bank.accuracy[whose]),
        }

    def prepared(self, layer):
        """A layer as its measure needs it: units for similarity matrices, else a rotation of them."""
        return np.asarray(layer, float) if "ssm" in self.arm else rotated(layer)

    def seen(self, layer):
        """What of a layer is compared, on a subset of images."""
        if "ssm" in self.arm:
            return self.ranked(ssm(layer))
        if self.arm == "regression":
            return layer
        return basis(layer, self.settings["k"])

    def ranked(self, vector):
        vector = vector if self.arm == "ssm-pearson" else midranks(vector)
        vector = vector - vector.mean()
        return vector / np.linalg.norm(vector)

    def compare(self, kept, responses) -> list[float]:
        """Score of the responses with every layer."""
        if self.arm == "regression":
            return [explained(layer, responses) for layer in kept]
        mine = self.seen(responses)
        if "ssm" in self.arm:
            return [float(mine @ layer) for layer in kept]
        return [float(correlations(mine, layer).mean()) for layer in kept]

    def on_real(self, whose) -> np.ndarray:
        """Profile (layer,) of macaque V4; NaN without the data and for arms that it says nothing of."""
        if self.bank.real is None or self.arm in ("ceiling", "shuffled", "regression"):
            return np.full(DEPTH, np.nan)
        responses, trained, untrained = self.bank.real
        layers = untrained if self.arm == "untrained" else trained
        kept = [self.seen(self.prepared(a[whose])) for a in layers]
        return np.array(self.compare(kept, responses))
