r"""The neural representation benchmark: how simple a readout a representation allows, for brains and machines.

Cadieu, Hong, Yamins, Pinto, Majaj, DiCarlo (2013), ICLR, arXiv:1301.3530; code: dicarlolab/nrb; kernel
analysis: Montavon, Braun, Mueller (2011), JMLR 12, 2563.

The leading d eigenvectors V of a Gaussian kernel of the responses are the d simplest functions of them. What
they leave of the labels T, $ka(d) = \min_\sigma 1 - \|V_{\sigma,d}^\top T\|^2 / \|T\|^2$, falls early for a
representation made for the task; the area above the curve is the score (0.5 by chance).

Claim of the paper: macaque IT is above V4. That is untested here, for no V4 and IT responses to the same
labelled images are at hand. Tested: IT after onset is above the same neurons before it; and the score tells
the levels of a simulated hierarchy apart, the more the objects vary. How we differ: `STUDY.differs`.

Found at small: IT 0.85 after onset, 0.49 before (chance 0.50); over subsets of the 132 neurons the difference
is 0.35 [0.32, 0.37]. The simulated IT-like sites are 0.05 above the V4-like ones at every level, no more at
high variation than at low (undecided), and 0.15 above an untrained network; on left-out images at high
variation they predict 0.39 of the labels' variance, V4-like sites 0.25.
"""

from neuropil.papers.compare._neural_representation_benchmark import Benchmark, load
from neuropil.papers.compare._neural_representation_benchmark_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same trials and images through another representation."""
    return Arm(lambda s, world: Benchmark(name, s, world), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["shown"] % 10 or settings["shown"] < 20:
        raise ValueError("shown: a multiple of 10 images, 20 or more")
    if settings["sites"] > min(settings["units"], 192) or settings["sites"] < 2:
        raise ValueError("sites: 2 or more, and no more than units or the 192 energies")
    if (
        min(settings["epochs"], settings["trials"], settings["splits"]) < 1
        or settings["spikes"] <= 0
    ):
        raise ValueError("epochs, trials and splits are at least 1, spikes above 0")
    if list(settings["neurons"]) != sorted(settings["neurons"]):
        raise ValueError("neurons: numbers that rise, the last for all")


_SMALL = dict(
    seeds=5, data="fashion-mnist", neurons=(20, 60, 132), images=20_000, epochs=5, batch=64, units=192,
    sites=128, shown=500, spikes=3.0, trials=5, splits=5,
)  # fmt: skip

STUDY = Study(
    slug="neural-representation-benchmark",
    arms={
        "it": arm("it", "system", "IT 100 to 300 ms after onset; simulated: hidden layer of a trained network"),
        "v4": arm("v4", "baseline", "simulated: pooled Gabor energies (no recording is at hand)"),
        "before": arm("before", "baseline", "the same neurons of IT before onset"),
        "pixels": arm("pixels", "variant", "simulated: the images themselves"),
        "untrained": arm("untrained", "control", "simulated: the same layer of an untrained network"),
        "shuffled": arm("shuffled", "control", "labels shuffled: IT, and Gabor energies"),
        "labels": arm("labels", "ceiling", "the labels themselves"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", neurons=(5, 10), images=200, epochs=1, batch=50,
                               units=16, sites=8, shown=40, trials=2, splits=2),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, images=60_000, epochs=20, shown=1000, splits=10),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("fashion-mnist", "macaque-it-7objects"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "A Gaussian kernel of the responses has leading eigenvectors that are the simplest functions of them;"
        " how much of the labels these leave unexplained, against their number, is the curve, and the area"
        " above it the score."
    ),
    claim="The score puts IT after onset above before, and tells the levels of a simulated hierarchy apart",
    differs=DIFFERS,
    cost="small: about 50 s for each seed of the trained network, 5 s for the others, on one core, estimated",
)  # fmt: skip
