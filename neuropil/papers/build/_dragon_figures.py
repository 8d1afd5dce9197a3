"""Figures of dragon-hatchling: bits a character, a synapse followed over texts, degrees."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._dragon_score import adjacency
from neuropil.studies import Results
from neuropil.worlds import datasets

COLOURS = {
    "bdh": "#0072b2",
    "gpt": "#d55e00",
    "ungated": "#e69f00",
    "present": "#009e73",
    "untrained": "#999999",
}


def texts(results: Results) -> Figure:
    """Bits a character: dots are seeds, bars their means."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(4, 2))
    for k, (axes, title) in enumerate(zip(panels, ("Tiny Shakespeare", "WikiText-2"), strict=True)):
        values = {}
        for arm in COLOURS:
            bits = results.stacked(arm, "bits")
            if arm != "untrained" and bits.shape[1] > k:
                values[arm] = bits[:, k]
        for x, (arm, bits) in enumerate(values.items()):
            axes.plot(np.full(len(bits), x), bits, "o", ms=4, color=COLOURS[arm], alpha=0.5)
            axes.plot([x - 0.3, x + 0.3], [bits.mean()] * 2, color=COLOURS[arm], lw=2.5)
        axes.set_xticks(range(len(values)), list(values))
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("bits a character")
    return figure


def synapse(results: Results) -> Figure:
    """The chosen synapse over held-out pieces with most of the concept: a curve, and the text under it."""
    history = results.history["bdh"][results.seeds[0]]
    trace, label, tokens = (np.asarray(history[n])[0] for n in ("trace", "label", "tokens"))
    own = datasets.load("tiny-shakespeare").codes(results.settings["symbols"] - 1)[1]
    pieces = np.argsort(-label.sum(1), kind="stable")[:3]
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    for axes, piece in zip(figure.subplots(len(pieces), 1), pieces, strict=True):
        place = np.arange(trace.shape[1])
        low, high = axes.set_ylim(min(0, trace[pieces].min()), 1.05 * trace[pieces].max() + 1e-6)
        axes.fill_between(
            place, low, high, where=label[piece] > 0, step="mid", color="#e69f00", alpha=0.25, lw=0
        )
        axes.plot(place, trace[piece], color=COLOURS["bdh"], lw=1.8, drawstyle="steps-mid")
        text = [own[t].replace("\n", "↵").replace(" ", "·") for t in tokens[piece]]
        axes.set_xticks(place, text, fontsize=8, family="monospace")
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.5, len(place) - 0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel("synapse")
    return figure


def degrees(results: Results) -> Figure:
    """How many neurons have at least so many strong connections."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for arm in ("bdh", "untrained"):
        for seed in results.seeds:
            edges = np.asarray(results.history[arm][seed]["edges"])[0].astype(int)
            a = adjacency(edges, results.settings["neurons"])
            degree = np.sort(a.sum(0) + a.sum(1))[::-1]
            share = np.arange(1, len(degree) + 1) / len(degree)
            label = arm if seed == results.seeds[0] else None
            axes.loglog(
                np.maximum(degree, 1), share, color=COLOURS[arm], lw=1.2, alpha=0.7, label=label
            )
    axes.set_xlabel("strong connections of a neuron")
    axes.set_ylabel("share of neurons with as many or more")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"texts": texts(results), "synapse": synapse(results), "degrees": degrees(results)}
