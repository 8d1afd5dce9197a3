"""Numbers, references and figures of discriminative_kalman.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

_WHERE = "thesis source, macaque M1, mean of 6 sets (dkf: -20 %, arithmetic ours): another task"
_error = lambda label, **more: Metric(label, better="lower", **more)
METRICS = {
    **{f"known_{n}": _error(f"error, known mixture, {n} channels") for n in (3, 10, 32, 100, 316)},
    "learned_10": _error("error, learned, 10 neurons"),
    "learned_50": _error("error, learned, 50 neurons"),
    "learned_200": _error("error, learned, 200 neurons", paper={"kalman": 0.805, "dkf": 0.644}, where=_WHERE),
    "linear_50": _error("error, linear Gaussian, 50 channels"),
    "real": _error("error, position on a track, 31 units"),
}  # fmt: skip
GAPS = ("known", "learned", "linear", "real", "trace")

CITE = """@article{burkhart2020discriminative,
  title = {The Discriminative Kalman Filter for {B}ayesian Filtering with Nonlinear and Nongaussian
           Observation Models},
  author = {Burkhart, Michael C. and Brandman, David M. and Franco, Brian and Hochberg, Leigh R. and
            Harrison, Matthew T.},
  journal = {Neural Computation},
  volume = {32},
  number = {5},
  pages = {969--1017},
  year = {2020},
  note = {thesis: arXiv:1807.06173}
}"""

DIFFERS = (
    "The macaque and human recordings cannot be had here: tuning is simulated (half the neurons with a bump,"
    " so that a linear observation misses them), and the real recording is position on a linear track.",
    "Constants of the known mixture are those of the official code (A = 0.95 I - 0.05, noise 1 and 5), which"
    " differ from the thesis' text; 2,000 bins in place of 10,000, up to 316 channels in place of 1,000, and"
    " 1,000 particles.",
    "Where V exceeds S its directions are clipped, as in the official simulations; the macaque script and the"
    " thesis' footnote repair it otherwise (`repair=` has the footnote's).",
    "Bandwidths are chosen by leave-one-out among 16 multiples of the median distance; rows for V are held out"
    " in ten stretches, not at random, since neighbouring bins betray each other; on the track eight"
    " neighbours are left out too.",
    "On the track the clipped filter can drift: a clipped direction keeps its share of f and gains no"
    " certainty, so that the mean walks off for as long as V is wide. The robust filter does not.",
    "Kalman's observation is fitted by least squares on the data that f is fitted to; on the known mixture on"
    " data of their own, where its best answer is nearly zero by construction.",
)


def score(settings: dict, history: dict) -> dict:
    """The errors of one arm and seed, by experiment and size."""
    found = dict.fromkeys(METRICS, np.nan)  # sizes that this scale does not have stay so
    for name in ("known", "learned"):
        for n, value in zip(settings[name], np.asarray(history[name], float)[0], strict=True):
            found[f"{name}_{n}"] = float(value)
    found["linear_50"] = float(np.ravel(history["linear"])[0])
    found["real"] = float(np.ravel(history["real"])[0])
    sizes = {f"{name}_{n}" for name in ("known", "learned") for n in settings[name]}
    lacks = {name for name in sizes | {"linear_50", "real"} if not np.isfinite(found[name])}
    return {name: found[name] for name in METRICS if name not in lacks}


COLOURS = {"dkf": "#c0392b", "kalman": "#2c5f8a", "robust": "#e59866", "regression": "#7d8a3c",
           "particles": "#555555", "zero": "#b0b0b0"}  # fmt: skip


def figures(results: Results) -> dict:
    """Error against the number of channels, and position on the track as it was decoded."""
    from matplotlib.figure import Figure

    s, arms = results.settings, results.study.arms
    figure = Figure(figsize=(9.5, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
    titles = {"known": "known mixture, 10 dimensions", "learned": "learned tuning, 2 dimensions"}
    for axis, (name, title) in zip(axes, titles.items(), strict=False):
        for arm in arms:
            values = results.stacked(arm, name)[:, 0]
            if np.isfinite(values).all():
                axis.errorbar(s[name], values.mean(0), values.std(0), label=arm, color=COLOURS[arm],
                              marker="o", ms=4, lw=1.5, capsize=2)  # fmt: skip
        axis.set(xscale="log", title=title, xlabel="observed channels", ylim=(0, 1.22))
    axes[0].set_ylabel("RMSE / RMS of the truth")
    axes[0].legend(fontsize=7, frameon=False, loc="lower left")
    shown = [arm for arm in arms if np.isfinite(results.stacked(arm, "real")).all()]
    for i, arm in enumerate(shown):
        values = results.stacked(arm, "real")[:, 0]
        axes[2].plot(np.full(len(values), i), values, "o", color=COLOURS[arm], ms=4)
        axes[2].plot([i - 0.3, i + 0.3], [values.mean()] * 2, color=COLOURS[arm], lw=2)
    axes[2].set(title="position on a track, real", ylim=(0, None))
    axes[2].set_xticks(range(len(shown)), shown, rotation=30, ha="right", fontsize=8)
    track = Figure(figsize=(8, 2.6), layout="constrained")
    axis = track.subplots()
    seconds = np.arange(200) * 0.25
    axis.plot(seconds, results.history["dkf"][0]["trace"][0, 0], color="black", lw=2, label="true")
    for arm in ("kalman", "dkf", "regression"):
        axis.plot(
            seconds, results.history[arm][0]["trace"][0, 1], color=COLOURS[arm], lw=1.2, label=arm
        )
    axis.set(xlabel="time in the held-out stretch (s)", ylabel="position (sd)", ylim=(-3, 3.4))
    axis.legend(fontsize=8, frameon=False, ncols=4, loc="upper right")
    for each in (*axes, axis):
        each.spines[["top", "right"]].set_visible(False)
    return {"errors": figure, "track": track}
