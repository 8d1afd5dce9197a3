"""Figures of nalsm: accuracy against branching, and what becomes of rate and weights."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {
    "nalsm": "#0072b2",
    "stdp": "#d55e00",
    "fixed": "#009e73",
    "clamped": "#999999",
    "nalsm-fresh": "#56b4e9",
    "stdp-fresh": "#e69f00",
}
TITLES = ("MNIST", "Fashion-MNIST")


def edge(results: Results) -> Figure:
    """Accuracy against the branching factor: a point a seed, a cross the mean; a line for the pixels."""
    sets = results.stacked("nalsm", "accuracy").shape[1]
    figure = Figure(figsize=(4.2 * sets, 3.8), layout="constrained")
    for k, axes in enumerate(figure.subplots(1, sets, squeeze=False)[0]):
        for arm, colour in COLOURS.items():
            accuracy = 100 * results.stacked(arm, "accuracy")[:, k]
            moving = results.stacked(arm, "branching")[:, k]
            x = np.where(np.isnan(moving), results.stacked(arm, "branching_frozen")[:, k], moving)
            axes.scatter(x, accuracy, s=18, color=colour, alpha=0.5, lw=0)
            axes.plot(x.mean(), accuracy.mean(), "X", ms=9, color=colour, label=arm)
        axes.axvline(1, color="#000000", lw=0.8, ls=":")
        axes.axhline(100 * results.stacked("pixels", "accuracy")[:, k].mean(), color="#000000", lw=0.8, ls="--",
                     label="pixels")  # fmt: skip
        axes.set_title(TITLES[k] if sets > 1 else results.settings["data"], fontsize=10)
        axes.set_xlabel("branching factor")
        axes.spines[["top", "right"]].set_visible(False)
    first = figure.axes[0]
    first.set_ylabel("accuracy (%)")
    first.legend(frameon=False, fontsize=8)
    return figure


def activity(results: Results) -> Figure:
    """Rate of the liquid and strength of its synapses, by arm: bars are means over seeds, dots the seeds."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    shown = (("rate", "rate of the liquid (Hz)"), ("strength", "mean |weight| / bound"))
    for axes, (name, label) in zip(figure.subplots(1, 2), shown, strict=True):
        for k, (arm, colour) in enumerate(COLOURS.items()):
            values = results.stacked(arm, name).mean(1)
            axes.bar(k, values.mean(), color=colour, alpha=0.6, width=0.7)
            axes.plot(np.full(len(values), k), values, "k.", ms=4)
        axes.set_xticks(range(len(COLOURS)), list(COLOURS), rotation=30, ha="right", fontsize=8)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"edge-of-chaos": edge(results), "activity": activity(results)}
