r"""Counter-current learning: two networks in opposite directions teach each other, layer by layer.

Kao, Hariharan (2024), NeurIPS, arXiv:2409.19841; code: IandRover/CCL-NeurIPS24.

A forward network takes the image, a feedback network of the same shape takes the targets; no gradient passes
from layer to layer. Where layer i says $a_i$ to an image and $c_i$ to every class, both learn from
$L_i \propto \overline{(a_i c_i^\top - Y)^2}$, Y one-hot: no error goes backwards, no weight is used twice.

Claim: it reaches the range of backpropagation and of feedback alignment on digits. The decisive control is a
feedback network that stays as it was drawn ("frozen").
"""

import jax.numpy as jnp

from neuropil.papers.build._counter_current import TASKS, Course, Sets
from neuropil.papers.build._counter_current_net import Kind, Rule
from neuropil.papers.build._counter_current_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study
from neuropil.worlds import datasets

# learning rates of the mlp, the cnn and the autoencoder: of 0.1, 0.3 and 1 the best on validation images (mlp:
# mean of both sets; else MNIST), in a pilot with seed 1000. System, baselines and ceiling were tuned alike; the
# controls are not tuned: "frozen" takes one part out of the system, "last" one out of the ceiling
RATES = {
    "counter": (1.0, 1.0, 0.1),
    "backprop": (1.0, 1.0, 1.0),
    "aligned": (0.3, 0.3, 1.0),
    "direct": (0.1, 0.3, 0.1),
}


def load(settings: dict) -> Sets:
    """Both sets of images; in the demonstration the digits twice."""
    first = datasets.load(settings["data"])
    second = first if settings["data"] == "digits" else datasets.load(settings["second"])
    return Sets.of([first, second], settings["train"], settings["valid"], settings["test"])


def build(rule: Rule, rates: str):
    """An arm that learns by this rule, at the rates of this name."""

    def make(settings: dict, sets: Sets) -> Course:
        kinds = (
            Kind("mlp", tuple(settings["mlp"]), settings["epochs"]),
            Kind("cnn", tuple(settings["cnn"]), settings["cnn_epochs"], settings["warm"]),
            Kind("auto", tuple(settings["auto"]), settings["epochs"], settings["warm"]),
        )
        probes = min(settings["probes"], settings["test"])
        own = dict(batch=settings["batch"], probes=probes)
        return Course(sets, rule, jnp.asarray(RATES[rates]), kinds, **own)

    return make


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if not 1 <= settings["batch"] <= settings["train"]:
        raise ValueError(f"batch = {settings['batch']}; give 1 to train = {settings['train']}")
    for name in ("mlp", "cnn", "auto"):
        if not settings[name] or min(settings[name]) < 1:
            raise ValueError(
                f"{name} = {settings[name]}; give the size of one hidden layer or more"
            )


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _counter_current_figures

    return _counter_current_figures.figures(results)


def _arm(rates: str, role: str, about: str, *rule, **flags) -> Arm:
    return Arm(build(Rule.of(*rule, **flags), rates), role, about, gaps=("cka", "valid"))


_SMALL = dict(
    seeds=5, data="mnist", second="fashion-mnist", train=8000, valid=1000, test=5000, epochs=10, cnn_epochs=4,
    batch=128,     mlp=(128,) * 5, cnn=(8, 16, 32), auto=(128, 32, 128), warm=100, probes=500,
)  # fmt: skip

STUDY = Study(
    slug="counter-current",
    arms={
        "ccl": _arm("counter", "system", "both networks learn from each other", "counter"),
        "fa": _arm("aligned", "baseline", "feedback alignment", "aligned"),
        "dfa": _arm("direct", "baseline", "direct feedback alignment", "direct"),
        "frozen": _arm("counter", "control", "ccl, feedback network as drawn", "counter", feedback=False),
        "last": _arm("backprop", "control", "only the last layer learns", "aligned", hidden=False),
        "bp": _arm("backprop", "ceiling", "backpropagation", "aligned", symmetric=True),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", train=256, valid=64, test=128, epochs=2, cnn_epochs=2,
                               batch=64, mlp=(16,), cnn=(4,), auto=(8,), warm=4, probes=64),
        "small": _SMALL,
        "paper": _SMALL | dict(train=54_000, valid=6000, test=10_000, epochs=100, cnn_epochs=100, batch=256,
                               mlp=(256,) * 5, cnn=(128, 128, 256, 256, 512)),
    },
    load=load,
    ticks=lambda settings: len(TASKS),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist", "fashion-mnist"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "A forward network sees the image, a feedback network of the same shape sees the classes; every pair of"
        " layers has a loss of its own, the mean square of (activity x prototypes' - one-hot labels), and"
        " gradients are cut between layers: no error goes backwards and no weight is used in both directions."
    ),
    claim="Reaches backpropagation's range on digits without weight transport",
    differs=DIFFERS,
    cost="small: about 16 s for each arm and seed on one core",
)  # fmt: skip
