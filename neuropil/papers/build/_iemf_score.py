"""From the accuracies of a run of iemf to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

KINDS = ("ann", "snn")
_PAPER = "ANN and SNN with plain concatenation, Kinetics-Sounds, table of the repository's README"

METRICS = {
    "accuracy-ann": Metric(
        "accuracy, rate network, mean over cue strengths",
        paper={"iemf": 0.5617, "static": 0.5158, "joint": 0.5486},
        where=_PAPER,
    ),
    "accuracy-snn": Metric(
        "accuracy, spiking network, mean over cue strengths",
        paper={"iemf": 0.5547, "static": 0.5285},
        where=_PAPER,
    ),
    "weak-ann": Metric("accuracy, rate network, weakest cues"),
    "weak-snn": Metric("accuracy, spiking network, weakest cues"),
    "weak-minus-strong-ann": Metric("accuracy at the weakest minus at the strongest cues, rate network"),
    "weak-minus-strong-snn": Metric("accuracy at the weakest minus at the strongest cues, spiking network"),
    "enhancement-rise-ann": Metric("enhancement over the best cue, weakest minus strongest, rate network"),
    "enhancement-rise-snn": Metric("enhancement over the best cue, weakest minus strongest, spiking network"),
    "product-ann": Metric("accuracy of the product of what the cues say, rate network"),
    "product-snn": Metric("accuracy of the product of what the cues say, spiking network"),
    "xi": Metric("mean of xi"),
}  # fmt: skip

CITE = """@article{he2025iemf,
  title = {Incorporating brain-inspired mechanisms for multimodal learning in artificial intelligence},
  author = {He, Xiang and Zhao, Dongcheng and Li, Yang and Kong, Qingqun and Yang, Xin and Zeng, Yi},
  journal = {arXiv:2505.10176},
  year = {2025}
}"""

DIFFERS = (
    "The cues are a picture of a digit and the events of a simulated event camera that looks at another picture"
    " of the same digit (independent given the class), each degraded to three signal-to-noise ratios; the paper"
    " has audio and video of CREMA-D, Kinetics-Sounds and UrbanSound8K. No set of real audio and video is small"
    " and free enough to be had here.",
    "Encoders are two layers of 64 (small) or 512 (paper), not two ResNet-18. At small the rate is 0.05 and"
    " there are 15 epochs; the paper's 0.005 and 100 epochs stand at scale paper.",
    "The epoch is chosen by validation in every arm; the official loop reports the best epoch on the test set.",
    "The spiking network has LIF cells in both encoders; in the stored official code the class of the cell is"
    " fixed to ReLU, so its spiking runs repeat a rate network four times. Our surrogate has height 1, not 2.",
)


def enhancement(accuracy: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """(fused - best single cue) / best single cue: the multisensory enhancement of Stein and Meredith."""
    best = alone.max(-1)
    return (accuracy - best) / best


def score(settings: dict, history: dict) -> dict:
    """Means over the strengths of the cues, and weakest minus strongest, for both kinds of network."""
    strengths = len(settings["snr"])
    by = {
        n: np.asarray(a, float).reshape(2, strengths, *np.shape(a)[1:]) for n, a in history.items()
    }
    trained = bool(by["trained"].all())  # heads of the single cues have learnt
    out = {"xi": float(by["xi"].mean())}
    for k, kind in enumerate(KINDS):
        accuracy = by["accuracy"][k]
        out[f"accuracy-{kind}"] = float(accuracy.mean())
        out[f"weak-{kind}"] = float(accuracy[-1])
        out[f"weak-minus-strong-{kind}"] = float(accuracy[-1] - accuracy[0])
        if trained:
            gain = enhancement(accuracy, by["alone"][k])
            out[f"enhancement-rise-{kind}"] = float(gain[-1] - gain[0])
            out[f"product-{kind}"] = float(by["product"][k].mean())
    return out
