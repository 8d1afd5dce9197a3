r"""The dead salmons of interpretability: what is found in networks that learned nothing.

Meloux, Dirupo, Portet, Peyrard (2025), arXiv:2512.18792.

An explanation of a network is an estimate, and its score T a test statistic. Its null are networks in which
what is claimed was never learned, built anew by the same builder and measured, with the same search, in the
same way:
$$p = \frac{1 + \#\{b : T_b \ge T\}}{B + 1}, \qquad T = \max_{\text{places searched}} T_\text{place}.$$

Claim: naive probing, component analysis, alignment with a brain, attribution and sparse autoencoders find
effects in random networks; tests against randomised networks do not, and still find those of trained ones. How
we differ: `STUDY.differs`.

Found at small: chance as the null finds all 200 dead networks by every statistic, and so do shuffled labels.
Networks built anew find 4.5 % of them (6.5 % by the probe, 3 to 5.5 % by the others), and 39 % where the places
searched are not corrected for (95 % with 64 features). Of 20 trained networks all are found by the probe and
the autoencoder, 75 % by components, 60 % by attribution; by alignment with V4 none: digits taught these
perceptrons nothing that V4 has.
"""

from neuropil.papers.compare._dead_salmons import Salmons, load
from neuropil.papers.compare._dead_salmons_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same networks under another test."""
    return Arm(lambda s, world: Salmons(name, s, world), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if min(settings["nulls"], settings["draws"]) < 19:
        raise ValueError("nulls and draws are at least 19: with fewer, p never reaches 0.05")
    if not 20 <= settings["coded"] <= settings["images"]:
        raise ValueError("coded: 20 images or more, and no more than there are")
    if min(settings["salmons"], settings["trained"], settings["features"]) < 1:
        raise ValueError("salmons, trained and features are at least 1")
    if not 2 <= settings["folds"] <= settings["images"]:
        raise ValueError("folds: 2 or more, and no more than images")


_SMALL = dict(
    seeds=5, data="mnist", images=600, stimuli=160, width=64, folds=10, penalty=10.0, nulls=99, draws=99,
    salmons=40, trained=4, updates=300, coded=300, features=64, steps=60,
)  # fmt: skip

STUDY = Study(
    slug="dead-salmons",
    arms={
        "corrected": arm("corrected", "system", "99 networks built anew, the best place of each"),
        "per-place": arm("per-place", "variant", "the same networks, each place for itself, not corrected"),
        "naive": arm("naive", "baseline", "p values of textbooks against chance, at every place"),
        "shuffled": arm("shuffled", "control", "labels or stimuli shuffled, best place: chance, not learning"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", images=100, width=16, folds=2, nulls=19, draws=19,
                               salmons=2, trained=1, updates=10, coded=40, features=8, steps=5),
        "small": _SMALL,
        "paper": _SMALL | dict(images=5000, width=512, nulls=999, draws=999, stimuli=640, salmons=100,
                               trained=20, updates=5000, coded=2000, features=2048, steps=1000),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "A score of an explanation is compared with the scores of networks that their builder made anew,"
        " measured with the same search; naive tests compare it with chance, which random networks beat too."
    ),
    claim="Naive tests find effects in random networks; tests against randomised networks do not",
    differs=DIFFERS,
    cost="small: about 70 s for all arms of a seed on one core",
)  # fmt: skip
