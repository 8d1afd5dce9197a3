"""Numbers, references and figures of stochastic_population_geometry.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.compare._stochastic_geometry import LAYERS, NOISY
from neuropil.studies import Metric, Results

_WHERE = "stored tables of the official demo: CIFAR-10, ResNet18 behind a V1 front end with noise, and without"


def _paper(system, deterministic):
    return {
        "paper": {"stochastic": system, "deterministic": deterministic},
        "where": _WHERE,
    }


METRICS = {
    "accuracy": Metric("accuracy", **_paper(0.891, 0.949)),
    "attacked_weak": Metric("accuracy under the weak attack"),
    "attacked": Metric("accuracy under the middle attack", **_paper(0.830, 0.404)),
    "attacked_strong": Metric("accuracy under the strong attack"),
    "transfer": Metric("accuracy on what fools another network, middle strength"),
    "random": Metric("accuracy with random signs, middle strength"),
    "masked": Metric("accuracy under attack minus on what fools another network", better="lower"),
    "capacity": Metric("class capacity, noisy layer", **_paper(0.039, 0.057)),
    "radius": Metric("class radius, noisy layer", better="lower", **_paper(1.49, 1.29)),
    "dimension": Metric("class dimension, noisy layer", better="lower", **_paper(36.2, 27.7)),
    "correlation": Metric("correlation of class centres, noisy layer", better="lower", **_paper(0.15, 0.42)),
    "capacity_second": Metric("class capacity, second layer"),
    "capacity_attacked": Metric("class capacity, noisy layer, middle attack"),
    "capacity_logits_attacked": Metric("class capacity, logits, middle attack"),
    "participation": Metric("participation ratio, noisy layer", **_paper(282, 30)),
    "activity": Metric("mean activity, noisy layer"),
    "separation": Metric("clean from attacked repeats of an image, noisy layer", unit="spread", better="lower"),
    "exemplar_radius": Metric("radius of an image's attacked repeats, noisy layer", better="lower"),
    "exemplar_capacity": Metric("capacity of images' attacked repeats, noisy layer"),
}  # fmt: skip
GAPS = ("classes", "exemplars", "participation", "separation")

CITE = """@inproceedings{dapello2021neural,
  title = {Neural Population Geometry Reveals the Role of Stochasticity in Robust Perception},
  author = {Dapello, Joel and Feather, Jenelle and Le, Hang and Marques, Tiago and Cox, David D. and
    McDermott, Josh H. and DiCarlo, James J. and Chung, SueYeon},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {34},
  year = {2021},
  note = {arXiv:2111.06979}
}"""

DIFFERS = (
    "The paper's networks are deep and convolutional, with a fixed Gabor front end (CIFAR-10, ImageNet, words);"
    " here a perceptron of two hidden layers learns Fashion-MNIST, and its first layer, learned, is noisy.",
    "The paper's body could not be read: its numbers are those of the official demo's stored tables.",
    "Noise is Gaussian of deviation 1, in the demo's tables of a fixed level; the paper's neuronal noise,"
    " whose variance is the mean, is an arm of its own with the official scale.",
    "Noisy networks are attacked through the mean gradient of 8 passes, where the demo takes one, and by what"
    " fools another network: one pass alone would let masked gradients pass for robustness.",
    "Class manifolds have 30 points and not 50, exemplar manifolds are 20 x 20 and not 50 x 50, and layers are"
    " small enough to do without random projection.",
    "Centres keep what they have in common where exemplars are measured (nothing is removed); for classes the"
    " common directions are taken out as in the paper.",
)


def score(settings: dict, history: dict) -> dict:
    """Accuracies, and the geometry of the noisy layer."""
    last = {k: np.asarray(v, float)[-1] for k, v in history.items()}
    told, classes, images = last["accuracy"], last["classes"], last["exemplars"]
    transfer = last["transfer"][2]
    capacity, radius, dimension, correlation = classes[0, NOISY]
    found = dict(
        accuracy=told[0], attacked_weak=told[1], attacked=told[2], attacked_strong=told[3],
        transfer=transfer, random=last["random"][2], masked=told[2] - transfer, capacity=capacity,
        radius=radius, dimension=dimension, correlation=correlation,
        capacity_second=classes[0, NOISY + 1, 0], capacity_attacked=classes[2, NOISY, 0],
        capacity_logits_attacked=classes[2, -1, 0], participation=last["participation"],
        activity=last["activity"], separation=last["separation"][NOISY],
        exemplar_radius=images[NOISY, 1, 1], exemplar_capacity=images[NOISY, 1, 0],
    )  # fmt: skip
    return {name: float(found[name]) for name in METRICS}


COLOURS = {
    "stochastic": "#0072b2",
    "deterministic": "#d55e00",
    "adversarial": "#009e73",
    "input-noise": "#e69f00",
    "noise-at-test": "#cc79a7",
    "untrained": "#999999",
    "stronger": "#004a75",
    "neuronal": "#56b4e9",
}  # told apart also by the colour-blind (Okabe, Ito)


def _band(axis, x, values, arm):
    axis.plot(x, values.mean(0), "o-", ms=3, lw=1.6, color=COLOURS[arm], label=arm)
    if len(values) > 1:
        axis.fill_between(x, values.min(0), values.max(0), color=COLOURS[arm], alpha=0.15, lw=0)


def figures(results: Results) -> dict:
    """Robustness and its price; capacity, radius and dimension over layers and over attack strength."""
    from matplotlib.figure import Figure

    arms, strengths = list(results.study.arms), [0.0, *results.settings["strengths"]]
    robust = Figure(figsize=(10, 3.6), layout="constrained")
    left, middle, right = robust.subplots(1, 3)
    for i, arm in enumerate(arms):
        _band(left, strengths, results.stacked(arm, "accuracy")[:, -1], arm)
        a, b = (np.array(results.values[m][arm]) for m in ("accuracy", "attacked"))
        middle.plot(a, b, "o", ms=4, color=COLOURS[arm])
        apart = results.stacked(arm, "separation")[:, -1, NOISY]
        right.plot(apart, np.full(len(apart), i), "o", ms=4, color=COLOURS[arm], alpha=0.7)
    left.set(xlabel="attack (largest change of a pixel)", ylabel="accuracy", ylim=(0, 1))
    middle.set(xlabel="accuracy", ylabel=f"accuracy under attack ({strengths[2]})")
    right.set(xlabel="clean from attacked (units of spread)", xscale="log")
    right.set_yticks(range(len(arms)), arms)
    right.invert_yaxis()
    left.legend(frameon=False, fontsize=7)
    manifolds = Figure(figsize=(10, 5.6), layout="constrained")
    rows = manifolds.subplots(2, 3)
    for i, name in enumerate(("capacity", "radius", "dimension")):
        for arm in arms:
            of = results.stacked(arm, "classes")[:, -1, :, :, i]  # (seed, strength, layer)
            _band(rows[0, i], np.arange(len(LAYERS)), of[:, 0], arm)
            _band(rows[1, i], strengths, of[:, :, NOISY], arm)
        rows[0, i].set_xticks(range(len(LAYERS)), LAYERS)
        rows[0, i].set(title=f"class {name}")
        rows[1, i].set(xlabel="attack (largest change of a pixel)")
    rows[0, 0].set_ylabel("clean, over layers")
    rows[1, 0].set_ylabel("noisy layer, over attacks")
    rows[0, 0].legend(frameon=False, fontsize=7)
    for each in (*robust.axes, *manifolds.axes):
        each.spines[["top", "right"]].set_visible(False)
    return {"robustness": robust, "manifolds": manifolds}
