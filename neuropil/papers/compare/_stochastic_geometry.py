"""Networks, attacks and measurements of stochastic_population_geometry.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Float, Int, UInt8

from neuropil.compare.dimension import participation_ratio
from neuropil.compare.manifolds import manifold_geometry
from neuropil.core import System, fold
from neuropil.learn import Trainer, descend, pgd
from neuropil.wiring import Dense
from neuropil.worlds import datasets

LAYERS = ("pixels", "noisy", "second", "logits")
NOISY = 1  # the layer that has the noise
BATCH = 128


class Noise(NamedTuple):
    """Deviation of the noise of pixels; variance `base + slope * rate` of the first layer's responses."""

    pixel: Array
    base: Array
    slope: Array

    @staticmethod
    def of(pixel=0.0, base=0.0, slope=0.0) -> Noise:
        """Noise of these strengths; none by default."""
        return Noise(*(jnp.asarray(a, float) for a in (pixel, base, slope)))

    @staticmethod
    def neuronal(scale: float = 0.35, shift: float = 0.07, least: float = 1e-4) -> Noise:
        """Variance equal to the mean once rates r are scale * r + shift (the official V1 block's numbers)."""
        return Noise.of(0.0, (shift + least) / scale**2, 1 / scale)


class Net(eqx.Module):
    """pixels -> rectified and noisy -> rectified -> ten outputs."""

    first: Dense
    second: Dense
    out: Dense

    @staticmethod
    def init(key: Array, pixels: int, widths: tuple[int, int], classes: int) -> Net:
        """Weights and biases uniform on +-1/sqrt(pre)."""
        sizes = (pixels, *widths, classes)
        keys = jr.split(key, 3)
        return Net(
            *(Dense.init_uniform(sizes[i], sizes[i + 1], keys[i], bias=True) for i in range(3))
        )

    def layers(
        self, x: Float[Array, "sample pixel"], noise: Noise, key: Array
    ) -> tuple[Array, ...]:
        """What each of `LAYERS` says of the samples in one pass."""
        x = x + noise.pixel * _normal(fold(key, "pixel"), x.shape, noise.pixel > 0)
        rate = jax.nn.relu(self.first.forward(x))
        variance = noise.base + noise.slope * rate
        on = variance > 0  # the root has no slope at 0
        deviation = jnp.where(on, jnp.sqrt(jnp.where(on, variance, 1)), 0)
        drawn = _normal(fold(key, "noise"), rate.shape, noise.base + noise.slope > 0)
        noisy = jax.nn.relu(rate + deviation * drawn)
        second = jax.nn.relu(self.second.forward(noisy))
        return x, noisy, second, self.out.forward(second)


def _normal(key, shape, on):
    """Standard normals, which are not drawn where there is no noise: they cost more than the layer."""
    return lax.cond(on, lambda: jr.normal(key, shape), lambda: jnp.zeros(shape))


def cost(net: Net, x, y, noise: Noise, key) -> Array:
    """Cross-entropy, summed over samples."""
    logits = net.layers(x, noise, key)[-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).sum()


class Regime(NamedTuple):
    """How a network is trained and tried."""

    trained: Noise
    tried: Noise
    radius: Array
    steps: Array
    updates: Array

    @staticmethod
    def of(settings: dict, arm: str) -> Regime:
        """The regime of an arm; all differ by numbers only, so that they share their compiled programs."""
        none, sd = Noise.of(), settings["noise"]
        noisy = Noise.of(base=sd**2)
        noise = {
            "stochastic": (noisy, noisy),
            "stronger": (Noise.of(base=(3 * sd) ** 2),) * 2,
            "neuronal": (Noise.neuronal(),) * 2,
            "input-noise": (Noise.of(pixel=settings["pixel_noise"]),) * 2,
            "noise-at-test": (none, noisy),
        }.get(arm, (none, none))
        adversarial = arm == "adversarial"
        return Regime(
            *noise,
            jnp.asarray(settings["strengths"][1] if adversarial else 0, float),
            jnp.asarray(settings["train_steps"] if adversarial else 0, jnp.int32),
            jnp.asarray(0 if arm == "untrained" else settings["updates"], jnp.int32),
        )


