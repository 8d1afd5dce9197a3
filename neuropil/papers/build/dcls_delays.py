r"""Learning delays in spiking neural networks using dilated convolutions with learnable spacings (DCLS).

Hammouamri, Khalfaoui-Hassani, Masquelier (2024), ICLR, arXiv:2306.17670; code: Thvnvtos/SNN-delays.

Every synapse has a delay that learns with its weight: in training the weight is spread over the ticks of
the past as a Gaussian round the delay, $I_i(t) = \sum_{j,k} w_{ij} g_k(d_{ij}; \sigma)\, s_j(t - k)$, so
that the gradient to d is not zero; the Gaussian narrows, and in the end all weight stands at the nearest
tick. Cells forget almost at once (tau of 1.005 steps): whatever memory there is lies in the delays.

Claim: fixed random delays help, and learning them helps more, at equal numbers of learned parameters.
"""

import jax.numpy as jnp

from neuropil.papers.build._dcls import Ceiling, Training
from neuropil.papers.build._dcls_net import equal_width
from neuropil.papers.build._dcls_report import CITE, DIFFERS, METRICS, score
from neuropil.papers.build._dcls_tasks import DelayCode, braille, spoken
from neuropil.studies import Arm, Study
from neuropil.worlds import datasets

OWN = ("ticks", "batch", "rate", "delay_rate", "decay", "drop", "sigma_end")


def load(settings: dict) -> dict:
    """{"code": the simulated task, "real": braille letters, spoken digits or, as a stand-in, the former}."""
    code = DelayCode(train=settings["train"], test=settings["test"])
    if settings["data"] == "braille-tactile-letters":
        real = braille(datasets.load("braille-tactile-letters"), settings["threshold"], every=4)
    elif settings["data"] == "shd":
        real = spoken(datasets.load("shd"), settings["steps"], settings["pool"])
    else:
        real = code
    return {"code": code, "real": real}


def build(*, delays: bool = True, wide: bool = False, learns: bool = False, discrete: bool = True):
    """A trained arm: with delays or without; as wide as fits the parameters of `learned`; what learns."""

    def make(settings: dict, tasks: dict) -> Training:
        n, layers = settings["hidden"], settings["layers"]
        width = lambda t: equal_width(t.channels, n, layers, t.classes) if wide else n
        sizes = {k: (t.channels, *(width(t),) * layers, t.classes) for k, t in tasks.items()}
        flags = jnp.asarray(learns), jnp.asarray(discrete)
        own = {name: settings[name] for name in OWN}
        for name in ("epochs", "tau"):
            own[name] = {"code": settings[name], "real": settings[f"{name}_real"]}
        return Training(tasks, *flags, sizes, settings["longest"] if delays else 0, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("hidden", "layers", "batch", "ticks", "train", "test"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    for name in ("epochs", "epochs_real"):
        if settings[name] < 1 or settings[name] % settings["ticks"]:
            raise ValueError(
                f"{name} = {settings[name]} is no multiple of ticks = {settings['ticks']}"
            )
    if settings["longest"] % 2 or settings["longest"] < 2:
        raise ValueError(
            f"longest = {settings['longest']}; give an even number of steps, 2 or more"
        )
    if min(settings["tau"], settings["tau_real"]) <= 1 or not 0 <= settings["drop"] < 1:
        raise ValueError("tau must be above 1 step and drop in [0, 1)")
    if settings["batch"] > settings["train"]:
        raise ValueError(f"batch = {settings['batch']}, but there are {settings['train']} trials")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _dcls_figures

    return _dcls_figures.figures(results)


_SMALL = dict(
    seeds=5, data="braille-tactile-letters", hidden=64, layers=1, longest=24, epochs=10, epochs_real=30,
    ticks=5, batch=64, rate=5e-3, delay_rate=0.1, decay=1e-5, drop=0.2, tau=1.005, tau_real=2.0,
    sigma_end=0.23, train=2000, test=1000, threshold=0.01, steps=140, pool=5,
)  # fmt: skip

STUDY = Study(
    slug="dcls-delays",
    arms={
        "learned": Arm(build(learns=True, discrete=False), "system", "a learned delay at every synapse"),
        "fixed": Arm(build(wide=True), "baseline", "fixed random delays, as many learned parameters"),
        "none": Arm(build(delays=False, wide=True), "baseline", "no delays, as many learned parameters"),
        "smoothed": Arm(build(discrete=False), "control", "the learned arm with delays frozen"),
        "ceiling": Arm(lambda settings, tasks: Ceiling(tasks), "ceiling", ticks=lambda settings: 1,
                       about="ideal observer of the code; ridge regression on raw frames"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", hidden=8, epochs=2, epochs_real=2, ticks=2,
                               train=128, test=64),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, data="shd", hidden=256, layers=2, epochs=150, ticks=15,
                               epochs_real=150, batch=256, drop=0.4, tau_real=1.005),
    },
    load=load,
    ticks=lambda settings: settings["ticks"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("braille-tactile-letters",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "The weight of a synapse is spread over the ticks of the past as a Gaussian round its delay, so the"
        " delay has a gradient; the Gaussian narrows in training and is one tick in use. Membranes forget"
        " within a step: what is remembered is remembered by delays."
    ),
    claim="Learned delays beat fixed random delays, which beat none, at equal numbers of parameters",
    differs=DIFFERS,
    cost="small: 12 minutes of processor time in all, so 6 minutes on two cores",
)  # fmt: skip
