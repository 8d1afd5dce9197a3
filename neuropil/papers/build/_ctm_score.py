"""From a run of continuous-thought-machine to the numbers of its table."""

from __future__ import annotations

import numpy as np

from neuropil.stats.auroc import midranks
from neuropil.studies import Metric

METRICS = {
    "accuracy": Metric("parity: right answers (chance 0.5)"),
    "whole": Metric("parity: sequences with all answers right"),
    "gain": Metric("parity: right answers at the last tick less at the first"),
    "order": Metric("parity: rank correlation of a position and the tick it is right by (those that are)"),
    "halt-cost": Metric("right answers lost by stopping at certainty 0.8", better="lower"),
    "halt-share": Metric("share of the ticks used then", better="lower"),
    "solved": Metric("mazes: whole routes right", paper={"maze-ctm": 0.659, "maze-lstm": 0.338},
                     where="appendix, 15 x 15 mazes at 100,000 updates (the LSTM there read synchronisation)"),
    "moves": Metric("mazes: right moves"),
    "effort": Metric("mazes: rank correlation of a route's length and the ticks to certainty 0.8"),
}  # fmt: skip

CITE = """@article{darlow2025ctm,
  title = {Continuous Thought Machines},
  author = {Darlow, Luke and Regan, Ciaran and Risi, Sebastian and Seely, Jeffrey and Jones, Llion},
  journal = {arXiv:2505.05522},
  year = {2025}
}"""

DIFFERS = (
    "A first pilot (seed 100, none of the judged ones) was scored on the test samples, before there were"
    " validation samples, and its numbers were seen before the claims were written.",
    "Parity of 16 values (the paper: 64), about 34,000 parameters (5 million), 64 neurons (1,024), up to 16"
    " ticks (100), 2,400 updates of 64 samples by Adam with gradients clipped to norm 1 (200,000, clipped by"
    " quantiles). Learning rates were chosen among two or three on validation samples by one seed that is not"
    " among those judged: 3e-3, for the CTM on mazes 6e-3; the LSTM's was better at 3e-3 than at 1e-2.",
    "At length 16 there are 65,536 sequences: 1,024 are held out and tested, 1,024 more are for validation.",
    "Mazes of 4 x 4 cells, 9 x 9 pixels, routes of up to 10 moves from cell to cell (39 x 39 pixels, 100 moves"
    " from pixel to pixel). In place of a ResNet-34 that sees the whole maze, a linear map of the 3 x 3 pixels"
    " around a cell and of the cell's number; the paper gives no positions.",
    "One synapse layer and pairs drawn at random for both tasks; the paper's mazes use a deep synapse network"
    " and all pairs of two groups of neurons.",
    "The LSTM is trained at its best and its last tick, as in the paper; it is scored at its last tick or its"
    " most certain one, whichever is better. All others are scored at the most certain tick.",
    "Without synchronisation the neurons themselves, filled up with zeros, take the place of the pairs. With"
    " one model for all neurons there are fewer parameters.",
    "The paper's \"accuracy rises with ticks\" compares networks trained with different numbers of ticks; the"
    " gain over the ticks of one network is a separate number here.",
)  # fmt: skip


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation, ties at their mean rank; 0 where one of them does not vary."""
    a, b = midranks(np.asarray(a, float)), midranks(np.asarray(b, float))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def right_by(right: np.ndarray, level: float = 0.9) -> np.ndarray:
    """The tick from which on a position is right in at least `level` of the samples; one past the last where
    it never is. `right` (tick, position)."""
    below = right < level
    last = len(right) - np.argmax(below[::-1], 0)  # one past the last tick below
    return np.where(below.any(0), last, 0) + 1


def score(settings: dict, history: dict) -> dict:
    """Right answers where the network stops, what stopping early costs, and what takes longer."""
    last = {name: np.asarray(values)[-1] for name, values in history.items()}
    right, ticks = last["right"], len(last["right"])
    parts, whole = float(last["chosen-right"]), float(last["chosen-whole"])
    if not last["by-certainty"]:
        parts, whole = max(parts, float(right[-1].mean())), max(whole, float(last["whole"][-1]))
    out = {}
    if ticks > 1:
        out["halt-cost"] = float(last["chosen-right"] - last["halt-80-right"])
        out["halt-share"] = float(last["halt-80-ticks"]) / ticks
    if "length" in last:
        out |= {"solved": whole, "moves": parts}
        if ticks > 1:
            out["effort"] = rank_correlation(last["length"], last["ticks"])
        return out
    out |= {"accuracy": parts, "whole": whole}
    if ticks > 1:
        out["gain"] = float(right[-1].mean() - right[0].mean())
        by = right_by(right)
        known = by <= ticks
        out["order"] = rank_correlation(np.flatnonzero(known), by[known]) if known.any() else 0.0
    return out
