"""From the accuracies of a run of hlop to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric
from neuropil.worlds.streams import average_accuracy, backward_transfer

GAPS = ("accuracy", "angle", "orthonormality", "uncovered")  # NaN: not learnt yet, no lateral rows
_WHERE = "main table, PMNIST, 800 cells (recalled, not checked against the paper)"

METRICS = {
    "accuracy": Metric(
        "average accuracy",
        paper={"hlop": 0.952, "sequential": 0.706, "replay": 0.925, "svd": 0.948},
        where=_WHERE,
    ),
    "forgetting": Metric(
        "forgetting (-BWT)",
        better="lower",
        paper={"hlop": 0.013, "sequential": 0.289, "replay": 0.047, "svd": 0.016},
        where=_WHERE + "; svd: GPM",
    ),
    "angle": Metric("angle of task 1's rows to PCA", "degrees", better="lower"),
    "orthonormality": Metric("max |H H^T - 1| at the end", better="lower"),
    "uncovered": Metric("task 1's unprotected activity", better="lower"),
}


CITE = """@inproceedings{xiao2024hlop,
  title = {Hebbian Learning based Orthogonal Projection for Continual Learning of Spiking Neural Networks},
  author = {Xiao, Mingqing and Meng, Qingyan and Zhang, Zongpeng and He, Di and Lin, Zhouchen},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  note = {arXiv:2402.11984}
}"""

DIFFERS = (
    "The main arms are trained by backpropagation through time with a surrogate and per-spike traces (the"
    " official bptt script: 6 steps, membrane halved each step, sigmoid surrogate of slope 4); the paper's"
    " main run differentiates rates (DSR, 20 steps): --set rule=dsr. rule=online and"
    " rule=feedback_alignment are there too.",
    "small has 200 cells a layer, 20,000 images a task and 2,000 test images; the paper 800, 60,000 and"
    " 10,000. Hidden rows are scaled by 200 / 800.",
    "Lateral learning rates are the official ones times 784 / pixels and 800 / cells, so that rate x"
    " activity stays as it was; at scale paper they are the official ones.",
    "Every seed draws its own permutations, images and weights; the official run has one seed.",
    "Replay takes images in an order that is balanced over classes, in place of a random one, and follows"
    " the official main script (it is not in the bptt script).",
    "The SVD arm takes as many rows as HLOP; GPM, quoted beside it, chooses the number by an energy"
    " threshold. The joint arm draws the task of every image at random.",
)


def score(settings: dict, history: dict) -> dict:
    """Average accuracy at the end; forgetting = -BWT where tasks came one after the other; and, where
    there are lateral rows, means over circuits of what `Continual` measures."""
    A = np.asarray(history["accuracy"], float)
    out = {"accuracy": average_accuracy(A)}
    if np.isnan(A[0, 1:]).all():  # the joint arm knows all tasks from the start: nothing to forget
        out["forgetting"] = -backward_transfer(A)
    if np.isfinite(history["angle"]).all():
        out["angle"] = float(np.mean(history["angle"][0]))
        out["orthonormality"] = float(np.max(history["orthonormality"][-1]))
        out["uncovered"] = float(np.mean(history["uncovered"][0]))
    return out