@eqx.filter_jit
def trained(
    key: Array,
    images: UInt8[Array, "n pixel"],
    labels: Int[Array, " n"],
    peak: float,
    widths: tuple[int, int],
    regime: Regime,
) -> Net:
    """A network after `regime.updates` updates by Adam, on attacked images where the regime has steps."""

    def loss(net, _, key):
        rows = jr.randint(fold(key, "rows"), (BATCH,), 0, len(labels))
        x, y, noise = images[rows] / peak, labels[rows], regime.trained
        fixed = jax.tree.map(lax.stop_gradient, net)
        x = pgd(
            lambda x, key: cost(fixed, x, y, noise, key), x, fold(key, "attack"),
            radius=regime.radius, steps=regime.steps,
        )  # fmt: skip
        return cost(net, x, y, noise, fold(key, "pass")) / BATCH

    net = Net.init(fold(key, "weights"), images.shape[1], widths, 10)
    trainer = Trainer(net, loss, optax.adam(1e-3))
    return descend(trainer, fold(key, "train"), regime.updates)[0]


@eqx.filter_jit
def attacked(net: Net, x, y, noise: Noise, key, radius, steps, draws, rate):
    """Images after an attack on this network through the mean gradient of `draws` passes."""
    raised = lambda x, key: cost(net, x, y, noise, key)
    return pgd(raised, x, key, radius=radius, steps=steps, draws=draws, rate=rate)


@eqx.filter_jit
def seen(net: Net, x, noise: Noise, key):
    """One pass: the layers' responses."""
    return net.layers(x, noise, key)


@dataclass(frozen=True, eq=False)
class World:
    """Images to learn from; test images (as many of each class) with labels; what fools another network."""

    images: Array
    labels: Array
    peak: float
    x: Array
    y: Array
    fooled: list[Array]


def load(settings: dict) -> World:
    """The data, and attacks on a network without noise of its own seed: what transfers from it."""
    data = datasets.load(settings["data"])
    peak = max(float(data.train_x.max()), 1.0)
    flat = lambda a: a.reshape(len(a), -1)
    images = jnp.asarray(flat(data.train_x[: settings["images"]]))
    labels = jnp.asarray(data.train_y[: settings["images"]].astype(np.int32))
    m = settings["per_class"]
    rows = np.concatenate([np.flatnonzero(data.test_y == c)[:m] for c in range(10)])
    x = jnp.asarray(flat(data.test_x)[rows].astype(np.float32) / peak)
    y = jnp.asarray(data.test_y[rows].astype(np.int32))
    key, plain = fold(jr.key(0), "another network"), Regime.of(settings, "deterministic")
    net = trained(key, images.astype(jnp.uint8), labels, peak, tuple(settings["widths"]), plain)
    fooled = [
        _attack(net, x, y, Noise.of(), fold(key, "attack"), r, settings)
        for r in settings["strengths"]
    ]
    return World(images.astype(jnp.uint8), labels, peak, x, y, fooled)


def _attack(net, x, y, noise, key, radius, settings, steps=None):
    """The settings' attack; `steps` = 1 is one step as long as the radius."""
    noisy = sum(float(a) for a in noise) > 0
    number = lambda a: jnp.asarray(a, jnp.int32)
    return attacked(
        net, x, y, noise, key, jnp.asarray(radius, float), number(steps or settings["attack_steps"]),
        number(settings["draws"] if noisy else 1), jnp.asarray(radius if steps else radius / 4, float),
    )  # fmt: skip


def separation(a: np.ndarray, b: np.ndarray) -> float:
    r"""Distance of two clouds' centres in units of the clouds' spread (sample, unit).

    $\sqrt{\max(0, |\bar a - \bar b|^2 - v_a / n - v_b / m)} \big/ \sqrt{(v_a + v_b) / 2}$ with v the total
    variance; what is taken off is what two samples of one cloud differ by on average.
    """
    va, vb = a.var(0, ddof=1).sum(), b.var(0, ddof=1).sum()
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum() - va / len(a) - vb / len(b)
    return float(np.sqrt(max(apart, 0.0)) / np.sqrt(max((va + vb) / 2, 1e-12)))


