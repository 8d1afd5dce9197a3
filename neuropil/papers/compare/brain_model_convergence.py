r"""What makes a vision model like a brain: its size, its training, or what it is shown?

Raugel, Szafraniec, Vo, Couprie, Labatut, Bojanowski, Wyart, King (2025), arXiv:2508.18226.

Vision transformers learn without labels, by self-distillation: a student foretells what its slow copy says of
another view. Their levels X predict responses Y to the same images, $\hat Y = X W$ with ridge W, and three
scores are followed while size, training and kind of images change: how well (encoding), whether farther areas
take deeper levels (space), whether deeper levels come later (time).

Claim: each of the three factors moves the three scores. How we differ: `STUDY.differs`.
"""

from neuropil.papers.compare._convergence_arms import GAPS, Fixed, Learning
from neuropil.papers.compare._convergence_data import load
from neuropil.papers.compare._convergence_score import CITE, DIFFERS, METRICS, figures, score
from neuropil.studies import Arm, Study


def net(role: str, about: str, width: str = "width", kind: str = "natural") -> Arm:
    """A network in training, measured at every checkpoint."""
    build = lambda s, data: Learning(data, s, s[width], kind)
    return Arm(build, role, about, jit=False, gaps=GAPS)


def fixed(role: str, what: str, about: str) -> Arm:
    """Features that do not learn, measured once."""
    build = lambda s, data: Fixed(data, s, what)
    return Arm(build, role, about, jit=False, gaps=GAPS, ticks=lambda s: 1)


def untrained() -> Arm:
    """The system before its first step."""
    build = lambda s, data: Learning(data, s, s["width"], "natural")
    return Arm(
        build, "control", "the same network, no step", jit=False, gaps=GAPS, ticks=lambda s: 1
    )


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    s = settings
    if list(s["steps"]) != sorted(set(s["steps"])) or s["steps"][0] != 0 or len(s["steps"]) < 2:
        raise ValueError(f"steps = {s['steps']} must rise from 0, two checkpoints or more")
    if s["batch"] > s["images"]:
        raise ValueError(
            f"batch = {s['batch']} but there are {s['images']} images; make it smaller"
        )
    if s["stimuli"] < 30:
        raise ValueError("stimuli must be 30 or more: five folds of fewer say nothing")


_SMALL = dict(
    seeds=5, data="macaque", images=1200, stimuli=640, narrow=16, width=32, wide=64, depth=4, heads=4, patch=8,
    prototypes=64, batch=32, steps=(0, 12, 40, 120, 400), step=2e-3, components=128, mixed=40, voxels=20,
    sensors=24, noise=1.0,
)  # fmt: skip

STUDY = Study(
    slug="brain-model-convergence",
    arms={
        "trained": net("system", "natural images, middle size"),
        "narrow": net("variant", "natural images, half the width", "narrow"),
        "wide": net("variant", "natural images, twice the width", "wide"),
        "scrambled": net("control", "the same images with random phases", kind="scrambled"),
        "narrow-scrambled": net("variant", "random phases, half the width", "narrow", "scrambled"),
        "wide-scrambled": net("variant", "random phases, twice the width", "wide", "scrambled"),
        "fashion": net("variant", "clothes (Fashion-MNIST)", kind="fashion"),
        "untrained": untrained(),
        "pixels": fixed("baseline", "pixels", "pixels"),
        "gabor": fixed("baseline", "gabor", "Gabor energies, 3 sizes, 6 orientations, 6 x 6 fields"),
        "shuffled": fixed("control", "shuffled", "levels of the planted network, images shuffled"),
        "teacher": fixed("ceiling", "teacher", "levels of the planted network itself"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", images=40, stimuli=40, narrow=8, width=8, wide=8,
                               depth=2, heads=2, patch=16, prototypes=8, batch=8, steps=(0, 4), components=8,
                               mixed=6, voxels=3, sensors=2),
        "small": _SMALL,
        "paper": _SMALL | dict(narrow=384, width=768, wide=1152, depth=12, heads=12, batch=1024,
                               prototypes=65536, step=1e-3, components=256,
                               steps=(0, 10000, 30000, 100000, 300000, 1000000)),
    },
    load=load,
    ticks=lambda settings: len(settings["steps"]),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("macaque-v4", "rdm-92images", "fashion-mnist"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Self-distilled vision transformers of three widths, on three kinds of images, at five times of their"
        " training; ridge regression from each level to V4 and to a planted brain, dissimilarities beside IT."
    ),
    claim="Size, training and kind of images each move encoding, spatial and temporal score",
    differs=DIFFERS,
    cost="small: about 15 minutes on two quiet cores",
)  # fmt: skip
