"""The simulated experiment of neuroformer.py: a hub circuit drawn from the seed, and its arms.

Everything is scored on one footing: the log-probability of the same binary raster in the held-out
block, as a gain over homogeneous rates in bits per spike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from neuropil.compare.connectivity import direction, edges
from neuropil.core import System, start
from neuropil.core.random import fold, generator
from neuropil.fit.glm import GLM
from neuropil.fit.spiketransformer import Behaviour
from neuropil.fit.tokens import SpikeTokens, Windows
from neuropil.papers.fit import _neuroformer_train as training
from neuropil.stats.likelihood import log_probability
from neuropil.worlds.circuits import HUBS, Circuit, hub_circuit, kinds

UNITS = 30
WIRING = ("auroc", "auroc_within_hub", "direction")
MAPS = {"map": (UNITS, UNITS)}


@dataclass(frozen=True)
class Experiment:
    """A circuit, what it did, and the contiguous blocks; `z` is the behaviour that all see."""

    circuit: Circuit
    spikes: np.ndarray
    z: np.ndarray
    rates: np.ndarray
    blocks: dict[str, slice]

    def gain(self, total: float) -> float:
        """Log-probability (nats) of the test raster as bits per spike above homogeneous rates."""
        test, train = self.spikes[self.blocks["test"]], self.spikes[self.blocks["train"]]
        flat = jnp.broadcast_to(jnp.asarray(train.mean(0), float), test.shape)
        base = float(log_probability("bernoulli", jnp.asarray(test, float), flat).sum())
        return (total - base) / (np.log(2) * test.sum())

    def gain_of(self, rates) -> float:
        """The same from a probability for every bin and unit of the test block."""
        test = jnp.asarray(self.spikes[self.blocks["test"]], float)
        return self.gain(float(log_probability("bernoulli", test, jnp.asarray(rates, float)).sum()))


def _sizes(settings):
    return tuple(int(settings[k]) for k in ("train_bins", "validation_bins", "test_bins", "past"))


def experiment(settings: dict, key) -> Experiment:
    """The circuit and raster of a seed: a pure function of the key, kept for the process."""
    return _experiment(_sizes(settings), tuple(np.asarray(jr.key_data(key)).tolist()))


@lru_cache(maxsize=2)
def _experiment(sizes, key):
    train, validation, test, lead = sizes
    one, two = jr.split(jr.wrap_key_data(jnp.asarray(key, jnp.uint32)))
    circuit = hub_circuit(one)
    made = circuit.simulate(lead + train + validation + test, two)
    ends = np.cumsum([lead, train, validation, test])  # the first bins are nobody's: only past
    names = ("train", "validation", "test")
    blocks = {n: slice(int(a), int(b)) for n, a, b in zip(names, ends[:-1], ends[1:], strict=True)}
    spikes, z, rates = (np.asarray(a) for a in (made.spikes, made.z, made.rates))
    return Experiment(circuit, spikes.astype(np.uint8), z, rates, blocks)


@lru_cache(maxsize=2)
def _tokens(sizes, key, bins, length, past_length):
    """All windows of `bins` bins, tokenised, with the block and the behaviour of each."""
    made = _experiment(sizes, key)
    vocabulary = SpikeTokens(UNITS, bins, sizes[3], length, past_length)
    rows = {name: np.arange(b.start, b.stop - bins + 1, bins) for name, b in made.blocks.items()}
    starts = np.concatenate(list(rows.values()))
    need = vocabulary.longest(made.spikes, starts)
    vocabulary = replace(vocabulary, length=max(length, need))
    current = vocabulary.encode(made.spikes, starts)
    past = vocabulary.encode(made.spikes, starts, past=True, truncate=True)
    edge = np.cumsum([0, *(len(r) for r in rows.values())])
    index = {n: np.arange(a, b) for n, a, b in zip(rows, edge[:-1], edge[1:], strict=True)}
    return vocabulary, Windows(*current, *past), index, made.z[starts][:, None].astype(np.float32)


class Rates(System):
    """Homogeneous rates: zero by definition, and no edges to see."""

    settings: dict = eqx.field(static=True)

    @property
    def puts(self) -> dict[str, tuple]:
        return {"bits": ()}

    def init(self, dt, key):
        return key

    def step(self, state, x, tick):
        made = experiment(self.settings, state)
        flat = np.broadcast_to(made.spikes[made.blocks["train"]].mean(0), made.rates.shape)
        return state, {"bits": made.gain_of(flat[made.blocks["test"]])}


class Truth(Rates):
    """The generator itself, behaviour known: no model does better on average."""

    def step(self, state, x, tick):
        made = experiment(self.settings, state)
        return state, {"bits": made.gain_of(made.rates[made.blocks["test"]])}


class Cooccurrence(Rates):
    """What attention that is the same everywhere would show: spikes of j in the past of spikes of
    i, over the product of their numbers. The control for rates and for plain correlation."""

    @property
    def puts(self):
        return dict.fromkeys(WIRING, ()) | MAPS | {"adjacency": (UNITS, UNITS)}

    def step(self, state, x, tick):
        made, past = experiment(self.settings, state), int(self.settings["past"])
        before = np.cumsum(np.pad(made.spikes.astype(float), ((1, 0), (0, 0))), axis=0)
        where = np.arange(made.blocks["test"].start, made.blocks["test"].stop)
        count = made.spikes[where].T.astype(float) @ (before[where] - before[where - past])
        scores = per_spike(count, count)
        truth = made.circuit.adjacency()
        return state, {**wiring(scores, made), "map": scores, "adjacency": truth}


class CoupledGLM(Rates):
    """Ten lags of every unit and the behaviour, ridge penalty of each unit chosen on the validation
    block. `conjunctions` adds whether both of two hubs fired lately: the truth's own class."""

    conjunctions: bool = eqx.field(static=True, default=False)
    family: str = eqx.field(static=True, default="bernoulli")

    @property
    def puts(self):
        edges = {} if self.conjunctions else dict.fromkeys(WIRING, ()) | MAPS
        return {"bits": ()} | edges

    def step(self, state, x, tick):
        made = experiment(self.settings, state)
        extra = made.z[:, None]
        if self.conjunctions:
            extra = np.concatenate([extra, _pairs(made)], axis=1)
        penalties = tuple(float(p) for p in self.settings["penalties"])
        glm = GLM(family=self.family, lags=int(self.settings["lags"]), penalty=penalties)
        cut = lambda block: (made.spikes[made.blocks[block]], extra[made.blocks[block]])
        fitted = glm.fit(*cut("train"), validation=cut("validation"))
        rates = np.asarray(fitted.predict(made.spikes, extra))[made.blocks["test"]]
        if self.family == "poisson":  # of a bin that can hold one spike: P(at least one)
            rates = -np.expm1(-rates)
        found = {"bits": made.gain_of(rates)}
        if not self.conjunctions:
            # excitatory by what is known of the circuit, so the largest weight, not its size
            scores = np.asarray(fitted.coupling("max"))
            found |= {**wiring(scores, made), "map": scores}
        return state, found


