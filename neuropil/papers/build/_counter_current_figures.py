"""Figures of counter-current: what each learner reaches, and how the two networks come to agree."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuropil.papers.build._counter_current import TASKS
from neuropil.studies import Results

COLOURS = {
    "ccl": "#0072b2", "fa": "#e69f00", "dfa": "#d55e00", "frozen": "#56b4e9", "last": "#999999",
    "bp": "#000000",
}  # fmt: skip
KINDS = {"mlp": "MLP", "cnn": "convolutional", "auto": "autoencoder"}


def _titles(results: Results) -> list[str]:
    """What each task is, with the names of the images that there were."""
    first = results.settings["data"]
    names = {"first": first, "second": first if first == "digits" else results.settings["second"]}
    parts = [task.split("-") for task in TASKS]
    return [f"{KINDS[kind]}, {names[which]}" for kind, which in parts]


def _plain(axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def learning(results: Results) -> Figure:
    """Validation by epoch, mean over seeds; the autoencoder's is the variance that it leaves."""
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    panels = figure.subplots(1, len(TASKS))
    for k, (title, axes) in enumerate(zip(_titles(results), panels, strict=True)):
        for arm in results.study.arms:
            curve = 100 * results.stacked(arm, "valid")[:, k]
            x = np.arange(curve.shape[1])
            axes.fill_between(x, curve.min(0), curve.max(0), color=COLOURS[arm], alpha=0.15, lw=0)
            axes.plot(x, curve.mean(0), color=COLOURS[arm], label=arm, lw=1.5)
        _plain(axes, title)
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("validation accuracy (%)")
    panels[-1].set_ylabel("variance left (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return figure


def alignment(results: Results) -> Figure:
    """CKA of the two networks by epoch and layer; grey: forward by backpropagation, feedback as drawn."""
    figure = Figure(figsize=(12, 2.8), layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for k, (title, axes) in enumerate(zip(_titles(results), panels, strict=True)):
        cka = results.stacked("ccl", "cka")[:, k].mean(0)
        plain = results.stacked("bp", "cka")[:, k, :, 0].mean(0)
        axes.plot(plain, color="#999999", ls="--", label="backpropagation, layer 1")
        count = int(np.isfinite(cka[0]).sum())
        for layer in range(count):
            shade = 0.25 + 0.75 * layer / max(1, count - 1)
            axes.plot(
                cka[:, layer], color=(0, 0.45 * shade, 0.7 * shade), label=f"layer {layer + 1}"
            )
        _plain(axes, title)
        axes.set_xlabel("epoch")
        axes.set_ylim(0, 1)
    panels[0].set_ylabel("CKA of the two networks")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures by name."""
    return {"learning": learning(results), "alignment": alignment(results)}
