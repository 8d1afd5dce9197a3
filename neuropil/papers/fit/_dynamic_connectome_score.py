"""Numbers, references and figures of dynamic_connectome.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.fit._dynamic_connectome_data import HARD
from neuropil.studies import Metric, Results

METRICS = {
    "pair": Metric("correlation of pair factors with planted pairs"),
    "time": Metric("correlation of time factors with planted bumps"),
    "worm": Metric("correlation of worm factors with planted loadings"),
    "jaccard": Metric("Jaccard of the best community with planted members"),
    "benchmark": Metric("NMI, graphs with planted communities, mean of nine settings"),
    "hard": Metric("NMI at topological mixing 0.75"),
    "partners": Metric("real: left-right partners in one community, share above chance"),
    "synapses": Metric("real: synaptic pairs in one community, times chance"),
    "stability": Metric("real: cosine of pair factors of the two halves"),
}
GAPS = ("time", "worm", "course", "graphs", "stability", "real_course", "partners", "synapses")

CITE = """@inproceedings{dyballa2024learning,
  title = {Learning dynamic representations of the functional connectome in neurobiological networks},
  author = {Dyballa, Luciano and Lang, Samuel and Haslund-Gourley, Alexandra and Yemini, Eviatar and
            Zucker, Steven W.},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2402.14102}
}"""

DIFFERS = (
    "The paper's formula of the affinity, its rank and the algorithm of its factorisation could not be read:"
    " the geometric mean of slopes that agree, one component more than is planted (four on the real worm), and"
    " hierarchical least squares with missing entries are ours.",
    "Its 20 worms are not public as files: motifs are planted in simulated worms, and the real recording is one"
    " worm of another laboratory, so its tensor has no axis of animals.",
    "Communities are found by one level of the weighted block model (all pairs present in pair factors; with"
    " and without degrees in graphs, the shorter kept), where the paper's is nested and its score takes the"
    " best level by the truth; here the description length alone chooses.",
    "Benchmark graphs are of our own generator after Lancichinetti and Fortunato, without its rewiring,"
    " communities of at most half of the nodes; one graph of each setting a seed in place of ten."
    " No NMI of the paper could be read.",
    "Louvain has the best of five resolutions by the truth in graphs, resolution 1 elsewhere.",
)


def score(settings: dict, history: dict) -> dict:
    """Means over motifs, graphs and components; what an arm does not measure is left out."""
    one = {name: np.asarray(history[name], float)[0] for name in (*GAPS, "pair", "jaccard")
           if name in history}  # fmt: skip
    found = {name: float(one[name].mean()) for name in METRICS if name in one}
    found["benchmark"] = float(one["graphs"].mean())
    found["hard"] = float(one["graphs"][min(HARD, len(one["graphs"]) - 1)])  # a smoke has one graph
    return {name: found[name] for name in METRICS if np.isfinite(found.get(name, np.nan))}


COLOURS = {"ntf": "#c0392b", "window": "#2c5f8a", "static": "#7d8a3c", "svd": "#8e6bbf",
           "louvain": "#e59866", "shifted": "#b0b0b0", "clean": "#555555"}  # fmt: skip


def figures(results: Results) -> dict:
    """Recovery of planted motifs and graphs; time courses of components, planted and real."""
    from matplotlib.figure import Figure

    arms = list(results.study.arms)
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 4)
    for axis, name in zip(axes, ("pair", "time", "jaccard", "partners"), strict=True):
        for i, arm in enumerate(arms):
            values = np.array(results.values[name].get(arm, [np.nan]), float)
            if np.isfinite(values).any():
                axis.plot(np.full(len(values), i), values, "o", ms=4, color=COLOURS[arm])
                axis.plot([i - 0.3, i + 0.3], [np.nanmean(values)] * 2, lw=2, color=COLOURS[arm])
        axis.axhline(0, color="#dddddd", lw=0.8, zorder=0)
        axis.set_xticks(range(len(arms)), arms, rotation=60, fontsize=8)
        axis.set_title({"pair": "planted: pairs (r)", "time": "planted: time (r)",
                        "jaccard": "planted: members (Jaccard)",
                        "partners": "worm: left with right"}[name], fontsize=10)  # fmt: skip
    courses = Figure(figsize=(10, 3.2), layout="constrained")
    left, middle, right = courses.subplots(1, 3)
    seed = results.seeds[0]
    of = results.history["ntf"][seed]
    seconds = 0.6 * results.settings["every"] * np.arange(of["bump"].shape[-1])
    for i, (bump, course) in enumerate(zip(of["bump"][0], of["course"][0], strict=True)):
        left.fill_between(seconds, i, i + 0.9 * bump, color="#dddddd", lw=0)
        left.plot(seconds, i + 0.9 * course / max(course.max(), 1e-12), color="#c0392b", lw=1.2)
    left.set(title="planted motifs (grey), found (red)", xlabel="time (s)", yticks=[])
    for arm in ("ntf", "louvain", "shifted"):
        values = np.stack([results.history[arm][s]["graphs"][0] for s in results.seeds])
        middle.errorbar(np.arange(values.shape[1]), values.mean(0), values.std(0), marker="o", ms=4,
                        lw=1, capsize=2, color=COLOURS[arm], label=arm)  # fmt: skip
    names = (
        "w^.5",
        "w^1",
        "w^2",
        "mix .25",
        "same",
        "mix .75",
        "deg. 10",
        "w-mix .25",
        "w-mix .75",
    )
    shown = names[: results.settings["graphs"]]
    middle.set_xticks(range(len(shown)), shown, rotation=60, fontsize=8)
    middle.set(title="graphs with communities", ylabel="NMI", ylim=(-0.05, 1.05))
    middle.legend(fontsize=7, frameon=False)
    course = of["real_course"][0]
    seconds = 0.6 * results.settings["every_worm"] * np.arange(course.shape[-1])
    for i, each in enumerate(course):
        right.plot(seconds, i + 0.9 * each / max(each.max(), 1e-12), color="#2c5f8a", lw=0.8)
    right.set(title="components of the real worm", xlabel="time (s)", yticks=[])
    for axis in (*axes, left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
    return {"recovery": figure, "courses": courses}
