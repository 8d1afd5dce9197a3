"""Numbers, references and figures of brainomni.py."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric, Results

METRICS = {
    "eeg_new": Metric("correlation, hidden channels of the new EEG device"),
    "meg_new": Metric("the same, new MEG device"),
    "eeg_even": Metric("new EEG device, after as many steps on EEG as the joint arm has"),
    "meg_even": Metric("new MEG device, after as many steps on MEG as the joint arm has"),
    "eeg_seen": Metric("correlation, hidden channels of seen EEG devices"),
    "meg_seen": Metric("the same, seen MEG devices"),
    "eeg_all": Metric("new EEG device, all channels given"),
    "meg_all": Metric("new MEG device, all channels given"),
    "eeg_task": Metric("which dipole bursts, new EEG device (chance 0.25)"),
    "meg_task": Metric("which dipole bursts, new MEG device (chance 0.25)"),
    "perplexity": Metric("perplexity of a codebook"),
    "real_new": Metric("correlation, hidden channels of a real device left out (no data here)"),
}
GAPS = ("eeg_even", "meg_even", "eeg_all", "meg_all", "perplexity", "losses", "real", "places",
        "eeg_channels", "meg_channels")  # fmt: skip

CITE = """@inproceedings{xiao2025brainomni,
  title = {BrainOmni: A Brain Foundation Model for Unified EEG and MEG Signals},
  author = {Xiao, Qinfan and others},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  note = {arXiv:2505.18185}
}"""

DIFFERS = (
    "1,997 h of EEG and 656 h of MEG cannot be had here: every seed has a brain of 18 dipoles, heard"
    " through a spherical head by parts of three EEG caps and of a Neuromag helmet. The claim on real"
    " data is untested.",
    "Only the tokeniser is judged. The second stage (masked codes told by criss-cross layers) is in"
    " `fit.sensorcodes.SourcePredictor`, tested, and not trained here; read-outs are linear on log"
    " powers of the quantised sources.",
    "Hidden channels are scored, and enter neither the reference nor the scale; the paper scores"
    " channels that are all given (`*_all`) and refers to the mean of all. Targets are z-scored by"
    " window and channel, as in the release: amplitude relations between channels, which inverse"
    " problems rest on, are not scored.",
    "Width 48, 8 latents, two strides of 4, 3 stages of 64 codes at 64 Hz and no LSTM, in place of 256,"
    " 16, three strides, 4 stages of 512 codes at 256 Hz and two LSTM layers: 1,152 bits for 2 s in"
    " place of 4,608. Batches of 8 windows, a constant rate after the warm-up (so that half the"
    " training is a training), weight decay on everything, decay of codebooks 0.95; the gradient turns"
    " once, through all stages together.",
    "What reads the codes begins sqrt(width) times as strong: without it no channel was told for the"
    " first 170 of 240 steps of a pilot (all are told alike, which for channels that sum to zero is"
    " nothing).",
    "Places are in units of the head's radius around its centre, not centred and scaled for each"
    " device. All kinds of the library are told apart, not three.",
    "The release's latents keep their N(0, 1) because its initialiser never reaches them; that latents"
    " without a projection differ at the start is needed, or they all read the same for ever.",
    "The phase loss is a plain difference of angles, as in the release: it jumps and counts empty"
    " frequencies.",
    "After the reference the mean of the other channels is 0, so the simplest control is the nearest"
    " sensor.",
    "Equal steps of a modality means twice as many updates for the joint arm in all: what encoder and"
    " decoder learn of time from the other modality counts for it.",
    "The paper's result tables could not be read; none of its numbers is quoted.",
)

LOOK = {
    "joint": ("EEG and MEG", "#0072b2"),
    "eeg": ("EEG alone", "#e69f00"),
    "meg": ("MEG alone", "#d55e00"),
    "index": ("table of indices", "#999999"),
    "untrained": ("untrained", "#bbbbbb"),
    "gp": ("Gaussian process", "#000000"),
    "nearest": ("nearest sensor", "#777777"),
    "minimum-norm": ("minimum norm, true field", "#009e73"),
}


def score(settings: dict, history: dict) -> dict:
    """The last tick's numbers; what an arm does not have is left out."""
    last = {name: float(np.asarray(history[name])[-1]) for name in METRICS if name in history}
    found = {name: value for name, value in last.items() if np.isfinite(value)}
    return found | {"real_new": np.nan}


def _bare(axes):
    axes.spines[["top", "right"]].set_visible(False)


