"""Numbers, references and figures of neural_representation_benchmark.py."""

from __future__ import annotations

import numpy as np

from neuropil.compare.kernel_analysis import ceiling, chance
from neuropil.papers.compare._neural_representation_benchmark import LEVELS
from neuropil.studies import Metric, Results

METRICS = {
    "real": Metric("KA-AUC, macaque IT, 132 neurons"),
    "real_60": Metric("KA-AUC, 60 of them"),
    "real_20": Metric("KA-AUC, 20 of them"),
    "real_new": Metric("variance predicted on left-out trials, IT"),
    **{level: Metric(f"KA-AUC, simulated, {level} variation") for level in LEVELS},
    "fall": Metric("KA-AUC lost from low to high variation", better="lower"),
    "high_new": Metric("variance predicted on left-out images, high variation"),
    "accuracy": Metric("test accuracy of the network behind the sites"),
}
GAPS = ("real", "real_curve", "real_new", "simulated", "curve", "new", "accuracy")

CITE = """@article{cadieu2013neural,
  title = {The Neural Representation Benchmark and its Evaluation on Brain and Machine},
  author = {Cadieu, Charles F. and Hong, Ha and Yamins, Dan and Pinto, Nicolas and Majaj, Najib J. and
            DiCarlo, James J.},
  journal = {International Conference on Learning Representations},
  year = {2013},
  note = {arXiv:1301.3530}
}"""

DIFFERS = (
    "The paper's recordings (V4 and IT, the same images of 7 categories) are not public. Real here: 132"
    " neurons of IT for 7 objects at 3 positions, put together trial by trial (no noise correlations); there"
    " is no V4 beside it, so that IT above V4 is untested.",
    "The hierarchy with known truth is simulated: V4-like sites are pooled Gabor energies, IT-like ones the"
    " last hidden layer of a small convolutional network that learnt the classes at all variations; equal"
    " numbers of sites, mean counts and Poisson noise. That tests the instrument, not the brain.",
    "Objects are Fashion-MNIST, 10 classes, 500 images a level; variation is shift, scale and a pink"
    " background.",
    "The null space is cut where an eigenvalue is below rounding, not at the maximum of a cumulative sum, and"
    " the smallest distance stands in for a quantile of 0.",
)


def score(settings: dict, history: dict) -> dict:
    """Areas of one arm and seed; NaN where an arm or the data are not for it."""
    found = dict.fromkeys(METRICS, np.nan)
    real = np.asarray(history["real"], float)[0]
    for size, value in zip(settings["neurons"], real, strict=True):
        if f"real_{size}" in found:
            found[f"real_{size}"] = float(value)
    found["real"] = float(real[-1])
    found["real_new"] = float(np.ravel(history["real_new"])[0])
    areas = np.asarray(history["simulated"], float)[0]
    found |= dict(zip(LEVELS, areas.tolist(), strict=True))
    found["fall"] = float(areas[0] - areas[-1])
    found["high_new"] = float(np.asarray(history["new"], float)[0, -1])
    found["accuracy"] = float(np.ravel(history["accuracy"])[0])
    return found


COLOURS = {
    "it": "#c0392b",
    "v4": "#2c5f8a",
    "before": "#e59866",
    "pixels": "#7d8a3c",
    "untrained": "#d5a6bd",
    "shuffled": "#b0b0b0",
    "labels": "#111111",
}


def figures(results: Results) -> dict:
    """Curves of loss against complexity: real IT, and the simulated hierarchy at each level of variation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.3), layout="constrained")
    axes = figure.subplots(1, 4, sharey=True)
    titles = ("macaque IT, 7 objects", *(f"simulated, {level} variation" for level in LEVELS))
    for i, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for arm in results.study.arms:
            name = "real_curve" if i == 0 else "curve"
            values = results.stacked(arm, name)[:, 0]
            values = values if i == 0 else values[:, i - 1]
            if np.isfinite(values).all():
                d = np.arange(values.shape[1])
                axis.plot(d, values.mean(0), color=COLOURS[arm], lw=1.6, label=arm)
                axis.fill_between(
                    d, values.min(0), values.max(0), color=COLOURS[arm], alpha=0.15, lw=0
                )
        axis.set(title=title, xlabel="complexity d", xlim=(0, 100), ylim=(0, 1.02))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of the labels left, ka(d)")
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), fontsize=8, frameon=False, loc="outside right center"
    )
    table = Figure(figsize=(6.4, 3.2), layout="constrained")
    axis, n = table.subplots(), results.settings["shown"]
    for arm in results.study.arms:
        values = np.array([results.values[level][arm] for level in LEVELS])
        if np.isfinite(values).all():
            axis.errorbar(range(3), values.mean(1), values.std(1), color=COLOURS[arm], marker="o", ms=4,
                          lw=1.5, capsize=2, label=arm)  # fmt: skip
    for level, style in ((chance(n), ":"), (ceiling(10, n), "--")):
        axis.axhline(level, color="#cccccc", lw=0.8, ls=style, zorder=0)
    axis.set_xticks(range(3), LEVELS)
    axis.set(xlabel="variation", ylabel="KA-AUC", ylim=(0.45, 1.01))
    table.legend(
        *axis.get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right center"
    )
    axis.spines[["top", "right"]].set_visible(False)
    return {"curves": figure, "variation": table}
