r"""Algonauts 2023: its folders, its baseline, its submission and its score, on planted subjects and on V4.

Gifford, Lahner, Saba-Sadiya, Vilas, Lascelles, Oliva, Kay, Roig, Cichy (2023), arXiv:2301.03198.

Models predict the responses of 315,997 vertices of eight people to natural scenes. A vertex scores by the
squared correlation R of prediction and response over test images, as a share of its noise ceiling
$$100\,\frac{\max(R, 0)^2}{\mathrm{NC}} \text{ (at most 100)}, \qquad \mathrm{NC} = \frac{s^2}{s^2 + \langle 1/n
\rangle},$$ with s the signal-to-noise ratio and n the repeats; the challenge's score is the mean over all
vertices, pooled.

Claim (of a data set's page): folders, submission and score are those of the challenge; the baseline beats
shuffled images on its layout and on real neurons; the cap keeps even the true signal below 100. How we differ:
`STUDY.differs`.

Found at small: 8.3 points above shuffled images on planted subjects (the claim of 10 fails), 21.5 on V4.
Shuffled images score 8.3 on vertices of which a tenth hold no signal (those give more than half of the points),
0.4 on V4. The true signal scores 85: vertices with low ceilings lose by the cap, so 100 is not the top of this
scale.
"""

from neuropil.papers.compare._algonauts import Challenge, load
from neuropil.papers.compare._algonauts_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same subjects predicted in another way."""
    return Arm(lambda s, v4: Challenge(name, s, v4), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["vertices"] < 10 or settings["components"] < 1:
        raise ValueError("vertices: 10 a hemisphere or more; components: 1 or more")
    if settings["train"] < 20 or not 0 < settings["share"] <= 1:
        raise ValueError("train: 20 images or more; share of the challenge's test images: 0 to 1")
    if settings["resamples"] < 2:
        raise ValueError("resamples: 2 or more")


_SMALL = dict(
    seeds=5, data="macaque-v4", train=400, share=1.0, vertices=50, components=100, resamples=200,
)  # fmt: skip

STUDY = Study(
    slug="algonauts-2023",
    arms={
        "baseline": arm("baseline", "system", "Gabor energies, 100 components, least squares"),
        "ridge": arm("ridge", "variant", "the same features, ridge with a penalty for each vertex"),
        "pixels": arm("pixels", "baseline", "100 components of the pixels, least squares"),
        "shuffled": arm("shuffled", "control", "the baseline, images shuffled against responses"),
        "truth": arm("truth", "ceiling", "the planted signal itself"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="planted", train=40, share=0.06, vertices=10, components=10,
                               resamples=5),
        "small": _SMALL,
        "paper": _SMALL | dict(train=9000, vertices=2000, resamples=1000),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("macaque-v4",),
    demo="planted",
    check=check,
    cite=CITE,
    mechanism=(
        "Each vertex scores by its squared correlation over test images as a share of what noise allows, at"
        " most 100; the baseline is least squares on 100 principal components of fixed features of the images."
    ),
    claim="The challenge's folders, submission and score; its baseline above shuffled images",
    differs=DIFFERS,
    cost="small: about 2 min for all arms and seeds on one core, estimated",
)  # fmt: skip
