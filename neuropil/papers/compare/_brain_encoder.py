"""Simulator, real data and arms of transformer_brain_encoder.py."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from neuropil.coding.gabor import gabor_energy
from neuropil.compare.readouts import (
    AttentionPool,
    GaussianField,
    Readout,
    SemanticField,
    SpatialFeature,
)
from neuropil.compare.ridge import Ridge
from neuropil.core import System
from neuropil.core.random import generator
from neuropil.stats import correlate

WORLDS = ("simulated", "v4")
CORNERS = ((1, 1), (-2, -2))  # row and column of the two retinotopic fields
NUMBERS = ("category", "retinotopic", "explained", "routing", "field", "v4")


class World(NamedTuple):
    """Maps (image, place, width), responses (image, voxel), region of each voxel, how many images train.

    Of simulations also: where each category's object is (image, category; -1: absent), the planted fields
    (region, place), the vectors that an oracle reads (image, region, width).
    """

    maps: np.ndarray
    responses: np.ndarray
    region: np.ndarray
    train: int
    place: np.ndarray | None = None
    field: np.ndarray | None = None
    oracle: np.ndarray | None = None

    @property
    def parts(self):
        """Training and test maps and responses."""
        n = self.train
        return self.maps[:n], self.responses[:n], self.maps[n:], self.responses[n:]


def simulate(rng: np.random.Generator, s: dict) -> World:
    """Objects of categories at random places of a map; regions that read a category's object, wherever it is,
    and regions that read a fixed field."""
    side, d, kinds, voxels = s["side"], s["width"], s["categories"], s["voxels"]
    n, places = s["train"] + s["test"], s["side"] ** 2
    maps = 0.7 * rng.normal(size=(n, places, d))
    codes = np.linalg.qr(rng.normal(size=(d, kinds)))[0].T
    present = rng.random((n, kinds)) < 0.5
    place = rng.random((n, places)).argsort(1)[:, :kinds]
    own = rng.normal(size=(n, kinds, d))
    own -= own @ codes.T @ codes  # an object's identity says nothing of its category
    objects = (3 * codes[None] + own) * present[:, :, None]
    np.add.at(maps, (np.arange(n)[:, None], place), objects)
    row, column = np.divmod(np.arange(places), side)
    field = np.stack(
        [np.exp(-((row - r % side) ** 2 + (column - c % side) ** 2) / (2 * 0.8**2)) for r, c in CORNERS]
    )  # fmt: skip
    field /= field.sum(1, keepdims=True)
    oracle = np.concatenate([objects, np.einsum("fp,npd->nfd", field, maps)], axis=1)
    weights = rng.normal(size=(kinds + len(CORNERS), voxels, d))
    signal = np.einsum("nrd,rvd->nrv", oracle, weights).reshape(n, -1)
    signal = (signal - signal.mean(0)) / signal.std(0)
    responses = signal + rng.normal(size=signal.shape)
    region = np.repeat(np.arange(kinds + len(CORNERS)), voxels)
    where = np.where(present, place, -1)
    return World(maps.astype(np.float32), responses, region, s["train"], where, field, oracle)


def features(images: np.ndarray, cells: int = 7) -> np.ndarray:
    """Maps (image, place, 16) of images: Gabor energy of 3 wavelengths x 4 orientations, two colour contrasts,
    luminance and its deviation, in cells x cells fields."""
    x = images.astype(np.float32)
    n, high, wide, _ = x.shape
    x = x.reshape(n, high // 2, 2, wide // 2, 2, 3).mean((2, 4)) / 255
    grey = x.mean(-1)
    energy = gabor_energy(grey, wavelengths=(4.0, 8.0, 16.0), orientations=4, cells=cells)
    block = lambda a: a.reshape(n, cells, high // 2 // cells, cells, wide // 2 // cells)
    colour = (x[..., 0] - x[..., 1], x[..., 2] - x[..., :2].mean(-1), grey)
    others = [block(c).mean((2, 4)) for c in colour] + [block(grey).std((2, 4))]
    made = np.concatenate([energy, np.stack(others, 1)], axis=1)
    return made.reshape(n, made.shape[1], -1).transpose(0, 2, 1).astype(np.float32)


def load(settings: dict):
    """Maps (image, place, width) and mean responses (image, neuron) of macaque V4; None for a simulation."""
    if settings["data"] != "macaque-v4":
        return None
    from neuropil.worlds import datasets

    session = datasets.load("macaque-v4")["190923"]
    return features(session.images), np.asarray(session.mean.T, float)


def recorded(rng: np.random.Generator, data, s: dict) -> World:
    """The session, images in an order of the seed."""
    maps, responses = data
    order = rng.permutation(len(maps))
    return World(maps[order], responses[order], np.arange(responses.shape[1]), s["train_v4"])


def flat(maps: np.ndarray) -> np.ndarray:
    """All tokens side by side."""
    return maps.reshape(len(maps), -1)


def pooled(maps: np.ndarray) -> np.ndarray:
    """Mean, largest and variance over places of each feature."""
    return np.concatenate([maps.mean(1), maps.max(1), maps.var(1)], axis=1)


def by_ridge(world: World, read) -> np.ndarray:
    """Test predictions of ridge, a penalty for each voxel, on features read off the maps."""
    x, y, held, _ = world.parts
    x, held = read(x), read(held)
    centre, scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1)
    return Ridge(cv=5).fit((x - centre) / scale, y).predict((held - centre) / scale)


def by_oracle(world: World) -> np.ndarray:
    """Test predictions of ridge on the vector that a region truly reads."""
    n, made = world.train, []
    for r in range(world.oracle.shape[1]):
        x = world.oracle[:, r]
        made.append(Ridge(cv=5).fit(x[:n], world.responses[:n, world.region == r]).predict(x[n:]))
    return np.concatenate(made, axis=1)


READOUTS = {
    "attention": AttentionPool.init_normal,
    "position": partial(AttentionPool.init_normal, content=False),
    "shuffled": AttentionPool.init_normal,
    "factorised": SpatialFeature.init_normal,
    "gaussian": GaussianField.init_normal,
    "semantic": SemanticField.init_normal,
}
OWN = ("factorised", "gaussian")  # a field for each voxel


def by_readout(arm: str, world: World, s: dict, rng: np.random.Generator) -> Readout:
    """A trained readout."""
    x, y, _, _ = world.parts
    if arm == "shuffled":
        y = y[rng.permutation(len(y))]
    attends = READOUTS[arm] in (READOUTS["attention"], READOUTS["position"])
    make = partial(READOUTS[arm], heads=s["heads"]) if attends else READOUTS[arm]
    return Readout(
        make,
        region=None if arm in OWN else world.region,
        epochs=s["epochs"],
        batch=s["batch"],
        rate=s["rate"] if attends else s["rate_field"],
        seed=int(rng.integers(2**31)),
    ).fit(x, y)


_look = eqx.filter_jit(lambda model, x: jax.vmap(model.attention)(x).mean(1))


def looks(arm: str, model: Readout, world: World) -> np.ndarray | None:
    """Where each region looks (image or 1, region, place); a field for each voxel averaged in its region."""
    if arm in ("attention", "position", "shuffled"):
        held = world.parts[2]
        return np.asarray(_look(model.model_, model._scaled(held)))
    if arm in OWN:
        masks = np.asarray(model.model_.masks())
        return np.stack([masks[world.region == r].mean(0) for r in np.unique(world.region)])[None]
    return None


def measure(arm: str, world: World, s: dict, rng: np.random.Generator) -> dict:
    """Numbers as in `NUMBERS`, and what the figure shows."""
    places, kinds = world.maps.shape[1], s["categories"]
    found = np.full(len(NUMBERS), np.nan)
    shown = np.full((3, places), np.nan)
    look = None
    if arm == "oracle":
        made = by_oracle(world)
    elif arm in ("ridge", "pooled"):
        made = by_ridge(world, flat if arm == "ridge" else pooled)
    else:
        model = by_readout(arm, world, s, rng)
        made, look = model.predict(world.parts[2]), looks(arm, model, world)
    r = np.nan_to_num(correlate(made, world.parts[3]))
    if world.place is None:
        found[5] = r.mean()
        return {"found": found, "shown": shown, "voxels": np.resize(r, s["shown"])}
    routed = world.region < kinds
    found[:3] = (
        r[routed].mean(),
        r[~routed].mean(),
        np.minimum(np.maximum(r, 0) ** 2 / 0.5, 1).mean(),
    )
    shown[2] = world.field[0]
    if look is not None:
        place = world.place[world.train :]
        there = place >= 0
        image, kind = np.nonzero(there)
        over = np.broadcast_to(look, (len(place), *look.shape[1:]))
        found[3] = over[image, kind, place[there]].mean()
        mean = look.mean(0)[kinds:]
        found[4] = np.minimum(mean, world.field).sum(1).mean()
        first = int(np.flatnonzero(there[:, 0])[0])
        shown[0], shown[1] = mean[0], over[first, 0]
        shown[2] = world.field[0] + 10 * (np.arange(places) == place[first, 0])
    return {"found": found, "shown": shown, "voxels": np.resize(r, s["shown"])}


class Encoder(System):
    """An arm: one tick is one world."""

    arm: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    data: tuple | None = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, name = self.settings, WORLDS[int(tick.i)]
        rng = generator(state["key"], name)
        missing = name == "v4" and (self.data is None or self.arm == "oracle")
        if missing:
            nothing = {"found": len(NUMBERS), "voxels": s["shown"]}
            out = {k: np.full(n, np.nan) for k, n in nothing.items()}
            return state, out | {"shown": np.full((3, s["side"] ** 2), np.nan)}
        world = simulate(rng, s) if name == "simulated" else recorded(rng, self.data, s)
        # all arms see one world, and none the draws of another
        return state, measure(self.arm, world, s, generator(state["key"], f"{name} {self.arm}"))
