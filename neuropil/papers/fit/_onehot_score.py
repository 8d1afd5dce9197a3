"""Numbers, references and figures of onehot_hmm_glm.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.fit._onehot_arms import WORLDS
from neuropil.studies import Metric, Results

NAMES = (*WORLDS, "real")
ABOUT = {
    "few": "few sequences",
    "many": "three times",
    "gaussian": "Gaussian W",
    "apart": "nothing shared",
    "real": "hippocampal units",
}
METRICS = {
    **{f"likelihood-{w}": Metric(f"held-out likelihood, {ABOUT[w]}", "nats/bin") for w in NAMES},
    **{f"weights-{w}": Metric(f"correlation of W with the truth, {ABOUT[w]}") for w in WORLDS},
    "signs-few": Metric("balanced accuracy of signs, few sequences"),
    "signs-many": Metric("balanced accuracy of signs, three times as many"),
    "state-few": Metric("share of bins with the right state, few sequences"),
    "hard-few": Metric("held-out likelihood with hard classes, few sequences", "nats/bin"),
}
GAPS = ("found",)
COLUMN = {"likelihood": 0, "hard": 1, "weights": 2, "signs": 3, "state": 4}

CITE = """@inproceedings{li2024onehot,
  title = {One-hot Generalized Linear Model for Switching Brain State Discovery},
  author = {Li, Chengrui and Kim, Soon Ho and Rodgers, Chris and Choi, Hannah and Wu, Anqi},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2310.15263}
}"""

DIFFERS = (
    "3 states, 12 neurons, sequences of 500 bins, 4 or 12 of them to learn from, in place of 5, 20, 2,000 and"
    " 30: the prior matters where data are few. The paper's recordings (prefrontal, whisker) cannot be had"
    " here; the real data are the 12 most active of 31 hippocampal units in bins of 50 ms.",
    "The objective is that of all sequences together, with the prior counted once; the official demo takes"
    " gradients of one sequence after the other and so counts it once for each (`strength` does that here).",
    "All arms begin at small random weights, the same in all of them, and keep the better of two starts by"
    " training likelihood: from zero, as in the demo, states without noise cannot part. Adam at 0.02,"
    " 25 rounds of 20 steps.",
    "The ridge has what no other arm has, sequences of its own to choose its penalty by: the strongest fair"
    " baseline, since a Gaussian prior may be nothing but shrinkage.",
    "Simulated circuits of the paper are drawn from the one-hot prior itself; two more are not: Gaussian about"
    " one matrix, and with nothing shared between states.",
    "Signs of arms without classes: the fifth of weights of largest size are taken as connections.",
)


def score(settings: dict, history: dict) -> dict:
    """What an arm reached in each world, of those that this scale has."""
    found = np.asarray(history["found"], float)
    out = {}
    for metric in METRICS:
        what, world = metric.split("-")
        at = NAMES.index(world)
        value = found[at, COLUMN[what]] if at < len(found) else np.nan
        missing = at >= len(found) or np.isnan(found[at]).all()
        if missing or np.isfinite(value):
            out[metric] = float(value)
    return out


COLOURS = {"onehot": "#c0392b", "gaussian": "#2c5f8a", "own": "#e59866", "free": "#7d8a3c",
           "ridge": "#8e6bb0", "single": "#b0b0b0", "truth": "#333333"}  # fmt: skip


def figures(results: Results) -> dict:
    """Gain over the fit without a prior, and how well weights are found, by world and arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    free = results.stacked("free", "found")
    for i, arm in enumerate(results.study.arms):
        found = results.stacked(arm, "found")
        for axis, column, base in ((left, 0, free), (right, 2, None)):
            if arm == "free" and base is not None:
                continue
            values = found[:, :, column] - (0 if base is None else base[:, :, column])
            shown = [at for at in range(values.shape[1]) if np.isfinite(values[:, at]).all()]
            spread = values[:, shown].std(0, ddof=1) if len(values) > 1 else np.zeros(len(shown))
            axis.errorbar(np.array(shown) + 0.1 * (i - 3), values[:, shown].mean(0), spread, fmt="o", ms=4,
                          capsize=2, color=COLOURS[arm], label=arm)  # fmt: skip
    count = free.shape[1]
    left.axhline(0, color="black", lw=0.8)
    left.set(ylabel="held-out likelihood above\nno prior (nats/bin)", ylim=(-0.15, None))
    right.set(ylabel="correlation of W with the truth", ylim=(0, 1.03))
    for axis, number in ((left, count), (right, min(count, len(WORLDS)))):
        names = [ABOUT[name].replace(" ", "\n", 1) for name in NAMES[:number]]
        axis.set_xticks(range(number), names, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    right.legend(fontsize=7, frameon=False, ncols=2, loc="lower left")
    return {"priors": figure}
