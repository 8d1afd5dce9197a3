r"""pyhgf: hierarchical Gaussian filters as networks of nodes that predict and are surprised.

Legrand, Weber, Waade, Daugaard, Khodadadi, Mikuš, Mathys (2024), arXiv:2410.09206; package pyhgf 0.2.12.

Every node holds a Gaussian belief. Predictions go down,
$\hat\pi = 1 / (1 / \pi + e^{\omega + \kappa \hat\mu})$, errors weighted by precision go up,
$\mu = \hat\mu + \psi \hat\pi_j \delta_j / \pi$, and a volatility parent learns how fast its child should learn.

Claim: beliefs equal pyhgf's on its own series, and the parameters behind a subject's choices are recovered by
gradient and by Markov chain Monte Carlo. Where we differ: `DIFFERS` in `_pyhgf_score`.
"""

from neuropil.papers.build._pyhgf import (
    OMEGA,
    RescorlaWagner,
    Sampled,
    Switching,
    Truth,
    fitted,
    hgf,
    sizes,
)
from neuropil.papers.build._pyhgf_score import CITE, DIFFERS, METRICS, score
from neuropil.papers.build._pyhgf_series import Series, arrays, recorded
from neuropil.studies import Arm, Study


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("subjects", "trials", "block", "steps", "starts", "sampled", "observations"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["subjects"] < 3:
        raise ValueError("a correlation over subjects needs 3 subjects or more")
    if not 0.5 < settings["reliability"] < 1:
        raise ValueError(f"reliability = {settings['reliability']}; it lies between 0.5 and 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _pyhgf_figures

    return _pyhgf_figures.figures(results)


def _series(bounded: bool):
    return lambda settings, data: Series(arrays(data), bounded, settings["observations"])


_RATES = ("learner.rate",), ("learner.hazard", "learner.reliability")
_SMALL = dict(
    seeds=5, subjects=50, trials=320, block=40, reliability=0.8, steps=300, starts=5, rate=0.05,
    sampled=10, chains=4, warmup=300, draws=500, observations=100_000,
)  # fmt: skip

STUDY = Study(
    slug="pyhgf",
    arms={
        "hgf": Arm(fitted(hgf, OMEGA), "system", "omega and temperature of three-level filters, by gradient"),
        "nuts": Arm(lambda s, d: Sampled(sizes(s)), "variant", "their posterior, by NUTS"),
        "series": Arm(_series(True), "variant", "pyhgf's own series; a long one with jumps"),
        "plain": Arm(_series(False), "control", "the long series without bounds"),
        "rescorla-wagner": Arm(fitted(RescorlaWagner, *_RATES[0]), "baseline", "a fixed learning rate"),
        "switching": Arm(fitted(Switching, *_RATES[1]), "baseline", "exact inference of a world that switches"),
        "cut": Arm(fitted(lambda: hgf(coupling=0.0), OMEGA), "control", "no volatility coupling"),
        "shuffled": Arm(fitted(hgf, OMEGA, shuffled=True), "control", "choices in another order"),
        "truth": Arm(lambda s, d: Truth(sizes(s)), "ceiling", "the generating parameters"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, subjects=6, trials=80, steps=40, starts=2, sampled=2, chains=2,
                               warmup=40, draws=40, observations=2000),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, subjects=200, sampled=50, warmup=1000, draws=1000),
    },
    load=lambda settings: recorded(),
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    x64=True,
    cite=CITE,
    mechanism=(
        "Nodes with Gaussian beliefs predict the nodes below, are corrected by errors weighted by precision,"
        " and volatility parents set how fast the nodes below them learn."
    ),
    claim="Beliefs equal pyhgf's on its own series; parameters are recovered by gradient and by MCMC",
    differs=DIFFERS,
    cost="small: about a minute of one core for each seed",
)  # fmt: skip
