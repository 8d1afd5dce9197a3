"""Figures of deep-ei-snn: how each arm learns, and how much its layers spike at the start."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

COLOURS = {
    "ei": "#0072b2",
    "bn": "#000000",
    "plain": "#d55e00",
    "fitted": "#e69f00",
    "no-init": "#009e73",
    "no-prop": "#cc79a7",
    "frozen": "#999999",
}  # told apart also by the colour-blind (Okabe, Ito)


def _band(axes, x, values, arm, **style) -> None:
    """Mean over seeds with the range of the seeds; `values` is (seed, x)."""
    colour = COLOURS.get(arm, "#56b4e9")
    axes.plot(x, values.mean(0), color=colour, label=arm, lw=1.8, **style)
    if len(values) > 1:
        axes.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0)


def learning(results: Results) -> Figure:
    """Test accuracy after every epoch, by arm."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for arm in results.study.arms:
        accuracy = 100 * results.stacked(arm, "test")
        _band(axes, np.arange(1, accuracy.shape[1] + 1), accuracy, arm)
    axes.axhline(10, color="black", lw=0.6, ls=":")
    axes.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def depth(results: Results) -> Figure:
    """Spikes a cell and step in every hidden layer, before and after training."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    for axes, (name, at, title) in zip(
        figure.subplots(1, 2, sharey=True),
        (("rates_before", 0, "before training"), ("rates", -1, "after training")),
        strict=True,
    ):
        for arm in results.study.arms:
            rates = results.stacked(arm, name)[:, at]
            layers = np.arange(1, rates.shape[1] + 1)
            style = {"ls": "--"} if arm in ("no-prop", "frozen") else {}
            _band(axes, layers, rates, arm, marker="o", ms=3, **style)
        axes.set(title=title, xlabel="hidden layer", xticks=layers)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set(ylabel="spikes a cell and step", ylim=(-0.01, None))
    figure.axes[1].legend(frameon=False, fontsize=8)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of the report by name."""
    return {"learning": learning(results), "rates by depth": depth(results)}