def geometry(x, labels, samples: int, removed: int | None) -> np.ndarray:
    """Capacity, radius, dimension and correlation of centres; NaN where a layer tells no manifold apart."""
    x = np.asarray(x, float)
    try:
        found = manifold_geometry(x, labels, samples=samples, removed=removed)
    except ValueError:
        return np.full(4, np.nan)
    return np.array([found.alpha, found.radius.mean(), found.dimension.mean(), found.correlation])


class Trial(System):
    """An arm: one tick trains a network, attacks it and measures its manifolds."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    world: World = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, w, key = self.settings, self.world, state["key"]
        regime = Regime.of(s, self.arm)
        net = trained(key, w.images, w.labels, w.peak, tuple(s["widths"]), regime)
        noise, tests = regime.tried, [w.x]
        tests += [
            _attack(net, w.x, w.y, noise, fold(key, f"attack {i}"), r, s)
            for i, r in enumerate(s["strengths"])
        ]
        signs = 2.0 * jr.bernoulli(fold(key, "signs"), 0.5, w.x.shape) - 1
        shaken = [w.x] + [jnp.clip(w.x + r * signs, 0, 1) for r in s["strengths"]]
        right = lambda many: np.array([self._right(net, x, noise, key) for x in many])
        kept = np.arange(len(w.y)) % s["per_class"] < s["points"]  # the images come class by class
        record = {
            "accuracy": right(tests),
            "random": right(shaken),
            "transfer": right([w.x, *w.fooled]),
        }
        passes = [seen(net, x, noise, fold(key, f"seen {i}")) for i, x in enumerate(tests)]
        labels = np.asarray(w.y)[kept]
        record["classes"] = np.array(
            [
                [self._classes(a, labels, kept, i, n) for n, a in enumerate(p)]
                for i, p in enumerate(passes)
            ]
        )
        clean = np.asarray(passes[0][NOISY], float)
        record["activity"], record["participation"] = clean.mean(), _participation(clean)
        return state, {
            k: np.asarray(v) for k, v in (record | self._exemplars(net, noise, key)).items()
        }

    def _classes(self, a, labels, kept, strength, layer):
        """Geometry of the classes; attacked pixels are left out, for the attack is known there."""
        if strength and not layer:
            return np.full(4, np.nan)
        s = self.settings
        return geometry(np.asarray(a)[kept], labels, s["samples"], None if s["search"] else 0)

    def _right(self, net, x, noise, key):
        """Share of images told, mean of as many passes as an attack has."""
        n = self.settings["draws"] if sum(float(a) for a in noise) > 0 else 1
        out = [
            seen(net, x, noise, fold(key, f"pass {i}"))[-1].argmax(-1) == self.world.y
            for i in range(n)
        ]
        return float(jnp.stack(out).mean())

    def _exemplars(self, net, noise, key):
        """Manifolds of one image each: repeats with fresh noise, and with fresh attacks of one step."""
        s, w = self.settings, self.world
        n = len(w.y) // s["repeats"]
        rows = np.repeat(np.arange(n) * len(w.y) // n, s["repeats"])
        x, y, labels = w.x[rows], w.y[rows], np.repeat(np.arange(n), s["repeats"])
        fooled = _attack(net, x, y, noise, fold(key, "exemplars"), s["strengths"][1], s, steps=1)
        both = [seen(net, a, noise, fold(key, f"exemplar {i}")) for i, a in enumerate((x, fooled))]
        apart = lambda a, b: [separation(a[labels == i], b[labels == i]) for i in range(n)]
        pairs = [[np.asarray(a, float) for a in layer] for layer in zip(*both, strict=True)]
        return {
            "separation": np.array([np.median(apart(a, b)) for a, b in pairs]),
            "exemplars": np.array(
                [[geometry(a, labels, s["samples"], 0) for a in layer] for layer in pairs]
            ),
        }


def _participation(x):
    return participation_ratio(x) if x.var(0).sum() > 0 else np.nan
