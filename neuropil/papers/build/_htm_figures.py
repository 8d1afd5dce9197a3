"""Figures of htm-sequence-memory: learning and learning again, and what cell death leaves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._htm_score import LESIONS
from neuropil.studies import Results

COLOURS = {
    "htm": "#0072b2",
    "first-order": "#999999",
    "frozen": "#56b4e9",
    "lstm": "#d55e00",
    "echo-state": "#009e73",
    "ceiling": "#000000",
}


def learning(results: Results) -> Figure:
    """Accuracy on last elements through the stream; the endings are swapped at the dotted line."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    s = results.settings
    at = s["chunk"] * (np.arange(s["learning"]) + 1)
    for arm, colour in COLOURS.items():
        y = results.stacked(arm, "accuracy")[:, : s["learning"]].mean(0)
        axes.plot(at, y, color=colour, lw=1.5, label=arm)
    axes.axvline(s["chunk"] * s["change"], color="#000000", lw=0.8, ls=":")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("elements seen")
    axes.set_ylabel("last elements foretold")
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def death(results: Results) -> Figure:
    """Accuracy with a share of the cells dead, without learning."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    begin = results.settings["learning"]
    for arm in ("htm", "lstm", "echo-state"):
        y = results.stacked(arm, "accuracy")[:, begin : begin + len(LESIONS)].mean(0)
        axes.plot(100 * np.array(LESIONS), y, "o-", color=COLOURS[arm], lw=1.5, ms=4, label=arm)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("dead cells (%)")
    axes.set_ylabel("last elements foretold")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"learning": learning(results), "cell-death": death(results)}
