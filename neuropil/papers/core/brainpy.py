r"""BrainPy: brain simulation that can be trained, and training of models that are brain-like.

Wang, Zhang, He, Guo et al. (2024), ICLR, arXiv:2311.05106; code: brainpy/BrainPy.

Two networks of one set of parts. An E/I network with conductances, $\tau \dot v = -(v - v_{rest}) + g_E (E_E -
v) + g_I (E_I - v)$, whose spikes travel through sparse wiring only when there are any; and an E/I network of
generalised integrate-and-fire cells, each spike of which leaves a slow negative current behind, trained by
backpropagation through time to tell whether a second direction is the first one, after a delay.

Claim: event-driven delivery is exact and the network behaves as in other simulators; the same kind of model
learns a working-memory task by gradient. How fast it runs is measured in `benchmarks/`, not here.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool

from neuropil.core import System
from neuropil.papers.core._brainpy_ei import measure
from neuropil.papers.core._brainpy_memory import Memory
from neuropil.papers.core._brainpy_score import CITE, DIFFERS, METRICS, NETWORK, score
from neuropil.studies import Arm, Study
from neuropil.worlds.matching import DelayedMatch


class Both(System):
    """A tick trains the memory network; the first one also simulates the E/I network, where there is one."""

    memory: Memory
    simulate: Bool[Array, ""]
    network: tuple[int, int, float, float] = eqx.field(static=True)

    def init(self, dt, key):
        return self.memory.init(dt, key)

    def step(self, state, x, tick):
        run = lambda: measure(jr.fold_in(tick.key, 1), *self.network)
        shapes = jax.eval_shape(run)
        nothing = lambda: jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes)
        network = jax.lax.cond(self.simulate & (tick.i == 0), run, nothing)
        state, out = self.memory.step(state, x, tick)
        return state, out | network


class Observer(System):
    """One who knows rates and times judges the trials from their spikes."""

    task: DelayedMatch
    tested: int = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        trials = self.task.draw(tick.key, self.tested)
        right = (self.task.observer(trials.spikes) > 0) == (trials.match > 0)
        return state, {"accuracy": right.mean()}


def task(settings: dict) -> DelayedMatch:
    """The trials of a scale."""
    return DelayedMatch(*(settings[name] for name in ("fixation", "sample", "delay", "test")))


def build(slow: bool, recurrent: bool, simulate: bool):
    """An arm: with or without the slow current, all weights or the readout learning, and the E/I network."""

    def make(settings: dict, data: None) -> Both:
        own = {name: settings[name] for name in ("updates", "batch", "tested", "rate")}
        memory = Memory(task(settings), jnp.asarray(slow), jnp.asarray(recurrent), **own)
        network = tuple(settings[name] for name in ("cells", "fan_out", "ms", "same_ms"))
        return Both(memory, jnp.asarray(simulate), network)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    task(settings)
    if not 1 <= settings["fan_out"] <= settings["cells"]:
        raise ValueError(f"fan_out = {settings['fan_out']}; give 1 to cells = {settings['cells']}")
    if settings["ms"] < 10 or settings["ms"] % 10 or not 0 < settings["same_ms"] <= settings["ms"]:
        raise ValueError("ms is a multiple of 10, and same_ms above 0 and not above ms")
    for name in ("updates", "batch", "tested", "chunks"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.core import _brainpy_figures

    return _brainpy_figures.figures(results)


_SMALL = dict(
    seeds=5, cells=4000, fan_out=80, ms=1000.0, same_ms=100.0, fixation=50, sample=200, delay=300, test=200,
    chunks=6, updates=50, batch=32, tested=512, rate=1e-3,
)  # fmt: skip

STUDY = Study(
    slug="brainpy",
    arms={
        "gif": Arm(build(True, True, True), "system", "slow current, all weights learn; E/I network",
                   gaps=NETWORK),
        "no-slow": Arm(build(False, True, False), "baseline", "the same cells without the slow current",
                       gaps=NETWORK),
        "readout": Arm(build(True, False, False), "control", "an untrained network, only its readout learns",
                       gaps=NETWORK),
        "observer": Arm(lambda settings, data: Observer(task(settings), settings["tested"]), "ceiling",
                        "knows rates and times"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, cells=200, fan_out=8, ms=20.0, same_ms=10.0, fixation=2, sample=8,
                               delay=4, test=8, chunks=1, updates=2, batch=4, tested=16),
        "small": _SMALL,
        "paper": _SMALL | dict(ms=5000.0, fixation=500, sample=500, delay=1000, test=500, chunks=10, batch=64),
    },
    load=lambda settings: None,
    ticks=lambda settings: settings["chunks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Spikes of a sparse E/I network are delivered row by row, only where a cell fired; one conductance a"
        " cell and kind of synapse stands for all its synapses, since they are linear. An E/I network of GIF"
        " cells is trained by surrogate gradients through time; the slow current after a spike holds memory."
    ),
    claim="E/I networks at speed, and the same kind of model trained by gradient",
    differs=DIFFERS,
    cost="small: about 40 s for each arm and seed on one core",
)  # fmt: skip
