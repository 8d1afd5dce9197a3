r"""Inverse effectiveness driven multimodal fusion (IEMF): weak cues speed the learning of their fusion.

He, Zhao, Li, Kong, Yang, Zeng (2025), arXiv:2505.10176; code: Brain-Cog-Lab/IEMF.

Two encoders feed a fusion head and, each, a head of its own. With the summed confidences s in the true
class, $r = (s_a + s_v) / 2 s_{av}$, the gradient of the fusion head alone becomes $\xi g + \mathcal N(0,
\mathrm{std}(g)^2)$ with $\xi = 1 + \tanh(1 - r)$: it learns faster while the single cues are weak.

Claim: the fused network is more accurate than static fusion, most when cues are weak, as a rate network and
as a spiking one. The decisive baseline is the network with the same auxiliary losses and no xi ("joint").
"""

import jax.numpy as jnp

from neuropil.papers.build._iemf import Rule, Strengths
from neuropil.papers.build._iemf_data import BINS, Cues, load
from neuropil.papers.build._iemf_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study


def build(rule: Rule):
    """An arm that learns by this rule."""

    def make(settings: dict, cues: Cues) -> Strengths:
        sizes = (settings["train"], settings["valid"], settings["test"])
        own = {name: settings[name] for name in ("width", "epochs", "batch", "rate")}
        return Strengths(cues, rule, jnp.asarray(settings["snr"], float), sizes, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if len(settings["snr"]) < 2:
        raise ValueError("snr needs two strengths of the cues or more, from strong to weak")
    if list(settings["snr"]) != sorted(settings["snr"], reverse=True):
        raise ValueError(f"snr = {settings['snr']} dB; write it from strong to weak cues")
    if not 1 <= settings["batch"] <= settings["train"]:
        raise ValueError(f"batch = {settings['batch']}; give 1 to train = {settings['train']}")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _iemf_figures

    return _iemf_figures.figures(results)


_SMALL = dict(
    seeds=5, data="mnist", pool=10_000, train=2000, valid=1000, test=4000, snr=(10.0, 0.0, -5.0), width=64,
    epochs=15, batch=32, rate=0.05,
)  # fmt: skip

STUDY = Study(
    slug="iemf",
    arms={
        "iemf": Arm(build(Rule.of(True, "inverse", noise=True)), "system", "xi and noise on the fusion head"),
        "static": Arm(build(Rule.of(False)), "baseline", "concatenation, one loss"),
        "joint": Arm(build(Rule.of(True)), "baseline", "the same auxiliary losses, no xi, no noise"),
        "xi": Arm(build(Rule.of(True, "inverse")), "variant", "xi without noise"),
        "noise": Arm(build(Rule.of(True, noise=True)), "variant", "noise without xi"),
        "reversed": Arm(build(Rule.of(True, "reversed", noise=True)), "control", "1 + tanh(r - 1)"),
        "constant": Arm(build(Rule.of(True, "constant", noise=True)), "control", "xi is its mean"),
        "clean": Arm(build(Rule.of(True, clean=True)), "ceiling", "joint, cues not degraded"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", pool=1000, train=64, valid=32, test=64, snr=(10.0, -5.0),
                               width=16, epochs=2),
        "small": _SMALL,
        "paper": _SMALL | dict(pool=60_000, train=50_000, valid=10_000, test=10_000, width=512, epochs=100,
                               rate=0.005),
    },
    load=load,
    ticks=lambda settings: 2 * len(settings["snr"]),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Each of two encoders has a head of its own beside the head on both. While the single cues are weak"
        " (r < 1) the gradient of the fusion head is scaled by xi = 1 + tanh(1 - r) > 1 and perturbed by noise"
        f" of its own size; at inference nothing is gated. The spiking network sees {BINS} time bins."
    ),
    claim="Beats static fusion of two modalities, most when cues are weak, as a rate and as a spiking network",
    differs=DIFFERS,
    cost="small: about 15 s for each arm and seed (both networks, three strengths of cues) on one core",
)  # fmt: skip
