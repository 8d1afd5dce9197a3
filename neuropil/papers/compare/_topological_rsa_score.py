"""Numbers, references and figures of topological_rsa.py."""

from __future__ import annotations

import numpy as np

from neuropil.compare.geometry import square
from neuropil.studies import Metric, Results

METRICS = {
    "accuracy": Metric("layers identified, RDM noise 0 to 0.4 sd"),
    "drop": Metric("lost from no noise to noise of 2 sd", better="lower"),
    "noise_0": Metric("layers identified, no noise"),
    "noise_04": Metric("RDM noise 0.4 sd"),
    "noise_1": Metric("RDM noise 1 sd"),
    "noise_2": Metric("RDM noise 2 sd"),
    "activity_1": Metric("noise in the activity, 1 sd"),
    "activity_3": Metric("noise in the activity, 3 sd"),
    "regions_0": Metric("human IT or behaviour, no noise"),
    "regions_4": Metric("human IT or behaviour, RDM noise 4 sd"),
    "network": Metric("test accuracy of the networks"),
}
GAPS = ("regions",)

CITE = """@article{lin2024topology,
  title = {The topology and geometry of neural representations},
  author = {Lin, Baihan and Kriegeskorte, Nikolaus},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {121},
  number = {42},
  pages = {e2317881121},
  year = {2024},
  note = {arXiv:2309.11028}
}"""

DIFFERS = (
    "Networks are multilayer perceptrons of 7 hidden layers on Fashion-MNIST (the paper: All-CNN-C, 10 layers);"
    " a seed draws 10 of 40 networks and 62 of 300 test images, so that seeds share some networks.",
    "RDMs are Euclidean; the distance behind the paper's stored RDMs is not in its code.",
    "Real data: human IT (4 subjects) against as many of 16 judges of 92 images, by ranks; a brain and a judge"
    " are left out together. The paper tells 8 regions of 24 subjects apart; those RDMs are not public.",
    "Noise goes up to 2 sd of all RDMs together (the paper: 0.4), and is also added to the activity; every arm"
    " sees the same draws, clipped at zero as in the official code.",
    "Intervals are over seeds. The official t-test counts 10 random pairs of quantiles as samples with the"
    " subjects' degrees of freedom, which is no valid test.",
)


def score(settings: dict, history: dict) -> dict:
    """Accuracies of one arm and seed; NaN for levels of noise that this scale does not have."""
    found = dict.fromkeys(METRICS, np.nan)
    for name, levels in (("noise", "noise"), ("activity", "activity"), ("regions", "region_noise")):
        for level, value in zip(settings[levels], np.asarray(history[name], float)[0], strict=True):
            key = f"{name}_{level:g}".replace("0.", "0")
            if key in found:
                found[key] = float(value)
    noise = np.asarray(history["noise"], float)[0]
    found["accuracy"] = float(noise[[a <= 0.4 for a in settings["noise"]]].mean())
    found["drop"] = float(noise[0] - noise[-1])
    found["network"] = float(np.ravel(history["network"])[0])
    return found


COLOURS = {
    "topology": "#c0392b",
    "rank": "#2c5f8a",
    "raw": "#111111",
    "geometry": "#5dade2",
    "local": "#7d8a3c",
    "global": "#e59866",
    "geodesic": "#8e44ad",
    "shuffled": "#b0b0b0",
    "untrained": "#d5a6bd",
    "noiseless": "#555555",
}


def figures(results: Results) -> dict:
    """Accuracy against noise, and what the summaries of one layer look like."""
    from matplotlib.figure import Figure

    s, arms = results.settings, results.study.arms
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1.2, 1, 0.8))
    parts = (
        ("noise", "noise", "noise in the RDMs (sd)"),
        ("activity", "activity", "noise in the activity (sd)"),
        ("regions", "region_noise", "noise in the RDMs (sd)"),
    )
    for axis, (name, levels, label) in zip(axes, parts, strict=True):
        for arm in arms:
            values = results.stacked(arm, name)[:, 0]
            if np.isfinite(values).all():
                dashed = "--" if arm in ("noiseless", "shuffled", "untrained") else "-"
                axis.errorbar(s[levels], values.mean(0), values.std(0), label=arm, color=COLOURS[arm],
                              ls=dashed, marker="o", ms=3, lw=1.4, capsize=2)  # fmt: skip
        chance = 0.5 if name == "regions" else 1 / (s["depth"] + 1)
        axis.axhline(chance, color="#cccccc", lw=0.8, zorder=0)
        axis.set(xlabel=label, ylim=(0, 1.03))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set(ylabel="identified", title="layer of a network, from other networks")
    axes[1].set(title="the same")
    axes[2].set(title="IT or behaviour, 92 images")
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right center"
    )
    seen = results.history["topology"][results.seeds[0]]["example"][0]
    shown = Figure(figsize=(9, 2.6), layout="constrained")
    titles = ("RGTM", "RGTM, noise 1 sd", "rank RDM", "rank RDM, noise 1 sd")
    for axis, values, title in zip(shown.subplots(1, 4), seen, titles, strict=True):
        axis.imshow(square(values), cmap="viridis", vmin=0, vmax=1)
        axis.set(title=title, xticks=[], yticks=[])
    return {"identified": figure, "summaries": shown}
