"""Numbers, references and figures of algonauts_2023.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

METRICS = {
    "score": Metric(
        "challenge score, planted subjects",
        "%",
        paper={"baseline": 40.42},
        where="the challenge's leaderboard, organisers' baseline on NSD: other data",
    ),
    "known": Metric("the same without vertices of ceiling 0", "%"),
    "median": Metric("median over vertices", "%"),
    "v4": Metric("challenge score, macaque V4", "%"),
    "wrong": Metric("largest change of a prediction by writing and reading", better="lower"),
}
GAPS = ("v4",)

CITE = """@article{gifford2023algonauts,
  title = {The {A}lgonauts Project 2023 Challenge: How the Human Brain Makes Sense of Natural Scenes},
  author = {Gifford, A. T. and Lahner, B. and Saba-Sadiya, S. and Vilas, M. G. and Lascelles, A. and
            Oliva, A. and Kay, K. and Roig, G. and Cichy, R. M.},
  journal = {arXiv:2301.03198},
  year = {2023}
}"""

DIFFERS = (
    "The Natural Scenes Dataset needs an agreement of its own and its test responses were never released: the"
    " subjects here are planted (Gabor energies at random places, 1 to 3 repeats, a tenth of the vertices"
    " without signal) and written in the challenge's folders; the official 40.42 is quoted, not reproduced.",
    "The baseline's features are energies of a fixed bank of Gabor filters in place of a trained AlexNet, then"
    " as there 100 principal components fitted on training images and least squares.",
    "Its fields of 4 pixels and waves of 4 and 8 were settled by one pilot on a seed of its own (fields of 8"
    " pixels scored 14 there, of 4 pixels 17), before the first small run.",
    "The ceiling of planted vertices is their true one; that of V4's neurons comes from the repeats of the"
    " training images.",
    "The score is the official one, cap and free points of vertices without signal included; without those and"
    " as a median it is given beside it.",
)


def score(settings: dict, history: dict) -> dict:
    """The numbers of one arm and seed."""
    return {name: float(np.ravel(history[name])[0]) for name in METRICS}


COLOURS = {"baseline": "#2c5f8a", "ridge": "#2c7a5b", "pixels": "#7d8a3c", "shuffled": "#b0b0b0",
           "truth": "#c0392b"}  # fmt: skip


def figures(results: Results) -> dict:
    """Scores of the arms, and the score of each vertex against its ceiling."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.3))
    arms = list(results.study.arms)
    for axis, name, title in (
        (left, "score", "eight planted subjects"),
        (middle, "v4", "macaque V4"),
    ):
        for i, arm in enumerate(arms):
            values = np.array(results.values[name][arm], float)
            axis.plot(np.full(len(values), i), values, "o", color=COLOURS[arm], ms=4)
            axis.plot([i - 0.3, i + 0.3], [values.mean()] * 2, color=COLOURS[arm], lw=2)
        axis.set_xticks(range(len(arms)), arms, rotation=30, ha="right", fontsize=8)
        axis.set(title=title, ylim=(0, 105))
    left.set_ylabel("challenge score (%)")
    for arm in ("truth", "ridge", "shuffled"):
        history = results.history[arm][0]
        top, each = history["ceiling"][0], history["each"][0]
        right.plot(top, each, ".", color=COLOURS[arm], ms=4, alpha=0.5, label=arm)
    right.set(
        title="vertices of seed 0", xlabel="noise ceiling (share of variance)", ylim=(-2, 105)
    )
    right.legend(fontsize=8, frameon=False)
    for each in figure.axes:
        each.spines[["top", "right"]].set_visible(False)
    return {"scores": figure}
