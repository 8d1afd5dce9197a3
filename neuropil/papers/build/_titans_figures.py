"""Figures of titans: needles found by length, and bits a character."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {
    "context": "#0072b2",
    "gate": "#56b4e9",
    "layer": "#009e73",
    "memory": "#cc79a7",
    "attention": "#d55e00",
    "delta": "#e69f00",
    "frozen": "#999999",
    "no-momentum": "#8a5a83",
    "no-forgetting": "#5e3f59",
}


def needle(results: Results) -> Figure:
    """Share of needles found by length of the haystack, plain and hard filler: thin lines are seeds."""
    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    lengths = np.asarray(results.settings["lengths"])
    order = np.argsort(lengths)
    titles = ("Random filler", "Filler of keys and values")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name, title in zip(panels, ("found", "found-hard"), titles, strict=True):
        for arm, colour in COLOURS.items():
            values = 100 * results.stacked(arm, name)[:, 0][:, order]
            line = dict(color=colour, ls="--" if arm.startswith("no-") else "-")
            axes.plot(lengths[order], values.T, lw=0.6, alpha=0.35, **line)
            axes.plot(lengths[order], values.mean(0), lw=2, marker="o", ms=4, label=arm, **line)
        axes.axhline(100 / 16, color="#000000", lw=0.8, ls=":")
        axes.axvline(results.settings["length"], color="#bbbbbb", lw=0.8)
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths[order], [str(n) for n in lengths[order]])
        axes.set_xlabel("tokens (grey line: trained)")
        axes.set_ylim(0, 103)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("needles found (%)")
    panels[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def text(results: Results) -> Figure:
    """Bits a character of WikiText-2: dots are seeds, bars their means."""
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.subplots()
    values = {}
    for arm in COLOURS:
        bits = results.stacked(arm, "bits")
        if bits.shape[1] > 1:
            values[arm] = bits[:, 1]
    for x, (arm, bits) in enumerate(values.items()):
        axes.plot(np.full(len(bits), x), bits, "o", ms=4, color=COLOURS[arm], alpha=0.5)
        axes.plot([x - 0.3, x + 0.3], [bits.mean()] * 2, color=COLOURS[arm], lw=2.5)
    axes.set_xticks(range(len(values)), list(values))
    axes.set_ylabel("bits a character")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"needle": needle(results), "text": text(results)}
