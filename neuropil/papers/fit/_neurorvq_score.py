"""Numbers, references and figures of neurorvq.py."""

from __future__ import annotations

import numpy as np

from neuropil.fit.spectra import BANDS
from neuropil.studies import Metric, Results

METRICS = {
    "nmse": Metric("error power over signal power", better="lower"),
    "worst": Metric("the same, worst band", better="lower"),
    "nmse_alpha": Metric("the same, 8 to 13 Hz", better="lower"),
    "nmse_beta": Metric("the same, 13 to 30 Hz", better="lower"),
    "nmse_gamma": Metric("the same, 30 to 45 Hz", better="lower"),
    "phase_gamma": Metric("phase error, 30 to 45 Hz (1: unrelated)", better="lower"),
    "bits": Metric("rate", "bits a patch of 1 s", better="lower"),
    "perplexity": Metric("perplexity of a codebook"),
}
GAPS = ("bits", "perplexity", "losses")

CITE = """@article{barmpas2025neurorvq,
  title = {NeuroRVQ: Multi-Scale EEG Tokenization for Generative Large Brainwave Models},
  author = {Barmpas, Konstantinos and others},
  journal = {arXiv preprint arXiv:2510.13068},
  year = {2025}
}"""

DIFFERS = (
    "One person's four-electrode recording in place of a pretraining corpus; width 50, one layer, 16 codes'"
    " dimensions, 4 stages of 64 codes in place of width 200, 12 layers, 128, and 8 stages of 8,192: 96 bits a"
    " patch and channel in place of 416. Only the tokeniser is here, not the model pretrained on its tokens.",
    "The optimiser of the tokeniser is not published: Adam, gradients clipped to length 1.",
    "Spectra are halves (a real signal's other half repeats them), amplitudes standardised by moments of the"
    " training runs for each frequency in place of one mean and deviation of each sample, so that nothing"
    " but codes and patches' own mean and deviation is sent. One group in group norm.",
    "Codebooks begin at random directions, not by k-means, and dead codes come back (the release has no"
    " revival).",
    "Training windows begin every 50 samples, so that a patch is met at eight phases; tested ones lie side by"
    " side. With that, and gradients through the length that each stage divides by (as in the release), the"
    " error in run 3 after learning from runs 0 to 2 (a pilot, a key of no seed) fell from 0.86 to 0.76.",
    "No class token, and the attention's queries and keys are not normalised.",
    "The errors by band of the paper's table could not be read; none is quoted. The transform coder is ours: a"
    " cosine transform, one uniform step, ideal entropy codes learned on the training runs.",
    "Found at small: every part that the paper argues for lowers the error (scales, stages, the unit circle),"
    " yet coders without a network at as many bits are far better: error power 0.34 less by the cosine"
    " transform, 0.22 less by k-means in stages on principal components. What is not quantised by the same"
    " network is also above both, so most of the error is the small network's own, learned from four runs of"
    " one person; the paper's claim is about a corpus and was not tried. Nothing was changed after the run.",
)

LOOK = {
    "neurorvq": ("four scales, four stages", "#0072b2", "o-"),
    "single-scale": ("one scale, same bits", "#56b4e9", "s--"),
    "one-code": ("four scales, one stage", "#d55e00", "^--"),
    "raw-angle": ("squared difference of angles", "#e69f00", "v--"),
    "dct": ("cosine transform, same bits", "#000000", "D-"),
    "pca": ("k-means in stages, same bits", "#7f4f24", "p--"),
    "unquantised": ("nothing quantised", "#009e73", "x:"),
    "shuffled": ("codes of other windows", "#999999", "+:"),
}


def score(settings: dict, history: dict) -> dict:
    """The last tick's numbers; what an arm does not have is left out."""
    last = {name: np.asarray(values[-1], float) for name, values in history.items()}
    errors = dict(zip(BANDS, last["errors"], strict=True))
    found = {
        "nmse": last["nmse"],
        "worst": max(e[0] for e in errors.values()),
        "nmse_alpha": errors["alpha"][0],
        "nmse_beta": errors["beta"][0],
        "nmse_gamma": errors["gamma"][0],
        "phase_gamma": errors["gamma"][2],
        "bits": last["bits"],
        "perplexity": last["perplexity"],
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _bands(results: Results):
    """Error of each band by arm: mean over seeds, interval; and a reconstructed window."""
    from matplotlib.figure import Figure

    from neuropil.stats.intervals import t_interval

    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    at = np.arange(len(BANDS))
    for arm, (label, colour, style) in LOOK.items():
        if arm not in results.history:
            continue
        values = results.stacked(arm, "errors")[:, -1, :, 0]
        left.plot(at, values.mean(0), style, color=colour, label=label, ms=4, lw=1.2)
        if len(values) > 1 and np.ptp(values) > 0 and arm != "dct":
            ends = np.array([t_interval(v)[1:3] for v in values.T])
            left.fill_between(at, *ends.T, color=colour, alpha=0.15, lw=0)
    left.axhline(1.0, color="grey", lw=0.8, ls=":")
    left.set_xticks(at, [f"{n}\n{a:g}-{b:g} Hz" for n, (a, b) in BANDS.items()], fontsize=7)
    left.set_ylabel("error power / signal power")
    left.set_ylim(bottom=0)
    lines, names = left.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    for shift, arm in enumerate(("neurorvq", "dct")):
        if arm not in results.history:
            continue
        truth, guess = results.stacked(arm, "example")[0, -1]
        time = np.arange(len(truth)) / 200.0
        right.plot(time, truth - 7 * shift, color="#999999", lw=1.0)
        right.plot(time, guess - 7 * shift, color=LOOK[arm][1], lw=1.0)
    right.set_xlabel("time (s)")
    right.set_ylabel("one channel, test run (deviations; grey: signal)", fontsize=8)
    right.set_yticks([])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def figures(results: Results) -> dict:
    """Errors by band beside a window."""
    return {"bands": _bands(results)}
