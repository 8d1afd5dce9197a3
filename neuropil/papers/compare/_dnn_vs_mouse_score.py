"""Numbers, references and figures of dnn_vs_mouse_cortex.py."""

from __future__ import annotations

import numpy as np

from neuropil.compare.cca import chance_level
from neuropil.papers.compare._dnn_vs_mouse import AREAS, DEPTH
from neuropil.studies import Metric, Results

METRICS = {
    "order": Metric("primary area below a higher one, 100 neurons or more, all images"),
    "order_few_neurons": Metric("the same, fewest neurons, all images"),
    "order_few_images": Metric("the same, 100 neurons or more, fewest images"),
    "exact": Metric("layer found exactly, 100 neurons or more, all images"),
    "error": Metric("layers off, 100 neurons or more, all images", better="lower"),
    "rank": Metric("rank correlation of found and true depth, there"),
    "lost_to_neurons": Metric("order lost from most neurons to 100", better="lower"),
    "lost_to_images": Metric("order lost from all images to two thirds of them", better="lower"),
    "stable": Metric("layer found is that of most neurons and all images"),
    "v4_layer": Metric("layer nearest to macaque V4 (no claim)"),
    "network": Metric("test accuracy of the network compared"),
}
GAPS = ("real",)

CITE = """@inproceedings{shi2019comparison,
  title = {Comparison against task driven artificial neural networks reveals functional properties in mouse
    visual cortex},
  author = {Shi, Jianghong and Shea-Brown, Eric and Buice, Michael A.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32},
  pages = {5764--5774},
  year = {2019},
  note = {arXiv:1911.07986}
}"""

DIFFERS = (
    "No mouse recordings are at hand (Allen Brain Observatory, 118 natural scenes), so what the paper says of"
    " mouse areas is untested. What is tested is the instrument, on simulated areas whose layer is known.",
    "The network is a convolutional one of 6 stages trained on Fashion-MNIST (the paper: VGG16, ImageNet).",
    "An area reads one stage of one network (2, and 3, 4, 4 for the higher ones) and is compared with the"
    " stages of another, trained from other initial weights: with its own, recovery would be overstated.",
    "The paper's body could not be read: similarity of similarity matrices is Spearman's here (Pearson's as a"
    " variant), SVCCA keeps 20 components of every layer, which all layers have.",
    "Simulated neurons mix standardised units, while layers enter SSM as they are: that SSM finds one stage for"
    " all areas may come from this (not tested).",
    "A pseudo-depth is the layer with the highest score. Subsets of images are drawn without replacement:"
    " copies would put ones into the similarity matrix.",
)


def found_order(layer: np.ndarray) -> np.ndarray | float:
    """How often the first area (..., area) lies below each of the others; a tie counts one half."""
    below = layer[..., :1] < layer[..., 1:]
    return (below + 0.5 * (layer[..., :1] == layer[..., 1:])).mean((-1, -2))


def depth_rank(layer, true) -> float:
    """Mean Spearman correlation of found layers (..., area) with the true ones; 0 where all are one layer."""
    rank = lambda x: (
        (x[..., :, None] > x[..., None, :]).sum(-1)
        + 0.5 * (x[..., :, None] == x[..., None, :]).sum(-1)
    )
    a, b = rank(layer), rank(true)
    a, b = a - a.mean(-1, keepdims=True), b - b.mean()
    size = np.sqrt((a**2).sum(-1) * (b**2).sum())
    return float(np.divide((a * b).sum(-1), size, out=np.zeros_like(size), where=size > 0).mean())


def score(settings: dict, history: dict) -> dict:
    """Recovered layers and their order of one arm and seed."""
    layer = (
        np.asarray(history["profile"], float)[0].argmax(-1) + 1
    )  # neurons, images, resample, area
    true = np.array(list(AREAS.values()))
    neurons = np.asarray(settings["neurons"])
    many = neurons >= min(100, neurons.max())
    order = found_order(layer)
    survey = layer[many, -1]
    real = np.ravel(history["real"])
    usual = np.array([np.bincount(x).argmax() for x in layer[-1, -1].T])
    return {
        "order": float(order[many, -1].mean()),
        "order_few_neurons": float(order[0, -1]),
        "order_few_images": float(order[many, 0].mean()),
        "exact": float((survey == true).mean()),
        "error": float(np.abs(survey - true).mean()),
        "rank": depth_rank(survey, true),
        "lost_to_neurons": float(order[-1, -1] - order[many][0, -1]),
        "lost_to_images": float((order[many, -1] - order[many, -2]).mean()),
        "stable": float((survey == usual).mean()),
        "v4_layer": float(real.argmax() + 1) if np.isfinite(real).all() else np.nan,
        "network": float(np.ravel(history["network"])[0]),
    }


