"""Figures of astro-snn: what is recalled after a delay, and bits a character."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {
    "astrocyte": "#0072b2",
    "snn": "#d55e00",
    "spread": "#e69f00",
    "present": "#999999",
    "graded": "#000000",
}


def recall(results: Results) -> Figure:
    """Share of values that are told rightly, by delay: a line a seed, a thick one the mean."""
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    delays = np.asarray(results.settings["delays"])
    order = np.argsort(delays)
    for arm, colour in COLOURS.items():
        values = 100 * results.stacked(arm, "recall")[:, 0][:, order]
        axes.plot(delays[order], values.T, color=colour, lw=0.7, alpha=0.4)
        axes.plot(delays[order], values.mean(0), color=colour, lw=2, marker="o", label=arm)
    axes.axhline(100 / 16, color="#000000", lw=0.8, ls=":")
    axes.set_xlabel("delay (ticks)")
    axes.set_xticks(delays[order])
    axes.set_ylabel("recalled (%)")
    axes.set_ylim(0, 103)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right")
    return figure


def texts(results: Results) -> Figure:
    """Bits a character of both texts: dots are seeds, bars their means."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for k, (axes, title) in enumerate(zip(panels, ("Tiny Shakespeare", "WikiText-2"), strict=True)):
        for x, (arm, colour) in enumerate(COLOURS.items()):
            bits = results.stacked(arm, "bits")[:, 1 + k]
            axes.plot(np.full(len(bits), x), bits, "o", ms=4, color=colour, alpha=0.5)
            axes.plot([x - 0.3, x + 0.3], [bits.mean()] * 2, color=colour, lw=2.5)
        axes.set_xticks(range(len(COLOURS)), list(COLOURS), rotation=25, ha="right")
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("bits a character")
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"recall": recall(results), "texts": texts(results)}
