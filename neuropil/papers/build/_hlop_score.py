"""From the accuracies of a run of hlop to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric
from neuropil.worlds.streams import average_accuracy, backward_transfer

METRICS = {
    "accuracy": Metric("average accuracy"),
    "forgetting": Metric("forgetting (-BWT)", better="lower"),
    "angle": Metric("angle of task 1's rows to PCA", "degrees", better="lower"),
    "orthonormality": Metric("max |H H^T - 1| at the end", better="lower"),
    "uncovered": Metric("task 1's unprotected activity", better="lower"),
}


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
