"""Figures of brainpy: the E/I network's rate over time, and how the memory network learns."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {"gif": "#0072b2", "no-slow": "#d55e00", "readout": "#999999"}


def learning(results: Results) -> Figure:
    """Accuracy on fresh trials after each chunk of updates: mean over seeds, and the seeds."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for arm, colour in COLOURS.items():
        accuracy = 100 * results.stacked(arm, "accuracy")
        x = results.settings["updates"] * np.arange(1, accuracy.shape[1] + 1)
        axes.plot(x, accuracy.T, color=colour, lw=0.7, alpha=0.4)
        axes.plot(x, accuracy.mean(0), color=colour, lw=2, marker="o", label=arm)
    ideal = 100 * results.stacked("observer", "accuracy")[:, -1].mean()
    axes.axhline(ideal, color="#000000", lw=0.8, ls="--", label="observer")
    axes.axhline(50, color="#000000", lw=0.8, ls=":")
    axes.set_xlabel("updates")
    axes.set_ylabel("accuracy (%)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center")
    return figure


def population(results: Results) -> Figure:
    """Rate of the E/I network over time, one line a seed."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    rate = results.stacked("gif", "population")[:, 0]
    t = (np.arange(rate.shape[1]) + 0.5) * results.settings["ms"] / rate.shape[1]
    axes.plot(t, rate.T, color="#0072b2", lw=0.8, alpha=0.6)
    axes.set_xlabel("time (ms)")
    axes.set_ylabel("rate of the E/I network (Hz)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"learning": learning(results), "population": population(results)}
