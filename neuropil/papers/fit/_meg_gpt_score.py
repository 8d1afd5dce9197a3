"""Numbers, references and figures of meg_gpt.py."""

from __future__ import annotations

import numpy as np

from neuropil.papers.fit._meg_gpt import LIFETIMES, SPECTRUM_HZ
from neuropil.studies import Metric, Results

METRICS = {
    "spectrum": Metric("error of log10 power", "RMS over 5 to 40 Hz", better="lower"),
    "correlation": Metric("error of channels' correlations", "RMS", better="lower"),
    "within": Metric("correlation of two channels of a pair"),
    "envelope": Metric("error of the envelopes' variation", better="lower"),
    "lifetime": Metric("distance of burst lifetimes", "s", better="lower"),
    "peak": Metric("error of a subject's peak frequency", "Hz", better="lower"),
    "session": Metric(
        "accuracy, new session (4 classes)",
        paper={"meg-gpt": 0.59, "raw-window": 0.54},
        where="abstract, Wakeman-Henson faces",
    ),
    "subject": Metric(
        "accuracy, new subject (4 classes)",
        paper={"meg-gpt": 0.49, "raw-window": 0.41},
        where="abstract, Wakeman-Henson faces",
    ),
    "pve": Metric("variance that tokens explain", "%"),
    "real_pve": Metric("the same, measured evoked fields", "%"),
}
GAPS = ("session", "subject", "real_pve")

CITE = """@article{huang2025meggpt,
  title = {MEG-GPT: A transformer-based foundation model for magnetoencephalography data},
  author = {Huang, Rukuang and Cho, Sungjun and Gohil, Chetan and Parker Jones, Oiwi and Woolrich, Mark},
  journal = {arXiv preprint arXiv:2510.18080},
  year = {2025}
}"""

DIFFERS = (
    "Simulated recordings at 100 Hz of four channels in two pairs (the simulator of the paper's code) in"
    " place of 612 people's 52 parcels at 250 Hz. Gates are drawn for each subject, not once for all."
    " Compared with a fresh recording of the same subjects, not with the one learned from.",
    "The paper's model has no exchange between channels (its setting drops it always), so it can only match"
    " what each channel is like alone; covariance is judged by claims of its own, and the exchange is an arm."
    " Even with it, channels are drawn independently given the past.",
    "Queries that see no key give nothing; in the TensorFlow code they see all keys, the future too, which"
    " then leaks into scored places of the next layer.",
    "Codes are the argmax: no Gumbel noise, in training or at test; logits are divided by 0.1 after the"
    " norm, as in the PyTorch rewrite. At small the tokeniser begins as a quantile quantiser (from random"
    " weights, 320 steps left 10 of 32 codes in use and 88 % of the variance explained) and trains 200 steps.",
    "Recordings are coded in windows that overlap by 10 samples at either end, as in the rewrite. Tables of"
    " embeddings have no dense layer after them (it adds nothing but a slower start).",
    "A task's subjects are not known to the model: the mean of all sessions' embeddings stands in for"
    " theirs, where the paper leaves it out. Zero-shot only: fine-tuning on the task's tokens is not done.",
    "Events raise rhythms at random phase, so that a linear decoder of raw windows is near chance by"
    " construction, unlike real evoked fields: band power is the strong baseline. Linear models are fitted to"
    " each subject by least squares, where the paper's is one model of order 80 a channel.",
    "Generation keeps keys within blocks of 8 samples; the first 80 samples, which see the random prompt,"
    " are left out. Cam-CAN and Wakeman-Henson are read at scale paper and cannot be had here.",
    "`real_pve`: the same tokens, learned on the simulation, on measured evoked fields of 102 magnetometers"
    " (MNE's sample experiment, 600 Hz); no claim rests on it.",
)

LOOK = {
    "meg-gpt": ("MEG-GPT", "#0072b2", "-"),
    "channel-attention": ("with channel attention", "#56b4e9", "-"),
    "mu-law": ("mu-law tokens", "#e69f00", "-"),
    "ar": ("AR(80), each channel", "#d55e00", "--"),
    "mvar": ("multivariate AR(20)", "#000000", "--"),
    "shuffled": ("shuffled tokens", "#999999", ":"),
    "real": ("second recording", "#009e73", ":"),
}
DECODERS = {
    "meg-gpt": "MEG-GPT features", "channel-attention": "channel attention", "mu-law": "mu-law tokens",
    "random-weights": "random weights", "raw-window": "raw window", "band-power": "band power",
    "true-gates": "true gates",
}  # fmt: skip