def _pairs(made):
    hubs = np.flatnonzero(kinds() == HUBS)
    window = made.circuit.window
    lately = np.zeros((len(made.spikes), len(hubs)), bool)
    for lag in range(1, window + 1):
        lately[lag:] |= made.spikes[:-lag, hubs] > 0
    both = [lately[:, a] & lately[:, b] for a in range(len(hubs)) for b in range(a)]
    return np.stack(both, axis=1).astype(float)


def per_spike(mass, count):
    """Attention mass over the product of the two units' numbers of tokens (scaled to mean 1)."""
    ratio = mass / np.maximum(count.sum(0, keepdims=True) * count.sum(1, keepdims=True), 1e-9)
    return ratio / max(ratio.mean(), 1e-30)


def wiring(scores, made):
    """AUROC of edges over all ordered pairs, and inside each hub's column (which of the others it
    drives, so that merely finding the hubs does not count); share of edges in the right direction.
    """
    a = made.circuit.adjacency()
    hubs, rest = np.flatnonzero(kinds() == HUBS), np.flatnonzero(kinds() != HUBS)
    column = [_auroc(scores[rest, h], a[rest, h]) for h in hubs]
    return {
        "auroc": edges(scores, a, permutations=0).value,
        "auroc_within_hub": np.float64(np.nanmean(column)),
        "direction": direction(scores, a).value,
    }


