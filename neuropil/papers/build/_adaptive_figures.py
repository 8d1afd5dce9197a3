"""Figures of adaptive-reservoir: how each arm depends on the scale of its input."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._adaptive_score import losses
from neuropil.papers.build._adaptive_tasks import TASKS
from neuropil.studies import Results

COLOURS = {
    "adapted": "#0072b2",
    "adapted-varied": "#56b4e9",
    "designed": "#009e73",
    "global": "#d55e00",
    "global-once": "#e69f00",
    "global-factor": "#882255",
    "untuned": "#999999",
    "elsewhere": "#cc79a7",
    "echo-state": "#000000",
}
LABELS = {
    "capacity": "memory capacity",
    "narma": "NARMA-10, NRMSE",
    "mackey": "Mackey-Glass 84 ahead, NRMSE",
    "lorenz": "Lorenz 0.2 ahead, NRMSE",
}


def sensitivity(results: Results) -> Figure:
    """Every task against the scale of the input: mean over seeds, a band of one standard error."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    for k, axes in enumerate(figure.subplots(2, 2).flat):
        for arm, colour in COLOURS.items():
            each = [
                {n: results.history[arm][s][n] for n in ("scale", "test")} for s in results.seeds
            ]
            y = np.stack([losses(h, "test")[:, k] for h in each])
            y = -y if TASKS[k] == "capacity" else y
            x, middle = np.sort(each[0]["scale"]), y.mean(0)
            error = y.std(0, ddof=1) / np.sqrt(len(y)) if len(y) > 1 else 0 * middle
            axes.plot(x, middle, "o-", color=colour, ms=4, lw=1.5, label=arm)
            axes.fill_between(x, middle - error, middle + error, color=colour, alpha=0.15, lw=0)
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{a:g}" for a in x])
        axes.set_xticks([], minor=True)
        axes.set_title(LABELS[TASKS[k]], fontsize=10)
        axes.set_xlabel("scale of the input weights")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8, ncols=2)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"scale-of-the-input": sensitivity(results)}
