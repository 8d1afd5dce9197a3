"""A layer of neurons with a delay at every synapse: evidence, pruning, training on voxels of event films."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Int8, Key

from neuropil.core import System, fold
from neuropil.worlds.moving import MovingImages, accumulated_events, delta_events

CRITERIA = ("magnitude", "random", "shorten")
_BLOCK = 8  # films whose patches are gathered at once


def cone(depth: int, side: int) -> Float[np.ndarray, "delay side side"]:
    r"""How large a weight may be: a cone that narrows to one pixel at delay 0,

    $$m(d, r) = \Big[\tfrac{1 + \cos \pi r}{2} [r < 1]\Big]^{1/4} e^{-r^2 / 2 \sigma_d^2},
    \quad \sigma_d = 2.5 d / (D - 1) + 0.05$$
    """
    line = np.linspace(-1, 1, side + 2)[1:-1]
    r = np.hypot(line[:, None], line)
    sigma = 2.5 * np.arange(depth) / max(depth - 1, 1) + 0.05
    disk = ((np.cos(np.pi * np.minimum(r, 1)) + 1) / 2) ** 0.25
    return (disk * np.exp(-0.5 * (r / sigma[:, None, None]) ** 2)).astype(np.float32)


class Layer(eqx.Module):
    """`kernel[c, p, d, a, b]`: what an event of polarity p (0 OFF, 1 ON), d steps ago and (a, b) - side // 2
    pixels away, says for class c; `bias[c]`."""

    kernel: Float[Array, "*many class 2 delay side side"]
    bias: Float[Array, " class"]

    @staticmethod
    def start(key: Key[Array, ""], classes: int, depth: int, side: int) -> Layer:
        """Small random weights under the cone, and +-4 from the event that is there now."""
        small = (
            0.01 * jr.normal(key, (classes, 2, depth, side, side)) * cone(depth, side)[None, None]
        )
        middle = side // 2
        small = small.at[:, :, 0, middle, middle].set(jnp.array([[-4.0, 4.0]]))
        return Layer(small, jnp.zeros(classes))

    def evidence(self, s: Float[Array, "n delay area"], v=None) -> Float[Array, "n *many class"]:
        """Of patches of signed events `s`, the larger of the evidence as it is and with ON and OFF
        exchanged: with K+- = (K_on +- K_off) / 2 that is b + K+ |s| + |K- s|, two matrix products.
        `v`: |s|, where it is not that of single events."""
        v = jnp.abs(s) if v is None else v
        off, on = jnp.moveaxis(self.kernel, -4, 0)
        flat = lambda k: k.reshape(-1, s.shape[1] * s.shape[2]).T
        rows = lambda a: a.reshape(len(s), -1)
        total = rows(v) @ flat((on + off) / 2) + jnp.abs(rows(s) @ flat((on - off) / 2))
        return total.reshape(len(s), *self.kernel.shape[:-4]) + jnp.expand_dims(
            self.bias, tuple(range(self.kernel.ndim - 4))
        )


def padded(events: Int8[Array, "film step y x"], depth: int, side: int):
    """Zeros before the first step and round the window, so that every voxel has a whole patch."""
    r = side // 2
    return jnp.pad(events, ((0, 0), (depth - 1, 0), (r, r), (r, r)))


def patches(
    ready: Int8[Array, "film step y x"], at: Int[Array, "n 4"], depth: int, side: int
) -> Float[Array, "n delay area"]:
    """What the synapses of the neuron at (film, step, y, x) see, by delay 0, 1, ...; `ready` is
    `padded`."""
    _, steps, height, width = ready.shape
    film, t, y, x = at.T
    base = ((film * steps + t) * height + y) * width + x
    d, a, b = jnp.arange(depth), jnp.arange(side), jnp.arange(side)
    far = ((depth - 1 - d)[:, None, None] * height + a[None, :, None]) * width + b[None, None]
    index = base[:, None] + far.reshape(1, -1)
    found = ready.reshape(-1).at[index].get(mode="promise_in_bounds")
    return found.reshape(len(at), depth, side * side).astype(jnp.float32)


def evidence(layer: Layer, events: Int8[Array, "step y x"]) -> Float[Array, "step y x class"]:
    """Evidence at every voxel of a film, one step after the other: nothing comes before its events."""
    _, _, depth, side, _ = layer.kernel.shape
    steps, height, width = events.shape
    ready = padded(events[None], depth, side)
    y, x = (g.ravel() for g in jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))

    def one(t):
        at = jnp.stack([jnp.zeros_like(y), jnp.full_like(y, t), y, x], 1)
        return layer.evidence(patches(ready, at, depth, side)).reshape(height, width, -1)

    return lax.map(one, jnp.arange(steps))


def pruned(
    kernel: Float[Array, "class 2 delay side side"], levels: tuple[float, ...], key: Key[Array, ""]
) -> Float[Array, "criterion level class 2 delay side side"]:
    """The kernel with only a fraction of its weights kept, by three criteria and without retraining:
    the largest; random ones; those of the shortest delays (the largest first within one)."""
    size = jnp.abs(kernel).ravel()
    delay = jnp.broadcast_to(jnp.arange(kernel.shape[2])[None, None, :, None, None], kernel.shape)
    orders = (
        jnp.argsort(-size),
        jnp.argsort(jr.uniform(key, (size.size,))),
        jnp.lexsort((-size, delay.ravel())),
    )
    count = jnp.round(jnp.asarray(levels) * size.size)[:, None]
    ranks = [jnp.zeros(size.size, jnp.int32).at[o].set(jnp.arange(size.size)) for o in orders]
    keep = jnp.stack([r[None] < count for r in ranks])
    return jnp.where(keep, kernel.ravel()[None, None], 0.0).reshape(3, len(levels), *kernel.shape)


class Motion(System):
    """Logistic regression of the motion class from the events before each voxel; a tick is a set of
    new films, learnt by `updates` steps of Adam on `batch` voxels drawn from all of them.

    `still`: every patch is averaged over its delays first, so that only space is left; `shuffled`:
    films get the classes of other films. The last tick also tests: on films of one motion, by the
    classes summed over the share `top` of best voxels; see `score` of the page.
    """

    train: MovingImages
    test: MovingImages
    still: Bool[Array, ""]
    shuffled: Bool[Array, ""]
    depth: int = eqx.field(static=True)
    side: int = eqx.field(static=True)
    selectivity: float = eqx.field(static=True)
    remembers: bool = eqx.field(static=True)  # the sensor adds up differences until they cross
    films: int = eqx.field(static=True)
    updates: int = eqx.field(static=True)
    ticks: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    tests: int = eqx.field(static=True)
    voxels: int = eqx.field(static=True)
    top: float = eqx.field(static=True)
    levels: tuple[float, ...] = eqx.field(static=True)

    @property
    def tx(self) -> optax.GradientTransformation:
        """Adam whose rate falls to nothing by the end (half a cosine)."""
        return optax.adam(optax.cosine_decay_schedule(self.rate, self.ticks * self.updates))

    def init(self, dt, key):
        classes = len(self.train.velocities)
        layer = Layer.start(fold(key, "weights"), classes, self.depth, self.side)
        return {"layer": layer, "adam": self.tx.init(layer), "key": key}

    def step(self, state, x, tick):
        keys = jr.split(fold(tick.key, "films"), self.films)
        events, labels = self.events(self.train, keys, jnp.zeros(self.films, bool))
        mixed = labels[jnp.argsort(jr.uniform(fold(tick.key, "shuffle"), (self.films,)))]
        labels = jnp.where(self.shuffled, mixed, labels)
        layer, adam, loss = self._learn(state, events, labels, fold(tick.key, "voxels"))
        state = {**state, "layer": layer, "adam": adam}
        blank = jax.tree.map(
            lambda a: jnp.full(a.shape, jnp.nan, a.dtype),
            jax.eval_shape(self._judge, layer, state["key"]),
        )
        last = tick.i == self.ticks - 1
        found = lax.cond(last, lambda: self._judge(layer, state["key"]), lambda: blank)
        return state, {"loss": loss, **found}

    def events(self, world: MovingImages, keys, constant):
        """A film for each key as events (film, step, y, x), and the class at each step; `constant`: for
        each, whether its motion never changes."""
        sensor = accumulated_events if self.remembers else delta_events

        def one(now):
            frames, label = world.film(*now)
            return sensor(frames, self.selectivity * jnp.diff(frames, axis=0).std()), label

        return lax.map(one, (keys, constant), batch_size=min(len(keys), 4 * _BLOCK))

    def _seen(self, ready, at):
        """Patches and their absolute values; averaged over delays where time is taken away."""
        s = patches(ready, at, self.depth, self.side)
        mean = lambda a: jnp.broadcast_to(a.mean(1, keepdims=True), a.shape)
        both = (s, jnp.abs(s))
        return lax.cond(self.still, lambda: jax.tree.map(mean, both), lambda: both)

    def _draw(self, key, shape, films: int):
        """Random voxels whose whole past was filmed."""
        world = self.train
        low = jnp.array([0, self.depth - 1, 0, 0])
        span = jnp.array([films, world.steps - self.depth + 1, world.crop, world.crop])
        u = jr.uniform(key, (math.prod(shape), 4))
        return (low[None] + (u * span[None]).astype(jnp.int32)).reshape(*shape, 4)

    def _learn(self, state, events, labels, key):
        ready = padded(events, self.depth, self.side)
        at = self._draw(key, (self.updates, self.batch), self.films)
        bound, tx = jnp.asarray(cone(self.depth, self.side))[None, None], self.tx

        def cost(layer, seen, y):
            return optax.softmax_cross_entropy_with_integer_labels(layer.evidence(*seen), y).mean()

        def body(now, at):
            layer, adam = now
            y = labels[at[:, 0], at[:, 1]]
            loss, gradient = jax.value_and_grad(cost)(layer, self._seen(ready, at), y)
            change, adam = tx.update(gradient, adam)
            layer = optax.apply_updates(layer, change)
            most = bound * jnp.abs(layer.kernel).max()
            return (Layer(jnp.clip(layer.kernel, -most, most), layer.bias), adam), loss

        (layer, adam), loss = lax.scan(body, (state["layer"], state["adam"]), at)
        return layer, adam, loss.mean()

    def _judge(self, layer, key):
        """Accuracy of every pruned layer on films of one motion; step by step on films that change."""
        many = Layer(pruned(layer.kernel, self.levels, fold(key, "prune")), layer.bias)
        k = max(1, round(self.top * self.voxels))

        def decide(layer, ready, at, votes):  # at (group, voxel, 4): one decision a group
            groups, n = at.shape[:2]
            b = layer.evidence(*self._seen(ready, at.reshape(-1, 4)))
            b = jnp.moveaxis(b.reshape(groups, n, *b.shape[1:]), 1, -2)
            # by rank, not by a quantile: after pruning most voxels tie at the bias
            best = lax.top_k(b.max(-1), votes)[1]
            return jnp.take_along_axis(b, best[..., None], -2).mean(-2).argmax(-1)

        last = self.depth - 1
        steps = self.test.steps - last

        def block(now):  # films of one motion, and a film whose motion changes
            keys, place = now
            changes = jnp.arange(_BLOCK + 1) == _BLOCK
            events, label = self.events(self.test, keys, ~changes)
            ready = padded(events, self.depth, self.side)
            few = max(8, self.voxels // 8)
            at = self._draw(place, (_BLOCK * self.voxels + steps * few,), 1)
            at, then = at[: _BLOCK * self.voxels], at[_BLOCK * self.voxels :]
            at = at.reshape(_BLOCK, self.voxels, 4).at[:, :, 0].set(jnp.arange(_BLOCK)[:, None])
            then = then.reshape(steps, few, 4).at[:, :, 0].set(_BLOCK)
            then = then.at[:, :, 1].set(last + jnp.arange(steps)[:, None])
            right = decide(many, ready, at, k) == label[:_BLOCK, 0][:, None, None]
            now = decide(layer, ready, then, max(1, round(self.top * few)))
            return right, (now == label[_BLOCK, last:]).mean(), (events[:_BLOCK] != 0).mean()

        # a last short block is filled up with the first films again, which are then left out
        blocks = -(-self.tests // _BLOCK)
        keys = test_keys(key, self.tests)[jnp.arange(blocks * _BLOCK) % self.tests]
        keys = jnp.concatenate(
            [keys.reshape(blocks, _BLOCK), jr.split(fold(key, "changing"), blocks)[:, None]], 1
        )
        places = jr.split(fold(key, "places"), blocks)
        right, step, rate = lax.map(block, (keys, places))
        right = right.reshape(-1, *right.shape[2:])[: self.tests]
        return {
            "accuracy": right.astype(jnp.float32).mean(0),
            "switching": step.mean(),
            "events": rate.mean(),
            "slope": slopes(layer.kernel),
            "shown": shown(layer.kernel),
        }


class Correlation(System):
    """Ceiling: the planted motion read from the frames, not from events; a tick is all test films.

    The cross-spectrum of consecutive frames (under a Hann window, summed over a film) has the phase of
    their shift; the class is the one whose velocity takes it away best. The films are those of `Motion`.
    """

    test: MovingImages
    depth: int = eqx.field(static=True)
    tests: int = eqx.field(static=True)

    def init(self, dt, key):
        return key

    def step(self, state, x, tick):
        side = self.test.crop
        f = (jnp.fft.fftfreq(side)[:, None], jnp.fft.fftfreq(side)[None])
        v = self.test.velocities
        turn = jnp.exp(2j * jnp.pi * (f[0][None] * v[:, :1, None] + f[1][None] * v[:, 1:, None]))
        hann = jnp.hanning(side + 2)[1:-1]

        def one(key):
            frames, label = self.test.film(key, True)
            seen = jnp.fft.fft2(frames[self.depth - 1 :] * (hann[:, None] * hann[None])[None])
            cross = (jnp.conj(seen[:-1]) * seen[1:]).sum(0)
            return (cross[None] * turn).real.sum((1, 2)).argmax() == label[0]

        right = lax.map(one, test_keys(state, self.tests), batch_size=_BLOCK)
        return state, {"accuracy": right.astype(jnp.float32).mean()}


def test_keys(key, tests: int):
    """The key of each test film, the same for every arm of a seed."""
    return jr.split(fold(key, "test"), tests)


def centred(kernel):
    """K- less its mean over classes, which says nothing about the class: (class, delay, y, x)."""
    tuned = (kernel[:, 1] - kernel[:, 0]) / 2
    return tuned - tuned.mean(0, keepdims=True)


def slopes(kernel) -> Float[Array, "class 2"]:
    """Pixels a step at which the positive weights move with delay: their centre of mass at each delay,
    regressed on the delay through the origin. Events of a motion v lie at -v d, so this is -v where v
    was learnt. The fourth power is the mass, so that peaks count and the many small weights do not; a
    delay at which the peak has left the kernel counts as little as its mass."""
    mass = jnp.maximum(centred(kernel), 0.0) ** 4
    mass = mass / jnp.maximum(mass.max((1, 2, 3), keepdims=True), 1e-30)  # float32 would underflow
    depth, side = kernel.shape[2], kernel.shape[3]
    place = jnp.arange(side) - side // 2.0
    total = mass.sum((2, 3))
    moment = [(mass.sum(axis) * place[None, None]).sum(2) for axis in (3, 2)]  # total times centre
    d = jnp.arange(depth, dtype=jnp.float32)[None]
    fit = lambda m: (m * d).sum(1) / jnp.maximum((total * d**2).sum(1), 1e-12)
    return jnp.stack([fit(m) for m in moment], axis=1)


def shown(kernel) -> Float[Array, "class delay y x"]:
    """A few planes for the figure: of four classes of one speed, at four delays."""
    classes, depth = len(kernel), kernel.shape[2]
    some = np.linspace(0, classes // 2, 5)[:4].astype(int)
    return centred(kernel)[some][:, np.linspace(0, depth - 1, 4).astype(int)]
