"""Networks, statistics and tests of dead_salmons.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from scipy import stats

from neuropil.compare.dissimilarity import rdm
from neuropil.core import System, fold
from neuropil.core.random import generator
from neuropil.stats import correlation_p, midranks, permutation_p
from neuropil.worlds import datasets

FAMILIES = ("probe", "components", "alignment", "attribution", "autoencoder")


@dataclass(frozen=True, eq=False)
class World:
    """Images (image, pixel) in 0..1 and their labels 0..9; V4's images on the networks' grid, and its RDM."""

    train: np.ndarray
    train_y: np.ndarray
    test: np.ndarray
    test_y: np.ndarray
    seen: np.ndarray | None
    brain: np.ndarray | None


def load(settings: dict) -> World:
    """MNIST (or the embedded digits), and where it is there macaque V4 on as many images as asked for."""
    images = datasets.load(settings["data"])
    flat = lambda x: (
        x.reshape(len(x), -1).astype(np.float32) / max(float(images.train_x.max()), 1.0)
    )
    n, seen, brain = settings["images"], None, None
    if settings["data"] == "mnist" and datasets.available("macaque-v4"):
        v4 = datasets.load("macaque-v4")["210325"]
        grey = v4.images[: settings["stimuli"]].astype(np.float32).mean(-1) / 255
        side = images.shape[0]
        seen = grey.reshape(len(grey), side, 112 // side, side, 112 // side).mean((2, 4))
        seen = seen.reshape(len(grey), -1)
        brain = np.asarray(rdm(v4.mean.T[: settings["stimuli"]]))
    return World(
        flat(images.train_x), images.train_y.astype(int), flat(images.test_x[:n]),
        images.test_y[:n].astype(int), seen, brain,
    )  # fmt: skip


def build(key, pixels: int, width: int) -> eqx.nn.MLP:
    """A network as its builder leaves it: three hidden layers of rectifiers, ten outputs."""
    return eqx.nn.MLP(pixels, 10, width, 3, key=key)


def layers(net: eqx.nn.MLP, x):
    """Activity of the hidden layers (layer, unit), and the outputs."""
    seen = []
    for layer in net.layers[:-1]:
        x = jax.nn.relu(layer(x))
        seen.append(x)
    return jnp.stack(seen), net.layers[-1](x)


@eqx.filter_jit
def activity(nets, x):
    """Hidden activity (net, layer, image, unit), network by network."""
    params, static = eqx.partition(nets, eqx.is_array)
    one = lambda p: jnp.swapaxes(jax.vmap(lambda i: layers(eqx.combine(p, static), i)[0])(x), 0, 1)
    return lax.map(one, params)


@eqx.filter_jit
def agreement(nets, x):
    """How much the map |gradient x input| of image i resembles image j: r (net, i, j)."""
    params, static = eqx.partition(nets, eqx.is_array)
    top = lambda p, i: layers(eqx.combine(p, static), i)[1].max()
    one = lambda p: _unit(jnp.abs(jax.vmap(lambda i: jax.grad(top, 1)(p, i) * i)(x))) @ _unit(x).T
    return lax.map(one, params)


def _unit(x):
    x = x - x.mean(1, keepdims=True)
    norm = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.where(norm > 0, norm, 1)


@eqx.filter_jit
def train(nets, x, y, key, steps: int, batch: int):
    """Networks that learn the ten classes, by Adam."""
    params, static = eqx.partition(nets, eqx.is_array)
    optimiser = optax.adam(2e-3)

    def loss(p, rows):
        out = jax.vmap(lambda i: layers(eqx.combine(p, static), i)[1])(x[rows])
        return optax.softmax_cross_entropy_with_integer_labels(out, y[rows]).mean()

    def one(p, key):
        def step(i, carry):
            p, state = carry
            rows = jr.randint(jr.fold_in(key, i), (batch,), 0, len(x))
            change, state = optimiser.update(jax.grad(loss)(p, rows), state)
            return optax.apply_updates(p, change), state

        return lax.fori_loop(0, steps, step, (p, optimiser.init(p)))[0]

    keys = jr.split(key, jax.tree.leaves(params)[0].shape[0])
    return eqx.combine(jax.vmap(one)(params, keys), static)


@eqx.filter_jit
def sparse_features(h, key, size: int, steps: int):
    """Features (net, image, feature) of a sparse autoencoder trained on each network's h (net, image, unit)."""
    h = h - h.mean(1, keepdims=True)
    h = h / jnp.sqrt((h**2).mean((1, 2), keepdims=True) + 1e-12)
    optimiser = optax.adam(1e-2)

    def one(h):
        w = jr.normal(key, (h.shape[1], size)) / h.shape[1] ** 0.5

        def loss(p):
            f = jax.nn.relu(h @ p["into"] + p["bias"][None])
            return ((h - f @ p["out"]) ** 2).mean() + 0.05 * f.mean()

        def step(_, carry):
            p, state = carry
            change, state = optimiser.update(jax.grad(loss)(p), state)
            return optax.apply_updates(p, change), state

        p = {"into": w, "bias": jnp.zeros(size), "out": w.T}
        p = lax.fori_loop(0, steps, step, (p, optimiser.init(p)))[0]
        return jax.nn.relu(h @ p["into"] + p["bias"][None])

    return jax.vmap(one)(h)


def probe(h: np.ndarray, y: np.ndarray, folds: int, penalty: float) -> np.ndarray:
    """Cross-validated accuracy of a ridge probe of h (image, unit) for each column of labels y in {-1, 1}."""
    n, right = len(h), 0.0
    for fold_ in np.array_split(np.arange(n), folds):
        inside = np.ones(n, bool)
        inside[fold_] = False
        mean, sd = h[inside].mean(0), h[inside].std(0)
        x = (h - mean) / np.where(sd > 0, sd, 1)  # by the training images only
        level = y[inside].mean(0)
        gram = x[inside].T @ x[inside] + penalty * np.eye(h.shape[1])
        weights = np.linalg.solve(gram, x[inside].T @ (y[inside] - level))
        right = right + ((x[fold_] @ weights + level > 0) == (y[fold_] > 0)).sum(0)
    return right / n


def correlations(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|r| of every feature (image, feature) with every column of y: (feature, column)."""
    a, b = features - features.mean(0), y - y.mean(0)
    norm = np.linalg.norm(a, axis=0)
    a = a / np.where(norm > 1e-9, norm, np.inf)
    return np.abs(a.T @ (b / np.linalg.norm(b, axis=0)))


def components(h: np.ndarray, k: int = 10) -> np.ndarray:
    """The first k principal components (image, k)."""
    h = h - h.mean(0)
    axes = np.linalg.eigh(h.T @ h)[1]
    return h @ axes[:, ::-1][:, : min(k, h.shape[1])]


class Seen(NamedTuple):
    """Statistics by family: (net, place, column); columns beyond the first have shuffled labels."""

    values: dict[str, np.ndarray]
    naive: dict[str, np.ndarray]


def statistics(nets, world: World, s: dict, key, shuffles: int = 0) -> Seen:
    """Every statistic of every network; `shuffles` columns more have labels or stimuli shuffled."""
    rng, n = generator(key, "labels"), len(world.test)
    orders = np.array([np.arange(n), *(rng.permutation(n) for _ in range(shuffles))])
    y = np.where(world.test_y % 2, 1.0, -1.0)[orders].T  # odd or even
    h = np.asarray(activity(nets, world.test), float)
    places = [(net, layer) for net in range(len(h)) for layer in range(h.shape[1])]
    shaped = lambda rows: np.reshape(rows, (*h.shape[:2], *np.shape(rows[0])))
    values, naive = {}, {}
    values["probe"] = shaped([probe(h[at], y, s["folds"], s["penalty"]) for at in places])
    hits = np.round(values["probe"][..., 0] * n)
    naive["probe"] = stats.binom.sf(hits - 1, n, 0.5)
    r = shaped([correlations(components(h[at]), y) for at in places]).reshape(
        len(h), -1, y.shape[1]
    )
    values["components"], naive["components"] = r, correlation_p(r[..., 0], n)
    few = s["coded"]
    f = sparse_features(
        h[:, 1, :few].astype(np.float32), fold(key, "code"), s["features"], s["steps"]
    )
    f = np.asarray(f, float)
    r = np.stack([correlations(one, y[:few]) for one in f])
    values["autoencoder"], naive["autoencoder"] = r, correlation_p(r[..., 0], few)
    maps = np.asarray(agreement(nets, world.test[:few]), float)
    turned = np.array([np.arange(few), *(rng.permutation(few) for _ in range(shuffles))])
    values["attribution"] = maps[:, np.arange(few)[None], turned].mean(2)[:, None]
    own = maps[:, np.arange(few), np.arange(few)]
    naive["attribution"] = stats.ttest_1samp(own, 0, axis=1, alternative="greater").pvalue[:, None]
    if world.brain is not None:
        values["alignment"], naive["alignment"] = aligned(nets, world, rng, shuffles)
    return Seen(values, naive)


def aligned(nets, world: World, rng, shuffles: int):
    """Spearman correlation of each layer's RDM with V4's, and the p of one who takes pairs for samples."""
    i, j = np.triu_indices(len(world.seen), 1)
    square = np.zeros((len(world.seen),) * 2)
    square[i, j] = square[j, i] = midranks(world.brain)
    orders = [np.arange(len(square)), *(rng.permutation(len(square)) for _ in range(shuffles))]
    ranks = np.stack([square[o[i], o[j]] for o in orders])
    ranks = ranks - ranks.mean(1, keepdims=True)
    ranks = ranks / np.linalg.norm(ranks, axis=1, keepdims=True)
    rows = []
    for h in np.asarray(activity(nets, world.seen), float):
        for layer in h:
            own = midranks(rdm(layer, "euclidean"))
            own = own - own.mean()
            rows.append(ranks @ own / np.linalg.norm(own))
    rho = np.reshape(rows, (-1, 3, len(ranks)))
    return rho, correlation_p(rho[..., 0], len(i)) * (rho[..., 0] > 0) + (rho[..., 0] <= 0)


def p_values(arm: str, seen: Seen, null: Seen | None) -> dict[str, np.ndarray]:
    """p of each network, by family: the smallest of its places (uncorrected), or of the best place."""
    out = {}
    for family, t in seen.values.items():
        if arm == "naive":
            out[family] = seen.naive[family].min(1)
        elif arm == "shuffled":
            best = t.max(1)
            out[family] = np.array([permutation_p(b[0], b[1:]) for b in best])
        elif arm == "per-place":
            out[family] = permutation_p(t[..., 0], null.values[family][:, None, :, 0]).min(1)
        else:
            best, of_null = t[..., 0].max(1), null.values[family][..., 0].max(1)
            out[family] = np.array([permutation_p(float(b), of_null) for b in best])
    return out


class Salmons(System):
    """An arm: one tick is a whole experiment, dead networks and trained ones under the arm's test."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    world: World = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key, w = self.settings, state["key"], self.world
        many = lambda name, n: eqx.filter_vmap(lambda k: build(k, w.test.shape[1], s["width"]))(
            jr.split(fold(key, name), n)
        )
        dead, fresh = many("dead", s["salmons"]), many("trained", s["trained"])
        alive = train(fresh, w.train, w.train_y, fold(key, "sgd"), s["updates"], 128)
        both = jax.tree.map(
            lambda a, b: jnp.concatenate([a, b]) if eqx.is_array(a) else a, dead, alive
        )
        seen = statistics(both, w, s, key, s["draws"] if self.arm == "shuffled" else 0)
        null = None
        if self.arm in ("corrected", "per-place"):
            null = statistics(many("null", s["nulls"]), w, s, key)
        p = p_values(self.arm, seen, null)
        empty = np.full(s["salmons"] + s["trained"], np.nan)
        best = {f: seen.values[f][..., 0].max(1) if f in seen.values else empty for f in FAMILIES}
        gone = np.full(s["nulls"], np.nan)
        return state, {
            **{f"p_{f}": np.asarray(p.get(f, empty)) for f in FAMILIES},
            **{f"t_{f}": best[f] for f in FAMILIES},
            **{
                f"null_{f}": null.values[f][..., 0].max(1) if null and f in null.values else gone
                for f in FAMILIES
            },
        }
