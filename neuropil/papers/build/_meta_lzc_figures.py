"""Figures of meta-neuron-lzc: what learned constants give, how problems are decided, what complexity adds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuropil.papers.build._meta_lzc_data import SETS
from neuropil.studies import Results

BLUE, ORANGE, GREY, GREEN = "#0072b2", "#d55e00", "#999999", "#009e73"  # Okabe, Ito
PAIRS = (
    ("LIF\ngradient", "lif", "lif-fixed"),
    ("meta\ngradient", "meta", "meta-fixed"),
    ("LIF\nSTDP", "lif-stdp", "lif-stdp-fixed"),
    ("meta\nSTDP", "meta-stdp", "meta-stdp-fixed"),
    ("LIF\ntempotron", "lif-tempotron", "lif-tempotron-fixed"),
    ("meta\ntempotron", "meta-tempotron", "meta-tempotron-fixed"),
)


def _bar(axes: Axes, x: float, values, colour: str, label: str | None = None, width: float = 0.38):
    """Mean, and every seed as a dot."""
    v = 100 * np.asarray(values, float)
    spread = np.linspace(-1, 1, len(v)) if len(v) > 1 else np.zeros(1)
    axes.bar(x, v.mean(), width, color=colour, alpha=0.35, label=label)
    axes.plot(x + width / 3 * spread, v, "o", color=colour, ms=3)


def _plain(axes: Axes, low: float = 0) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(low, 101)
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel("accuracy (%)")


def constants(results: Results) -> Figure:
    """Learned against fixed constants, for both cells and three ways of training."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    accuracy = results.values["accuracy"]
    for k, (_, learned, fixed) in enumerate(PAIRS):
        _bar(axes, k - 0.2, accuracy[fixed], GREY, "fixed" if not k else None)
        _bar(axes, k + 0.2, accuracy[learned], BLUE, "learned" if not k else None)
    tuned = 100 * np.mean(accuracy["lif-tuned"])
    axes.axhline(tuned, color=ORANGE, lw=1.2, ls="--", label="LIF fixed, tuned (gradient)")
    axes.set_xticks(range(len(PAIRS)), [name for name, _, _ in PAIRS])
    _plain(axes, 30)
    axes.legend(frameon=False, ncols=3, loc="upper right")
    axes.set_title("constants of the cells, mean of four problems", fontsize=10)
    return figure


def problems(results: Results) -> Figure:
    """Accuracy on each problem of the arms trained by gradient, with the likelihood ratio."""
    arms = (
        "meta",
        "meta-fixed",
        "lif",
        "lif-fixed",
        "lif-tuned",
        "lif-mixed",
        "lif-wide",
        "lif-random",
    )
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(SETS), sharey=True), SETS, strict=True):
        for k, arm in enumerate(arms):
            colour = BLUE if arm.startswith("meta") else GREY if arm == "lif-random" else ORANGE
            _bar(axes, k, results.values[name][arm], colour, width=0.7)
        best = results.values[name].get("ideal", [])
        if len(best) and np.isfinite(best).all():
            axes.axhline(100 * np.mean(best), color="black", lw=1, ls=":")
        axes.set_xticks(range(len(arms)), arms, rotation=90)
        axes.set_title(name, fontsize=10)
        _plain(axes, 20)
    return figure


def complexity(results: Results) -> Figure:
    """Counts, complexities, both, and both with shuffled time, on the input trains and on single ones."""
    arms = {
        "count": ("inputs-count", GREY),
        "complexity": ("inputs-lzc", BLUE),
        "both": ("inputs-both", GREEN),
        "both, shuffled": ("inputs-shuffled", ORANGE),
    }
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, prefix, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("", "single-"),
        ("all trains", "one train"),
        strict=True,
    ):
        for k, name in enumerate(SETS):
            for j, (label, (arm, colour)) in enumerate(arms.items()):
                place = k + 0.2 * (j - 1.5)
                values = results.values[prefix + name][arm]
                _bar(axes, place, values, colour, None if k else label, width=0.18)
        axes.set_xticks(range(len(SETS)), SETS)
        axes.set_title(f"decision from {title}", fontsize=10)
        _plain(axes, 20)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        frameon=False,
        fontsize=8,
        ncols=4,
        loc="outside lower center",
    )
    return figure


def outputs(results: Results) -> Figure:
    """The network's output trains read by count and by complexity."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(SETS):
        for j, (kind, colour, arm) in enumerate(
            (("count", GREY, "lif"), ("lzc", BLUE, "lif"), ("count", "#666666", "meta"),
             ("lzc", GREEN, "meta"))
        ):  # fmt: skip
            label = None if k else f"{arm}, {'complexity' if kind == 'lzc' else kind}"
            _bar(
                axes,
                k + 0.2 * (j - 1.5),
                results.values[f"{kind}-{name}"][arm],
                colour,
                label,
                0.18,
            )
    axes.set_xticks(range(len(SETS)), SETS)
    _plain(axes, 20)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        frameon=False,
        fontsize=8,
        ncols=4,
        loc="outside lower center",
    )
    axes.set_title("output trains of the trained network", fontsize=10)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of the report by name."""
    return {
        "learned and fixed constants": constants(results),
        "the four problems": problems(results),
        "complexity of the input trains": complexity(results),
        "complexity of the output trains": outputs(results),
    }
