r"""Learning internal neuron parameters, and Lempel-Ziv complexity as the code that is read out.

Rudnicka, Szczepanski, Pregowska (2025), arXiv:2508.11674 (no code).

The cells' own constants learn together with the weights: tau and threshold of LIF cells, and five constants
of a "meta neuron", $\dot v = v^2 - v - u + J$, $\dot u = \theta_v v - \theta_u u$ with v <- theta_s and
u <- u + theta_r at a spike. A second readout does not count spikes but measures how new they are,
$C = c(n) \log_2(n) / n$ with c the number of words in the Lempel-Ziv parsing (1976) of a train.

Claims: learned constants decide better than fixed ones, for both cells and under gradient, tempotron and STDP
training; the meta neuron decides better than LIF; complexity classifies spike trains.
"""

import jax.numpy as jnp

from neuropil.papers.build._meta_lzc import Does, Fit, Ideal, Inputs
from neuropil.papers.build._meta_lzc_data import load
from neuropil.papers.build._meta_lzc_score import CITE, DIFFERS, METRICS, Settings, check, score
from neuropil.studies import Arm, Study


def fit(kind: str, rule: str = "gradient", **does):
    """An arm that trains cells of a kind by a rule (flags of `Does`)."""
    return lambda settings, data: Fit(Does.of(**does), data, kind, rule, Settings(settings))


def inputs(count: bool, complexity: bool, shuffled: bool = False):
    """An arm without a network: discriminants of these features of the input trains."""
    use = jnp.asarray([count, complexity], jnp.float32)
    return lambda settings, data: Inputs(use, jnp.asarray(shuffled), data, Settings(settings))


def ideal(settings: dict, data):
    """The likelihood ratio of the sources."""
    return Ideal(data, Settings(settings))


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _meta_lzc_figures

    return _meta_lzc_figures.figures(results)


def _arm(build, role: str, about: str, **more) -> Arm:
    """An arm whose step is host code round compiled parts."""
    return Arm(build, role, about, jit=False, **more)


STDP = dict(weights=0, stdp=True)

ARMS = {
    "meta": _arm(fit("meta", constants=1), "system", "meta neurons, all constants learn"),
    "meta-fixed": _arm(fit("meta"), "variant", "meta neurons, constants fixed"),
    "lif": _arm(fit("lif", constants=1), "baseline", "LIF, tau and threshold learn"),
    "lif-fixed": _arm(fit("lif"), "variant", "LIF, tau 20 ms and threshold 1"),
    "lif-tuned": _arm(
        fit("lif", candidates=9), "baseline", "LIF, fixed at the best of 9 pairs (validation)",
        ticks=lambda settings: 10 if settings["try_updates"] else 1,
    ),
    "lif-mixed": _arm(fit("lif", spread=0.5), "baseline", "LIF, tau and threshold random, fixed"),
    "lif-wide": _arm(
        fit("lif", constants=1, hidden=36), "control", "LIF learned, as many parameters as meta"
    ),
    "lif-random": _arm(fit("lif", weights=0), "control", "LIF, random hidden weights"),
    "meta-stdp": _arm(fit("meta", constants=1, **STDP), "variant", "hidden weights by STDP"),
    "meta-stdp-fixed": _arm(fit("meta", **STDP), "variant", "the same, constants fixed"),
    "lif-stdp": _arm(fit("lif", constants=1, **STDP), "variant", "hidden weights by STDP"),
    "lif-stdp-fixed": _arm(fit("lif", **STDP), "variant", "the same, constants fixed"),
    "meta-tempotron": _arm(fit("meta", "tempotron", constants=1), "variant", "one layer"),
    "meta-tempotron-fixed": _arm(fit("meta", "tempotron"), "variant", "the same, constants fixed"),
    "lif-tempotron": _arm(fit("lif", "tempotron", constants=1), "variant", "one layer"),
    "lif-tempotron-fixed": _arm(fit("lif", "tempotron"), "variant", "the same, constants fixed"),
    "inputs-count": _arm(inputs(True, False), "baseline", "no network: spike counts"),
    "inputs-lzc": _arm(inputs(False, True), "variant", "no network: complexities"),
    "inputs-both": _arm(inputs(True, True), "variant", "no network: counts and complexities"),
    "inputs-shuffled": _arm(inputs(True, True, True), "control", "the same, time shuffled"),
    "ideal": _arm(ideal, "ceiling", "likelihood ratio of the sources", gaps=("accuracy",)),
}  # fmt: skip

_SMALL = dict(
    seeds=5, data="braille", letters="A,B,C,D", threshold=2.0, train=1000, valid=200, test=960, part=40,
    hidden=36, updates=250, try_updates=40, batch=50, rate=5e-3, constants_rate=1e-2,
    tempotron_rate=1e-2, stdp=100, stdp_batch=20,
)  # fmt: skip

STUDY = Study(
    slug="meta-neuron-lzc",
    arms=ARMS,
    scales={
        "smoke": _SMALL | dict(seeds=1, train=40, valid=40, test=40, updates=2, try_updates=0, batch=10,
                               stdp=20),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, updates=2000, try_updates=300, rate=2e-3),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("braille-tactile-letters",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "The constants of the cells (tau and threshold of LIF; four constants and the threshold of a quadratic"
        " cell with recovery, the meta neuron) learn with the weights. Spike trains are also read by their"
        " Lempel-Ziv complexity, c(n) log2(n) / n, in place of their counts."
    ),
    claim="Learned constants beat fixed ones, the meta neuron beats LIF, complexity classifies spike trains",
    differs=DIFFERS,
    cost="small: about 5 s for each seed of a LIF arm, 11 s of a meta arm, 20 s of lif-tuned, on one core",
)  # fmt: skip
