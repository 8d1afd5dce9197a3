"""Numbers, references and figures of brain_model_convergence.py."""

from __future__ import annotations

import numpy as np

from neuropil.compare.hierarchy import half_time
from neuropil.papers.compare._convergence_arms import SCORES
from neuropil.studies import Metric, Results

_SECOND = "at second hand, from reading notes: people's fMRI or MEG, DINOv3"
METRICS = {
    "v4": Metric("macaque V4: r over ceiling, a sample of neurons and images"),
    "v4_all": Metric("the same, all 50 neurons and 640 images"),
    "v4_class": Metric("the same, from the class token alone"),
    "it_monkey": Metric("monkey IT: Spearman of dissimilarities, 92 objects"),
    "it_human": Metric("human IT: Spearman of dissimilarities, 92 objects, session 2"),
    "planted": Metric("planted brain: r of voxels"),
    "spatial": Metric("planted brain: spatial score", paper={"trained": 0.38}, where=_SECOND),
    "temporal": Metric("planted brain: temporal score", paper={"trained": 0.96}, where=_SECOND),
    "half_planted": Metric("half-time of r, planted", "% of training", "lower", {"trained": 2.0}, _SECOND),
    "half_spatial": Metric("half-time of the spatial score", "% of training", "lower", {"trained": 4.0},
                           _SECOND),
    "half_temporal": Metric("half-time of the temporal score", "% of training", "lower", {"trained": 0.7},
                            _SECOND),
    "half_v4": Metric("half-time of r, V4", "% of training", "lower"),
}  # fmt: skip

CITE = """@misc{raugel2025disentangling,
  title = {Disentangling the Factors of Convergence between Brains and Computer Vision Models},
  author = {Raugel, Josephine and Szafraniec, Marc and Vo, Huy V. and Couprie, Camille and Labatut, Patrick
            and Bojanowski, Piotr and Wyart, Valentin and King, Jean-Remi},
  year = {2025},
  eprint = {2508.18226},
  archivePrefix = {arXiv}
}"""

DIFFERS = (
    "The paper's brains are people's (NSD fMRI of 15 regions, THINGS-MEG). At hand are 50 neurons of"
    " macaque V4 and dissimilarities of 92 objects in human and monkey IT: encoding and geometry are"
    " judged there; the spatial and temporal scores, which need many areas or times, on a planted brain"
    " alone.",
    "The planted brain reads the levels of one more network like those compared (own weights and"
    " batches, natural images): 20 voxels a level, and 24 sensors on which level a answers 60 + 40 a ms"
    " after the image. That it is found again shows that the instrument works, not that brains are like"
    " this.",
    "Networks have 4 layers and 16, 32 or 64 numbers a token (paper: 21 M to 7 B parameters), 48 x 48"
    " grey pixels, patches of 8; 400 steps of 32 images of 1,200 (paper: 1.7 billion images). Two views,"
    " both masked; centring and sharpening (Caron et al. 2021) with the patch loss of Zhou et al."
    " (2022), and none of DINOv3's Sinkhorn centring, KoLeo and Gram terms, local crops or registers.",
    "Kinds of images: natural ones, the same with random phases, and clothes (Fashion-MNIST), 1,200 of"
    " each (paper: people's photographs, satellites, cells). Training images are those of another"
    " session and animal than the test images.",
    "Features are all patch tokens (the class token apart, `v4_class`), brought to 128 principal"
    " components inside each training fold, so that wide networks have no more of them; which token the"
    " paper takes is not said.",
    "The level that an area is predicted by is chosen inside the training folds, so deep networks gain"
    " nothing by having more to choose from; the paper's choice is not clear.",
    "V4: every seed looks at its own sample of neurons and images, drawn with replacement, the same for"
    " all arms, so that the interval over seeds is also one over neurons of this session and images; it"
    " is one animal.",
    "Half-times are of checkpoints at 0, 3, 10, 30 and 100 % of training, between them by the"
    " logarithm; those of the real V4 are shown where the score at the end is positive, and judged by no"
    " claim.",
    "A pilot (a key of no seed) printed V4 scores of an untrained network, of one after 40 steps and of Gabor"
    " energies. After it the planted voxels were made to mix whitened components and the grid of penalties was"
    " widened downwards, both for the planted network to find its own order; V4 was not looked at again.",
)


