"""Figures of htm-sequence-memory: learning and learning again, and what cell death leaves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._htm_score import LESIONS
from neuropil.studies import Results

COLOURS = {
    "htm": "#0072b2",
    "first-order": "#999999",
    "frozen": "#56b4e9",
    "lstm": "#d55e00",
    "echo-state": "#009e73",
    "ceiling": "#000000",
}


def learning(results: Results) -> Figure:
    """Accuracy on last elements through the stream; the endings are swapped at the dotted line."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    s = results.settings
    at = s["chunk"] * (np.arange(s["learning"]) + 1)
    for arm in (
        "frozen",
        *(a for a in COLOURS if a != "frozen"),
    ):  # under htm, which it is at first
        colour = COLOURS[arm]
        y = results.stacked(arm, "accuracy")[:, : s["learning"]].mean(0)
        axes.plot(at, y, color=colour, lw=1.5, label=arm)
    axes.axvline(s["chunk"] * s["change"], color="#000000", lw=0.8, ls=":")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("elements seen")
    axes.set_ylabel("last elements foretold")
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def death(results: Results) -> Figure:
    """Accuracy with a share of the cells dead, without learning."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    begin = results.settings["learning"]
    for arm in ("htm", "lstm", "echo-state"):
        y = results.stacked(arm, "accuracy")[:, begin : begin + len(LESIONS)].mean(0)
        axes.plot(100 * np.array(LESIONS), y, "o-", color=COLOURS[arm], lw=1.5, ms=4, label=arm)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("dead cells (%)")
    axes.set_ylabel("last elements foretold")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def text(results: Results) -> Figure:
    """Letters foretold through a text (left); raw anomaly before, in and after the odd letters (right)."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    s = results.settings
    chunks, size, odd = s["text"], s["chunk"], s["odd"]
    at = size * (np.arange(chunks) + 1)
    reach = min(odd, (size - odd) // 2)
    for arm in ("htm", "first-order", "lstm", "echo-state", "ceiling"):
        seen = {k: results.stacked(arm, k)[:, -chunks:] for k in ("first", "given", "odd")}
        kept = np.where(seen["odd"] > 0, np.nan, seen["first"])
        label = "two letters counted" if arm == "ceiling" else arm
        left.plot(at, np.nanmean(kept, axis=(0, 2)), color=COLOURS[arm], lw=1.5, label=label)
        rows = []
        for row, marked in zip(
            1 - seen["given"].reshape(-1, size), seen["odd"].reshape(-1, size), strict=True
        ):
            first = marked.argmax()
            if marked.any() and reach <= first <= size - odd - reach:
                rows.append(row[first - reach : first + odd + reach])
        if rows:
            right.plot(np.arange(-reach, odd + reach), np.mean(rows, 0), color=COLOURS[arm], lw=1.5)
    right.axvspan(-0.5, odd - 0.5, color="#000000", alpha=0.07, lw=0)
    left.set(xlabel="letters read", ylabel="letters foretold", ylim=(0, None))
    right.set(xlabel="letters since the odd ones began", ylabel="raw anomaly", ylim=(0, 1.03))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"learning": learning(results), "cell-death": death(results), "text": text(results)}