def _auroc(scores, truth):
    if truth.all() or not truth.any():
        return np.nan
    above = scores[truth][:, None] - scores[~truth][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


class Tokens(System):
    """The spike transformer on the circuit; one tick is one pass over the training windows, the
    last one also scores the best model on the test block. State: {"key", "trainer"}.

    `shuffled` gives every window the past of another one, in training and in test.
    """

    settings: dict = eqx.field(static=True)
    shuffled: bool = eqx.field(static=True, default=False)

    @property
    def puts(self):
        numbers = ("loss", "validation", "bits", "bits_raw", *WIRING)
        return dict.fromkeys(numbers, ()) | MAPS

    def windows(self, key):
        """Vocabulary, all windows, their rows by block, and the behaviour of each."""
        s = self.settings
        data = tuple(np.asarray(jr.key_data(key)).tolist())
        lengths = (int(s[k]) for k in ("bins", "length", "past_length"))
        vocabulary, w, index, z = _tokens(_sizes(s), data, *lengths)
        if self.shuffled:
            rng, other = generator(key, "shuffle"), np.arange(len(z))
            for rows in index.values():
                other[rows] = rng.permutation(rows)
            w = Windows(w.ids, w.times, w.past_ids[other], w.past_times[other])
        return vocabulary, w, index, {"z": z}

    def trainer(self, vocabulary, key=None):
        """The trainer with the seed's first weights (without key: only a place for them)."""
        s, z = self.settings, (Behaviour("z", attend=True),)
        sizes = (int(s[k]) for k in ("width", "heads", "state", "history"))
        spec = training.Spec(vocabulary, *sizes, z, float(s["dropout"]), float(s["scale"]))
        passes = max(1, int(s["train_bins"]) // int(s["bins"]) // int(s["batch"]))
        return training.trainer(
            training.fresh(spec, key),
            float(s["learning_rate"]),
            float(s["decay"]),
            int(s["epochs"]) * passes,
            int(s["patience"]),
            align=float(s["align"]),
        )

    def init(self, dt, key):
        trainer = self.trainer(self.windows(key)[0], fold(key, "weights"))
        return {"key": key, "trainer": start(trainer, 1.0, fold(key, "training"))}

    def step(self, state, x, tick):
        s = self.settings
        vocabulary, windows, index, attend = self.windows(state["key"])
        trainer, carry = self.trainer(vocabulary), state["trainer"]
        groups = self.epoch(windows, index["train"], attend, generator(tick.key, "order"))
        carry, loss = training.train(trainer, carry, groups)
        lengths = (int(s["short"]) or vocabulary.length, vocabulary.length)
        score = lambda block, best: training.judge_all(
            trainer.model(carry, best=best), windows, index[block], lengths, attend
        )
        found = {"loss": loss, "validation": np.nan}
        if not trainer.stopped(carry):
            found["validation"] = np.mean(score("validation", False)["ordered"])
            carry = trainer.judged(carry, jnp.asarray(-found["validation"], jnp.float32))
        found |= dict.fromkeys(("bits", "bits_raw", *WIRING), np.nan)
        found["map"] = np.full((UNITS, UNITS), np.nan)
        if int(tick.i) == int(s["epochs"]) - 1:
            made, test = experiment(s, state["key"]), score("test", True)
            found["bits"] = made.gain(test["ordered"].sum())
            found["bits_raw"] = made.gain(test["raw"].sum())
            found["map"] = per_spike(test["mass"], test["count"])
            found |= wiring(found["map"], made)
        return {**state, "trainer": carry}, found

    def epoch(self, windows, rows, attend, rng):
        """Batches of one pass: short windows and the few long ones side by side."""
        s, need = self.settings, np.sum(windows.ids[rows] < UNITS, axis=1) + 2
        steps, short = max(1, len(rows) // int(s["batch"])), int(s["short"])
        if not short:
            order = training.deal(rng, rows, steps, int(s["batch"]))
            return (training.group(windows, order, windows.ids.shape[1], attend),)
        few = max(1, int(s["batch"]) // 16)
        groups = []
        for chosen, size, length in (
            (rows[need <= short], int(s["batch"]) - few, short),
            (rows[need > short], few, windows.ids.shape[1]),
        ):
            order = training.deal(rng, chosen, steps, size)
            weight = len(chosen) / order.size  # windows dealt twice, or not at all, count right
            groups.append(training.group(windows, order, length, attend, weight=weight))
        return tuple(groups)
