"""The arms of meta-neuron-lzc: a tick is a whole fit on all four problems at once.

Arms of one kind of cell and one rule differ in numbers only, so they share one compiled program.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.core import System, fold
from neuropil.papers.build import _meta_lzc_net as nets
from neuropil.papers.build._meta_lzc_data import CLASSES, SETS, TICKS, UNITS, WIDE, draw, sources
from neuropil.stats.complexity import lempel_ziv

OUT = 4
BINS = 20  # points of a loss curve


class Does(eqx.Module):
    """What an arm does; numbers, so that all arms are one program.

    `weights`, `readout`, `constants`: times the step sizes of hidden weights, output weights and the cells'
    constants, 0 for what is fixed; `stdp`: hidden weights have learned by STDP before; `spread`: deviation of
    the constants at the start (of their logarithms); `hidden`: cells in use; `candidates`: pairs of constants
    that are tried beforehand, the best of which is kept.
    """

    weights: Array
    readout: Array
    constants: Array
    stdp: Array
    spread: Array
    hidden: Array
    candidates: Array

    @staticmethod
    def of(
        weights=1, readout=1, constants=0, stdp=False, spread=0.0, hidden=32, candidates=0
    ) -> Does:
        """From plain numbers."""
        real = lambda v: jnp.asarray(v, jnp.float32)
        return Does(
            real(weights), real(readout), real(constants), jnp.asarray(stdp), real(spread),
            jnp.asarray(hidden), jnp.asarray(candidates),
        )  # fmt: skip


def grid() -> dict[str, Array]:
    """Constants of the LIF cell tried on the validation split: tau 5, 20, 80 ms x threshold 1/2, 1, 2."""
    tau, threshold = jnp.meshgrid(jnp.array([5.0, 20.0, 80.0]), jnp.array([0.5, 1.0, 2.0]))
    return {"tau": tau.ravel(), "threshold": threshold.ravel()}


class Fit(System):
    """Trains a network on every problem and says how well it decides.

    Output: accuracy on the test samples by problem ("accuracy"), that of linear discriminants of the output
    cells' spike counts ("count"), Lempel-Ziv complexities ("lzc") and both, the loss on its way, and
    constants after training (mean and deviation over hidden cells).
    """

    does: Does
    braille: Any
    kind: str = eqx.field(static=True)
    rule: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        nothing = {"score": jnp.full(len(SETS), -1.0)}
        chosen = {n: jnp.full(len(SETS), v) for n, v in nets.NORMAL[self.kind].items()}
        return nothing | {"chosen": chosen, "key": key}

    def step(self, state, x, tick):
        s, key, does = self.settings, state["key"], self.does
        problem = draw(fold(key, "data"), self.braille, (s["train"], s["valid"], s["test"]))
        trial = tick.i < does.candidates
        given, updates = state["chosen"], jnp.asarray(s["updates"])
        if self.kind == "lif":
            tried = {n: jnp.broadcast_to(v[tick.i % len(v)], len(SETS)) for n, v in grid().items()}
            given = jax.tree.map(lambda a, b: jnp.where(trial, a, b), tried, given)
            updates = jnp.where(trial, s["try_updates"], updates)
        one = lambda given, x, y, classes, n: self._fit(given, x, y, classes, n, updates, key)
        theta, losses = jax.vmap(one)(
            given, problem.train, problem.train_y, jnp.array(CLASSES), jnp.arange(len(SETS))
        )
        decide = jax.vmap(self._decisions)
        valid = (decide(theta, problem.valid, jnp.array(CLASSES))[0] == problem.valid_y).mean(1)
        better = trial & (valid > state["score"])
        after = {
            "score": jnp.where(better, valid, state["score"]),
            "chosen": jax.tree.map(lambda a, b: jnp.where(better, a, b), given, state["chosen"]),
            "key": key,
        }
        out = {"loss": losses, "valid": valid} | self._measured(theta, problem, trial)
        return after, out

    def _fit(self, given, x, y, classes, number, updates, key):
        """Parameters of one problem after training, and the loss on its way."""
        s, does = self.settings, self.does
        key = jr.fold_in(fold(key, "fit"), number)
        sizes = (WIDE, s["hidden"], OUT)
        theta = nets.begin(self.kind, sizes, does.spread, key, given)
        if self.rule == "tempotron":
            theta = {"w": theta["w2"][:, :WIDE] / 2, "out": theta["out"]}
            cost, rate = nets.tempotron_cost, s["tempotron_rate"]
        else:
            shown = x[: s["stdp"] // s["stdp_batch"] * s["stdp_batch"]]
            shown = shown.reshape(s["stdp_batch"], -1, WIDE)
            learn = lambda: nets.stdp_weights(self.kind, theta, shown)
            theta["w1"] = lax.cond(does.stdp, learn, lambda: theta["w1"])
            theta["w2"] = theta["w2"] * (jnp.arange(s["hidden"]) < does.hidden)[None]
            cost, rate = nets.cross_entropy, s["rate"]
        rates = nets.Rates(
            rate * does.weights, rate * does.readout, s["constants_rate"] * does.constants
        ).of(theta)
        tx = optax.scale_by_adam()
        batches = jr.randint(fold(key, "batches"), (s["updates"], s["batch"]), 0, len(x))

        def update(i, now):
            theta, opt, losses = now
            at = batches[i]
            loss, slope = jax.value_and_grad(lambda t: cost(self.kind, t, x[at], y[at], classes))(
                theta
            )
            if "w2" in theta:
                slope["w2"] = slope["w2"] * (jnp.arange(s["hidden"]) < does.hidden)[None]
            move, opt = tx.update(slope, opt)
            theta = jax.tree.map(lambda a, m, r: a - r * m, theta, move, rates)
            at = i * BINS // updates
            return theta, opt, losses.at[at].add(loss * BINS / updates)

        begin = (theta, tx.init(theta), jnp.zeros(BINS))
        theta, _, losses = lax.fori_loop(0, updates, update, begin)
        return theta, losses

    def _decisions(self, theta, x, classes):
        """Decisions and output spikes, a part of the samples at a time."""
        parts = x.reshape(-1, self.settings["part"], *x.shape[1:])
        if self.rule == "tempotron":
            above = lax.map(lambda x: nets.peaks(self.kind, theta, x), parts)
            return _largest(above.reshape(-1, OUT), classes), None
        spikes = lax.map(lambda x: nets.output_spikes(self.kind, theta, x).astype(jnp.uint8), parts)
        spikes = spikes.reshape(-1, TICKS, OUT)
        return _largest(spikes.astype(jnp.float32).sum(1), classes), spikes

    def _measured(self, theta, problem, trial):
        decide, classes = jax.vmap(self._decisions), jnp.array(CLASSES)
        decided, spikes = decide(theta, problem.test, classes)
        out = {"accuracy": (decided == problem.test_y).mean(1)}
        for name, value in nets.bounded(theta["hidden" if "hidden" in theta else "out"]).items():
            out[f"constant-{name}"] = jnp.stack([value.mean(1), value.std(1)], 1)
        if self.rule == "tempotron":
            return out

        def read():
            _, seen = decide(theta, problem.train, classes)
            args = (_features(seen), problem.train_y, _features(spikes), problem.test_y)
            return judged(*args)

        empty = jnp.zeros(len(SETS))
        nothing = lambda: {"count": empty, "lzc": empty, "both": empty}
        return out | lax.cond(trial, nothing, read)


def _largest(scores: Array, classes: Array) -> Array:
    """The largest of the first `classes` scores of each sample."""
    return jnp.where(jnp.arange(OUT)[None] < classes, scores, -jnp.inf).argmax(1)


def _features(spikes: Array) -> tuple[Array, Array]:
    """Spike counts and Lempel-Ziv complexities of trains (set, sample, time, unit)."""
    time_first = jnp.moveaxis(spikes, 2, 0)
    return spikes.astype(jnp.float32).sum(2), lempel_ziv(time_first).astype(jnp.float32)


def judged(train, train_y, test, test_y) -> dict[str, Array]:
    """Accuracy by problem of linear discriminants of counts, of complexities, and of both."""
    classes = jnp.array(CLASSES)
    kinds = {
        "count": lambda f: f[0],
        "lzc": lambda f: f[1],
        "both": lambda f: jnp.concatenate(f, -1),
    }
    return {
        name: jax.vmap(discriminant)(pick(train), train_y, pick(test), test_y, classes)
        for name, pick in kinds.items()
    }


def discriminant(train: Array, y: Array, test: Array, test_y: Array, classes: Array) -> Array:
    """Test accuracy of Fisher's linear discriminant, fitted on the training samples: classes of equal weight,
    one covariance (with a thousandth of its mean diagonal added), features scaled to deviation 1."""
    middle, sd = train.mean(0, keepdims=True), train.std(0, keepdims=True)
    scaled = lambda x: jnp.where(sd > 1e-5, (x - middle) / jnp.where(sd > 1e-5, sd, 1.0), 0.0)
    train, test = scaled(train), scaled(test)
    one = jax.nn.one_hot(y, OUT)
    means = one.T @ train / jnp.maximum(one.sum(0), 1)[:, None]
    rest = train - means[y]
    cov = rest.T @ rest / len(train)
    cov = cov + (1e-3 * jnp.trace(cov) / len(cov) + 1e-9) * jnp.eye(len(cov))
    axes = jnp.linalg.solve(cov, means.T)  # (feature, class)
    scores = test @ axes - 0.5 * (means.T * axes).sum(0)[None]
    return (_largest(scores, classes) == test_y).mean()


class Inputs(System):
    """No network: linear discriminants of the input trains' counts and complexities.

    Output: "accuracy" (of the features the arm uses, all trains together), "single" (the mean over trains of
    decisions that see one train only).
    """

    use: Array  # (count, complexity), 1 or 0
    shuffled: Array
    braille: Any
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, state["key"]
        problem = draw(fold(key, "data"), self.braille, (s["train"], s["valid"], s["test"]))
        train, test = problem.train, problem.test

        def mixed(x, key):  # the ticks of every sample in another order
            order = jnp.argsort(jr.uniform(key, x.shape[:3]), axis=2)
            return jnp.take_along_axis(x, order[..., None], axis=2)

        mix = lambda: (mixed(train, fold(key, "mix")), mixed(test, fold(key, "mix test")))
        train, test = lax.cond(self.shuffled, mix, lambda: (train, test))
        use = jnp.repeat(self.use, WIDE)
        features = lambda x: jnp.concatenate(_features(x), -1) * use
        train, test = features(train), features(test)
        y, test_y, classes = problem.train_y, problem.test_y, jnp.array(CLASSES)
        every = jax.vmap(discriminant)(train, y, test, test_y, classes)
        pairs = lambda f: jnp.moveaxis(f.reshape(*f.shape[:2], 2, WIDE), 3, 0)
        one = jax.vmap(jax.vmap(discriminant), (0, None, 0, None, None))
        single = one(pairs(train), y, pairs(test), test_y, classes)  # (train, set)
        alive = jnp.arange(WIDE)[:, None] < jnp.array([UNITS] * 3 + [WIDE])[None]
        single = jnp.where(alive, single, 0).sum(0) / alive.sum(0)
        return state, {"accuracy": every, "single": single}


class Ideal(System):
    """The likelihood ratio of the true sources, which no decision beats on average; NaN for Braille."""

    braille: Any
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, fold(state["key"], "data")
        problem = draw(key, self.braille, (s["train"], s["valid"], s["test"]))
        accuracy = []
        for k, pair in enumerate(sources(key)):
            trains = problem.test[k, :, :, :UNITS].astype(jnp.float32)
            score = jnp.stack([jax.vmap(source.log_likelihood)(trains) for source in pair], 1)
            accuracy.append((score.argmax(1) == problem.test_y[k]).mean())
        return state, {"accuracy": jnp.stack([*accuracy, jnp.nan])}
