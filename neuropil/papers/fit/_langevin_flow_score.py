"""Numbers, references and figures of langevin_flow.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

GAPS = ("fresh", "real", "loss")
METRICS = {
    "rates": Metric("R2 of true rates, Lorenz population"),
    "bits": Metric("bits per spike of held-out units, Lorenz population"),
    "fresh": Metric("R2 of true rates, noise in place of z and v at the test"),
    "real": Metric("bits per spike of held-out units, hippocampus on a track"),
}

CITE = """@inproceedings{song2025langevin,
  title = {Langevin Flows for Modeling Neural Latent Dynamics},
  author = {Song, Yue and Keller, T. Anderson and Yue, Yisong and Perona, Pietro and Welling, Max},
  booktitle = {Conference on Cognitive Computational Neuroscience},
  year = {2025},
  note = {arXiv:2507.11531}
}"""

DIFFERS = (
    "The four sets of the Neural Latents Benchmark cannot be had here: a Lorenz population of 30 units whose"
    " rates are known, and 31 hippocampal units on a linear track, which are predicted from each other.",
    "The decoder's layer norms its inputs, not its outputs, with GELU; the code's layer is post-norm with ReLU"
    " and T-Fixup. Dropout acts on the states that are read, not on those carried on.",
    "The kernel of the potential starts at small random numbers; the code's starts at zero, where the gradient"
    " of its norm is 1e12 times too large and freezes the signs of the first step.",
    "The divergence of the velocity uses its mean, as the paper's equation does, and the variance 2 gamma; the"
    " code uses the sampled velocity, and the variance where a log variance is expected.",
    "The GRU reads the bin it predicts, as the paper's algorithm says; the code lags one bin behind.",
    "Only counts that coordinated dropout hid teach, in all networks, as in that method's source. The code lets"
    " a share 1 - keep of those it shows teach too, and the network learns to copy them: in a pilot (validation"
    " trials, a key of no seed) R2 of the true rates fell from 0.68 after 300 updates to 0.42 after 900;"
    " without that share it was 0.92 after 600.",
    "A constant learning rate without weight decay, gradients clipped at norm 5; the sequential VAE, which"
    " learns slower and is three times cheaper, has three times as many updates; widths and updates are far"
    " below the official 280 and some thousand epochs.",
    "GPFA and smoothed counts are read out by a Poisson regression; GPFA has the true number of latents, 3. The"
    " exponential of smoothed counts is far too high in a few bins, hence their R2 of rates below zero beside"
    " bits per spike near the others'; no claim rests on it.",
    "Found at small: the network with Langevin latents, the same without their potential, the same whose"
    " decoder sees the recurrent state alone, and the sequential VAE all come to the same rates (R2 0.90 to"
    " 0.91); all lie above GPFA. On the hippocampal units, 200 updates, the decoder without latents is ahead"
    " (0.53 bits per spike against 0.22): so few trials do not pay for the latents. Nothing was changed after"
    " the run.",
)


def score(settings: dict, history: dict) -> dict:
    """The metrics that this arm has; one that no arm of this scale has is NaN."""
    found = {name: float(np.ravel(history[name])[-1]) for name in METRICS}
    lacks = {name for name, value in found.items() if not np.isfinite(value)}
    if not settings["real_updates"]:
        lacks -= {"real"}
    return {name: value for name, value in found.items() if name not in lacks}


COLOURS = {"langevin": "#c0392b", "no-potential": "#e59866", "no-latents": "#8e6bb0", "gpfa": "#2c8a6b",
           "sequential-vae": "#2c5f8a", "smoothed": "#7d8a3c", "mean": "#b0b0b0",
           "true-rates": "#555555"}  # fmt: skip


def figures(results: Results) -> dict:
    """What each arm explains, seed by seed; and the rates of two held-out units in a test trial."""
    from matplotlib.figure import Figure

    given = lambda name: np.isfinite(list(results.values.get(name, {}).values())).any()
    shown = [name for name in ("rates", "bits", "real") if given(name)]
    titles = {"rates": "R² of true rates", "bits": "bits per spike, held out",
              "real": "bits per spike, hippocampus"}  # fmt: skip
    figure = Figure(figsize=(3.3 * len(shown), 3.4), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        arms = [a for a, v in results.values[name].items() if np.isfinite(v).any()]
        for i, arm in enumerate(arms):
            values = np.asarray(results.values[name][arm])
            axis.plot(np.full(len(values), i), values, "o", color=COLOURS[arm], ms=4)
            axis.plot([i - 0.3, i + 0.3], [np.nanmean(values)] * 2, color=COLOURS[arm], lw=2)
        axis.set(title=titles[name])
        axis.set_ylim(max(axis.get_ylim()[0], -0.5))  # a failed fit must not hide the others
        axis.set_xticks(range(len(arms)), arms, rotation=40, ha="right", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    rates = Figure(figsize=(8, 2.8), layout="constrained")
    for unit, axis in enumerate(rates.subplots(1, 2, sharey=True)):
        trace = lambda arm, row, u=unit: results.history[arm][0]["trace"][0, row, :, u]
        axis.plot(trace("langevin", 0), color="black", lw=2, label="true")
        for arm in ("langevin", "sequential-vae", "gpfa"):
            axis.plot(trace(arm, 1), color=COLOURS[arm], lw=1.2, label=arm)
        axis.set(xlabel="bin of a test trial", title=f"held-out unit {unit + 1}")
        axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    rates.axes[0].set_ylabel("expected spikes")
    return {"scores": figure, "rates": rates}
