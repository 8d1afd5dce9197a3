"""Figures of cortico-cerebellar-dni: learning curves, drawn lines, error against the horizon."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._cortico_tasks import line_targets
from neuropil.studies import Results

COLOURS = {
    "ccrnn": "#e69f00",
    "crnn": "#666666",
    "crnn-fast": "#a6a6a6",
    "shuffled": "#56b4e9",
    "random": "#cc79a7",
    "bptt": "#d55e00",
}  # told apart also by the colour-blind (Okabe, Ito)


def _bare(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _seeds(results: Results, arm: str, name: str, tick: int) -> np.ndarray:
    """A recorded value at a tick, (seed, ...)."""
    return np.stack([results.history[arm][s][name][tick] for s in results.seeds])


def curves(results: Results) -> Figure:
    """Error through learning in the three tasks: mean over seeds, and their range."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    titles = ("line drawing, MSE", "digit drawing, MSE x 100", "digit naming, error")
    scale = (1, 100, 1)
    sizes = [results.settings[n] for n in ("updates", "digit_updates", "digit_updates")]
    for task, axes in enumerate(figure.subplots(1, 3)):
        for arm, seeds in results.history.items():
            if len(next(iter(seeds.values()))["error"]) <= task:
                continue
            y = scale[task] * _seeds(results, arm, "curve", task)
            x = np.linspace(0, sizes[task], y.shape[1] + 1)[1:]
            axes.plot(x, y.mean(0), color=COLOURS.get(arm), label=arm, lw=1.8)
            axes.fill_between(x, y.min(0), y.max(0), color=COLOURS.get(arm), alpha=0.12, lw=0)
        axes.set(title=titles[task], xlabel="updates")
        if task < 2:
            axes.set_yscale("log")
        _bare(axes)
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def drawings(results: Results) -> Figure:
    """What each arm draws in the first seed, horizon 1 (bptt: the whole), with the wanted lines."""
    arms = list(results.history)
    figure = Figure(figsize=(2.1 * len(arms), 2.4), layout="constrained")
    wanted = np.asarray(line_targets(results.settings["steps"]))
    for arm, axes in zip(arms, figure.subplots(1, len(arms), squeeze=False)[0], strict=True):
        paths = _seeds(results, arm, "paths", 0)[0]
        axes.plot(wanted[..., 0], wanted[..., 1], color="#dddddd", lw=4)
        axes.plot(paths[..., 0], paths[..., 1], color=COLOURS.get(arm), lw=1, marker=".", ms=4)
        axes.set(title=arm, xlim=(-13, 13), ylim=(-13, 13), aspect="equal", xticks=[], yticks=[])
    return figure


def horizons(results: Results) -> Figure:
    """Error of line drawing against the horizon, with and without a cerebellum."""
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    settings = results.settings
    x = [settings["horizon"], *settings["horizons"]]
    names = ["line", *(f"line-k{k}" for k in settings["horizons"])]
    for arm in ("ccrnn", "crnn"):
        y = np.array([results.values[n][arm] for n in names])  # (horizon, seed)
        axes.plot(x, y, color=COLOURS[arm], lw=0.7, alpha=0.5)
        axes.plot(x, y.mean(1), color=COLOURS[arm], lw=2, marker="o", label=arm)
    full = np.mean(results.values["line"]["bptt"])
    axes.axhline(full, color=COLOURS["bptt"], ls="--", label="bptt")
    axes.set(xlabel="feedback horizon (steps of 10)", ylabel="line drawing, MSE", yscale="log")
    axes.legend(frameon=False)
    _bare(axes)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {
        "curves": curves(results),
        "drawings": drawings(results),
        "horizons": horizons(results),
    }