def _scores(results: Results):
    """Every arm and seed on new (filled) and seen (open) devices, and the read-out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    arms = [arm for arm in LOOK if arm in results.history]
    asked = (("eeg_new", "eeg_seen"), ("meg_new", "meg_seen"), ("eeg_task", "meg_task"))
    titles = ("EEG, hidden channels", "MEG, hidden channels", "which dipole bursts")
    for axes, pair, title in zip(panels, asked, titles, strict=True):
        for shift, metric in zip((-0.15, 0.15), pair, strict=True):
            for i, arm in enumerate(arms):
                values = np.asarray(results.values[metric].get(arm, [np.nan]), float)
                full = LOOK[arm][1] if shift < 0 else "none"
                axes.plot(
                    values, np.full(len(values), i + shift), "o", mec=LOOK[arm][1], mfc=full, ms=4
                )
        axes.set_title(title, fontsize=9)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_yticks(
            range(len(arms)), [LOOK[a][0] for a in arms] if axes is panels[0] else [""] * len(arms)
        )
        axes.axvline(0.25 if title.startswith("which") else 0.0, color="grey", lw=0.8, ls=":")
        task = title.startswith("which")
        axes.set_xlabel(
            "accuracy\nfilled: new EEG, open: new MEG"
            if task
            else "correlation\nfilled: new device, open: seen",
            fontsize=8,
        )
        _bare(axes)
    return figure


def _windows(results: Results):
    """A hidden channel of each new device as it is and as it is told, first seed; and what was learned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    for row, kind in enumerate(("eeg", "meg")):
        axes = figure.add_subplot(grid[row, :2])
        for shift, arm in enumerate(("joint", "gp")):
            truth, told = results.stacked(arm, f"{kind}_window")[0, -1]
            time = np.arange(len(truth)) / 64
            axes.plot(time, truth - 6 * shift, color="#aaaaaa", lw=1.4)
            axes.plot(time, told - 6 * shift, color=LOOK[arm][1], lw=1.0, label=LOOK[arm][0])
        axes.set_ylabel(f"new {kind.upper()} device,\nhidden sensor", fontsize=8)
        axes.set_yticks([])
        axes.legend(frameon=False, fontsize=7, loc="upper right", ncols=2)
        _bare(axes)
    axes.set_xlabel("time (s)")
    axes = figure.add_subplot(grid[:, 2])
    for arm in ("joint", "eeg", "meg", "index"):
        pcc = results.stacked(arm, "losses")[:, -1, :, 1].mean(0)
        width = max(len(pcc) // 20, 1)
        axes.plot(
            np.convolve(pcc, np.ones(width) / width, "valid"),
            color=LOOK[arm][1],
            label=LOOK[arm][0],
        )
    axes.set_xlabel("step")
    axes.set_ylabel("correlation in training")
    axes.legend(frameon=False, fontsize=7)
    _bare(axes)
    return figure


def _helmet(results: Results):
    """Hidden correlation at every sensor of the real recording's cap and helmet, seen from above."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.2), layout="constrained")
    panels = figure.subplots(2, 3)
    for row, arm in zip(panels, ("joint", "gp"), strict=True):
        # of 366 sensors two are left over by the folds, and are never hidden
        value = results.stacked(arm, "real")[:, -1].mean(0)
        place = results.stacked(arm, "places")[0, -1]
        flat = place[:, :2] / np.linalg.norm(place[:, :3], axis=1, keepdims=True)
        angle = np.arccos(np.clip(place[:, 2] / np.linalg.norm(place[:, :3], axis=1), -1, 1))
        flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9) * angle[:, None]
        for axes, kind, name in zip(
            row, (0, 1, 2), ("EEG", "magnetometers", "gradiometers"), strict=True
        ):
            mine = place[:, 3] == kind
            # two gradiometers share a place: one is drawn beside the other
            turn = np.where(np.arange(mine.sum()) % 2, 0.03, -0.03)[:, None] * (kind == 2)
            dots = axes.scatter(
                *(flat[mine] + turn).T, c=value[mine], s=22, cmap="viridis", vmin=0, vmax=1
            )
            axes.set_title(f"{LOOK[arm][0]}, {name}: {np.nanmean(value[mine]):.2f}", fontsize=8)
            axes.set_aspect("equal")
            axes.axis("off")
    figure.colorbar(dots, ax=panels, label="correlation, hidden sensor", shrink=0.7)
    return figure


def figures(results: Results) -> dict:
    """Scores; windows and training; where it was measured, the map over a real cap and helmet."""
    found = {"scores": _scores(results), "windows": _windows(results)}
    if np.isfinite(results.stacked("joint", "real")).any():
        found["helmet"] = _helmet(results)
    return found
