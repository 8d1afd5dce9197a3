"""Figures of hlop: what becomes of the first task, what is forgotten, what the lateral rows span."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {
    "hlop": "#0072b2",
    "sequential": "#d55e00",
    "replay": "#e69f00",
    "svd": "#009e73",
    "random": "#999999",
    "joint": "#000000",
}  # told apart also by the colour-blind (Okabe, Ito)
CIRCUITS = ("before layer 1", "before layer 2", "before layer 3")


def _band(axes: Axes, x, values, arm: str, label: str = "", **style) -> None:
    """Mean over seeds with the range of the seeds; `values` is (seed, x)."""
    colour = style.pop("color", COLOURS.get(arm, "#cc79a7"))
    axes.plot(x, values.mean(0), color=colour, label=label or arm, lw=1.8, **style)
    if len(values) > 1:
        axes.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0)


def _tasks(axes: Axes, tasks: int) -> None:
    axes.set_xlabel("tasks learnt")
    axes.set_xticks(range(1, tasks + 1))
    axes.spines[["top", "right"]].set_visible(False)


def first_task(results: Results) -> Figure:
    """Accuracy on the first task after each task, by arm."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for arm in results.study.arms:
        accuracy = results.stacked(arm, "accuracy")  # (seed, tick, task)
        style = {"ls": "--"} if arm == "joint" else {}
        _band(axes, np.arange(1, accuracy.shape[1] + 1), accuracy[:, :, 0], arm, **style)
    _tasks(axes, accuracy.shape[1])
    axes.set_ylabel("accuracy on task 1")
    axes.legend(frameon=False, ncols=2)
    return figure


def matrices(results: Results) -> Figure:
    """Accuracy on every task after every task, for the system and the baseline."""
    shown = [a for a in ("hlop", "sequential") if a in results.study.arms]
    figure = Figure(figsize=(4.2 * len(shown) + 0.6, 4), layout="constrained")
    for axes, arm in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        mean = results.stacked(arm, "accuracy").mean(0)
        n = len(mean)
        image = axes.imshow(
            100 * mean, vmin=10, vmax=100, cmap="viridis", extent=(0.5, n + 0.5, n + 0.5, 0.5)
        )
        for i, j in zip(*np.nonzero(np.isfinite(mean)), strict=True):
            dark = mean[i, j] < 0.6
            size = 7 if n > 5 else 10
            colour = "white" if dark else "black"
            axes.text(
                j + 1,
                i + 1,
                f"{100 * mean[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=size,
                color=colour,
            )
        axes.set(title=arm, xlabel="tested on task", ylabel="after task")
        axes.set_xticks(range(1, n + 1))
        axes.set_yticks(range(1, n + 1))
    figure.colorbar(image, ax=figure.axes, label="accuracy (%)", shrink=0.8)
    return figure


def forgetting(results: Results) -> Figure:
    """Forgetting of each arm: every seed, and the mean."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    values = results.values["forgetting"]
    arms = [a for a in values if np.isfinite(values[a]).all() and len(values[a])]
    for place, arm in enumerate(arms):
        v = 100 * np.asarray(values[arm])
        colour = COLOURS.get(arm, "#cc79a7")
        axes.bar(place, v.mean(), color=colour, alpha=0.3, width=0.6)
        spread = np.linspace(-0.15, 0.15, len(v)) if len(v) > 1 else [0.0]
        axes.plot(place + np.asarray(spread), v, "o", color=colour, ms=4)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(arms)), arms)
    axes.set_ylabel("forgetting, -BWT (points)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def span(results: Results) -> Figure:
    """Mean angle of each task's rows to the residual's principal directions, and what no row covers."""
    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    grid = figure.subplots(2, 3, sharex=True, sharey="row")
    arms = [a for a in ("hlop", "svd", "random") if a in results.study.arms]
    for row, (name, scale, label) in enumerate(
        [("angle", 1, "angle to PCA (degrees)"), ("uncovered", 100, "activity not covered (%)")]
    ):
        for c, axes in enumerate(grid[row]):
            for arm in arms:
                value = scale * results.stacked(arm, name)[:, :, c]
                _band(axes, np.arange(1, value.shape[1] + 1), value, arm)
            axes.set_ylim(bottom=0)
            _tasks(axes, value.shape[1])
            if row == 0:
                axes.set(title=f"rows {CIRCUITS[c]}", xlabel="")
        grid[row][0].set_ylabel(label)
    grid[0][2].legend(frameon=False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of the report by name."""
    return {
        "first task": first_task(results),
        "forgetting": forgetting(results),
        "accuracy on every task": matrices(results),
        "what the lateral rows span": span(results),
    }
