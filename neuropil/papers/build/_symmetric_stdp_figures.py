"""Figures of symmetric-stdp: accuracy by arm, and how well classes are set apart in each layer."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.studies import Results

TITLES = ("MNIST", "Fashion-MNIST")
COLOURS = {
    "system": "#0072b2",
    "baseline": "#009e73",
    "control": "#999999",
    "variant": "#e69f00",
    "ceiling": "#d55e00",
}


def accuracy(results: Results) -> Figure:
    """Accuracy of every arm: bars are means over seeds, dots the seeds."""
    arms = list(results.study.arms)
    sets = results.stacked(arms[0], "accuracy").shape[1]
    figure = Figure(figsize=(4.6 * sets, 3.8), layout="constrained")
    for k, axes in enumerate(figure.subplots(1, sets, squeeze=False)[0]):
        for i, arm in enumerate(arms):
            values = 100 * results.stacked(arm, "accuracy")[:, k]
            axes.barh(i, values.mean(), color=COLOURS[results.study.arms[arm].role], alpha=0.7)
            axes.plot(values, np.full(len(values), i), "k.", ms=4)
        axes.axvline(10, color="#000000", lw=0.8, ls=":")
        axes.set_yticks(range(len(arms)), arms if k == 0 else [""] * len(arms), fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_title(TITLES[k] if sets > 1 else results.settings["data"], fontsize=10)
        axes.set_xlabel("accuracy (%)")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _flat(counts: np.ndarray) -> np.ndarray:
    """Counts in two dimensions by t-SNE, a little noise apart where two are the same."""
    from sklearn.manifold import TSNE

    noise = np.random.default_rng(0).normal(scale=1e-3, size=counts.shape)
    apart = min(20.0, (len(counts) - 1) / 3)
    return TSNE(perplexity=apart, init="pca", random_state=0).fit_transform(counts + noise)


def layers(results: Results) -> Figure:
    """t-SNE of spike counts of the first seed's test images, a colour a class: untrained and trained layers."""
    shown = (
        ("untrained", "hidden", "hidden cells, untrained"),
        ("sym-stdp", "hidden", "hidden cells, trained"),
        ("sym-stdp", "classes", "class cells"),
    )
    first = results.seeds[0]
    sets = len(results.history["sym-stdp"][first]["accuracy"])
    figure = Figure(figsize=(10, 3.4 * sets), layout="constrained")
    grid = figure.subplots(sets, len(shown), squeeze=False)
    for k, row in enumerate(grid):
        for axes, (arm, name, title) in zip(row, shown, strict=True):
            history = results.history[arm][first]
            at = _flat(np.asarray(history[name][k], float))
            label = np.asarray(history["label"][k])
            axes.scatter(*at.T, c=label, cmap="tab10", vmin=0, vmax=9, s=14, lw=0)
            axes.set_title(title if k == 0 else "", fontsize=10)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(TITLES[k] if sets > 1 else results.settings["data"])
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"accuracy": accuracy(results), "layers": layers(results)}
