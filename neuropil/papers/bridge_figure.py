"""The one figure of the bridge: raster, wiring, encoding, geometry."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

INK, SOFT, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
NETWORK, PIXELS, INHIBITORY = "#0f766e", "#d97706", "#be123c"


def draw(found: dict, beside: dict | None) -> Figure:
    """Four panels; without V4 data the last two say so."""
    figure = Figure(figsize=(11, 7.6), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, wspace=0.04, hspace=0.04)
    (a, b), (c, d) = figure.subplots(2, 2)
    for axes in (a, c, d):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(SOFT)
        axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=9)
        axes.xaxis.label.set(color=INK, size=10)
        axes.yaxis.label.set(color=INK, size=10)
    raster(a, found)
    matrices(b, found)
    if beside is None:
        for axes, what in ((c, "Encoding of V4"), (d, "Geometry of V4")):
            title(axes, what, "untested: macaque-v4 is not on this machine")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    else:
        neurons(c, beside)
        geometry(d, beside)
    for axes, letter in ((a, "a"), (b, "b"), (c, "c"), (d, "d")):
        axes.text(
            -0.02, 1.13, letter, transform=axes.transAxes, size=14, weight="bold", color=INK,
            ha="right", va="bottom",
        )  # fmt: skip
    return figure


def title(axes, head, below):
    axes.text(
        0, 1.13, head, transform=axes.transAxes, size=12, weight="bold", color=INK, va="bottom"
    )
    axes.text(0, 1.045, below, transform=axes.transAxes, size=9.5, color=SOFT, va="bottom")


def raster(axes, found):
    spikes, weights = found["raster"], found["weights"]
    inhibitory = weights.min(0) < 0
    for group, color in ((~inhibitory, NETWORK), (inhibitory, INHIBITORY)):
        time, cell = np.nonzero(spikes * group[None, :])
        axes.scatter(time / 1000, cell, s=2.4, c=color, marker="|", linewidths=0.9)
    cells = spikes.shape[1]
    axes.set(xlim=(0, len(spikes) / 1000), ylim=(-1, cells), xlabel="time in the dark (s)")
    axes.set_ylabel("cell")
    axes.set_yticks([0, cells - 1], ["1", str(cells)])
    title(axes, "A network is built and recorded",
          f"{cells} LIF cells, {found['rate']:.0f} Hz; excitatory green, inhibitory red")  # fmt: skip


def matrices(axes, found):
    axes.set_axis_off()
    score = found["edges"]
    title(axes, "A GLM of its spikes recovers the wiring",
          f"AUROC {score.value:.3f}, 95 % interval {score.interval[0]:.3f} to "
          f"{score.interval[1]:.3f}; direction {found['direction'].value:.0%}")  # fmt: skip
    sets = (("built: weights", found["weights"]), ("found: GLM couplings", found["coupling"]))
    for i, (name, matrix) in enumerate(sets):
        inset = axes.inset_axes([0.53 * i, 0.0, 0.47, 0.93])
        shown = matrix * ~np.eye(len(matrix), dtype=bool)
        top = np.quantile(np.abs(shown[found["weights"] != 0]), 0.9)
        inset.imshow(shown, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
        inset.set(xticks=[], yticks=[])
        inset.set_xlabel(name, size=9.5, color=INK)
        inset.set_ylabel("to cell" if i == 0 else "", size=9.5, color=INK)
        inset.spines[:].set_color(FAINT)


def neurons(axes, beside):
    network, pixels = (beside[name]["encoding"] for name in ("network", "pixels"))
    order = np.argsort(network.value)
    at = np.arange(len(order))
    axes.vlines(at, 0, network.ceiling[order], color=FAINT, lw=3, zorder=0)
    axes.scatter(at, network.ceiling[order], marker="_", c=SOFT, s=30, label="noise ceiling")
    axes.vlines(at, network.interval[0][order], network.interval[1][order], color=NETWORK, lw=0.8,
                alpha=0.45)  # fmt: skip
    axes.scatter(at, pixels.value[order], c="white", edgecolors=PIXELS, s=15, lw=1, label="pixels")
    axes.scatter(at, network.value[order], c=NETWORK, s=17, label="network")
    null = np.percentile(network.null, [2.5, 97.5])
    axes.axhspan(*null, color=SOFT, alpha=0.16, lw=0)
    axes.text(len(order) - 0.5, null[0] - 0.015, "null, 95 %", size=8.5, color=SOFT, ha="right",
              va="top")  # fmt: skip
    axes.set(xlim=(-1, len(order)), ylim=(min(-0.3, null[0] - 0.1), 1.12), xticks=[])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel(f"{len(order)} neurons of macaque V4, sorted")
    axes.set_ylabel("correlation with held-out response")
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=3, handletextpad=0.2,
                columnspacing=1, bbox_to_anchor=(-0.01, 1.06))  # fmt: skip
    mean, base = network.mean(), pixels.mean()
    title(axes, "Its responses to images predict V4",
          f"mean r {mean.value:.2f} [{mean.interval[0]:.2f}, {mean.interval[1]:.2f}], "
          f"pixels {base.value:.2f}, ceiling {mean.ceiling:.2f}")  # fmt: skip


def geometry(axes, beside):
    rows = (("network", NETWORK), ("pixels", PIXELS))
    for y, (name, color) in enumerate(rows):
        score = beside[name]["geometry"]
        parts = axes.violinplot(score.null, [y], orientation="horizontal", widths=0.6,
                                showextrema=False)  # fmt: skip
        for body in parts["bodies"]:
            body.set(facecolor=SOFT, alpha=0.35, edgecolor="none")
        axes.plot(score.interval, [y, y], color=color, lw=2.4, solid_capstyle="round")
        axes.scatter(score.value, y, c=color, s=60, zorder=3)
        axes.text(score.interval[1] + 0.025, y, f"{score.value:.2f}", color=color, size=11,
                  weight="bold", va="center")  # fmt: skip
    axes.axvline(score.ceiling, color=SOFT, lw=1.2, ls=(0, (4, 3)))
    axes.text(score.ceiling - 0.015, 0.5, "noise ceiling", color=SOFT, size=9, rotation=90,
              ha="right", va="center")  # fmt: skip
    axes.text(0, -0.48, "null", color=SOFT, size=9, ha="center", va="center")
    axes.set(xlim=(-0.1, 1), ylim=(1.6, -0.75))
    axes.set_yticks([0, 1], [name for name, _ in rows])
    axes.set_xlabel("correlation of distances between images")
    one = beside["network"]["geometry"]
    title(axes, "Its geometry beside that of V4",
          f"r {one.value:.2f} [{one.interval[0]:.2f}, {one.interval[1]:.2f}], "
          f"ceiling {one.ceiling:.2f}, p = {one.p:.1g}")  # fmt: skip
