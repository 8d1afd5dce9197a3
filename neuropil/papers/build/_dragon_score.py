"""From a run of dragon-hatchling to the numbers of its table."""

from __future__ import annotations

import numpy as np

from neuropil.compare.modularity import communities, gini, modularity
from neuropil.stats.auroc import midranks
from neuropil.studies import Metric

METRICS = {
    "bits-shakespeare": Metric("Tiny Shakespeare", "bits a character", better="lower"),
    "bits-wikitext": Metric("WikiText-2 (learnt from its validation part)", "bits a character", better="lower"),
    "active-neurons": Metric("active neurons (x)", better="lower"),
    "active-gated": Metric("active after the gate (y)", better="lower"),
    "selectivity": Metric("best synapse for speakers' names, held out (AUC)"),
    "selectivity-neuron": Metric("best neuron for the same (AUC)"),
    "selectivity-shuffled": Metric("best synapse for shuffled labels (AUC)"),
    "modularity": Metric("modularity of the strongest 2 % of connections"),
    "inequality": Metric("Gini coefficient of their degrees"),
}  # fmt: skip

CITE = """@article{kosowski2025dragon,
  title = {The Dragon Hatchling: The Missing Link between the Transformer and Models of the Brain},
  author = {Kosowski, Adrian and Uzna{\\'n}ski, Przemys{\\l}aw and Chorowski, Jan and Stamirowska, Zuzanna and
            Bartoszkiewicz, Micha{\\l}},
  journal = {arXiv:2509.26507},
  year = {2025}
}"""

DIFFERS = (
    "The form of the released code: values are the residual stream, one set of weights for all layers."
    " The text's own form (values after a norm, neurons accumulated over layers) is not run.",
    "Sizes: about 55,000 parameters, 512 neurons, width 32, two layers, pieces of 64 characters; the"
    " released code has 25 million, 32,768 neurons, pieces of 512 bytes. Adam without weight decay and"
    " dropout.",
    "Characters (97 symbols), not bytes. WikiText-2 has no training part here: what is learnt from its"
    " validation part does not compare with published perplexities.",
    "Concept: a capital beside a capital (a speaker's name). The synapse is chosen out of 32,768 entries"
    " of the state on 64 held-out pieces and judged on 64 others; the source followed a currency and a"
    " country over sentences.",
    "Degrees and modularity at 512 neurons are of the strongest 2 % of excitatory connections and are"
    " compared with an untrained network; that the graph is scale-free cannot be tested at this size.",
    "Tiny Shakespeare is compared at equal parameters and tokens; the hatchling does about 3 times the"
    " GPT's arithmetic, since its weights are used in every layer.",
)


def area(label: np.ndarray, value: np.ndarray) -> float:
    """Chance that a token of the concept lies above another, ties one half (area under the ROC curve)."""
    label, ranks = np.asarray(label).ravel().astype(bool), midranks(np.asarray(value).ravel())
    m, n = label.sum(), (~label).sum()
    return float((ranks[label].sum() - m * (m + 1) / 2) / (m * n)) if m and n else float("nan")


def adjacency(edges: np.ndarray, neurons: int) -> np.ndarray:
    """Edges (to, from) as a matrix of 0 and 1."""
    a = np.zeros((neurons, neurons))
    a[edges[:, 0], edges[:, 1]] = 1
    return a


def score(settings: dict, history: dict) -> dict:
    """Bits a character; of a hatchling what its neurons, synapses and connections are like."""
    bits = np.asarray(history["bits"], float)
    out = {"bits-shakespeare": float(bits[0])}
    if len(bits) > 1:
        out["bits-wikitext"] = float(bits[1])
    if "edges" not in history:
        return out
    first = lambda name: np.asarray(history[name])[0]
    a = adjacency(first("edges").astype(int), settings["neurons"])
    return out | {
        "active-neurons": float(first("active-neurons")),
        "active-gated": float(first("active-gated")),
        "selectivity": area(first("label"), first("trace")),
        "selectivity-neuron": area(first("label"), first("neuron-trace")),
        "selectivity-shuffled": area(first("other"), first("shuffled-trace")),
        "modularity": modularity(a, communities(a)),
        "inequality": gini(a.sum(0) + a.sum(1)),
    }
