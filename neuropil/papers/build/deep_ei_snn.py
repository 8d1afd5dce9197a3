r"""Deep spiking networks without normalisation, kept in balance by lateral inhibition (DeepEISNN).

Liu, Ding, Yu (2026), ICLR, arXiv:2509.23253; code: vwOvOwv/DeepEISNN.

In every layer fast inhibitory cells subtract from, and divide, what excites the excitatory ones,
$I = g_E (W_{EE} x - W_{EI} s_I) / (W_{EI} (g_I s_I)) + b_E$ with $s_I = W_{IE} x$ and all weights >= 0. They
start in balance with what the first batch shows (E-I Init), and the gradient of W_EI is divided by the
fan-in (E-I Prop).

Claim: eight layers on Fashion-MNIST come within 0.03 of the accuracy of batch norm, where the same
net without either does not learn.
"""

import jax.numpy as jnp

from neuropil.papers.build._deep_ei_net import EIFamily, PlainFamily
from neuropil.papers.build._deep_ei_score import CITE, DIFFERS, METRICS, score
from neuropil.papers.build._deep_ei_train import Course, Split
from neuropil.studies import Arm, Study
from neuropil.worlds import datasets


def load(settings: dict) -> Split:
    """Training, validation and test images."""
    images = datasets.load(settings["data"])
    return Split.of(images, settings["images"], settings["valid"], settings["test"])


def _course(settings: dict, data: Split, family, rate: float) -> Course:
    own = {name: settings[name] for name in ("widths", "steps", "batch", "epochs", "warm")}
    return Course(data, family, jnp.asarray(rate, float), **own)


def ei(*without: str):
    """An arm of E-I circuits `without` "init", "scaled" (gradient of W_EI), "learns" (hidden layers)."""

    def build(settings: dict, data: Split) -> Course:
        flags = {name: jnp.asarray(name not in without) for name in ("init", "scaled", "learns")}
        return _course(
            settings, data, EIFamily(**flags, ratio=settings["ratio"]), settings["rate_ei"]
        )

    return build


def plain(rate: str, *, norm: bool = False, fitted: bool = False):
    """An arm of plain layers; `rate` names its learning rate."""

    def build(settings: dict, data: Split) -> Course:
        return _course(
            settings, data, PlainFamily(jnp.asarray(norm), jnp.asarray(fitted)), settings[rate]
        )

    return build


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in ("steps", "batch", "epochs", "ratio", "images", "valid", "test"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["batch"] > settings["images"]:
        raise ValueError(f"batch = {settings['batch']}, but there are {settings['images']} images")
    if settings["test"] > settings["images"]:
        raise ValueError("test is larger than images; batch norm takes its statistics of as many")
    if len(settings["widths"]) < 1 or min(settings["widths"]) < settings["ratio"]:
        raise ValueError(
            f"widths = {settings['widths']}; each needs {settings['ratio']} cells or more"
        )
    if not 0 <= settings["warm"] <= 1:
        raise ValueError(f"warm = {settings['warm']}; it is the share of warm-up, 0 to 1")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _deep_ei_figures

    return _deep_ei_figures.figures(results)


_SMALL = dict(
    seeds=5, data="fashion-mnist", images=10_000, valid=2000, test=2000,
    widths=(200, 200, 120, 120, 120, 40, 40), ratio=4, steps=4,
    batch=128, epochs=8, warm=0.1, rate_ei=0.02, rate_bn=0.1, rate_plain=0.1, rate_fitted=0.03,
)  # fmt: skip

STUDY = Study(
    slug="deep-ei-snn",
    arms={
        "ei": Arm(ei(), "system", "E-I circuits with E-I Init and E-I Prop"),
        "bn": Arm(plain("rate_bn", norm=True), "baseline", "batch norm, same widths"),
        "plain": Arm(plain("rate_plain"), "baseline", "neither norm nor inhibition, usual start"),
        "fitted": Arm(plain("rate_fitted", fitted=True), "baseline",
                      "neither, start scaled on the first batch to currents of variance 1"),
        "no-init": Arm(ei("init"), "variant", "E-I circuits with a static start"),
        "no-prop": Arm(ei("scaled"), "variant", "gradient of W_EI not divided by the fan-in"),
        "frozen": Arm(ei("learns"), "control", "hidden layers stay as E-I Init left them"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", images=256, valid=64, test=64, epochs=2, batch=32,
                               steps=2, widths=(32, 32, 24, 24, 24, 16, 16)),
        "small": _SMALL,
        "paper": _SMALL | dict(images=55_000, valid=5000, test=10_000, epochs=300,
                               widths=(500, 500, 300, 300, 300, 100, 100)),
    },
    load=load,
    ticks=lambda settings: settings["epochs"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("fashion-mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Inhibitory cells subtract from and divide the excitatory drive, I = g_E (W_EE x - W_EI s_I) /"
        " (W_EI (g_I s_I)) + b_E, all weights >= 0. They start in balance with the first batch (E-I Init);"
        " the gradient of W_EI is divided by the fan-in, and zeros of the divisor are replaced without the"
        " gradient knowing (E-I Prop)."
    ),
    claim="Eight layers without normalisation come within 0.03 of batch norm; a plain net does not learn",
    differs=DIFFERS,
    cost="small: about 18 s for each seed of an E-I arm on one quiet core, 8 s for the others",
)  # fmt: skip
