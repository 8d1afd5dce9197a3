"""Networks, noise and identification of topological_rsa.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax

from neuropil.compare.geometry import rdm, vector
from neuropil.compare.topology import (
    FAMILIES,
    family,
    geodesics,
    gt_transform,
    identified,
    rank_scaled,
)
from neuropil.core import System
from neuropil.core.random import fold, generator
from neuropil.learn.loop import minibatches
from neuropil.worlds import datasets


@dataclass(frozen=True, eq=False)
class Bank:
    """Activity of every layer of many networks, (network, image, unit) each, before and after training; their
    test accuracy (network,); rank RDMs (subject, pair) of brains and of judges, or None."""

    trained: tuple[np.ndarray, ...]
    untrained: tuple[np.ndarray, ...]
    accuracy: np.ndarray
    regions: tuple[np.ndarray, np.ndarray] | None


def begin(key, sizes):
    """He-initialised weights and zero biases of a multilayer perceptron."""
    keys = jr.split(key, len(sizes) - 1)
    return [
        (jr.normal(k, (a, b)) * jnp.sqrt(2 / a), jnp.zeros(b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def layers(weights, x):
    """Activity of every layer: rectified, the last one as it is."""
    out = []
    for i, (w, b) in enumerate(weights):
        x = x @ w + b[None]
        x = jax.nn.relu(x) if i + 1 < len(weights) else x
        out.append(x)
    return out


@partial(jax.jit, static_argnames=("epochs", "batch"))
def trained(weights, x, y, key, epochs, batch):
    """Weights after Adam (1e-3) on the cross-entropy."""
    adam = optax.adam(1e-3)
    orders = jnp.concatenate([minibatches(k, len(x), batch) for k in jr.split(key, epochs)])

    def loss(w, at):
        return optax.softmax_cross_entropy_with_integer_labels(layers(w, x[at])[-1], y[at]).mean()

    def step(carry, at):
        w, s = carry
        change, s = adam.update(jax.grad(loss)(w, at), s)
        return (optax.apply_updates(w, change), s), None

    return lax.scan(step, (weights, adam.init(weights)), orders)[0][0]


def load(settings: dict) -> Bank:
    """Networks that differ in initial weights and order of images only, seen through the same test images."""
    images = datasets.load(settings["data"])
    flat = lambda a: jnp.asarray(a.reshape(len(a), -1) / images.train_x.max(), jnp.float32)
    n = min(settings["images"], len(images.train_x))
    x, y = flat(images.train_x[:n]), jnp.asarray(images.train_y[:n].astype(int))
    pool = np.linspace(0, len(images.test_x) - 1, min(settings["pool"], len(images.test_x)))
    shown, truth = flat(images.test_x[pool.astype(int)]), images.test_y[pool.astype(int)]
    sizes = (x.shape[1], *[settings["width"]] * settings["depth"], len(images.classes))
    see = jax.jit(layers)
    before, after, right = [], [], []
    for key in jr.split(fold(jr.key(0), "networks"), settings["networks"]):
        weights = begin(key, sizes)
        before.append([np.asarray(a) for a in see(weights, shown)])
        weights = trained(weights, x, y, key, settings["epochs"], settings["batch"])
        after.append([np.asarray(a) for a in see(weights, shown)])
        right.append(np.mean(after[-1][-1].argmax(1) == truth))
    stack = lambda nets: tuple(np.stack(a) for a in zip(*nets, strict=True))
    return Bank(stack(after), stack(before), np.array(right), regions(settings))


def regions(settings: dict):
    """Rank RDMs of human IT (4 subjects, sessions averaged) and of 16 judges, where the data are at hand."""
    if settings["data"] == "digits" or not datasets.available("rdm-92images"):
        return None
    found = datasets.load("rdm-92images")
    return tuple(rank_scaled(vector(x)) for x in (found.human_it.mean(1), found.behaviour))


def summaries(arm: str, rdms: np.ndarray, pairs) -> list[np.ndarray]:
    """The vectors that an arm compares: one set a pair of quantiles, or one set."""
    if arm in ("raw", "noiseless"):
        return [rdms]
    if arm == "rank":
        return [rank_scaled(rdms)]
    if arm == "geodesic":
        near = [rank_scaled(geodesics(x, share=0.05)) for x in rank_scaled(rdms)]
        return [np.stack(near)]
    return [gt_transform(rdms, *q) for q in pairs]


class Identifying(System):
    """An arm: one tick is a seed's whole experiment, on the networks, stimuli and noise that all arms see."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    bank: Bank = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        rng = generator(key, "stimuli")
        kept = rng.permutation(len(self.bank.accuracy))[: s["instances"]]
        shown = rng.permutation(self.bank.trained[0].shape[1])[: s["stimuli"]]
        bank = self.bank.untrained if self.arm == "untrained" else self.bank.trained
        activity = [a[kept][:, shown].astype(float) for a in bank]
        depth = len(activity)
        subject = np.repeat(np.arange(s["instances"]), depth)
        label = np.tile(np.arange(depth), s["instances"])
        if self.arm == "shuffled":
            mix = generator(key, "labels")
            label = np.concatenate([mix.permutation(depth) for _ in range(s["instances"])])
        name = self.arm if self.arm in FAMILIES else "topology"
        pairs = family(name, s["pairs"], generator(key, name))

        def accuracy(rdms, subject=subject, label=label):
            hits = [identified(v, subject, label) for v in summaries(self.arm, rdms, pairs)]
            hits = np.mean(hits, 0)  # over pairs; labels count alike, however many RDMs they have
            return float(np.mean([hits[label == kind].mean() for kind in np.unique(label)]))

        rdms = self.distances(activity)
        noisy = []
        draw = generator(key, "noise").normal(size=rdms.shape)
        for level in s["noise"]:
            level = 0.0 if self.arm == "noiseless" else level
            noisy.append(accuracy(np.maximum(rdms + level * rdms.std() * draw, 0)))
        felt, draws = (
            [],
            [generator(key, f"unit {i}").normal(size=a.shape) for i, a in enumerate(activity)],
        )
        for level in s["activity"]:
            level = 0.0 if self.arm == "noiseless" else level
            near = [a + level * a.std() * d for a, d in zip(activity, draws, strict=True)]
            felt.append(accuracy(self.distances(near)))
        examples = np.maximum(rdms[depth // 2] + np.outer([0, 1], rdms.std() * draw[depth // 2]), 0)
        example = np.concatenate([summaries(self.arm, examples, pairs)[0], rank_scaled(examples)])
        return state, {
            "noise": np.array(noisy),
            "activity": np.array(felt),
            "regions": self.on_regions(key, accuracy),
            "network": np.array(self.bank.accuracy[kept].mean()),
            "example": example,
        }

    def distances(self, activity) -> np.ndarray:
        """RDMs of all layers of all instances, an instance after the other."""
        return np.stack([rdm(a[i], "euclidean") for i in range(len(activity[0])) for a in activity])

    def on_regions(self, key, accuracy) -> np.ndarray:
        """IT or behaviour, told by the RDM, at levels of noise; NaN where an arm or the data are not for it."""
        levels = self.settings["region_noise"]
        if self.bank.regions is None or self.arm == "untrained":
            return np.full(len(levels), np.nan)
        brains, judges = self.bank.regions
        # as many judges as brains, each left out with a brain: a mean over more RDMs would be less noisy, and
        # noise counts as distance
        n = len(brains)
        chosen = generator(key, "judges").permutation(len(judges))[:n]
        rdms, subject = np.concatenate([brains, judges[chosen]]), np.tile(np.arange(n), 2)
        label = np.repeat([0, 1], n)
        if self.arm == "shuffled":
            swap = generator(key, "labels").integers(0, 2, n)
            label = label ^ np.tile(swap, 2)
        draw = generator(key, "regions").normal(size=rdms.shape)
        level = [0.0 if self.arm == "noiseless" else a for a in levels]
        return np.array([accuracy(rdms + a * rdms.std() * draw, subject, label) for a in level])
