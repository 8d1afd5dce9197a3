"""From what the arms of pyhgf found to the numbers of its table."""

import numpy as np

from neuropil.studies import Metric

METRICS = {
    "difference": Metric("largest relative difference from pyhgf's beliefs", better="lower"),
    "finite": Metric("share of ticks with finite beliefs, long series"),
    "r-omega": Metric("correlation of true and found omega"),
    "r-beta": Metric("correlation of true and found log temperature"),
    "heldout": Metric("log-likelihood of unseen choices", "nats a choice"),
    "coverage": Metric("share of true values within the 95 % interval"),
    "r-hat": Metric("largest potential scale reduction", better="lower"),
}

CITE = """@article{legrand2024pyhgf,
  title = {pyhgf: A neural network library for predictive coding},
  author = {Legrand, Nicolas and Weber, Lilian and Waade, Peter Thestrup and Daugaard, Anna Hedvig M{\\o}ller
    and Khodadadi, Mojtaba and Miku{\\v{s}}, Nace and Mathys, Christoph},
  journal = {arXiv:2410.09206},
  year = {2024}
}"""

DIFFERS = (
    "Beliefs are compared with values recorded from pyhgf 0.2.12, which pins a JAX of 2024: its two series,"
    " two- and three-level continuous, binary and volatile filters, its three updates, double precision.",
    "Our default update holds beliefs about volatility within two bounds (`neuropil.belief.volatility`). They"
    " are not touched on those series; without them a long series with jumps ends in NaN, here as there.",
    "The paper names recovery on simulated behaviour; subjects, priors and sizes here are ours: omega uniform"
    " in -5 to -1, temperature log-normal around 4. Omega of the third level is held at -6: so few choices do"
    " not tell it.",
    "The surprise reported is the predictive density with the input's noise; pyhgf leaves the noise out.",
)  # fmt: skip


def _correlation(a, b) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if min(a.std(), b.std()) < 1e-9:
        return 0.0  # nothing varies, so nothing is recovered
    return float(np.corrcoef(a, b)[0, 1])


def score(settings: dict, history: dict) -> dict:
    """The metrics that an arm has."""
    last = {name: np.asarray(v)[-1] for name, v in history.items()}
    out = {}
    if "difference" in last:
        out["difference"] = float(last["difference"].max())
    for name in ("finite", "heldout"):
        if name in last:
            out[name] = float(np.mean(last[name]))
    if "omega" in last:
        out["r-omega"] = _correlation(last["omega"], last["true_omega"])
    if "beta" in last:
        out["r-beta"] = _correlation(np.log(last["beta"]), np.log(last["true_beta"]))
    if "low" in last:
        within = (last["low"] <= last["true"]) & (last["true"] <= last["high"])
        out |= {"coverage": float(within.mean()), "r-hat": float(last["r_hat"].max())}
    return out
