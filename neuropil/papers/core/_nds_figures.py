"""Figures of the nested-dynamical-systems study."""

from __future__ import annotations

from typing import Any

import numpy as np

BLUE, ORANGE, GREY, GREEN, RED = "#3564a8", "#d1742f", "#777777", "#3c8c5a", "#b0413e"
COLOURS = {"composed": BLUE, "autodiff": GREY, "scaled": ORANGE, "blind": RED, "round-off": GREEN}
LAWS = (
    "associativity",
    "unit",
    "interchange",
    "nesting",
    "resumed",
    "outer",
    "trajectory",
    "gradient",
)
FLOOR = 1e-18  # where an exact zero is drawn on a logarithmic axis


def figures(results: Any) -> dict:
    """How far each law is from holding, by arm; tracking error over time, by wiring."""
    return {"laws": laws(results), "wiring": wiring(results)}


def _axes(width: float, height: float):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def laws(results: Any):
    """Distance from every law, one point a seed (the worst depth)."""
    figure, axes = _axes(7.0, 4.2)
    for k, (arm, colour) in enumerate(COLOURS.items()):
        xs, ys = [], []
        for row, law in enumerate(LAWS[::-1]):
            values = np.asarray(results.values.get(law, {}).get(arm, []), float)
            values = values[np.isfinite(values)]
            xs += np.maximum(values, FLOOR).tolist()
            ys += [row + 0.14 * (2 - k)] * len(values)
        axes.scatter(xs, ys, color=colour, s=14, alpha=0.6, label=arm, linewidths=0)
    axes.axvline(1e-10, color=GREY, lw=1, ls="--")
    axes.set_xscale("log")
    axes.set_yticks(range(len(LAWS)), LAWS[::-1])
    axes.set_xlabel("distance from the law (exact equality is drawn at 1e-18)")
    axes.set_title("Dashed: the claimed bound; controls must break the last two", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def wiring(results: Any):
    """Mean tracking error over the run and its spread over seeds."""
    figure, axes = _axes(7.0, 3.6)
    arms = {"learning-wiring": BLUE, "fixed-wiring": ORANGE, "shuffled-wiring": GREY}
    for arm, colour in arms.items():
        errors = np.log10(results.stacked(arm, "errors")[:, 0])
        t = np.linspace(0, results.settings["length"], errors.shape[1])
        low, middle, high = np.percentile(errors, [25, 50, 75], axis=0)
        axes.plot(t, 10**middle, color=colour, label=arm, lw=1.6)
        axes.fill_between(t, 10**low, 10**high, color=colour, alpha=0.2, lw=0)
    axes.axvline(results.settings["length"] / 2, color="k", lw=1, ls=":")
    axes.set_yscale("log")
    axes.set_xlabel("tick (dotted: plant 1 loses strength)")
    axes.set_ylabel("squared error / power of reference")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return figure
