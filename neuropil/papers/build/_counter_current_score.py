"""From a run of counter-current to the numbers of its table."""

import numpy as np

from neuropil.papers.build._counter_current import TASKS
from neuropil.studies import Metric

METRICS = {
    "mlp-mnist": Metric("test accuracy, MLP, MNIST"),
    "mlp-fashion": Metric("test accuracy, MLP, Fashion-MNIST"),
    "cnn-mnist": Metric("test accuracy, convolutional, MNIST"),
    "cnn-fashion": Metric("test accuracy, convolutional, Fashion-MNIST"),
    "mlp": Metric("test accuracy, MLP, mean over both sets"),
    "cnn": Metric("test accuracy, convolutional, mean over both sets"),
    "unexplained": Metric("variance that the autoencoder leaves, MNIST", better="lower"),
    "cka": Metric("CKA of the two networks after training, MLP, both sets, mean over layers"),
    "cka-gain": Metric("CKA after minus before training, MLP, both sets, mean over layers"),
    "cka-cnn": Metric("CKA of the two networks after training, convolutional, both sets"),
    "cka-auto": Metric("CKA of the two networks after training, autoencoder"),
}

CITE = """@inproceedings{kao2024countercurrent,
  title = {Counter-Current Learning: A Biologically Plausible Dual Network Approach for Deep Learning},
  author = {Kao, Chia-Hsiang and Hariharan, Bharath},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024}
}"""

DIFFERS = (
    "At small: 8,000 training images, 10 epochs and 128 cells a layer in place of 54,000, 100 and 256; a"
    " convolutional network of 8, 16 and 32 channels on 28 x 28 pixels in place of five layers of 128 to 512"
    " channels on 32 x 32.",
    "The similarity loss on class prototypes is that of the official code; the paper's figure shows a"
    " difference of paired activities, which the code has only in its autoencoder.",
    "The autoencoder has dense layers with each sample normalised, on MNIST; the paper's is convolutional with"
    " batch norm on STL-10, which cannot be had here.",
    "Learning rates (three, chosen on validation images) are tuned alike for counter-current learning, feedback"
    " alignment, direct feedback alignment and backpropagation; the frozen feedback network keeps those of the"
    " system, the network of which only the last layer learns those of backpropagation.",
    "The paper's tables could not be read; no number of the paper is quoted.",
)


def _ends(cka: np.ndarray) -> tuple[float, float]:
    """Mean over layers of (epoch, layer) before the first epoch and after the last that there was."""
    there = cka[np.isfinite(cka).any(1)]
    return float(np.nanmean(there[0])), float(np.nanmean(there[-1]))


def score(settings: dict, history: dict) -> dict:
    """Scores of the best epoch by validation, and CKA over hidden layers."""
    reached = dict(zip(TASKS, np.asarray(history["score"], float), strict=True))
    names = {"first": "mnist", "second": "fashion"}
    out = {}
    for task, value in reached.items():
        kind, which = task.split("-")
        if kind != "auto":
            out[f"{kind}-{names[which]}"] = float(value)
    for kind in ("mlp", "cnn"):
        out[kind] = (out[f"{kind}-mnist"] + out[f"{kind}-fashion"]) / 2
    out["unexplained"] = float(reached["auto-first"])
    first, last = zip(*(_ends(task) for task in np.asarray(history["cka"], float)), strict=True)
    out["cka"] = float(np.mean(last[:2]))
    out["cka-gain"] = float(np.mean(last[:2]) - np.mean(first[:2]))
    out["cka-cnn"] = float(np.mean(last[2:4]))
    out["cka-auto"] = float(last[4])
    return out
