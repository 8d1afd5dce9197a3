r"""Stochastic responses make a network robust, and change the geometry of what it says of its inputs.

Dapello, Feather, Le, Marques, Cox, McDermott, DiCarlo, Chung (2021), NeurIPS 34, arXiv:2111.06979; code:
chung-neuroai-lab/adversarial-manifolds.

Responses of an early layer are noisy in training and at test, with fresh noise at every pass,
$$h = [\,r + \sqrt{a + b r}\ \xi\,]_+, \qquad r = [W x + b_0]_+, \quad \xi \sim N(0, 1),$$
Gaussian (b = 0) or neuronal (variance equal to the mean). The clouds of responses to a class, or to one image
again and again, are measured by mean-field theory: capacity, radius and dimension, clean and under attack.

Claim: noise raises accuracy under attack at some cost without one; it raises the dimension and lowers the
capacity of class manifolds where it enters, unlike adversarial training; and clean and attacked responses to
an image overlap. How we differ: `STUDY.differs`.

Found at small: all of it holds. Noise adds 0.09 to the accuracy under attack and costs 0.016 without; the
dimension at the noisy layer rises by 6, where adversarial training leaves it, and the capacity falls by 0.16.
Clean and attacked repeats of an image lie 0.3 of their spread apart, without noise 24. Attacks on the noisy
network itself cost it 0.08 more than what fools another network. But noise on the pixels makes at least as
robust (0.49 with noise within), with hardly any of these
changes of geometry, and adversarial training far more robust (0.74): the geometry is no measure of robustness.
"""

from neuropil.papers.compare._stochastic_geometry import Trial, load
from neuropil.papers.compare._stochastic_geometry_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same network, start and images in another regime of noise and attack."""
    return Arm(lambda s, world: Trial(name, s, world), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if len(settings["strengths"]) != 3 or sorted(settings["strengths"]) != list(
        settings["strengths"]
    ):
        raise ValueError("strengths: three numbers, a weak, a middle and a strong attack")
    if settings["strengths"][0] <= 0 or min(settings["noise"], settings["pixel_noise"]) <= 0:
        raise ValueError(
            "strengths, noise and pixel_noise are above 0: an arm has none of each anyway"
        )
    if not 2 <= settings["points"] <= settings["per_class"]:
        raise ValueError("points: 2 or more, and no more than per_class")
    if settings["repeats"] < 2 or 10 * settings["per_class"] % settings["repeats"]:
        raise ValueError(
            "repeats: 2 or more, and 10 x per_class a multiple of it: both share a program"
        )
    if min(settings[k] for k in ("images", "updates", "draws", "attack_steps", "train_steps")) < 1:
        raise ValueError("images, updates, draws, attack_steps and train_steps are at least 1")


_SMALL = dict(
    seeds=5, data="fashion-mnist", images=30_000, widths=(256, 128), updates=700, noise=1.0, pixel_noise=0.25,
    train_steps=5, strengths=(0.02, 0.05, 0.1), attack_steps=10, draws=8, per_class=40, points=30, repeats=20,
    samples=60, search=True,
)  # fmt: skip

STUDY = Study(
    slug="stochastic-population-geometry",
    arms={
        "stochastic": arm("stochastic", "system", "Gaussian noise of deviation 1 in the first layer"),
        "deterministic": arm("deterministic", "baseline", "the same network without noise"),
        "input-noise": arm("input-noise", "baseline", "noise on the pixels, in training and at test"),
        "adversarial": arm("adversarial", "ceiling", "no noise, trained on images attacked in 5 steps"),
        "noise-at-test": arm("noise-at-test", "control", "trained without the noise it is tested with"),
        "untrained": arm("untrained", "control", "as it was built, without noise"),
        "stronger": arm("stronger", "variant", "noise three times as large"),
        "neuronal": arm("neuronal", "variant", "noise whose variance is the mean, in the official scale"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", images=500, widths=(16, 12), updates=30, attack_steps=2,
                               train_steps=1, draws=2, per_class=10, points=5, repeats=5, samples=5,
                               search=False),
        "small": _SMALL,
        "paper": _SMALL | dict(images=60_000, widths=(1024, 512), updates=20_000, attack_steps=20, draws=16,
                               per_class=250, points=50, repeats=50, samples=100),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("fashion-mnist",),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Noise in an early layer, in training and at test, makes clean and attacked responses overlap;"
        " capacity, radius and dimension of the clouds of responses say what that costs and brings."
    ),
    claim="Stochastic responses raise adversarial robustness and change capacity, radius and dimension",
    differs=DIFFERS,
    cost="small: about 110 s for all arms of a seed on one core",
)  # fmt: skip
