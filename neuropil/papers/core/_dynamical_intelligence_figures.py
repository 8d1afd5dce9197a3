"""Figures of dynamical-intelligence: replay in three orders, capacity, synchrony, the tree."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.core._theta_gamma import GAMMA
from neuropil.studies import Results

COLOURS = {
    "theta-gamma": "#0072b2", "no-gamma": "#e69f00", "no-theta": "#009e73", "dense": "#cc79a7",
    "asynchronous": "#d55e00", "clocked": "#000000",
}  # fmt: skip


def replays(results: Results) -> Figure:
    """Share of each item's assembly that fires, over time: three orders, with and without synchrony."""
    arms, orders = ("theta-gamma", "asynchronous"), ("forward", "reverse", "from the middle")
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    ratio = results.settings["ratio"]
    for line, arm in zip(panels, arms, strict=True):
        activity = np.asarray(results.history[arm][results.seeds[0]]["activity"])[0]
        for axes, shown, order in zip(line, activity, orders, strict=True):
            t = np.arange(len(shown))
            for k in range(shown.shape[1]):
                axes.fill_between(t, k, k + shown[:, k], step="mid", color=f"C{k}", lw=0.8)
            for k in range(ratio + 1):
                axes.axvline(GAMMA * k, color="#dddddd", lw=0.6, zorder=0)
            axes.axvspan(GAMMA * (ratio - 1), GAMMA * ratio, color="#eeeeee", zorder=-1)
            axes.set_xlim(0, GAMMA * ratio)
            axes.set_title(f"{arm}, {order}", fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("item")
    for axes in panels[1]:
        axes.set_xlabel("time (ms)")
    return figure


def capacity(results: Results) -> Figure:
    """Items read in a theta cycle against the ratio, and items in place against the spread of phases."""
    s = results.settings
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    panels = figure.subplots(1, 3)
    kinds = (
        ("slower_theta", "ratios", "ratio, by theta"),
        ("faster_gamma", "gammas", "ratio, by gamma"),
    )
    for axes, (name, setting, label) in zip(panels, kinds, strict=False):
        x = np.array(s[setting])
        for arm in ("theta-gamma", "no-gamma", "dense", "asynchronous"):
            y = results.stacked(arm, name).mean(1)
            axes.plot(x, y.T, color=COLOURS[arm], lw=0.6, alpha=0.35)
            axes.plot(x, y.mean(0), color=COLOURS[arm], lw=2, marker="o", ms=3, label=arm)
        axes.plot(x, x - 1, "k:", label="ratio - 1")
        axes.set_xlabel(label)
    panels[0].set_ylabel("items in place a theta cycle")
    panels[0].legend(frameon=False, fontsize=7)
    y = results.stacked("theta-gamma", "by_spread").mean(1)
    panels[2].plot(s["spreads"], y.T, color=COLOURS["theta-gamma"], lw=0.6, alpha=0.35)
    panels[2].plot(s["spreads"], y.mean(0), color=COLOURS["theta-gamma"], lw=2, marker="o", ms=3)
    panels[2].set_xlabel("spread of phases (gamma cycles)")
    panels[2].set_ylabel("items in place")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def tree(results: Results) -> Figure:
    """The item that is read at each gamma cycle of the tree, before and after its update."""
    s = results.settings
    figure = Figure(figsize=(8, 3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    read = np.asarray(results.history["theta-gamma"][results.seeds[0]]["read"])[0]
    first = s["sequences"] * s["length"] + s["long"]
    for axes, seen, title in zip(panels, read, ("before", "after the update"), strict=True):
        t = np.arange(len(seen))
        there = seen >= first
        chunk = (seen[there] - first) // s["items"]
        axes.scatter(t[there], seen[there] - first, c=[f"C{c}" for c in chunk], s=22)
        for k in range(s["chunks"] + 1):
            axes.axvline(k * s["ratio"] - 0.5, color="#bbbbbb", lw=0.8)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("gamma cycle")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("item of the tree")
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"replays": replays(results), "capacity": capacity(results), "tree": tree(results)}
