"""Numbers, references and figures of dead_salmons.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.compare._dead_salmons import FAMILIES
from neuropil.studies import Metric, Results

METRICS = {
    "false": Metric("findings in random networks, mean of all statistics", better="lower"),
    **{f"false_{f}": Metric(f"findings in random networks, {f}", better="lower") for f in FAMILIES},
    **{f"power_{f}": Metric(f"findings in trained networks, {f}") for f in FAMILIES},
}
GAPS = tuple(f"{kind}_{f}" for f in FAMILIES for kind in ("p", "t", "null"))

CITE = """@misc{meloux2025dead,
  title = {The Dead Salmons of {AI} Interpretability},
  author = {M\\'eloux, Maxime and Dirupo, Giada and Portet, Fran\\c{c}ois and Peyrard, Maxime},
  year = {2025},
  note = {arXiv:2512.18792}
}"""

DIFFERS = (
    "The paper's experiments are on BERT and pythia with text; here small perceptrons see MNIST, so that many"
    " of them can be built. Its figures could not be read: no number of it is quoted.",
    "The paper takes 20 random networks, which cannot give p below 0.048; here 99, and the best place of each"
    " null network, since a best layer, component or feature was searched for.",
    "Alignment is the Spearman correlation of Euclidean RDMs with macaque V4 on 160 natural images; its naive p"
    " takes pairs of stimuli for samples, as is often done.",
    "Attribution is |gradient x input| of the largest output, compared with the image itself; its naive test is"
    " a t test over images.",
    "A null of random networks says that something was learned, not what: a network trained on other labels"
    " would be the null of a claim about this task.",
)


def score(settings: dict, history: dict) -> dict:
    """Shares of networks with p <= 0.05, dead ones and trained ones."""
    found, n = {}, settings["salmons"]
    for family in FAMILIES:
        p = np.asarray(history[f"p_{family}"], float)[0]
        known = np.isfinite(p).all()
        found[f"false_{family}"] = float((p[:n] <= 0.05).mean()) if known else float("nan")
        found[f"power_{family}"] = float((p[n:] <= 0.05).mean()) if known else float("nan")
    found["false"] = float(np.nanmean([found[f"false_{f}"] for f in FAMILIES]))
    return {name: found[name] for name in METRICS}


COLOURS = {
    "corrected": "#2c7a5b",
    "per-place": "#c9a227",
    "naive": "#b03a2e",
    "shuffled": "#7f8c8d",
}


def figures(results: Results) -> dict:
    """How often dead networks are found alive, and where their statistics lie in the null."""
    from matplotlib.figure import Figure

    arms = list(results.study.arms)
    rates = Figure(figsize=(8, 3.2), layout="constrained")
    axis = rates.subplots()
    for i, arm in enumerate(arms):
        seeds = np.array([results.values[f"false_{f}"][arm] for f in FAMILIES])
        at = np.arange(len(FAMILIES)) + 0.2 * (i - 1.5)
        axis.bar(at, np.nanmean(seeds, 1), 0.18, color=COLOURS[arm], label=arm)
        for x, row in zip(at, seeds, strict=True):
            axis.plot(np.full(len(row), x), row, "o", color="black", ms=2, alpha=0.4)
    axis.axhline(0.05, color="black", lw=0.8, ls="--")
    axis.set_xticks(range(len(FAMILIES)), FAMILIES)
    axis.set(ylabel="found in random networks", ylim=(0, 1.05))
    axis.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    n = results.settings["salmons"]
    where = Figure(figsize=(11, 2.6), layout="constrained")
    labels = ("best accuracy", "largest |r|", "largest rho", "mean r with the image", "largest |r|")
    for axis, family, label in zip(where.subplots(1, 5), FAMILIES, labels, strict=True):
        t = results.stacked("corrected", f"t_{family}")[:, 0]
        null = results.stacked("corrected", f"null_{family}")[:, 0].ravel()
        if np.isfinite(null).all():
            bins = np.linspace(min(null.min(), t.min()), max(null.max(), t.max()), 30)
            axis.hist(null, bins, density=True, color="#bbbbbb", label="null networks")
            for part, colour, name in (
                (t[:, :n], "#b03a2e", "dead"),
                (t[:, n:], "#2c7a5b", "trained"),
            ):
                axis.hist(
                    part.ravel(),
                    bins,
                    density=True,
                    histtype="step",
                    color=colour,
                    lw=1.5,
                    label=name,
                )
        axis.set(title=family, xlabel=label, yticks=[])
    where.axes[0].legend(frameon=False, fontsize=7)
    for each in (*rates.axes, *where.axes):
        each.spines[["top", "right"]].set_visible(False)
    return {"rates": rates, "null": where}
