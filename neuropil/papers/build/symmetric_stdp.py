r"""Symmetric STDP: classes are learned by local rules alone, in two layers, with no error signal.

Hao, Huang, Dong, Xu (2020), Neural Networks 121, 387, arXiv:1812.06574; code: haoyz/sym-STDP-SNN.

Any pair of a pre and a post spike strengthens its synapse, $\Delta w = \nu\, e^{-|s| / 20\,ms}$; forgetting
comes from synaptic scaling to a fixed sum, and an adaptive threshold keeps the winners of mutual inhibition
changing. The hidden layer learns from images alone; a class cell learns while a teacher makes it fire at 200
Hz.

Claim: a network of spiking cells learns to classify digits (and clothes) under supervision with local rules
only; scaling and thresholds are both needed.
"""

from neuropil.papers.build import _symmetric_stdp as parts
from neuropil.papers.build._symmetric_stdp import Images, Local, Pixels, Sizes, Surrogate, load
from neuropil.papers.build._symmetric_stdp_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study


def sizes(settings: dict) -> Sizes:
    """The sizes of a run."""
    return Sizes(**{name: settings[name] for name in Sizes._fields})


def local(**how):
    """Symmetric STDP with what `parts.Arm.of` changes."""

    def build(settings: dict, data: Images) -> Local:
        most = (
            7200 if settings["data"] == "mnist" else 12_000
        )  # spikes of the brightest image, and 5 deviations
        return Local(data, parts.Arm.of(**how), sizes(settings), most)

    return build


def pixels(settings: dict, data: Images) -> Pixels:
    """The linear readout on pixels."""
    return Pixels(data, sizes(settings))


def surrogate(settings: dict, data: Images) -> Surrogate:
    """Backpropagation through time of the same number of spiking cells."""
    return Surrogate.of(data, sizes(settings), settings["epochs"], settings["batch"])


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    for name in (*Sizes._fields, "epochs", "batch"):
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    for name, by in (("train", "together"), ("train", "chunk"), ("test", "chunk")):
        if settings[name] % settings[by]:
            raise ValueError(f"{name} = {settings[name]} is no multiple of {by} = {settings[by]}")
    if settings["held"] < 0:
        raise ValueError(f"held = {settings['held']}; it must be at least 0")
    if settings["batch"] > settings["train"]:
        raise ValueError(f"batch = {settings['batch']} is more than train = {settings['train']}")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _symmetric_stdp_figures

    return _symmetric_stdp_figures.figures(results)


_SMALL = dict(
    seeds=5, data="mnist", cells=100, train=2000, test=1000, held=10_000, together=5, chunk=50, epochs=10,
    batch=50,
)  # fmt: skip

STUDY = Study(
    slug="symmetric-stdp",
    arms={
        "sym-stdp": Arm(local(), "system", "symmetric STDP in both layers, decision by class cells"),
        "labels": Arm(local(decision="labels"), "baseline", "the same hidden layer, its cells given labels"),
        "shuffled": Arm(local(shuffled=True), "control", "the teacher drives random classes"),
        "untrained": Arm(local(learns=False), "control", "the hidden layer keeps its random weights"),
        "no-scaling": Arm(local(scaling=False), "variant", "without synaptic scaling, in both layers"),
        "no-thresholds": Arm(local(thresholds=False), "variant", "without adaptive thresholds"),
        "asymmetric": Arm(local(symmetric=False), "variant", "hidden spikes after the teacher depress"),
        "readout": Arm(local(decision="readout"), "ceiling", "ridge regression on the same hidden counts"),
        "pixels": Arm(pixels, "ceiling", "ridge regression on the pixels of the same images"),
        "surrogate": Arm(surrogate, "ceiling", "the same sizes trained by surrogate gradients"),
    },
    scales={
        "smoke": _SMALL
        | dict(seeds=1, data="digits", cells=20, train=20, test=20, held=0, chunk=10, epochs=1, batch=10),
        "small": _SMALL,
        "paper": _SMALL | dict(cells=400, train=60_000, test=10_000, held=0),
    },
    load=load,
    ticks=lambda settings: 2 if settings["data"] == "mnist" else 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist", "fashion-mnist"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Any pair of a pre and a post spike strengthens its synapse, whatever the order; scaling to a fixed sum"
        " makes it forget, adaptive thresholds and mutual inhibition make hidden cells differ. A teacher makes"
        " the right class cell fire while it learns; there is no error and no feedback."
    ),
    claim="Classifies digits and clothes under supervision with local rules alone",
    differs=DIFFERS,
    cost="small: 10 s for each local arm and seed, both image sets, on one core",
)  # fmt: skip
