r"""Continuous online sequence learning with an unsupervised network: HTM sequence memory.

Cui, Ahmad, Hawkins (2016), Neural Computation 28, 2474 (arXiv:1512.05463).

Each symbol is a sparse set of active minicolumns; which cell of a column is active tells the context. A cell
with a dendritic segment of at least $\theta$ connected synapses onto active cells is predicted; it fires alone
and where none was predicted the column bursts. Segments learn by a Hebbian rule on permanences,
$\Delta p = p^+ A - p^- (1 - A)$, and are punished a little for what did not come (`memory.TemporalMemory`).

Claim: high-order sequences are learnt online in one pass, learnt again after a change, and survive the death of
a third of the cells, where an LSTM does not. Letters of a text are foretold too, and odd ones noticed.
"""

import jax.numpy as jnp
import jax.random as jr

from neuropil.blocks import EchoState
from neuropil.memory import TemporalMemory
from neuropil.papers.build import _htm as htm
from neuropil.papers.build._htm_score import CITE, DIFFERS, LESIONS, METRICS, score
from neuropil.papers.build._htm_text import LETTERS, PAGE, Both, load
from neuropil.plasticity import RecursiveLeastSquares
from neuropil.studies import Arm, Study

NEVER = 10**6


def temporal(settings: dict, cells: int, symbols: int, scored: int) -> htm.Htm:
    """Temporal memory with the thresholds in proportion to the paper's 15 of 41, and growth 32."""
    w = settings["active"]
    theta = round(w * 15 / 41)
    net = TemporalMemory(
        settings["columns"], cells, w, settings["segments"], synapses=settings["synapses"],
        threshold=theta, matching=theta, growth=round(w * 32 / 41), wrong=settings["wrong"],
    )  # fmt: skip
    return htm.Htm(net, symbols, scored)


def learner(kind: str, settings: dict, symbols: int, scored: int):
    """What foretells the first `scored` of the symbols."""
    if kind == "ceiling":
        text = scored == LETTERS
        return htm.Counts(1.0, LETTERS**2, LETTERS) if text else htm.Counts()
    if kind == "lstm":
        return htm.Lstm(
            settings["hidden"],
            symbols,
            settings["window"],
            settings["batch"],
            settings["rate"],
            scored,
        )
    if kind == "echo-state":
        units = settings["units"]
        net = EchoState.random(symbols, units, jr.key(0), spectral_radius=settings["radius"])
        return htm.Reservoir(
            net, RecursiveLeastSquares(units, ridge=1.0, forget=settings["forget"]), symbols, scored
        )
    return temporal(settings, 1 if kind == "first-order" else settings["cells"], symbols, scored)


def build(kind: str):
    """An arm of this kind."""

    def make(settings: dict, text) -> Both:
        learning = settings["learning"]
        lesions = jnp.array([0.0] * learning + [*LESIONS, 0.0])
        freeze = jnp.int32(settings["change"] if kind == "frozen" else NEVER)
        sizes = (settings[k] for k in ("chunk", "change", "learning", "between"))
        one = learner(kind, settings, htm.SYMBOLS + settings["between"], htm.SYMBOLS)
        two = learner(kind, settings, LETTERS, LETTERS)
        return Both(
            htm.Chunks(one, *sizes, lesions, freeze), two, text, settings["text"], settings["odd"]
        )

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("chunk", "change", "between", "hidden", "units", "batch", "cells"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["learning"] <= settings["change"]:
        raise ValueError(
            f"learning = {settings['learning']} chunks; the change comes after {settings['change']}"
        )
    if settings["chunk"] <= htm.LONGEST:
        raise ValueError(f"chunk = {settings['chunk']}; a sequence must fit, so at least 10")
    if settings["text"] < 2 or not 1 <= settings["odd"] < settings["chunk"]:
        raise ValueError("text, odd: give 2 chunks or more, and fewer odd letters than a chunk has")
    if settings["active"] < 8:
        raise ValueError(
            f"active = {settings['active']}; thresholds below 3 match by chance, give 8 or more"
        )


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _htm_figures

    return _htm_figures.figures(results)


_SMALL = dict(
    seeds=5, data="tiny-shakespeare", chunk=250, change=24, learning=36, between=1000, text=32, odd=25,
    columns=256, cells=8, active=16, segments=16384, synapses=32, wrong=0.02, hidden=20, window=3000, batch=8,
    rate=0.01, units=400, radius=0.9, forget=0.999,
)  # fmt: skip

STUDY = Study(
    slug="htm-sequence-memory",
    arms={
        "htm": Arm(build("htm"), "system", "temporal memory"),
        "lstm": Arm(build("lstm"), "baseline", "LSTM, a step of Adam an element on a replay window"),
        "echo-state": Arm(build("echo-state"), "baseline", "recursive least squares that forget"),
        "first-order": Arm(build("first-order"), "control", "temporal memory, one cell a column"),
        "frozen": Arm(build("frozen"), "control", "temporal memory, no learning after the change"),
        "ceiling": Arm(build("ceiling"), "ceiling", "counter told the whole sequence so far, or two letters"),
    },
    scales={
        "smoke": _SMALL | dict(
            seeds=1, data=PAGE, chunk=20, change=4, learning=8, between=4, text=4, odd=8, columns=48,
            cells=2, active=8, segments=256, synapses=8, hidden=4, window=40, batch=2, units=10,
        ),
        "small": _SMALL,
        "paper": _SMALL | dict(
            seeds=10, change=40, learning=80, between=5000, columns=2048, cells=32, active=41,
            segments=262144, synapses=128,
        ),
    },
    load=lambda settings: load(settings, __doc__ or ""),
    ticks=lambda settings: settings["learning"] + len(LESIONS) + 1 + settings["text"],
    datasets=("tiny-shakespeare",),
    demo=PAGE,
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Symbols are sparse sets of minicolumns; the cell that is active in a column tells the context. A"
        " dendritic segment predicts its cell, unpredicted columns burst, permanences learn by a Hebbian rule."
    ),
    claim="High-order sequences learnt online, learnt again after a change, robust to the death of cells",
    differs=DIFFERS,
    cost="small: 15 s a seed of each arm with a temporal memory on one core (0.6 ms a step), 3 s of the LSTM",
)  # fmt: skip