def score(settings: dict, history: dict) -> dict:
    """Scores at the last checkpoint; half-times where there are several."""
    found = {name: float(np.asarray(history[name])[-1]) for name in SCORES}
    steps = np.asarray(settings["steps"], float)
    for name in ("planted", "spatial", "temporal", "v4"):
        path = np.asarray(history[name], float)
        several = len(path) == len(steps) > 1
        found[f"half_{name}"] = 100 * half_time(steps, path) / steps[-1] if several else np.nan
    return found


LOOK = {
    "trained": ("natural, width 2 of 3", "#0072b2"),
    "narrow": ("narrow", "#56b4e9"),
    "wide": ("wide", "#003f6b"),
    "scrambled": ("phases scrambled", "#d55e00"),
    "narrow-scrambled": ("narrow, scrambled", "#e8a87c"),
    "wide-scrambled": ("wide, scrambled", "#8c3b00"),
    "fashion": ("clothes", "#cc79a7"),
    "untrained": ("untrained", "#777777"),
    "pixels": ("pixels", "#bbbbbb"),
    "gabor": ("Gabor energies", "#009e73"),
    "shuffled": ("images shuffled", "#dddddd"),
    "teacher": ("the planted network", "#222222"),
}


def _factors(results: Results):
    """Each arm's seeds beside each brain."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    titles = {
        "v4": "macaque V4, r / ceiling",
        "it_monkey": "monkey IT, Spearman",
        "planted": "planted brain, r",
    }
    arms = [a for a in LOOK if a in results.history]
    for axes, (name, title) in zip(figure.subplots(1, 3, sharey=True), titles.items(), strict=True):
        for row, arm in enumerate(arms):
            values = np.asarray(results.values.get(name, {}).get(arm, ()), float)
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            axes.plot(values, np.full(len(values), row), "o", ms=3, color=LOOK[arm][1], alpha=0.6)
            axes.plot(values.mean(), row, "|", ms=14, mew=2.5, color=LOOK[arm][1])
        axes.set_title(title, fontsize=9)
        axes.axvline(0, color="grey", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.axes[0].set_yticks(range(len(arms)), [LOOK[a][0] for a in arms])
    figure.axes[0].invert_yaxis()
    return figure


def _order(results: Results):
    """Best level of each planted area, best time of each level, and the scores through training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.3), layout="constrained")
    space, time, path = figure.subplots(1, 3)
    drawn = [a for a in ("teacher", "trained", "untrained", "shuffled") if a in results.history]
    for shift, arm in enumerate(drawn):
        label, colour = LOOK[arm]
        off = 0.06 * (shift - 1.5)
        for axes, name in ((space, "best_level"), (time, "best_time")):
            last = np.stack([np.asarray(results.history[arm][s][name])[-1] for s in results.seeds])
            where = np.arange(last.shape[1])
            axes.plot(where + off, last.mean(0), "-o", ms=3, lw=1, color=colour, label=label)
            if len(last) > 1:
                axes.vlines(where + off, last.min(0), last.max(0), color=colour, lw=0.8)
    space.set(xlabel="planted area (0: first)", ylabel="level that predicts it best")
    time.set(xlabel="level of the network", ylabel="time it predicts best (ms)")
    space.legend(frameon=False, fontsize=7)
    steps = 100 * np.asarray(results.settings["steps"], float) / results.settings["steps"][-1]
    marks = {
        "planted": ("encoding", "#0072b2"),
        "spatial": ("spatial", "#d55e00"),
        "temporal": ("temporal", "#009e73"),
    }
    for name, (label, colour) in marks.items():
        runs = np.stack(
            [np.asarray(results.history["trained"][s][name], float) for s in results.seeds]
        )
        middle = np.nanmedian(runs, 0) if np.isfinite(runs).any(0).all() else runs.mean(0)
        path.plot(steps, middle, "-o", ms=3, lw=1.2, color=colour, label=label)
    path.set_xscale("symlog", linthresh=1)
    path.set(xlabel="training (%)", ylabel="score on the planted brain (median)")
    path.legend(frameon=False, fontsize=7)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict:
    """Factors, and the order of levels."""
    return {"factors": _factors(results), "order": _order(results)}
