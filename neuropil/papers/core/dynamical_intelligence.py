r"""A brain basis of dynamical intelligence for AI and computational neuroscience (a review).

Monaco, Rajan, Hwang (2021), arXiv:2105.07284.

Its three building blocks as one running example. *Sparsity*: items are sparse assemblies, linked in a long-term
memory, $W = \min(1, \sum_k \xi^{k+1} \xi^{k\top})$. *Temporal dynamics*: spiking cells whose windows are opened
by a gamma rhythm nested in a theta rhythm; an assembly that fires together drives the next one, which fires in
the next gamma cycle: a sequence is read, forwards or backwards, from any item, one item a gamma cycle, until
the trough of theta. A slower copy of the network steps from chunk to chunk, one a theta cycle: a tree is read.
*Interactive learning*: where what is sensed is not what the links predict, and only there, links are replaced.

Claims: replay in any order from one memory; as many items a theta cycle as there are gamma cycles before its
trough; no recall where the same cells keep the same rhythm at phases of their own; the tree is read and one
item of it updated, the rest kept.
"""

from __future__ import annotations

import jax.numpy as jnp

from neuropil.papers.core._dynamical_intelligence import Clocked, Dynamics, Plan
from neuropil.papers.core._dynamical_intelligence_score import CITE, DIFFERS, METRICS, score
from neuropil.papers.core._theta_gamma import Rhythms
from neuropil.studies import Arm, Study

SIZES = ("cells", "sequences", "length", "long", "chunks", "items", "above", "of_chunk", "ratio", "ratios",
         "gammas", "spreads")  # fmt: skip


def plan(settings: dict) -> Plan:
    """The sizes of a scale."""
    return Plan(**{name: settings[name] for name in SIZES})


def build(gamma: float = 1.0, theta: float = 1.0, spread: float = 0.0, active: str = "active"):
    """An arm of the network: strength of its rhythms, spread of its phases, cells of an assembly."""

    def make(settings: dict, data: None) -> Dynamics:
        rhythms = Rhythms(*(jnp.asarray(a) for a in (gamma, theta, spread)))
        return Dynamics(plan(settings), rhythms, jnp.asarray(float(settings[active])))

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    s = settings
    if not 1 <= s["active"] < s["dense"] <= s["cells"] or not 1 <= s["of_chunk"] <= s["above"]:
        raise ValueError(
            "active < dense <= cells, of_chunk <= above: cells of an assembly, and all cells"
        )
    if s["ratio"] - 1 < max(s["length"], s["items"]):
        raise ValueError(
            f"ratio = {s['ratio']} leaves {s['ratio'] - 1} gamma cycles a theta cycle, too few for"
            f" {max(s['length'], s['items'])} items"
        )
    if min(*s["ratios"], *s["gammas"]) < 3 or s["long"] < max(*s["ratios"], *s["gammas"]):
        raise ValueError("ratios and gammas are at least 3 and at most long")
    if s["length"] < 3 or s["items"] < 3 or s["chunks"] < 2 or s["sequences"] < 1:
        raise ValueError("sequences of at least 3 items, at least 2 chunks of at least 3 items")
    if any(not 0 <= a <= 1 for a in s["spreads"]) or s["draws"] < 1:
        raise ValueError("spreads are shares of a gamma cycle, 0 to 1; draws is at least 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.core import _dynamical_intelligence_figures

    return _dynamical_intelligence_figures.figures(results)


_SMALL = dict(
    seeds=10, draws=3, cells=400, active=12, dense=100, sequences=6, length=6, long=12, chunks=3, items=5,
    above=120, of_chunk=8, ratio=8, ratios=(3, 4, 5, 6, 7, 8, 9, 10), gammas=(5, 6, 7, 8, 9, 10),
    spreads=(0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0),
)  # fmt: skip

STUDY = Study(
    slug="dynamical-intelligence",
    arms={
        "theta-gamma": Arm(build(), "system", "sparse assemblies, gamma nested in theta"),
        "no-gamma": Arm(build(gamma=0.0), "baseline", "the same without gamma: inhibition alone paces"),
        "no-theta": Arm(build(theta=0.0), "variant", "the same without theta: no trough"),
        "dense": Arm(build(active="dense"), "variant", "a quarter of the cells in every assembly"),
        "asynchronous": Arm(build(spread=1.0), "control", "the same rhythms, each cell at a phase of its own"),
        "clocked": Arm(lambda s, data: Clocked(plan(s), s["active"]), "ceiling", "the memory without dynamics"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, draws=1, cells=120, active=8, dense=30, sequences=2, length=3, long=4,
                               chunks=2, items=3, above=60, ratio=4, ratios=(3, 4), gammas=(4,),
                               spreads=(0.0, 1.0)),
        "small": _SMALL,
        "paper": _SMALL | dict(draws=5, cells=2000, active=30, dense=500, sequences=40),
    },
    load=lambda settings: None,
    ticks=lambda settings: settings["draws"],
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Sparse assemblies are linked in a binary Hebbian memory. An assembly whose cells fire together in a"
        " gamma window drives the next one, which inhibition holds back until the next window; theta ends the"
        " sequence and, a level above, steps to the next chunk. Links change only where what is sensed was not"
        " predicted."
    ),
    claim="Flexible replay, capacity of the gamma-to-theta ratio, none of it without synchrony",
    differs=DIFFERS,
    cost="small: a few seconds for each arm and seed on one core",
)  # fmt: skip
