"""From the trials of dynamical-intelligence to the numbers of its table."""

from __future__ import annotations

import numpy as np

from neuropil.studies import Metric

METRICS = {
    "replay": Metric("items in place: forward, reverse and from the middle"),
    "forward": Metric("items in place, forward"),
    "reverse": Metric("items in place, reverse"),
    "middle": Metric("items in place, from the middle"),
    "items-at-ratio": Metric("items a theta cycle at the largest ratio", "items"),
    "capacity-error": Metric("items a theta cycle, distance to ratio - 1", "items", better="lower"),
    "capacity-error-gamma": Metric("the same, ratio set by gamma", "items", better="lower"),
    "slope": Metric("items gained by one more gamma cycle", "items"),
    "in-order": Metric("items that follow one another, forward, at any pace"),
    "tree": Metric("items of the tree in place"),
    "updated": Metric("items of the changed chunk in place after its update"),
    "kept": Metric("items of the other chunks in place then"),
    "spread-fifth": Metric("items in place, phases spread over a fifth of a cycle"),
}

CITE = """@misc{monaco2021brain,
  title = {A brain basis of dynamical intelligence for {AI} and computational neuroscience},
  author = {Monaco, Joseph D. and Rajan, Kanaka and Hwang, Grace M.},
  year = {2021},
  note = {arXiv:2105.07284}
}"""

DIFFERS = (
    "The paper is a review and has no model of its own; this is ours, after the theta-gamma code of Lisman and"
    " Idiart (1995), Science 267, 1512, and Lisman and Jensen (2013), Neuron 77, 1002.",
    "The rhythms are given from outside (they are currents into the cells), not made by the network; feedback"
    " inhibition is its own.",
    "Direction of replay is a gain on the links and on their transpose. While it senses, links act at a fifth"
    " of their strength, so that what is sensed wins over what is predicted.",
    "Constants (drive, inhibition, delays) were set on memories of other draws, for gamma cycles of 25 ms,"
    " before the claims were written.",
)


def score(settings: dict, history: dict) -> dict:
    """Means over draws."""
    h = {name: np.asarray(a, float) for name, a in history.items()}
    out = {
        name: float(h[name].mean())
        for name in ("forward", "reverse", "middle", "tree", "updated", "kept")
    }
    out["replay"] = float(np.mean([out[name] for name in ("forward", "reverse", "middle")]))
    ratios, gammas = np.array(settings["ratios"]), np.array(settings["gammas"])
    items = h["slower_theta"].mean(0)
    out["items-at-ratio"] = float(items[ratios.argmax()])
    out["capacity-error"] = float(np.abs(h["slower_theta"] - (ratios - 1)).mean())
    out["capacity-error-gamma"] = float(np.abs(h["faster_gamma"] - (gammas - 1)).mean())
    out["slope"] = float(np.polyfit(ratios, items, 1)[0])
    out["in-order"] = float(h["in_order"].mean())
    near = int(np.argmin(np.abs(np.array(settings["spreads"]) - 0.2)))
    out["spread-fifth"] = float(h["by_spread"].mean(0)[near])
    return out