def score(settings: dict, history: dict) -> dict:
    """The numbers an arm has."""
    return {n: float(history[n][-1]) for n in METRICS if n in history}


def _axes(*axes):
    for a in axes:
        a.spines[["top", "right"]].set_visible(False)


def _generated(results: Results):
    """Spectra, burst lifetimes, envelopes' variation and correlation within a pair."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    real = None
    for row, (arm, (label, colour, line)) in enumerate(LOOK.items()):
        if arm not in results.history:
            continue
        stack = lambda name, arm=arm: results.stacked(arm, name)[:, -1]
        real = stack("power")[:, 0].mean(0), stack("survival")[:, 0, 0].mean(0)
        left.plot(
            SPECTRUM_HZ, stack("power")[:, 1].mean(0), line, color=colour, lw=1.3, label=label
        )
        lives = stack("survival")[:, 0, 1].mean(0)
        middle.semilogy(LIFETIMES, np.where(lives > 0, lives, np.nan), line, color=colour, lw=1.3)
        x, y = stack("variations")[:, :, 1].mean(1), stack("within")
        right.plot(x, y, "o", color=colour, ms=4, alpha=0.8)
        if row == 0:
            truth = stack("variations")[:, :, 0].mean()
            right.axvline(truth, color="grey", lw=0.8)
    if real is not None:
        left.plot(
            SPECTRUM_HZ, real[0], color="grey", lw=3.5, alpha=0.4, zorder=0, label="recording"
        )
        middle.semilogy(LIFETIMES, real[1], color="grey", lw=3.5, alpha=0.4, zorder=0)
    left.set_xlim(4, 42)
    left.set_ylim(-5.5, -0.8)  # what the band pass takes away is beyond
    left.set_xlabel("frequency (Hz)")
    left.set_ylabel("log10 power density (1/Hz)")
    left.legend(frameon=False, fontsize=6, loc="lower center")
    middle.set_xlabel("lifetime of a 7 Hz burst (s)")
    middle.set_ylabel("share that last longer")
    middle.set_ylim(1e-3, 1.2)
    right.axvline(np.sqrt(4 / np.pi - 1), color="grey", lw=0.8, ls=":")
    right.set_xlabel("variation of envelopes (dotted: Gaussian; line: recording)")
    right.xaxis.label.set_size(8)
    right.set_ylabel("correlation within a pair")
    _axes(left, middle, right)
    return figure


def _example(results: Results):
    """Four seconds of two channels of a pair by arm, and accuracies."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    names, level = [], 0.0
    for arm in ("meg-gpt", "channel-attention", "mvar"):
        if arm not in results.history:
            continue
        truth, made = results.stacked(arm, "example")[0, -1]
        for label, x in (("recording", truth), (LOOK[arm][0], made)):
            if label in [n for _, n in names]:
                continue
            time = np.arange(len(x)) / results.settings["rate"]
            colour = "grey" if label == "recording" else LOOK[arm][1]
            for c in (0, 1):
                left.plot(time, x[:, c] + level - 4 * c, color=colour, lw=0.8)
            names.append((level - 2, label))
            level -= 10
    left.set_yticks([at for at, _ in names], [n for _, n in names], fontsize=7)
    left.set_xlabel("time (s); two channels of the 7 Hz pair")
    arms = [a for a in DECODERS if a in results.history]
    for k, (name, colour) in enumerate((("session", "#0072b2"), ("subject", "#d55e00"))):
        for i, arm in enumerate(arms):
            values = results.values[name][arm]
            right.plot(
                values,
                np.full(len(values), -i + 0.15 - 0.3 * k),
                "o",
                color=colour,
                ms=4,
                label=f"new {name}" if i == 0 else None,
            )
    right.axvline(0.25, color="grey", lw=0.8, ls=":")
    right.set_yticks([-i for i in range(len(arms))], [DECODERS[a] for a in arms], fontsize=7)
    right.set_xlabel("accuracy, four classes (dotted: chance)")
    right.legend(frameon=False, fontsize=7, ncol=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _axes(left, right)
    return figure


def figures(results: Results) -> dict:
    """What is generated beside what is recorded; examples beside decoders."""
    return {"generated": _generated(results), "examples": _example(results)}
