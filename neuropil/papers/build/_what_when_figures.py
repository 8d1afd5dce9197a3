"""Figures of what-when-reservoir: learning again after a change, and what the readouts foretell."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._what_when_reservoir import BIN, CUE_AT
from neuropil.papers.build._what_when_score import errors, smooth
from neuropil.studies import Results

COLOURS = {
    "three-factor": "#0072b2",
    "force": "#d55e00",
    "force-reset": "#e69f00",
    "force-restart": "#cc79a7",
    "no-attention": "#009e73",
    "no-error": "#999999",
    "ceiling": "#000000",
}
# FORCE and its two variants are one until the change: a wide pale line, a dashed one and a thin one
STYLES = {
    "three-factor": {"lw": 1.8, "zorder": 3},
    "force": {"lw": 3.5, "alpha": 0.45},
    "force-reset": {"lw": 1.5, "ls": (0, (4, 2)), "zorder": 2.5},
    "force-restart": {"lw": 0.9, "alpha": 0.9},
}


def again(results: Results) -> Figure:
    """Errors through a session: the latencies change in the middle (left), the probabilities (right).

    Errors of heights on a logarithmic axis: those that no error stops (no-error) leave its top."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    labels = ("timing error (ms)", "|height - probability|")
    for k, axes in enumerate(figure.subplots(1, 2)):
        for arm, colour in COLOURS.items():
            each = [errors(results.history[arm][seed])[k][k] for seed in results.seeds]
            y = np.mean([smooth(e) for e in each], axis=0)
            style = {"lw": 1.5} | STYLES.get(arm, {})
            axes.plot(np.arange(len(y)), y, color=colour, label=arm, **style)
        axes.set(ylim=((0, 260), (0.008, 2))[k], yscale=("linear", "log")[k])
        axes.axvline(len(y) / 2, color="#000000", lw=0.8, ls=":")
        axes.set_xlabel("trial")
        axes.set_ylabel(labels[k])
        axes.set_title(("latencies swapped", "probabilities changed")[k], fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def foretold(results: Results) -> Figure:
    """What both cues let the readouts foretell before and after the probabilities changed, by arm."""
    arms = ("three-factor", "force", "force-reset")
    figure = Figure(figsize=(10, 6.6), layout="constrained")
    for row, arm in zip(figure.subplots(len(arms), 4, sharex=True, sharey=True), arms, strict=True):
        mean = np.mean([results.history[arm][s]["responses"][1] for s in results.seeds], axis=0)
        last = results.history[arm][results.seeds[0]]
        for k, axes in enumerate(row):
            half, cue = divmod(k, 2)
            z = mean[half, cue]
            t = BIN * (np.arange(len(z)) + 1) - CUE_AT
            at = 0 if half == 0 else -1
            for outcome, colour in enumerate(("#0072b2", "#d55e00")):
                axes.plot(t, z[:, outcome], color=colour, lw=1.4, label=f"outcome {outcome + 1}")
                x, p = (last[name][1][at, cue, outcome] for name in ("times", "chances"))
                axes.plot([x, x], [0, p], ":", color=colour, lw=1)
                axes.plot(x, p, "o", color=colour, ms=4)
            axes.plot(t, z[:, 2], color="#999999", lw=1, label="when")
            axes.spines[["top", "right"]].set_visible(False)
            if arm == arms[0]:
                axes.set_title(f"cue {'AB'[cue]}, {('before', 'after')[half]}", fontsize=10)
            if arm == arms[-1]:
                axes.set_xlabel("ms after the cue")
        row[0].set_ylabel(arm)
    figure.axes[0].legend(frameon=False, fontsize=7)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"learning-again": again(results), "foretold": foretold(results)}
