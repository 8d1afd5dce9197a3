"""From a run of brainpy to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

NETWORK = (
    "rate",
    "cv",
    "synchrony",
    "work",
    "differing",
    "population",
)  # measured once, in one arm
_PEERS = "17 to 21 Hz in Brian2, BrainPy and NEST (benchmarks)"

METRICS = {
    "accuracy": Metric("accuracy, delayed match to sample"),
    "hz": Metric("rate of the memory network", "Hz", better="lower"),
    "differing": Metric(
        "spikes that differ between event-driven and dense delivery", better="lower"
    ),
    "rate": Metric("rate of the E/I network", "Hz", paper={"gif": 19.5}, where=_PEERS),
    "cv": Metric("interval CV of the E/I network"),
    "synchrony": Metric(
        "variance of the population count over that of Poisson cells", better="lower"
    ),
    "work": Metric("synaptic operations a tick over those of a dense matrix", better="lower"),
}

CITE = """@inproceedings{wang2024brainpy,
  title = {A differentiable brain simulator bridging brain simulation and brain-inspired computing},
  author = {Wang, Chaoming and Zhang, Tianqiu and He, Sichao and Gu, Hongyaoxing and Li, Shangyang and Wu, Si},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2311.05106}
}"""

DIFFERS = (
    "The E/I network is the benchmarks': conductances spread at the start, no bias current (the paper's Brian2"
    " script adds 20 mV, its BrainPy script does not), every cell with exactly 80 random targets, exact steps.",
    "Each spike arrives as a count, which is scaled once: so sums are the same in any order and the two"
    " deliveries can be compared to the bit.",
    "At small a trial lasts 750 ms (fixation 50, sample 200, delay 300, test 200) and there are 300 updates of"
    " 32 trials; the paper has 2,500 ms, 500 updates of 64.",
    "As in the paper's code the leaky sum in front of the cells is not scaled by dt / tau: a constant input"
    " grows hundredfold. The slope of a spike is a triangle of height 0.3.",
    "The penalty on potentials looks at them after the reset. The paper's second model, a rate network on the"
    " same task, and its HH network are not part of this page; HH cells are in neuropil.cells.",
)


def score(settings: dict, history: dict) -> dict:
    """Accuracy and rate at the last test; what the E/I network did, in the arm that has one."""
    out = {"accuracy": float(history["accuracy"][-1])}
    if "hz" in history:
        out["hz"] = float(history["hz"][-1])
    for name in NETWORK:
        if name in METRICS and name in history and np.isfinite(history[name][0]):
            out[name] = float(history[name][0])
    return out
