"""Numbers, references and figures of deep_ssvep.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

_WHERE = "official result file, benchmark data, 9 electrodes, 35 people (arithmetic ours)"
METRICS = {
    "rate_400": Metric("information transfer, 0.4 s", "bits/min", paper={"two-stage": 244.5}, where=_WHERE),
    "rate_200": Metric("information transfer, 0.2 s", "bits/min", paper={"two-stage": 192.4}, where=_WHERE),
    "rate_800": Metric("information transfer, 0.8 s", "bits/min", paper={"two-stage": 218.6}, where=_WHERE),
    "accuracy_400": Metric("accuracy, 0.4 s", paper={"two-stage": 0.799}, where=_WHERE),
    "muse": Metric("accuracy, 20 against 30 Hz, real, 1 s"),
}  # fmt: skip
GAPS = ("accuracy", "rate", "muse")

CITE = """@article{guney2022deep,
  title = {A Deep Neural Network for SSVEP-Based Brain-Computer Interfaces},
  author = {Guney, Osman Berke and Oblokulov, Muhtasham and Ozkan, Huseyin},
  journal = {IEEE Transactions on Biomedical Engineering},
  volume = {69},
  number = {2},
  pages = {932--944},
  year = {2022},
  note = {arXiv:2011.08562}
}"""

DIFFERS = (
    "The benchmark and BETA recordings cannot be had here: people are simulated (answers with harmonics,"
    " delay and lags of their own through a lead field to the same nine electrodes, alpha and pink"
    " background). How far decoders lie apart depends on the simulator;"
    " its amplitude was set on people outside the study, to where TRCA is right in 7 of 10 at 0.4 s.",
    "The last block is the test block in all arms, in place of each in turn; seeds draw other people. As in"
    " the paper a person's other blocks are in the first stage: it is not a result on unseen people.",
    "Small has 32 features in place of 120, hence dropout 0.8 before the last layer in place of 0.95; steps"
    " of 4e-3 for 40 passes (first stage) in place of 1e-4 for 1,000, and first weights of deviation 0.03.",
    "TRCA is ours after Nakanishi et al. (ensemble, five sub-bands, same training blocks). The paper's own"
    " comparison with it could not be read.",
    "On the real recording (one person, two frequencies) there is nobody to learn a first stage from: only"
    " FBCCA, TRCA and the network trained on the person are run, and no claim rests on it.",
)


def score(settings: dict, history: dict) -> dict:
    """Means over people of each window length; the real recording."""
    lengths = {str(round(1000 * seconds)) for seconds in settings["windows"]}
    found = {key: np.nan for key in METRICS if "_" in key and key.split("_")[1] not in lengths}
    if settings["data"] == "simulated":
        found["muse"] = np.nan  # no real person at this scale
    for name in ("rate", "accuracy"):
        values = np.asarray(history[name], float)
        for i, seconds in enumerate(settings["windows"]):
            key = f"{name}_{round(1000 * seconds)}"
            row = values[min(i, len(values) - 1), i]
            if key in METRICS and np.isfinite(row).all():
                found[key] = float(row.mean())
    muse = np.asarray(history["muse"], float)
    if np.isfinite(muse).any():
        found["muse"] = float(muse[np.isfinite(muse)][0])
    return found


LOOK = {
    "two-stage": ("network, both stages", "#0072b2", "o-"),
    "global": ("network, first stage only", "#56b4e9", "s--"),
    "own": ("network, own trials only", "#009e73", "^--"),
    "trca": ("ensemble TRCA", "#d55e00", "D-"),
    "fbcca": ("FBCCA (no training)", "#e69f00", "v-"),
    "shuffled": ("shuffled labels", "#999999", "x:"),
}


def _curves(results: Results):
    """Information transfer rate against window length: mean over people, interval over cohorts."""
    from matplotlib.figure import Figure

    from neuropil.stats.intervals import t_interval

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    windows = list(results.settings["windows"])
    chance = 1 / results.settings["targets"]
    for axes, name in zip(figure.subplots(1, 2), ("rate", "accuracy"), strict=True):
        for arm, (label, colour, style) in LOOK.items():
            if arm not in results.history:
                continue
            runs = [np.asarray(results.history[arm][s][name], float) for s in results.seeds]
            values = np.array([[r[i, i].mean() for i in range(len(windows))] for r in runs])
            axes.plot(windows, values.mean(0), style, color=colour, label=label, ms=4, lw=1.2)
            if len(values) > 1:
                ends = np.array([t_interval(v)[1:3] for v in values.T])
                axes.fill_between(windows, *ends.T, color=colour, alpha=0.15, lw=0)
        axes.set_xlabel("window (s)")
        axes.set_xticks(windows)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    figure.axes[0].set_ylabel("information transfer (bits/min)")
    figure.axes[1].set_ylabel("accuracy (dotted: chance)")
    figure.axes[1].axhline(chance, color="grey", lw=0.8, ls=":")
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def figures(results: Results) -> dict:
    """The two curves."""
    return {"windows": _curves(results)}
