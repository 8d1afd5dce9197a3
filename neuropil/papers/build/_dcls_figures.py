"""Figures of dcls-delays: accuracy by arm, training, and the delays that one cell has learned."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._dcls_tasks import STEP
from neuropil.studies import Results

COLOURS = {
    "learned": "#0072b2",
    "fixed": "#e69f00",
    "none": "#d55e00",
    "smoothed": "#999999",
    "ceiling": "#000000",
}  # told apart also by the colour-blind (Okabe, Ito)


def _names(results: Results) -> dict[str, str]:
    real = {"braille-tactile-letters": "braille letters", "shd": "spoken digits (SHD)"}
    data = results.settings["data"]
    return {"code": "delay code (simulated)", "real": real.get(data, "delay code, another draw")}


def accuracy(results: Results) -> Figure:
    """Test accuracy with whole-step delays of every arm: each seed, and the mean."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    for axes, (task, title) in zip(figure.subplots(1, 2), _names(results).items(), strict=True):
        shown = [a for a in results.study.arms if a in results.values[f"accuracy-{task}"]]
        for k, arm in enumerate(shown):
            each = np.asarray(results.values[f"accuracy-{task}"][arm])
            axes.bar(k, each.mean(), color=COLOURS[arm], alpha=0.35, width=0.7)
            spread = np.linspace(-0.15, 0.15, len(each)) if len(each) > 1 else np.zeros(1)
            axes.plot(k + spread, each, "o", ms=4, color=COLOURS[arm])
            axes.text(k, 1.02, f"{each.mean():.2f}", ha="center", fontsize=8)
        if task == "code" or results.settings["data"] == "braille-tactile-letters":
            axes.axhline(1 / 20 if task == "code" else 1 / 27, color="0.6", lw=0.8, ls=":")
        axes.set_xticks(range(len(shown)), shown, rotation=25, ha="right")
        axes.set(title=title, ylim=(0, 1.1), ylabel="test accuracy" if task == "code" else "")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def training(results: Results) -> Figure:
    """Accuracy in the course of training: with whole-step delays, and (dashed) with the kernel of training."""
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    for axes, (task, title) in zip(figure.subplots(1, 2), _names(results).items(), strict=True):
        for arm in results.study.arms:
            if arm == "ceiling":
                continue
            hard = results.stacked(arm, f"accuracy-{task}")
            x = (np.arange(hard.shape[1]) + 1) / hard.shape[1]
            axes.plot(x, hard.mean(0), "o-", ms=3, color=COLOURS[arm], label=arm)
            axes.fill_between(x, hard.min(0), hard.max(0), color=COLOURS[arm], alpha=0.15, lw=0)
            if arm in ("learned", "smoothed"):
                soft = results.stacked(arm, f"soft-{task}").mean(0)
                axes.plot(x, soft, "--", color=COLOURS[arm], lw=1)
        axes.set(title=title, xlabel="share of training", ylim=(0, 1.02))
        axes.set_ylabel("test accuracy" if task == "code" else "")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[1].plot([], [], "--", color="0.4", lw=1, label="with the kernel of training")
    figure.axes[1].legend(frameon=False, fontsize=8)
    return figure


def example(results: Results) -> Figure:
    """Delays against onsets for the best-aligned cell of the first seed, learned and fixed."""
    shown = [a for a in ("learned", "smoothed") if a in results.history]
    figure = Figure(figsize=(3.6 * len(shown), 3.4), layout="constrained")
    axes_row = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, arm in zip(axes_row, shown, strict=True):
        delay, weight, onset = results.history[arm][results.seeds[0]]["example-code"][-1]
        size = 60 * np.abs(weight) / np.abs(weight).max()
        up = weight > 0
        axes.scatter(onset[up], delay[up] / STEP, size[up], color=COLOURS[arm], label="weight > 0")
        axes.scatter(onset[~up], delay[~up] / STEP, size[~up], facecolors="none", edgecolors="0.6")
        axes.set(title=f"{arm}: the best-aligned cell", xlabel="onset of the channel (steps)")
        axes.set_ylabel("delay of its synapse (steps)" if arm == shown[0] else "")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {
        "accuracy": accuracy(results),
        "training": training(results),
        "example": example(results),
    }
