"""Numbers, references and figures of eegnet_family.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

METRICS = {
    "transfer": Metric("accuracy, tuned from other people's weights"),
    "within": Metric("accuracy, own first session only"),
    "cross": Metric("accuracy, other people only"),
    "gain": Metric("effect of transfer: transfer - within"),
    "n170": Metric("face against house (N170)", "AUC"),
    "p300": Metric("target against other (P300)", "AUC"),
}
GAPS = ("within", "cross", "transfer", "n170", "p300")

CITE = """@article{kollod2023eegnet,
  title = {Deep Comparisons of Neural Networks from the EEGNet Family},
  author = {Köllőd, Csaba Márton and Adolf, András and Iván, Kristóf and Márton, Gergely and Ulbert, István},
  journal = {Electronics},
  volume = {12},
  number = {12},
  pages = {2743},
  year = {2023},
  note = {arXiv:2302.08797}
}"""

DIFFERS = (
    "Motor imagery is simulated: people with rhythms, skills and cortices of their own, through a spherical"
    " lead field to 22 electrodes. A ranking on a simulator is a fact about the simulator; the paper's, on"
    " PhysioNet, Giga and BCI IV 2a recordings, is not tested here: those cannot be had.",
    "The labelled recordings at hand (N170 and P300, one person, six runs each) are evoked responses, which"
    " the paper has none of; they are reported, no claim rests on them alone.",
    "One window of 1 s a trial, no overlapping windows, no FASTER (the simulation has no artefacts). Trained"
    " for fixed numbers of passes, without early stopping: 60 trials leave none to stop by.",
    "Within: first session of a person to the second. Cross and transfer: people in two groups, each decoded"
    " from the other group; the paper leaves out ten at a time and tunes in five folds.",
    "Shallow ConvNet has the reference's mean pool; the paper's code has a maximum there. MI-EEGNet has 16"
    " filters in place of 64, Fusion 4, 8, 16 in place of 8, 16, 32.",
    "At 160 steps on 60 trials Deep, EEGNet and Fusion are at or near chance on the simulated rhythms at"
    " small, though not on evoked responses: that Shallow leads there says how fast it learns from few"
    " trials, not how the networks rank when each is trained to its end.",
    "Moving averages of norms have momentum 0.9 everywhere: after some 80 steps Keras's 0.99 still holds"
    " half of its first value, and evaluation is poor for that reason alone.",
)


def score(settings: dict, history: dict) -> dict:
    """Means over people, and of the real person's experiments, of the stages that measured them."""
    found = {}
    for name in ("within", "cross", "transfer"):
        values = np.asarray(history[name], float)
        if np.isfinite(values).any():
            found[name] = float(np.nanmean(np.nanmax(np.where(np.isnan(values), -1, values), 0)))
    if {"within", "transfer"} <= set(found):
        found["gain"] = found["transfer"] - found["within"]
    for name in ("n170", "p300"):
        values = np.asarray(history[name], float)
        if settings["data"] == "simulated":
            found[name] = np.nan  # no real person at this scale
        elif np.isfinite(values).any():
            found[name] = float(values[np.isfinite(values)][0])
    return found


LABELS = {
    "shallow": "Shallow ConvNet", "deep": "Deep ConvNet", "eegnet": "EEGNet", "fusion": "EEGNet-Fusion",
    "mi-eegnet": "MI-EEGNet", "csp": "CSP + LDA", "riemann": "tangent space", "shuffled": "shuffled labels",
    "true-sources": "true sources known",
}  # fmt: skip
PROTOCOLS = {"within": ("#56b4e9", "o"), "cross": ("#e69f00", "s"), "transfer": ("#0072b2", "D")}


def _plain(axes):
    axes.spines[["top", "right"]].set_visible(False)


def _ranking(results: Results):
    """Accuracy of every decoder under the three protocols: mean and 95 % interval over cohorts."""
    from matplotlib.figure import Figure

    from neuropil.stats.intervals import t_interval

    arms = [a for a in LABELS if a in results.values.get("within", {})]
    figure = Figure(figsize=(6.6, 0.42 * len(arms) + 1.3), layout="constrained")
    axes = figure.subplots()
    for k, (name, (colour, mark)) in enumerate(PROTOCOLS.items()):
        for row, arm in enumerate(arms):
            values = np.asarray(results.values.get(name, {}).get(arm, ()), float)
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            y = row + 0.22 * (k - 1)
            if len(values) > 1:
                _, low, high = t_interval(values)[:3]
                axes.plot([low, high], [y, y], color=colour, lw=1.2)
            label = {
                "within": "own session",
                "cross": "other people",
                "transfer": "others, then own",
            }
            axes.plot(
                values.mean(), y, mark, ms=5, color=colour, label=None if row else label[name]
            )
    axes.axvline(1 / results.settings["classes"], color="grey", lw=0.8, ls=":")
    axes.set_yticks(range(len(arms)), [LABELS[a] for a in arms])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy on the second session (dotted: chance)")
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.45, 1.1), ncols=3)
    _plain(axes)
    return figure


def _evoked(results: Results):
    """Area under the ROC curve on the real person's evoked responses; a mark a seed."""
    from matplotlib.figure import Figure

    arms = [a for a in LABELS if len(results.values.get("n170", {}).get(a, ()))]
    arms = [a for a in arms if np.isfinite(results.values["n170"][a]).any() and a != "riemann"]
    if not arms:
        return None
    names = {"csp": "shrinkage LDA"}  # what both classical arms are on evoked responses
    figure = Figure(figsize=(6.4, 0.34 * len(arms) + 1.1), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("n170", "p300"), strict=True):
        for row, arm in enumerate(arms):
            values = np.asarray(results.values[name][arm], float)
            axes.plot(values, np.full(len(values), row), "o", ms=5, mfc="white", color="#0072b2")
        axes.axvline(0.5, color="grey", lw=0.8, ls=":")
        axes.set_xlabel(METRICS[name].label + ": AUC", fontsize=9)
        axes.set_yticks(range(len(arms)), [names.get(a, LABELS[a]) for a in arms])
        _plain(axes)
    figure.axes[0].invert_yaxis()
    return figure


def figures(results: Results) -> dict:
    """The ranking, and the real recordings where they were there."""
    made = {"ranking": _ranking(results), "evoked": _evoked(results)}
    return {name: figure for name, figure in made.items() if figure is not None}
