"""Numbers, figures and references of neuroformer.py."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.fit._neuroformer_circuit import WIRING
from neuropil.stats.intervals import t_interval
from neuropil.studies import Metric, Results

SHARES = (5, 10, 25, 100)

METRICS = {
    "bits": Metric("held-out spikes", "bits/spike over rates"),
    "bits_raw": Metric("the same, order not enforced", "bits/spike"),
    "auroc": Metric("edges: AUROC"),
    "auroc_within_hub": Metric("targets of each hub: AUROC"),
    "direction": Metric("edges in the right direction"),
    **{
        f"error_{share}": Metric(f"position error, {share} % labels", "track", better="lower")
        for share in SHARES
    },
}

GAPS = ("loss", "validation", "map", "adjacency", "pretraining_loss", *METRICS)

CITE = """@inproceedings{antoniades2024neuroformer,
  title = {Neuroformer: Multimodal and Multitask Generative Pretraining for Brain Data},
  author = {Antoniades, Antonis and Yu, Yiyi and Canzano, Joseph and Wang, William and Smith, Spencer LaVere},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2311.00136}
}"""

DIFFERS = (
    "The simulator of the paper's figure 2 is public in neither repository. Ours has hubs with additive"
    " and with conjunction targets (on an additive circuit a GLM is the truth); each seed draws its own"
    " circuit. All arms that may see it see the behaviour z, the GLMs as a covariate.",
    "On the circuit the current state is one bin (10 ms), in the release five (50 ms by 10 ms): the heads"
    " give id and time independently, so with five bins no lag of a connection can be told by the"
    " likelihood. The past state of 100 ms holds all lags. On the track the state has five bins.",
    "Scores are exact log-probabilities of held-out rasters (each raster is one sequence), renormalised"
    " over tokens that can follow in the canonical order, not F1 of samples; bits_raw leaves that out.",
    "Blocks are contiguous in time. The official splits mix windows of 50 ms (one of them overlaps).",
    "Behaviour values are not layer-normalised before their map: over one number the official norm gives"
    " its shift whatever the number, so there the value of the behaviour never reaches the network.",
    "Attention is read from the position that predicts a unit, without dropout, over the product of both"
    " units' numbers of tokens; the official script reads the diagonal of the input's positions.",
    "Width 32 and two heads instead of 256 and eight; initial weights of deviation 0.1, not 0.02; learning"
    " rate, decay and passes chosen on validation blocks of a seed outside the study.",
    "The recording is 31 hippocampal units of one animal on a linear track (16 minutes); the paper's"
    " 2,000 imaged cells of mouse visual cortex and its behaviours are not public in a small form.",
)


def score(settings: dict, history: dict) -> dict:
    """The last measured value of each number."""
    found = {}
    for name in METRICS:
        values = np.asarray(history.get(name, ()), float)
        if np.isfinite(values).any():
            found[name] = float(values[np.isfinite(values)][-1])
    unasked = {f"error_{share}" for share in SHARES} - {f"error_{s}" for s in settings["shares"]}
    return found | {name: float("nan") for name in unasked & set(METRICS)}  # not measured


def _seeds(results: Results, metric: str, arm: str) -> np.ndarray:
    values = np.asarray(results.values.get(metric, {}).get(arm, ()), float)
    return values[np.isfinite(values)]


def _plain(axes):
    axes.spines[["top", "right"]].set_visible(False)


def likelihood(results: Results) -> Figure:
    """Held-out bits per spike above homogeneous rates: mean, interval and every seed."""
    arms = [a for a in results.study.arms if len(_seeds(results, "bits", a)) and a != "rates"]
    figure = Figure(figsize=(6.4, 0.5 * len(arms) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, arm in enumerate(arms):
        values = _seeds(results, "bits", arm)
        colour = "#0072b2" if arm == results.study.system else "#bbbbbb"
        axes.barh(row, values.mean(), color=colour, height=0.6, zorder=1)
        if len(values) > 1:
            _, low, high = t_interval(values)[:3]
            axes.plot([low, high], [row, row], color="black", lw=1.2, zorder=2)
        axes.plot(
            values, np.full(len(values), row), "o", ms=3.5, color="black", mfc="white", zorder=3
        )
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel("held-out log-likelihood over homogeneous rates (bits per spike)")
    _plain(axes)
    return figure


def wiring(results: Results) -> Figure | None:
    """True wiring of the first seed beside what attention, equal attention and the GLM show."""
    seed = results.seeds[0]
    shown = {"true wiring": _last(results, "co-occurrence", seed, "adjacency")}
    for arm in (results.study.system, "shuffled-past", "co-occurrence", "glm"):
        shown[arm] = _last(results, arm, seed, "map")
    shown = {name: found for name, found in shown.items() if found is not None}
    if not shown:
        return None
    figure = Figure(figsize=(2.7 * len(shown), 3.1), layout="constrained")
    for axes, (name, found) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        found = np.where(np.eye(len(found), dtype=bool), np.nan, found)
        low, high = np.nanmin(found), np.nanpercentile(found, 99.5)
        axes.imshow(found, cmap="magma", vmin=low, vmax=max(high, low + 1e-9))
        area = _seeds(results, "auroc", name)
        axes.set_title(name + (f"\nAUROC {area.mean():.3f}" if len(area) else "\n"), fontsize=9)
        axes.set_xlabel("driving unit (hubs first)")
    figure.axes[0].set_ylabel("driven unit")
    return figure


def _last(results, arm, seed, name):
    if name not in results.history.get(arm, {}).get(seed, {}):
        return None
    maps = np.asarray(results.history[arm][seed][name], float)
    whole = np.flatnonzero(np.isfinite(maps).reshape(len(maps), -1).any(1))
    return maps[whole[-1]] if len(whole) else None


def decoding(results: Results) -> Figure | None:
    """Position error against the share of labels."""
    shares = [s for s in SHARES if len(_seeds(results, f"error_{s}", results.study.system))]
    if not shares:
        return None
    figure = Figure(figsize=(5.6, 4), layout="constrained")
    axes = figure.subplots()
    look = {
        results.study.system: ("#0072b2", "o-", "neuroformer, pretrained"),
        "scratch": ("#d55e00", "s-", "neuroformer, from scratch"),
        "bayes": ("#009e73", "^--", "Bayesian decoder"),
        "glm": ("#999999", "v--", "Gaussian GLM (ridge)"),
        "rates": ("#000000", ":", "no spikes (median)"),
    }
    for k, (arm, (colour, style, label)) in enumerate(look.items()):
        points = [(s, _seeds(results, f"error_{s}", arm)) for s in shares]
        points = [(s * 1.03 ** (k - 2), v) for s, v in points if len(v)]
        if not points:
            continue
        x, means = [s for s, _ in points], [v.mean() for _, v in points]
        axes.plot(x, means, style, color=colour, label=label, ms=5)
        for s, v in points:
            if len(v) > 1:
                _, low, high = t_interval(v)[:3]
                axes.plot([s, s], [low, high], color=colour, lw=1)
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{s} %" for s in shares])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("share of running windows with a known position")
    axes.set_ylabel("mean position error (track lengths)")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """Likelihood by arm, wiring beside attention, decoding against labels."""
    made = {
        "likelihood": likelihood(results),
        "wiring": wiring(results),
        "decoding": decoding(results),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


__all__ = ["CITE", "DIFFERS", "GAPS", "METRICS", "SHARES", "WIRING", "figures", "score"]
