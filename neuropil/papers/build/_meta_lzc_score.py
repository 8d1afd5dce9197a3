"""What is measured on meta-neuron-lzc, what the paper says, and where we differ."""

from __future__ import annotations

import numpy as np

from neuropil.papers.build._meta_lzc_data import SETS
from neuropil.studies import Metric

CITE = """@article{rudnicka2025learning,
  title = {Learning Internal Biological Neuron Parameters and Complexity-Based Encoding for Improved Spiking
    Neural Networks Performance},
  author = {Rudnicka, Zofia and Szczepanski, Janusz and Pregowska, Agnieszka},
  year = {2025},
  journal = {arXiv:2508.11674}
}"""

DIFFERS = (
    "Only abstracts could be read: the equations of the meta neuron and of the learning rules are the standard"
    " ones of their names, the start values of its constants those usually quoted. The published gains are"
    " \"up to\" numbers (11 points in version 1; 13.5 for LIF and 8.5 for the meta neuron in version 2).",
    "The meta neuron is stepped by Euler with dt = tau, the form quoted for its nets, in which a strong"
    " inhibition becomes a spike (v <- v^2 - u + J); its spikes are not drawn at random (version 2 drops"
    " \"probabilistic\" too).",
    "Synthetic trains as the sister papers describe them (Poisson, two-state Markov), a rate template added;"
    " real trains are Braille letters as ON and OFF events. The paper's MNIST variants are not used.",
    "Tempotron: one layer, its cost (distance of the peak potential from the threshold, where wrong) descended"
    " by Adam, for constants too. STDP: hidden weights first, unsupervised; then readout and constants by"
    " gradient.",
    "Constants learn in logarithms where they are positive. Their step size and the weights' were chosen on the"
    " validation samples of a seed that is not used here.",
    "One decision sees all trains, read by Fisher's linear discriminant; the decision by a single train is"
    " shown beside it.",
)  # fmt: skip

METRICS = {
    "accuracy": Metric("accuracy, mean of the four problems"),
    **{name: Metric(f"accuracy, {name}") for name in SETS},
    "lzc-gain": Metric(
        "output trains: accuracy by complexity minus by count, mean of the problems"
    ),
    **{f"lzc-{name}": Metric(f"accuracy by complexity of output trains, {name}") for name in SETS},
    **{f"count-{name}": Metric(f"accuracy by count of output trains, {name}") for name in SETS},
    **{f"single-{name}": Metric(f"accuracy by a single train, {name}") for name in SETS},
}


class Settings(dict):
    """Settings as a static field: a dictionary that can be hashed."""

    def __hash__(self):  # pyright: ignore
        return hash(tuple(sorted(self.items())))


def score(settings: dict, history: dict) -> dict:
    """Accuracies at the last tick (those before it tried constants)."""
    last = {name: np.asarray(value[-1], float) for name, value in history.items()}
    out = dict(zip(SETS, last["accuracy"], strict=True))
    if np.isfinite(last["accuracy"]).all():
        out["accuracy"] = last["accuracy"].mean()
    else:
        out = {name: value for name, value in out.items() if np.isfinite(value)}
    for name in ("lzc", "count", "single"):
        if name in last:
            out |= {f"{name}-{of}": v for of, v in zip(SETS, last[name], strict=True)}
    if "lzc" in last:
        out["lzc-gain"] = (last["lzc"] - last["count"]).mean()
    return {name: float(value) for name, value in out.items()}


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("train", "valid", "test"):
        if settings[name] < settings["part"] or settings[name] % settings["part"]:
            raise ValueError(
                f"{name} = {settings[name]} is no multiple of part = {settings['part']}"
            )
    if settings["stdp"] % settings["stdp_batch"] or settings["stdp"] > settings["train"]:
        raise ValueError("stdp must be a multiple of stdp_batch, and no more than train")
    if settings["hidden"] < 36:
        raise ValueError("hidden is at least 36: 32 cells, and 4 more of the arm lif-wide")
    if len(settings["letters"].split(",")) != 4:
        raise ValueError("letters names four letters, such as A,B,C,D")
