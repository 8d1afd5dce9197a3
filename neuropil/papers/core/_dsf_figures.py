"""Figures of the dynamical-systems-framework study."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuropil.papers.core._dsf_exact import NAMES, state_size
from neuropil.papers.core._dsf_recall import ARMS

BLUE, ORANGE, GREY = "#3564a8", "#d1742f", "#777777"


def figures(results: Any) -> dict:
    """Exactness by family, truncation error by state size, recall by arm and over training."""
    return {
        "exactness": exactness(results),
        "truncation": truncation(results),
        "recall": recall(results),
        "training": training(results),
    }


def _axes(width: float, height: float):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def exactness(results: Any):
    """Largest difference of native code and common form, with the right and a wrong ingredient."""
    figure, axes = _axes(6.4, 3.8)
    rows = np.arange(len(NAMES))[::-1]
    for arm, colour, label in (
        ("dsf", BLUE, "right form"),
        ("wrong", ORANGE, "one ingredient wrong"),
    ):
        for row, name in zip(rows, NAMES, strict=True):
            values = results.stacked(arm, f"error-{name}").ravel()
            own = label if row == rows[0] else None
            axes.scatter(
                values, np.full(values.size, row), color=colour, s=28, alpha=0.7, label=own
            )
    axes.axvline(1e-10, color=GREY, lw=1, ls="--")
    axes.text(1.3e-10, rows[0] + 0.42, "claimed bound", color=GREY, fontsize=8, va="bottom")
    axes.set_xscale("log")
    axes.set_yticks(rows, NAMES)
    axes.set_xlabel("largest difference to the native code (one point a seed of draws)")
    axes.legend(frameon=False, loc="center", fontsize=9)
    return figure


def truncation(results: Any):
    """Error of softmax attention by truncated features against their number."""
    figure, axes = _axes(5.4, 3.6)
    width = results.settings["features"]
    for largest, colour in ((3, BLUE), (12, ORANGE)):
        errors = results.stacked("taylor", f"taylor-{largest}")[:, 0]  # (seed, order)
        sizes = [state_size(width, p) for p in range(errors.shape[1])]
        axes.plot(sizes, errors.T, color=colour, lw=0.8, alpha=0.5)
        axes.plot(
            sizes, np.median(errors, axis=0), "o-", color=colour, label=f"logits up to {largest}"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("state per channel n (order 0, 1, 2, ...)")
    axes.set_ylabel("relative error of the output")
    axes.legend(frameon=False, fontsize=9)
    return figure


def recall(results: Any):
    """Test accuracy of every arm, one point a seed."""
    figure, axes = _axes(6.4, 3.8)
    rows = np.arange(len(ARMS))[::-1]
    for row, arm in zip(rows, ARMS, strict=True):
        values = np.asarray(results.values["recall"][arm])
        axes.barh(row, values.mean(), color=BLUE if "linear" in arm else GREY, alpha=0.35)
        axes.scatter(values, np.full(values.size, row), color="black", s=10, zorder=3)
    axes.set_yticks(rows, [f"{arm} (n = {ARMS[arm][2]}, {ARMS[arm][0]})" for arm in ARMS])
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("recall accuracy on test sequences")
    return figure


def training(results: Any):
    """Test accuracy over training, mean over seeds."""
    import matplotlib

    figure, axes = _axes(6.4, 3.8)
    colours = matplotlib.colormaps["tab10"].colors
    for colour, arm in zip(colours, ARMS, strict=False):
        curve = results.stacked(arm, "test").mean(axis=0)
        steps = results.settings["chunk"] * np.arange(1, curve.size + 1)
        axes.plot(steps, curve, color=colour, label=arm)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("minibatches")
    axes.set_ylabel("recall accuracy on test sequences")
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    return figure