COLOURS = {
    "svcca": "#c0392b",
    "ssm": "#2c5f8a",
    "ssm-pearson": "#5dade2",
    "regression": "#111111",
    "untrained": "#d5a6bd",
    "shuffled": "#b0b0b0",
    "ceiling": "#7d8a3c",
}
SHADES = ("#111111", "#c0392b", "#e59866", "#8e44ad")


def figures(results: Results) -> dict:
    """Profiles of the areas over layers, and the order that is found as neurons and images get fewer."""
    from matplotlib.figure import Figure

    s, arms = results.settings, results.study.arms
    shown = Figure(figsize=(10.5, 3.4), layout="constrained")
    axes = shown.subplots(1, 4)
    depth = np.arange(1, DEPTH + 1)
    for axis, arm in zip(axes[:3], ("svcca", "ssm", "untrained"), strict=True):
        profile = results.stacked(arm, "profile")[:, 0, -1, -1].mean((0, 1))
        for values, name, shade in zip(profile, AREAS, SHADES, strict=True):
            axis.plot(
                depth,
                values,
                color=shade,
                marker="o",
                ms=3,
                lw=1.4,
                label=f"{name} ({AREAS[name]})",
            )
            axis.plot(AREAS[name], values[AREAS[name] - 1], "o", ms=8, mfc="none", color=shade)
        axis.set(xlabel="layer", title=arm, xticks=depth)
    level = chance_level(s["k"], max(s["stimuli"]), draws=20)
    for axis in (axes[0], axes[2]):
        axis.axhline(level, color="#aaaaaa", lw=0.9, ls=":", zorder=0)
    axes[0].set(ylabel="similarity (dotted: chance)")
    axes[0].legend(fontsize=7, frameon=False, title="area (layer it reads)", title_fontsize=7)
    for arm in ("svcca", "ssm", "untrained"):
        values = results.stacked(arm, "real")[:, 0]
        if np.isfinite(values).all():
            axes[3].errorbar(depth, values.mean(0), values.std(0), color=COLOURS[arm], marker="o", ms=3,
                             lw=1.4, capsize=2, label=arm)  # fmt: skip
    axes[3].set(xlabel="layer", title="macaque V4", xticks=depth)
    if axes[3].lines:
        axes[3].legend(fontsize=7, frameon=False)
    grid = Figure(figsize=(3.2 * len(s["stimuli"]) + 1.6, 3.2), layout="constrained")
    panels = np.atleast_1d(grid.subplots(1, len(s["stimuli"]), sharey=True))
    for j, (axis, images) in enumerate(zip(panels, s["stimuli"], strict=True)):
        for arm in arms:
            layer = results.stacked(arm, "profile")[:, 0, :, j].argmax(-1)
            order = found_order(layer)  # seed, neurons
            dashed = "--" if arm in ("ceiling", "shuffled", "untrained") else "-"
            axis.errorbar(s["neurons"], order.mean(0), order.std(0), color=COLOURS[arm], ls=dashed, marker="o",
                          ms=3, lw=1.4, capsize=2, label=arm)  # fmt: skip
        axis.axhline(0.5, color="#cccccc", lw=0.8, zorder=0)
        axis.set(xscale="log", xlabel="neurons", title=f"{images} images", ylim=(-0.03, 1.03))
    panels[0].set(ylabel="primary area found below a higher one")
    grid.legend(
        *panels[0].get_legend_handles_labels(),
        fontsize=8,
        frameon=False,
        loc="outside right center",
    )
    for axis in (*axes, *panels):
        axis.spines[["top", "right"]].set_visible(False)
    return {"profiles": shown, "subsampling": grid}
