"""Figures of heterogeneous-delays: what pruning leaves, what was learnt, which velocities it holds."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._heterogeneous_delays import CRITERIA
from neuropil.studies import Results
from neuropil.worlds.moving import ring_velocities

COLOURS = dict(zip(CRITERIA, ("#0072b2", "#e69f00", "#009e73"), strict=True))
LABELS = dict(
    zip(CRITERIA, ("largest kept", "random ones kept", "shortest delays kept"), strict=True)
)


def pruning(results: Results) -> Figure:
    """Accuracy against the share of weights kept, by criterion; the range is that of the seeds."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    levels = 100 * np.asarray(results.settings["levels"])
    whole = results.stacked("delays", "accuracy")[:, -1]  # (seed, criterion, level)
    still = results.stacked("no-delay", "accuracy")[:, -1, 0]
    curves = [(whole[:, k], COLOURS[c], LABELS[c]) for k, c in enumerate(CRITERIA)]
    for values, colour, label in [*curves, (still, "#d55e00", "no delays, largest kept")]:
        axes.plot(levels, values.mean(0), "o-", color=colour, label=label, ms=4, lw=1.8)
        axes.fill_between(levels, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0)
    classes = results.settings["directions"] * len(results.settings["speeds"])
    axes.axhline(1 / classes, color="black", lw=0.8, ls=":", label="chance")
    best = np.mean(results.values["accuracy"]["correlation"])
    axes.axhline(best, color="black", lw=0.8, ls="--", label="correlation of frames")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="weights kept (%)", ylabel="accuracy, test films")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc=(0.27, 0.42))
    return figure


def kernels(results: Results) -> Figure:
    """ON minus OFF weights, less their mean over classes, of four classes at four delays (one seed)."""
    planes = results.stacked("delays", "shown")[0, -1]
    settings = results.settings
    velocities = ring_velocities(settings["directions"], settings["speeds"])
    some = np.linspace(0, len(velocities) // 2, 5)[:4].astype(int)
    delays = np.linspace(0, settings["depth"] - 1, 4).astype(int)
    figure = Figure(figsize=(6.2, 6.4), layout="constrained")
    half = settings["side"] // 2
    for row, c in zip(figure.subplots(4, 4), range(4), strict=True):
        most = np.abs(planes[c]).max() or 1.0
        for k, axes in enumerate(row):
            axes.imshow(
                planes[c, k],
                cmap="RdBu_r",
                vmin=-most,
                vmax=most,
                origin="lower",
                extent=(-half - 0.5, half + 0.5) * 2,
            )
            y, x = -velocities[some[c]] * delays[k]
            axes.plot(x, y, "k+", ms=8)
            room = (-half - 0.5, half + 0.5)  # where the event had left the kernel there is no +
            axes.set(xticks=[], yticks=[], xlim=room, ylim=room)
            if c == 0:
                axes.set_title(f"delay {delays[k]}", fontsize=9)
        vy, vx = velocities[some[c]]
        speed, angle = np.hypot(vy, vx), np.degrees(np.arctan2(vy, vx))
        row[0].set_ylabel(f"{speed:.2f} px/step, {angle:.0f} deg", fontsize=8)
    figure.suptitle("Weights of four motions; + where their event was", fontsize=10)
    return figure


def velocities(results: Results) -> Figure:
    """Slope of each kernel in space and delay, beside the planted velocity (mean over seeds)."""
    slope = -results.stacked("delays", "slope")[:, -1].mean(0)
    planted = ring_velocities(results.settings["directions"], results.settings["speeds"])
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    for true, got in zip(planted, slope, strict=True):
        axes.plot(*zip(true[::-1], got[::-1], strict=True), color="#999999", lw=0.8)
    axes.plot(planted[:, 1], planted[:, 0], "o", mfc="none", color="black", label="planted")
    axes.plot(slope[:, 1], slope[:, 0], "o", color="#0072b2", ms=5, label="slope of the kernel")
    axes.set(xlabel="x (pixels a step)", ylabel="y (pixels a step)", aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of the report by name."""
    return {
        "what pruning leaves": pruning(results),
        "kernels": kernels(results),
        "velocities in the kernels": velocities(results),
    }
