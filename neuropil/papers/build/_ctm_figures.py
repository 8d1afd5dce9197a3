"""Figures of continuous-thought-machine: answers over ticks, halting, synchronisation, mazes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._ctm_train import drawn_mazes
from neuropil.studies import Results
from neuropil.worlds.mazes import Mazes

COLOURS = {
    "ctm": "#0072b2", "half-ticks": "#56b4e9", "quarter-ticks": "#009e73", "one-tick": "#999999",
    "lstm": "#d55e00", "feedforward": "#e69f00", "shared": "#cc79a7", "unsynchronised": "#000000",
}  # fmt: skip


def _plain(axes, x: str, y: str, title: str = "") -> None:
    if x:  # ticks, positions and moves are whole numbers
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _last(results: Results, arm: str, name: str) -> np.ndarray:
    """A recorded value after training, (seed, ...)."""
    return results.stacked(arm, name)[:, -1]


def ticks(results: Results) -> Figure:
    """Parity: right answers at every tick of a network, and at the tick it stops, by arm."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 4))
    for arm in (
        "ctm",
        "half-ticks",
        "quarter-ticks",
        "one-tick",
        "lstm",
        "shared",
        "unsynchronised",
    ):
        curves = _last(results, arm, "right").mean(-1)
        t = np.arange(1, curves.shape[1] + 1)
        left.plot(t, curves.T, color=COLOURS[arm], lw=0.6, alpha=0.35)
        left.plot(t, curves.mean(0), "o-", ms=3, color=COLOURS[arm], lw=2, label=arm)
    _plain(left, "internal tick", "right answers", "at every tick")
    for k, arm in enumerate(COLOURS):
        values = np.asarray(results.values["accuracy"][arm])
        right.plot(np.full(len(values), k), values, "o", ms=4, color=COLOURS[arm], alpha=0.6)
        right.plot([k - 0.3, k + 0.3], [values.mean()] * 2, color=COLOURS[arm], lw=2.5)
    right.set_xticks(range(len(COLOURS)), list(COLOURS), rotation=25, ha="right")
    for axes in (left, right):
        axes.axhline(0.5, color="#bbbbbb", lw=0.8, ls=":")
    _plain(right, "", "right answers", "where the network stops")
    figure.legend(*left.get_legend_handles_labels(), frameon=False, loc="outside right upper")
    return figure


def order(results: Results) -> Figure:
    """Parity: right answers by tick and position, of the network's first seed and of the LSTM's."""
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    for axes, arm in zip(figure.subplots(1, 2), ("ctm", "lstm"), strict=True):
        shown = _last(results, arm, "right")[0]
        extent = (0.5, shown.shape[1] + 0.5, shown.shape[0] + 0.5, 0.5)
        image = axes.imshow(shown, aspect="auto", vmin=0.5, vmax=1.0, extent=extent, cmap="viridis")
        _plain(axes, "position", "internal tick", arm)
    figure.colorbar(image, ax=figure.axes, label="right answers")
    return figure


def halting(results: Results) -> Figure:
    """Mazes: certainty and whole routes over ticks, and ticks to certainty 0.8 by length of the route."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    one, two, three = figure.subplots(1, 3)
    for arm, colour in (("maze-ctm", COLOURS["ctm"]), ("maze-lstm", COLOURS["lstm"])):
        for axes, name in ((one, "whole"), (two, "sure")):
            curves = _last(results, arm, name)
            t = np.arange(1, curves.shape[1] + 1)
            axes.plot(t, curves.T, color=colour, lw=0.6, alpha=0.35)
            axes.plot(t, curves.mean(0), "o-", ms=3, color=colour, lw=2, label=arm)
        length, stop = _last(results, arm, "length"), _last(results, arm, "ticks")
        every = np.unique(length)
        by = [[s[n == k].mean() for k in every] for n, s in zip(length, stop, strict=True)]
        three.plot(every, np.transpose(by), color=colour, lw=0.6, alpha=0.35)
        three.plot(every, np.mean(by, 0), "o-", ms=3, color=colour, lw=2)
    _plain(one, "internal tick", "whole routes right")
    _plain(two, "internal tick", "certainty")
    _plain(three, "moves of the route", "ticks to certainty 0.8")
    one.legend(frameon=False, fontsize=8)
    return figure


def synchronisation(results: Results) -> Figure:
    """The first sequence's activity, and how all pairs of neurons moved together up to four ticks: without
    decay, over the root of both neurons' own synchronisation (few neurons are much stronger than the rest)."""
    z = _last(results, "ctm", "rhythm")[0]  # (tick, neuron)
    s = np.stack([z[: t + 1].T @ z[: t + 1] for t in range(len(z))])
    own = np.sqrt(np.maximum(np.diagonal(s, axis1=1, axis2=2), 1e-12))
    s = s / (own[:, :, None] * own[:, None, :])
    place = np.argsort(np.linalg.eigh(s[-1])[1][:, -1])
    at = np.unique(np.linspace(0, len(z) - 1, 4).round().astype(int))
    figure = Figure(figsize=(3 + 2.4 * len(at), 3), layout="constrained")
    first, *rest = figure.subplots(1, 1 + len(at))
    first.plot(np.arange(1, len(z) + 1), z[:, place[:: max(1, len(place) // 12)]], lw=1)
    _plain(first, "internal tick", "activity of neurons")
    for axes, t in zip(rest, at, strict=True):
        image = axes.imshow(s[t][np.ix_(place, place)], vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_title(f"tick {t + 1}", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(image, ax=rest, label="relative synchronisation", shrink=0.8)
    return figure


def mazes(results: Results) -> Figure:
    """Routes that the first seed's network answers at five ticks: the longest two that are right in the end
    (blue), and the longest of all, of those recorded."""
    answer = _last(results, "maze-ctm", "answer")[0]  # (sample, tick, step)
    held = drawn_mazes(results.settings)
    some = Mazes(*(a[: len(answer)] for a in (held.doors, held.start, held.goal, held.route)))
    solved = (answer[:, -1] == some.route).all(1)
    rows = np.argsort(-(some.length + 100 * solved), kind="stable")[:2]
    rows = [*rows, some.length.argmax()]
    at = np.unique(np.linspace(0, answer.shape[1] - 1, 5).round().astype(int))
    figure = Figure(figsize=(1.9 * len(at), 1.9 * len(rows) + 0.3), layout="constrained")
    pictures = some.pictures() * 255
    for column, t in enumerate(at):
        path = some.path(answer[:, t])
        right = (answer[:, t] == some.route).all(1)
        for row, maze in enumerate(rows):
            axes = figure.add_subplot(len(rows), len(at), 1 + row * len(at) + column)
            axes.imshow(pictures[maze])
            r, c = np.divmod(path[maze], some.side)
            colour = "#0072b2" if right[maze] else "#d55e00"
            axes.plot(2 * c + 1, 2 * r + 1, "-", lw=2.5, color=colour)
            axes.plot(2 * c[-1] + 1, 2 * r[-1] + 1, "o", ms=5, color=colour)
            axes.set_axis_off()
            if row == 0:
                axes.set_title(f"tick {t + 1}", fontsize=10)
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {
        "ticks": ticks(results),
        "order": order(results),
        "halting": halting(results),
        "synchronisation": synchronisation(results),
        "mazes": mazes(results),
    }
