r"""Which layer of a network is a brain area most like, and does the answer survive few neurons and images?

Shi, Shea-Brown, Buice (2019), NeurIPS, arXiv:1911.07986.

An area's mean responses Y (image, neuron) are compared with every layer A of a trained network: by SVCCA, the
mean singular value of $U_Y^\top U_A$ with U the k leading left singular vectors of each, and by the similarity
of similarity matrices (SSM), the correlation of two image-by-image correlation matrices. The layer with the
highest score is the area's pseudo-depth.

Claim: the comparison is robust to the choice of stimuli and to as few neurons as a large survey has; by it
mouse areas lie at deep layers, the primary one below the others, which are parallel. No mouse data are at hand:
the first half is tested, on simulated areas, the second is not. How we differ: `STUDY.differs`.

Found at `small`: SVCCA puts the primary area below a higher one in 93 % of comparisons with 100 neurons or more
and 118 images (undecided against 90 %), more often than with shuffled images (49 %). SSM does not (44 %): its
mean profile is highest at stage 4 for every area. Profiles differ between neighbouring layers by a hundredth:
the layer itself is found in 48 % only. What is lost to fewer neurons and images is undecided: seeds scatter.
"""

from neuropil.papers.compare._dnn_vs_mouse import Profiles, load
from neuropil.papers.compare._dnn_vs_mouse_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same networks, areas, neurons and images through another measure."""
    return Arm(lambda s, bank: Profiles(name, s, bank), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    s = settings
    if s["networks"] < 2:
        raise ValueError("networks: 2 or more, one to read and one to compare with")
    if not 1 <= s["k"] < min(s["stimuli"]) - 1 or s["k"] > min(*s["neurons"], 64):
        raise ValueError("k: fewer than the images less one, and no more than the neurons or 64")
    if list(s["stimuli"]) != sorted(s["stimuli"]) or list(s["neurons"]) != sorted(s["neurons"]):
        raise ValueError("stimuli and neurons rise, the most last")
    if len(s["stimuli"]) < 2 or max(s["stimuli"]) > s["pool"]:
        raise ValueError("stimuli: two numbers or more, and no more than the pool holds")


_SMALL = dict(
    seeds=5, data="fashion-mnist", networks=6, images=20_000, epochs=2, batch=128, pool=300, real=640, k=20,
    neurons=(30, 100, 300, 1000), stimuli=(40, 80, 118), resamples=10, snr=0.1, repeats=50,
)  # fmt: skip

STUDY = Study(
    slug="dnn-vs-mouse-cortex",
    arms={
        "svcca": arm("svcca", "system", "canonical correlation of 20 principal components a side"),
        "ssm": arm("ssm", "variant", "rank correlation of similarity matrices, the paper's other measure"),
        "ssm-pearson": arm("ssm-pearson", "variant", "the same by Pearson's correlation"),
        "regression": arm("regression", "baseline", "leave-one-out R2 of ridge regression on the layer"),
        "untrained": arm("untrained", "control", "svcca with the layers before training"),
        "shuffled": arm("shuffled", "control", "svcca, the areas' images shuffled"),
        "ceiling": arm("ceiling", "ceiling", "svcca without noise, with the network that the areas read"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", networks=2, images=256, epochs=2, batch=32, pool=40,
                               real=40, k=5, neurons=(10, 100), stimuli=(12, 16, 24), resamples=2),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, networks=20, images=60_000, epochs=10, resamples=100),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("fashion-mnist", "macaque-v4"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Mean responses of an area are compared with every layer of a trained network, by canonical correlation"
        " of leading principal components or by the correlation of similarity matrices; the layer with the"
        " highest score is the area's pseudo-depth, which orders areas."
    ),
    claim="The order of areas by the layer they are most like is stable under fewer neurons and images",
    differs=DIFFERS,
    cost="small: about 60 s to train 6 networks, then about 5 s for each arm and seed, on one core",
)  # fmt: skip
