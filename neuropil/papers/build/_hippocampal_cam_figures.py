"""Figures of hippocampal-cam: a session spike by spike, operations by arm, stress."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._hippocampal_cam_score import conditions
from neuropil.studies import Results

COLOURS = {
    "cam": "#0072b2", "willshaw": "#d55e00", "hopfield": "#009e73", "no-depression": "#cc79a7",
    "no-gate": "#e69f00", "gated": "#56b4e9", "unlearned": "#999999", "dictionary": "#000000",
}  # fmt: skip


def session(results: Results) -> Figure:
    """Output spikes of one session with overlapping contents."""
    s = results.settings
    raster = np.asarray(results.history["cam"][results.seeds[0]]["raster"])[0]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    t, cell = np.nonzero(raster)
    cue = cell < s["cues"]
    axes.plot(t[cue], cell[cue], "|", ms=3, color="#d55e00", label="cues")
    axes.plot(t[~cue], cell[~cue], "|", ms=3, color="#0072b2", label="contents")
    learn, recall, n = s["after_learning"], s["after_recall"], s["cues"]
    spans = (n * learn, n * recall, 3 * n * recall, n // 2 * learn, n * recall)
    names = ("learn", "by cue", "by fragment", "learn\nanew", "by cue")
    at = np.concatenate([[0], np.cumsum(spans)])
    for k, name in enumerate(names):
        axes.axvline(at[k], color="#bbbbbb", lw=0.8)
        axes.text((at[k] + at[k + 1]) / 2, raster.shape[1] + 1, name, ha="center", fontsize=8)
    axes.set_xlim(0, at[-1] + 8)
    axes.set_xlabel("time (ms)")
    axes.set_ylabel("output cell")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center")
    return figure


def operations(results: Results) -> Figure:
    """Share of exact answers by operation and arm, with the seeds' range."""
    names = ("by-cue", "by-one", "by-two", "by-half", "includes", "first", "overwritten", "kept")
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots()
    arms = list(results.values["exact"])
    for k, arm in enumerate(arms):
        values = np.array([results.values[name][arm] for name in names])
        x = np.arange(len(names)) + 0.8 * (k / len(arms) - 0.5)
        spread = np.abs(np.stack([values.min(1), values.max(1)]) - values.mean(1))
        axes.bar(x, values.mean(1), 0.8 / len(arms), align="edge", yerr=spread, label=arm,
                 color=COLOURS[arm], error_kw={"lw": 0.8})  # fmt: skip
    axes.set_xticks(range(len(names)), [name.replace("-", " ") for name in names])
    axes.set_ylabel("share of questions")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center")
    return figure


def stress(results: Results) -> Figure:
    """What is left of the spiking memory under each stress; specificity of a fragment with cues stored."""
    s, at = results.settings, conditions(results.settings)
    labels = {
        "gaps": "pause after learning (ms)", "lost": "share of spikes lost",
        "spread": "spread of weights", "stored": "cues stored",
    }  # fmt: skip
    figure = Figure(figsize=(10, 3), layout="constrained")
    panels = figure.subplots(1, 4, sharey=True)
    lines = {"by_cue": "by cue", "by_content": "by fragment", "overwritten": "learned anew"}
    colours = ("#0072b2", "#d55e00", "#009e73")
    main = list(s["active"]).index(s["stress_active"])
    whole = {"gaps": s["after_learning"], "lost": 0.0, "spread": 0.0, "stored": s["cues"]}
    for axes, kind in zip(panels, labels, strict=True):
        x = np.array([*s[kind], whole[kind]], float)
        order = np.argsort(x)
        shown = lines if kind != "stored" else {"includes": "is recalled", "first": "is picked"}
        for (name, label), colour in zip(shown.items(), colours, strict=False):
            y = results.stacked("cam", name).mean(1)
            y = np.concatenate([y[:, at[kind]], y[:, main : main + 1]], 1)[:, order]
            axes.plot(x[order], y.T, color=colour, lw=0.6, alpha=0.35)
            axes.plot(x[order], y.mean(0), color=colour, lw=2, marker="o", ms=3, label=label)
        if kind == "stored":
            y = results.stacked("cam", "chance_first").mean(1)
            y = np.concatenate([y[:, at[kind]], y[:, main : main + 1]], 1)[:, order].mean(0)
            axes.plot(x[order], y, "k:", label="1 / cues that share a cell")
        axes.set_xlabel(labels[kind])
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    panels[0].set_ylabel("share of questions")
    return figure


def drift(results: Results) -> Figure:
    """Exact answers to fragments in the order in which they are asked: what recall does to the memory."""
    s = results.settings
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, arm in zip(panels, ("cam", "gated"), strict=True):
        turn = results.stacked(arm, "in_turn").mean((0, 1))
        for k, active in enumerate(s["active"]):
            y = turn[k].reshape(-1)
            width = max(len(y) // 12, 1)
            y = y[: len(y) // width * width].reshape(-1, width).mean(1)
            label = f"{active} cells" if active else "disjoint"
            axes.plot((np.arange(len(y)) + 0.5) * width, y, marker="o", ms=3, label=label)
        for k in (1, 2):
            axes.axvline(k * s["cues"], color="#bbbbbb", lw=0.8)
        axes.set_title(arm, fontsize=9)
        axes.set_xlabel("questions by fragment so far")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("exact answers")
    panels[0].legend(frameon=False, fontsize=7)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {
        "session": session(results),
        "operations": operations(results),
        "stress": stress(results),
        "drift": drift(results),
    }
