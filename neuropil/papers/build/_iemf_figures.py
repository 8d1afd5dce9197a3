"""Figures of iemf: the inverse-effectiveness curve, what the rule adds, and the trace of xi."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._iemf_score import enhancement
from neuropil.studies import Results

TITLES = ("rate network", "spiking network")
COLOURS = {"iemf": "#0072b2", "joint": "#d55e00", "static": "#e69f00", "reversed": "#999999"}


def _by_strength(results: Results, arm: str, name: str) -> np.ndarray:
    """(seed, kind of network, strength, ...) of a recorded value."""
    values = results.stacked(arm, name)
    return values.reshape(len(values), 2, len(results.settings["snr"]), *values.shape[2:])


def _panels(results: Results, label: str) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title in zip(panels, TITLES, strict=True):
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(label)
    return figure, panels


def inverse_effectiveness(results: Results) -> Figure:
    """Enhancement over the best single cue against how much that cue says, a point a seed and strength."""
    figure, panels = _panels(results, "enhancement by both cues (%)")
    for arm in ("joint", "iemf"):
        both, alone = _by_strength(results, arm, "accuracy"), _by_strength(results, arm, "alone")
        gain = 100 * enhancement(both, alone)
        for k, axes in enumerate(panels):
            best = 100 * alone[:, k].max(-1)
            axes.scatter(best, gain[:, k], s=16, color=COLOURS[arm], alpha=0.4, lw=0)
            axes.plot(best.mean(0), gain[:, k].mean(0), color=COLOURS[arm], marker="o", label=arm)
    for axes in panels:
        axes.set_xlabel("accuracy of the best single cue (%)")
    panels[0].legend(frameon=False)
    return figure


def gain_of_the_rule(results: Results) -> Figure:
    """Accuracy above the joint arm at every strength of the cues, paired by seed."""
    figure, panels = _panels(results, "accuracy above joint (points)")
    base = _by_strength(results, "joint", "accuracy")
    snr = np.asarray(results.settings["snr"], float)
    for shift, arm in enumerate(("iemf", "static", "reversed")):
        gain = 100 * (_by_strength(results, arm, "accuracy") - base)
        for k, axes in enumerate(panels):
            x = snr + 0.4 * (shift - 1)
            low, high = gain[:, k].min(0), gain[:, k].max(0)
            axes.vlines(x, low, high, color=COLOURS[arm], lw=1)
            axes.plot(x, gain[:, k].mean(0), "o", color=COLOURS[arm], label=arm)
    for axes in panels:
        axes.axhline(0, color="#000000", lw=0.8)
        axes.set_xlabel("signal to noise of the cues (dB)")
        axes.set_xticks(snr)
        axes.invert_xaxis()
    panels[1].legend(frameon=False, loc="lower right")
    return figure


def trace(results: Results) -> Figure:
    """xi through training, by strength of the cues: mean over seeds."""
    figure, panels = _panels(results, "xi")
    xi = _by_strength(results, "iemf", "xi")
    for k, axes in enumerate(panels):
        for level, snr in enumerate(results.settings["snr"]):
            shade = str(0.1 + 0.6 * level / max(1, xi.shape[2] - 1))
            axes.plot(
                np.arange(1, xi.shape[-1] + 1),
                xi[:, k, level].mean(0),
                color=shade,
                label=f"{snr:g} dB",
            )
        axes.axhline(1, color="#0072b2", lw=0.8, ls="--")
        axes.set_xlabel("epoch")
    panels[0].legend(frameon=False)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {
        "inverse-effectiveness": inverse_effectiveness(results),
        "gain-of-the-rule": gain_of_the_rule(results),
        "xi": trace(results),
    }
