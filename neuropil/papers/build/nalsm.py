r"""NALSM: an astrocyte tunes the plasticity of a liquid state machine towards the edge of chaos.

Ivanov, Michmizos (2021), NeurIPS, arXiv:2111.01760; code: combra-lab/NALSM.

A liquid of spiking cells on a grid changes its weights by pair STDP, whose rate of depression A is the output
of one global astrocyte that leaks and counts spikes, $\tau \dot A = -A + b + w_a (\sum s_{liquid} - \sum
s_{input})$: a liquid that makes more spikes than it receives depresses its synapses. A linear readout of the
spike counts then tells digits or clothes apart.

Claim: the astrocyte brings the branching factor to 1 and makes the liquid more accurate than symmetric STDP
and than a liquid whose weights were set by hand, without a search.
"""

from neuropil.papers.build._nalsm import Arm as Rule
from neuropil.papers.build._nalsm import Digits, Liquids, Pixels, Sizes, load
from neuropil.papers.build._nalsm_score import CITE, DIFFERS, METRICS, score
from neuropil.studies import Arm, Study

BY_HAND = (0.25, 0.5, 1.0, 2.0, 3.0)


def sizes(settings: dict) -> Sizes:
    """The sizes of a run."""
    return Sizes(**{name: settings[name] for name in Sizes._fields})


def build(gain: float = 0.0, tried: tuple = (), clamped: bool = False, fresh: bool = False):
    """A liquid that settles with the astrocyte's `gain` (as for 1,000 cells), or whose weights are `tried`."""

    def make(settings: dict, data: Digits) -> Liquids:
        grid = (settings["grid"],) * 3
        if tried:
            rule = Rule.of(0, tried=tried)
        else:  # the drive is a count of spikes: it grows with the number of cells
            rule = Rule.of(settings["settle"], gain * 1000 / settings["grid"] ** 3, clamped, fresh)
        return Liquids(data, rule, grid, sizes(settings))

    return make


def pixels(everything: bool):
    """The readout on the pixels, of the same samples or of all."""
    return lambda settings, data: Pixels(data, everything, sizes(settings))


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["grid"] < 2:
        raise ValueError(f"grid = {settings['grid']}; a liquid needs 2 cells a side or more")
    for name in Sizes._fields:
        if settings[name] < 1:
            raise ValueError(f"{name} = {settings[name]}; it must be at least 1")
    if settings["ms"] < 20:
        raise ValueError(f"ms = {settings['ms']}; branching needs 20 ms or more")


def figures(results) -> dict:
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _nalsm_figures

    return _nalsm_figures.figures(results)


_SMALL = dict(
    seeds=5, data="mnist", grid=6, settle=1000, settle_ms=20, train=1500, valid=500, test=1000, ms=250,
)  # fmt: skip

STUDY = Study(
    slug="nalsm",
    arms={
        "nalsm": Arm(build(0.015), "system", "STDP whose depression the astrocyte leads"),
        "stdp": Arm(build(), "baseline", "symmetric STDP: the same without the astrocyte"),
        "fixed": Arm(build(tried=BY_HAND), "baseline", "no plasticity, best of five magnitudes by validation",
                     gaps=("branching",)),
        "clamped": Arm(build(0.015, clamped=True), "control", "A held at the mean that it had"),
        "nalsm-fresh": Arm(build(0.015, fresh=True), "variant", "traces start at 0 with every image"),
        "stdp-fresh": Arm(build(fresh=True), "variant", "symmetric STDP, traces start at 0 with every image"),
        "pixels": Arm(pixels(False), "control", "no liquid: the readout on the pixels"),
        "pixels-all": Arm(pixels(True), "ceiling", "the readout on the pixels of all training images"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", grid=3, settle=4, train=64, valid=32, test=32, ms=24),
        "small": _SMALL,
        "paper": _SMALL | dict(grid=10, settle=50_000, train=50_000, valid=10_000, test=10_000),
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
        "One global astrocyte leaks and counts how many more spikes the liquid makes than it receives; its"
        " output is the rate of depression of pair STDP, whose potentiation is fixed: too much activity"
        " weakens synapses, too little strengthens them. A linear readout learns from spike counts."
    ),
    claim="Tunes the liquid to branching factor 1 and improves its accuracy",
    differs=DIFFERS,
    cost="small: 12 s for each settled arm, seed and image set, 40 s for the search by hand, on one core",
)  # fmt: skip
