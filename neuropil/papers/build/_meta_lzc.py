"""The arms of meta-neuron-lzc: a tick is a whole fit on all four problems at once.

Arms of one kind of cell and one rule differ in numbers only, so they share their compiled programs.
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
    """Trains a network on every problem and says how well it decides. Host code round compiled parts, so that
    arms share them.

    Output: accuracy on the test samples by problem ("accuracy"), that of linear discriminants of the output
    cells' spike counts ("count"), Lempel-Ziv complexities ("lzc") and both, the loss on its way, and
    constants after training (mean and deviation over cells).
    """

    does: Does
    braille: Any
    kind: str = eqx.field(static=True)
    rule: str = eqx.field(static=True)
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        chosen = {n: jnp.full(len(SETS), v) for n, v in nets.NORMAL[self.kind].items()}
        return {"score": jnp.full(len(SETS), -1.0), "chosen": chosen, "key": key}

    def step(self, state, x, tick):
        s, key, does = self.settings, state["key"], self.does
        problem = drawn(fold(key, "data"), self.braille, (s["train"], s["valid"], s["test"]))
        trial = bool(tick.i < does.candidates)
        given, updates = state["chosen"], s["updates"]
        if trial:
            k = int(tick.i)
            given = {n: jnp.full(len(SETS), v[k % len(v)]) for n, v in grid().items()}
            updates = s["try_updates"]
        theta = _begun(self, given, key)
        if self.rule == "gradient" and bool(does.stdp):
            theta |= {"w1": _by_stdp(self, theta, problem.train)}
        batches = jr.randint(
            fold(key, "batches"), (len(SETS), s["updates"], s["batch"]), 0, s["train"]
        )
        theta, losses = _trained(self, theta, problem, batches, jnp.asarray(updates))
        decided, spikes = _decided(self, theta, problem)
        valid = (decided["valid"] == problem.valid_y).mean(1)
        better = (valid > state["score"]) & trial
        choose = lambda a, b: jnp.where(better, a, b)
        after = {"score": choose(valid, state["score"]), "key": key}
        after["chosen"] = jax.tree.map(choose, given, state["chosen"])
        out = {"loss": losses, "accuracy": (decided["test"] == problem.test_y).mean(1)}
        for name, value in nets.bounded(theta["hidden" if "hidden" in theta else "out"]).items():
            out[f"constant-{name}"] = jnp.stack([value.mean(1), value.std(1)], 1)
        if self.rule == "gradient":
            nothing = dict.fromkeys(("count", "lzc", "both"), jnp.zeros(len(SETS)))
            out |= nothing if trial else _read(spikes, problem)
        return after, out


@eqx.filter_jit
def drawn(key: Array, braille: Any, n: tuple[int, int, int]) -> Any:
    """The problems of a seed."""
    return draw(key, braille, n)


@eqx.filter_jit
def _begun(fit: Fit, given: dict, key: Array) -> dict:
    """Parameters of every problem before training."""
    sizes = (WIDE, fit.settings["hidden"], OUT)

    def one(given, n):
        key_n = jr.fold_in(fold(key, "fit"), n)
        theta = nets.begin(fit.kind, sizes, fit.does.spread, key_n, given)
        if fit.rule == "tempotron":
            return {"w": theta["w2"][:, :WIDE] / 2, "out": theta["out"]}
        return theta | {"w2": theta["w2"] * _in_use(fit)}

    return jax.vmap(one)(given, jnp.arange(len(SETS)))


def _in_use(fit: Fit) -> Array:
    """1 for the hidden cells in use, as a row."""
    return (jnp.arange(fit.settings["hidden"]) < fit.does.hidden).astype(jnp.float32)[None]


@eqx.filter_jit
def _by_stdp(fit: Fit, theta: dict, x: Array) -> Array:
    """Hidden weights of every problem after STDP on the first training samples."""
    n, batch = fit.settings["stdp"], fit.settings["stdp_batch"]
    shown = x[:, :n].reshape(len(SETS), batch, -1, WIDE)
    return jax.vmap(lambda t, x: nets.stdp_weights(fit.kind, t, x))(theta, shown)


@eqx.filter_jit
def _trained(fit: Fit, theta: dict, problem: Any, batches: Array, updates: Array) -> Any:
    """Parameters of every problem after training, and the loss on its way."""
    s, does = fit.settings, fit.does
    tempotron = fit.rule == "tempotron"
    cost = nets.tempotron_cost if tempotron else nets.cross_entropy
    rate = s["tempotron_rate"] if tempotron else s["rate"]
    rates = nets.Rates(
        rate * does.weights, rate * does.readout, s["constants_rate"] * does.constants
    ).of(theta)
    tx = optax.scale_by_adam()

    def one(theta, x, y, classes, batches, rates):
        def update(i, now):
            theta, opt, losses = now
            at = batches[i]
            value = lambda t: cost(fit.kind, t, x[at], y[at], classes)
            loss, slope = jax.value_and_grad(value)(theta)
            if not tempotron:
                slope["w2"] = slope["w2"] * _in_use(fit)
            move, opt = tx.update(slope, opt)
            theta = jax.tree.map(lambda a, m, r: a - r * m, theta, move, rates)
            return theta, opt, losses.at[i * BINS // updates].add(loss * BINS / updates)

        begin = (theta, tx.init(theta), jnp.zeros(BINS))
        theta, _, losses = lax.fori_loop(0, updates, update, begin)
        return theta, losses

    data = (problem.train, problem.train_y, jnp.array(CLASSES), batches)
    return jax.vmap(one, in_axes=(0, 0, 0, 0, 0, None))(theta, *data, rates)


@eqx.filter_jit
def _decided(fit: Fit, theta: dict, problem: Any) -> tuple[dict, dict]:
    """Decisions and output spikes of all samples, by part of the problem, a few samples at a time."""
    part, names = fit.settings["part"], ("train", "valid", "test")
    cuts = [getattr(problem, name).shape[1] for name in names]
    x = jnp.concatenate([getattr(problem, name) for name in names], 1)

    def one(theta, x, classes):
        parts = x.reshape(-1, part, *x.shape[1:])
        if fit.rule == "tempotron":
            above = lax.map(lambda x: nets.peaks(fit.kind, theta, x), parts)
            return _largest(above.reshape(-1, OUT), classes), ()
        spikes = lambda x: nets.output_spikes(fit.kind, theta, x).astype(jnp.uint8)
        spikes = lax.map(spikes, parts).reshape(-1, TICKS, OUT)
        return _largest(spikes.astype(jnp.float32).sum(1), classes), spikes

    found = jax.vmap(one)(theta, x, jnp.array(CLASSES))
    ends = [sum(cuts[: k + 1]) for k in range(2)]
    decided, spikes = (jax.tree.map(lambda a: jnp.split(a, ends, axis=1), f) for f in found)
    split = lambda found: dict(zip(names, found, strict=True)) if len(found) else {}
    return split(decided), split(spikes)


@eqx.filter_jit
def _read(spikes: dict, problem: Any) -> dict[str, Array]:
    """How well output trains are told apart by count, by complexity and by both."""
    train, test = _features(spikes["train"]), _features(spikes["test"])
    return judged(train, problem.train_y, test, problem.test_y)


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
        problem = drawn(fold(key, "data"), self.braille, (s["train"], s["valid"], s["test"]))
        return state, _inputs_read(self, problem, fold(key, "mix"))


@eqx.filter_jit
def _inputs_read(arm: Inputs, problem: Any, key: Array) -> dict[str, Array]:
    """What `Inputs` puts out."""
    train, test, classes = problem.train, problem.test, jnp.array(CLASSES)

    def mixed(x, key):  # the ticks of every sample in another order
        order = jnp.argsort(jr.uniform(key, x.shape[:3]), axis=2)
        return jnp.take_along_axis(x, order[..., None], axis=2)

    mix = lambda: (mixed(train, key), mixed(test, fold(key, "test")))
    train, test = lax.cond(arm.shuffled, mix, lambda: (train, test))
    use = jnp.repeat(arm.use, WIDE).reshape(1, 1, -1)
    features = lambda x: jnp.concatenate(_features(x), -1) * use
    train, test = features(train), features(test)
    y, test_y = problem.train_y, problem.test_y
    every = jax.vmap(discriminant)(train, y, test, test_y, classes)
    pairs = lambda f: jnp.moveaxis(f.reshape(*f.shape[:2], 2, WIDE), 3, 0)
    one = jax.vmap(jax.vmap(discriminant), (0, None, 0, None, None))
    single = one(pairs(train), y, pairs(test), test_y, classes)  # (train, set)
    alive = jnp.arange(WIDE)[:, None] < jnp.array([UNITS] * 3 + [WIDE])[None]
    single = jnp.where(alive, single, 0).sum(0) / alive.sum(0)
    return {"accuracy": every, "single": single}


class Ideal(System):
    """The likelihood ratio of the true sources, which no decision beats on average; NaN for Braille."""

    braille: Any
    settings: dict = eqx.field(static=True)

    def init(self, dt, key):
        return {"key": key}

    def step(self, state, x, tick):
        s, key = self.settings, fold(state["key"], "data")
        problem = drawn(key, self.braille, (s["train"], s["valid"], s["test"]))
        return state, {"accuracy": _ideal(problem, key)}


@eqx.filter_jit
def _ideal(problem: Any, key: Array) -> Array:
    """What `Ideal` puts out."""
    accuracy = []
    for k, pair in enumerate(sources(key)):
        trains = problem.test[k, :, :, :UNITS].astype(jnp.float32)
        score = jnp.stack([jax.vmap(source.log_likelihood)(trains) for source in pair], 1)
        accuracy.append((score.argmax(1) == problem.test_y[k]).mean())
    return jnp.stack([*accuracy, jnp.asarray(jnp.nan)])
