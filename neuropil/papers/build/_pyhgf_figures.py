"""Figures of pyhgf: beliefs beside pyhgf's, what is recovered, intervals, what predicts best."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from neuropil.studies import Results

BLUE, ORANGE, GREY, GREEN = "#0072b2", "#d55e00", "#999999", "#009e73"


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def beliefs(results: Results) -> Figure:
    """Three levels over the exchange rate, ours as lines and pyhgf's as points."""
    seen = results.history["series"][results.seeds[0]]
    ours, theirs = np.asarray(seen["ours"])[-1], np.asarray(seen["theirs"])[-1]
    figure = Figure(figsize=(7.2, 5), layout="constrained")
    ticks = 10 * np.arange(1, ours.shape[1] + 1)
    for level, axes in enumerate(figure.subplots(3, 1, sharex=True)[::-1]):
        axes.plot(ticks, ours[level], color=BLUE, lw=1.6, label="neuropil")
        axes.plot(ticks, theirs[level], "o", color=ORANGE, ms=3, label="pyhgf 0.2.12", mfc="none")
        axes.set_ylabel(f"mean of x{level + 1}")
        _plain(axes)
        if level == 0:
            axes.set_xlabel("observation (USD / CHF)")
        if level == 2:
            axes.legend(frameon=False, ncols=2, loc="upper right")
    return figure


def recovery(results: Results) -> Figure:
    """True against found: omega and temperature, the fit and its control, all seeds."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    pairs = (("hgf", "omega"), ("hgf", "beta"), ("shuffled", "omega"))
    for axes, (arm, name) in zip(figure.subplots(1, 3), pairs, strict=True):
        true, found = (
            np.concatenate([
                np.asarray(results.history[arm][seed][key])[-1] for seed in results.seeds
            ])
            for key in (f"true_{name}", name)
        )  # fmt: skip
        ends = [min(true.min(), found.min()), max(true.max(), found.max())]
        axes.plot(ends, ends, color=GREY, lw=1)
        axes.plot(true, found, "o", ms=3, alpha=0.6, color=BLUE if arm == "hgf" else ORANGE, mew=0)
        if name == "beta":
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):  # labels between powers of ten would overlap
                axis.set_major_locator(LogLocator(subs=(1, 3)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
        title = {"hgf": "", "shuffled": ", choices shuffled"}[arm]
        axes.set(title=f"{name}{title}", xlabel="true", ylabel="found")
        _plain(axes)
    return figure


def intervals(results: Results) -> Figure:
    """95 % intervals of NUTS for omega, subjects in order of the truth."""
    rows = [results.history["nuts"][seed] for seed in results.seeds]
    get = lambda name: np.concatenate([np.asarray(r[name])[-1][:, 0] for r in rows])
    low, middle, high, true = map(get, ("low", "middle", "high", "true"))
    order = np.argsort(true)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(order))
    hit = (low <= true) & (true <= high)
    for within, colour in ((True, BLUE), (False, ORANGE)):
        k = hit[order] == within
        axes.vlines(at[k], low[order][k], high[order][k], color=colour, lw=1.5, alpha=0.7)
    axes.plot(at, middle[order], ".", color=BLUE, ms=4, label="median")
    axes.plot(at, true[order], "_", color="black", ms=7, label="truth")
    axes.set(xlabel="subject, in order of the truth", ylabel="omega", xticks=[])
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def heldout(results: Results) -> Figure:
    """Log-likelihood of unseen choices, each arm less the generating parameters, every seed."""
    values = {
        a: np.asarray(v)
        for a, v in results.values["heldout"].items()
        if np.isfinite(v).all() and len(v)
    }
    truth = values.pop("truth")
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (arm, v) in enumerate(values.items()):
        gap = v - truth
        axes.bar(place, gap.mean(), color=BLUE if arm == "hgf" else GREY, alpha=0.4, width=0.6)
        spread = np.linspace(-0.15, 0.15, len(gap)) if len(gap) > 1 else np.zeros(1)
        axes.plot(place + spread, gap, "o", ms=4, color=BLUE if arm == "hgf" else GREY)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xticks(range(len(values)), list(values), rotation=20)
    axes.set_ylabel("nats a choice, less the truth's")
    _plain(axes)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of the report by name."""
    return {
        "beliefs": beliefs(results),
        "recovery": recovery(results),
        "intervals": intervals(results),
        "unseen choices": heldout(results),
    }
