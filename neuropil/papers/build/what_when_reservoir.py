r"""What comes, when, and how likely: readouts of a spiking reservoir with an error-modulated, gated rule.

Yamada, Chao (2025), arXiv:2510.14382; a reconstruction from its abstract (no code, methods not read).

Heterogeneous Izhikevich cells respond to a cue; linear readouts of their filtered rates r foretell outcomes.
WHEN learns in real time, $\Delta w = \eta\, m\, g\, e\, r$ with the error e, a modulator m = |e| and a gate g
that is open from the cue to the end of the window; WHAT learns after the trial where attention was, $\Delta
w_k = \eta' \sum_t a_t (y_{kt} - z_{kt})\, r_t$, whose mean comes to rest at the probability of outcome k.

Claim: right times, heights proportional to probabilities, quick adaptation when either changes, where recursive
least squares (FORCE) fails unless it is reset; WHAT and WHEN weights are nearly orthogonal.
"""

from neuropil.papers.build import _what_when_learn as learn
from neuropil.papers.build._what_when_score import CITE, DIFFERS, METRICS, score
from neuropil.plasticity import RecursiveLeastSquares
from neuropil.studies import Arm, Study

OWN = ("trials", "probes", "cells", "gain", "noise", "every")


def build(*does: str):
    """An arm that does these things (the flags of `Does`)."""

    def make(settings: dict, data) -> learn.Learns:
        rule = RecursiveLeastSquares(settings["cells"], ridge=settings["ridge"])
        own = {name: settings[name] for name in OWN}
        return learn.Learns(learn.Does.of(*does), rule, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name, least in (("trials", 2), ("probes", 2), ("cells", 2), ("every", 1)):
        if settings[name] < least:
            raise ValueError(f"{name} = {settings[name]}; it must be at least {least}")
    for name in ("gain", "noise"):
        if settings[name] < 0:
            raise ValueError(f"{name} = {settings[name]}; it must not be negative")
    if settings["ridge"] <= 0:
        raise ValueError(f"ridge = {settings['ridge']}; it must be positive")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _what_when_figures

    return _what_when_figures.figures(results)


_SMALL = dict(
    seeds=5, trials=150, probes=10, cells=400, gain=1000.0, noise=0.1, ridge=0.5, every=30,
)  # fmt: skip

STUDY = Study(
    slug="what-when-reservoir",
    arms={
        "three-factor": Arm(build(), "system", "error-modulated, attention-gated, offline WHAT"),
        "force": Arm(build("squares"), "baseline", "recursive least squares, no forgetting"),
        "force-reset": Arm(build("squares", "reset"), "baseline", "P reset at the change: it is told of it"),
        "force-restart": Arm(build("squares", "restart"), "baseline", "P reset every 30 trials"),
        "no-attention": Arm(build("open"), "control", "no gate, as much attention spread evenly"),
        "no-error": Arm(build("hebb"), "control", "growth with the outcome, no error; weights fade"),
        "shuffled": Arm(build("shuffled"), "control", "outcomes come at random times"),
        "ceiling": Arm(build("squares", "reset", "truth"), "ceiling", "true probabilities, P reset"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, trials=4, probes=2, cells=20),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, trials=500, cells=1000),
    },
    load=lambda settings: None,
    ticks=lambda settings: 2,
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "A heterogeneous Izhikevich reservoir responds to a cue. A WHEN readout learns in real time by a"
        " three-factor rule (error x modulator x gate x rate); WHAT readouts learn after the trial, where"
        " attention was, by a delta rule whose mean comes to rest at the probability of each outcome."
    ),
    claim="Right times, heights proportional to probabilities, relearned sooner than by FORCE without reset",
    differs=DIFFERS,
    cost="small: 4 s for each arm and seed of the rules, 15 s of least squares, on one core",
)  # fmt: skip
