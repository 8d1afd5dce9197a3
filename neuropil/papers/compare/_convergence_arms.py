"""Arms of brain_model_convergence.py: networks in training, and what stands in their place, beside brains."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from neuropil.coding.gabor import gabor_energy
from neuropil.compare.dissimilarity import rdm
from neuropil.compare.hierarchy import level_encoding, order_score
from neuropil.compare.rdms import similarity
from neuropil.core import System
from neuropil.core.random import generator
from neuropil.papers.compare._convergence_data import (
    TIMES,
    Data,
    class_token,
    components,
    flat,
    plant,
)
from neuropil.papers.compare._convergence_net import fresh, tokens, trained

SCORES = ("v4", "v4_all", "v4_class", "it_human", "it_monkey", "planted", "spatial", "temporal")
GAPS = (*SCORES, "best_level", "best_time")


class Sample:
    """Neurons and images of a seed, drawn with replacement, the same for all arms.

    The interval over seeds then says how far a difference between arms would be the same for other neurons of
    the session and other images, not only for other weights.
    """

    def __init__(self, neurons: int, images: int, seed: int):
        rng = np.random.default_rng(seed)
        self.neurons = rng.integers(0, neurons, neurons)
        self.images = np.bincount(rng.integers(0, images, images), minlength=images).astype(float)


def measured(
    levels: list, objects: list | None, classes: list | None, data: Data, settings: dict, seed: int
) -> dict:
    """Scores of features beside the brains: `levels` of the stimuli (image, feature), `objects` of the 92."""
    s = settings
    planted = plant([components(x, s["mixed"]) for x in data.levels], s, seed)
    v4 = None if data.v4 is None else np.nanmean(data.v4, 0)
    parts = [planted.voxels, planted.sensors] + ([] if v4 is None else [v4])
    y = np.concatenate([(p - p.mean(0)) / p.std(0) for p in parts], 1).astype(np.float32)
    made = level_encoding(levels, y, components=s["components"])
    voxels, sensors = planted.voxels.shape[1], planted.sensors.shape[1]
    out = {name: np.nan for name in SCORES}
    table = made.correlation(y)
    groups = np.concatenate([planted.area, np.full(y.shape[1] - voxels, -1)])
    groups[voxels + sensors :] = -2
    out["planted"] = made.best(y, groups)[:voxels].mean()
    areas = np.unique(planted.area)
    level = np.array([table[:, np.flatnonzero(planted.area == a)].mean(1).argmax() for a in areas])
    late = table[:, voxels : voxels + sensors].reshape(len(levels), -1, len(TIMES)).mean(1)
    time = TIMES[late.argmax(1)].astype(float)
    if len(levels) > 2:
        out["spatial"] = order_score(level, areas)
        out["temporal"] = order_score(np.arange(len(levels)), time)
    if v4 is not None:
        drawn = Sample(v4.shape[1], len(v4), seed)
        top = np.sqrt(data.reliable)
        mine = slice(voxels + sensors, None)
        r = made.best(y, groups, drawn.images)[mine][drawn.neurons]
        out["v4"] = r.mean() / top[drawn.neurons].mean()
        out["v4_all"] = made.best(y, groups)[mine].mean() / top.mean()
        if classes is not None:
            alone = level_encoding(classes, y[:, mine], components=s["components"])
            out["v4_class"] = alone.best(y[:, mine], groups[mine]).mean() / top.mean()
    if objects is not None and data.human is not None:
        out |= geometry(objects, data)
    pad = np.full(s["depth"] + 1, np.nan)
    pad[: len(time)] = time
    return out | {"best_level": level.astype(float), "best_time": pad}


def geometry(levels: list, data: Data) -> dict:
    """Spearman with IT. The level is chosen on people's first session for the second, on people for monkeys."""
    with_noise = [
        x + 1e-9 * np.arange(x.shape[1]) for x in levels
    ]  # a level of equal values has a direction
    models = np.stack([rdm(x, "correlation") for x in with_noise])
    first, second = data.human.mean(1)
    choose = lambda target: int(np.argmax(similarity(models, target, "spearman")))
    return {
        "it_human": similarity(models[choose(first)], second, "spearman"),
        "it_monkey": similarity(models[choose(data.human.mean((0, 1)))], data.monkey, "spearman"),
    }


def _drawn(key):
    """The number of a seed's sample, the same in every arm."""
    return jnp.int32(generator(key, "sample").integers(2**31 - 1))


def _arrays(out: dict) -> dict:
    return {name: jnp.asarray(value, jnp.float32) for name, value in out.items()}


class Learning(System):
    """A network of a width, trained on a kind of images; a tick is the stretch up to the next checkpoint.

    State: the trainer's carry, and the number that draws the sample. Output: the scores at the checkpoint, of
    the teacher's weights, as is customary.
    """

    data: Data = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    width: int = eqx.field(static=True)
    kind: str = eqx.field(static=True)

    def init(self, dt, key):
        return fresh(self.settings, self.width, key)[0], _drawn(key)

    def step(self, state, x, tick):
        s, at, (carry, seed) = self.settings, int(tick.i), state
        trainer = fresh(s, self.width, carry.key)[1]  # what it has learned is in its carry
        if at:
            begin, end = s["steps"][at - 1 : at + 1]
            carry = trained(trainer, carry, self.data.train[self.kind], begin, end, s["batch"])
        net = trainer.model(carry).network
        seen = tokens(net, self.data.stimuli)
        objects = None
        if self.data.objects is not None:
            objects = [flat(x) for x in tokens(net, self.data.objects)]
        classes = [class_token(x) for x in seen]
        levels = [flat(x) for x in seen]
        found = measured(levels, objects, classes, self.data, s, int(seed))
        return (carry, seed), _arrays(found)


class Fixed(System):
    """Features that do not learn: pixels, Gabor energies, the planted brain's own levels, or these shuffled."""

    data: Data = eqx.field(static=True)
    settings: dict = eqx.field(static=True)
    what: str = eqx.field(static=True)

    def init(self, dt, key):
        return _drawn(key)

    def step(self, state, x, tick):
        data, objects = self.data, None
        if self.what in ("pixels", "gabor"):
            levels = [self._features(data.stimuli)]
            objects = None if data.objects is None else [self._features(data.objects)]
        else:
            levels = data.levels
            if self.what == "shuffled":
                order = generator(tick.key, "shuffle").permutation(len(data.stimuli))
                levels = [x[order] for x in levels]
        return state, _arrays(measured(levels, objects, None, data, self.settings, int(state)))

    def _features(self, images):
        if self.what == "pixels":
            return images.reshape(len(images), -1)
        return gabor_energy(images).reshape(len(images), -1)
