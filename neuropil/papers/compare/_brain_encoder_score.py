"""Numbers, references and figures of transformer_brain_encoder.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.compare._brain_encoder import NUMBERS
from neuropil.studies import Metric, Results

METRICS = {
    "category": Metric("correlation with noisy responses of category regions, unseen images"),
    "retinotopic": Metric("the same of regions with a fixed field"),
    "explained": Metric("share of explainable variance, all simulated voxels"),
    "routing": Metric("share of attention on the place of the region's object (chance 1/49)"),
    "field": Metric("overlap of the recovered with the planted field"),
    "v4": Metric("correlation with mean responses of macaque V4, unseen images"),
}
GAPS = ("found", "shown", "voxels")

CITE = """@inproceedings{adeli2025transformer,
  title = {Transformer brain encoders explain human high-level visual responses},
  author = {Adeli, Hossein and Sun, Minni and Kriegeskorte, Nikolaus},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  note = {arXiv:2505.17329}
}"""

DIFFERS = (
    "No brain of the Natural Scenes Dataset and no features of DINOv2: a simulation with planted routing, and a"
    " macaque's V4 with Gabor energy and colour on a 7 x 7 map.",
    "Queries take part in attention as they are (the official code maps them by one more matrix, which adds"
    " nothing that can be told apart); no dropout; voxels lie in one region each.",
    "Ridge has a penalty for each voxel by 5 folds (the official linear model goes through a trained"
    " convolution under a weak norm penalty).",
    "A single model at its last epoch: no choice of the best epoch on a validation set, no ensemble over layers"
    " and runs. The gradient's norm is clipped at 1 (official 0.1).",
    "Readouts begin at 0 and attention learns at 0.005 (official: random readouts, 0.0005, many more steps): on"
    " a pilot world of another key, judged on training images held out, random readouts at 0.002 gave 0.06 on"
    " category regions, readouts from 0 gave 0.23, and 0.42 at 0.005. Fields learn at 0.02.",
    "The semantic readout is our own form of a field that content moves; the paper does not have it.",
    "On V4 every neuron is a region of its own; correlations are with means over repeats, without a ceiling"
    " (the single presentations of this session are not at hand).",
)  # fmt: skip


def score(settings: dict, history: dict) -> dict:
    """Numbers of an arm; those it cannot have are left out."""
    found = history["found"]
    out = {}
    for i, name in enumerate(NUMBERS):
        column = found[:, i]
        value = column[np.isfinite(column)]
        if name == "v4" or len(value):
            out[name] = float(value[0]) if len(value) else float("nan")
    return out


COLOURS = {
    "attention": "#c0392b", "ridge": "#2c5f8a", "pooled": "#5d9bc7", "factorised": "#7d8a3c",
    "gaussian": "#b5c26b", "semantic": "#8e6bb0", "position": "#e59866", "shuffled": "#b0b0b0",
    "oracle": "#333333",
}  # fmt: skip


def figures(results: Results) -> dict:
    """Correlations by arm and kind of region, on V4, and where an arm looks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    arms = list(results.study.arms)
    for i, arm in enumerate(arms):
        for axis, names in ((left, ("category", "retinotopic")), (right, ("v4",))):
            for at, name in enumerate(names):
                values = np.asarray(results.values[name].get(arm, [np.nan]), float)
                x = at + 0.09 * (i - (len(arms) - 1) / 2)
                axis.bar(x, np.nanmean(values) if np.isfinite(values).any() else 0, 0.08,
                         color=COLOURS[arm], label=arm if at == 0 else None)  # fmt: skip
                axis.plot(np.full(len(values), x), values, ".", color="black", ms=3)
    left.axhline(np.sqrt(0.5), color="black", lw=0.8, ls="--")
    left.text(1.45, 0.715, "ceiling", fontsize=8, ha="right")
    left.set_xticks([0, 1], ["category regions", "retinotopic regions"])
    right.set_xticks([0], ["macaque V4"])
    left.set(ylabel="correlation, unseen images", ylim=(-0.05, 0.95))
    left.legend(fontsize=7, frameon=False, ncols=3, loc="upper left")
    for axis in (left, right):
        axis.axhline(0, color="black", lw=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    return {"readouts": figure, "looks": _looks(results)}


def _looks(results: Results):
    """The planted field and those recovered; where category queries look, with the object's place."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.9), layout="constrained")
    arms = ("attention", "position", "factorised", "gaussian")
    axes = figure.subplots(2, len(arms) + 1)
    side, seed = results.settings["side"], results.seeds[0]
    planted = results.history["oracle"][seed]["shown"][0, 2].reshape(side, side)
    axes[0, 0].imshow(planted, cmap="magma")
    axes[0, 0].set_title("planted field", fontsize=9)
    axes[1, 0].set_axis_off()
    for j, arm in enumerate(arms, 1):
        mean, example, mark = results.history[arm][seed]["shown"][0].reshape(3, side, side)
        axes[0, j].imshow(mean, cmap="magma")
        axes[0, j].set_title(f"{arm}: field", fontsize=9)
        axes[1, j].imshow(example, cmap="magma")
        axes[1, j].set_title("one image, category 1", fontsize=9)
        row, column = np.unravel_index(int(np.argmax(mark)), (side, side))
        axes[1, j].plot(column, row, "o", ms=14, mfc="none", mec="cyan")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure
