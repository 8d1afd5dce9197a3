r"""A network for spellers of steady-state visual evoked potentials, trained on all people, then on one.

Guney, Oblokulov, Ozkan (2022), IEEE TBME 69:932, arXiv:2011.08562; code osmanberke/Deep-SSVEP-BCI.

Sub-bands are summed with learned gains, electrodes mixed, time filtered twice, with one ReLU between:
$y = W_5\,(W_4 * \mathrm{ReLU}(W_3 * W_2 \sum_s a_s x_s))$. Stage one learns what people share, stage two, from
its weights, what is a person's own.

Claim: its information transfer rate with 0.4 s of flicker is above that of filter-bank canonical
correlation (FBCCA) and of task-related component analysis (TRCA).
"""

from neuropil.papers.fit._deep_ssvep_arms import Speller
from neuropil.papers.fit._deep_ssvep_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(how: str, role: str, about: str, shuffled: bool = False) -> Arm:
    """A decoder over all window lengths, then on the real recording."""
    build = lambda settings, data: Speller(how, settings, shuffled)
    return Arm(build, role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["blocks"] < 3:
        raise ValueError("TRCA needs two blocks to learn from and one to test on; blocks >= 3")
    if min(settings["windows"]) < 0.1:
        raise ValueError("windows of less than 0.1 s hold less than a cycle of the slowest target")
    if settings["batch"] > settings["people"] * (settings["blocks"] - 1) * settings["targets"]:
        raise ValueError("batch is larger than the trials of the first stage; make it smaller")


_SMALL = dict(
    seeds=5, data="muse-visual", people=10, blocks=5, targets=40, windows=(0.2, 0.4, 0.8), amplitude=12.0,
    bands=3, features=32, scale=1.0, first_weights=0.03, last_drop=0.8, tune_drop=0.5, epochs=40, tune=30,
    own_epochs=60, batch=100, step=4e-3, penalty=1e-3,
)  # fmt: skip

STUDY = Study(
    slug="deep-ssvep",
    arms={
        "two-stage": arm("two-stage", "system", "trained on all people, then on one's own blocks"),
        "fbcca": arm("fbcca", "baseline", "filter-bank canonical correlation: no training"),
        "trca": arm("trca", "baseline", "ensemble task-related components of the person's blocks"),
        "global": arm("global", "variant", "first stage only"),
        "own": arm("own", "variant", "the person's blocks only"),
        "shuffled": arm("global", "control", "first stage on shuffled labels", shuffled=True),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", people=2, blocks=3, targets=4, windows=(0.4,),
                               features=4, epochs=1, tune=1, own_epochs=1, batch=8),
        "small": _SMALL,
        "paper": _SMALL | dict(people=35, blocks=6, windows=(0.2, 0.4, 0.6, 0.8, 1.0), features=120,
                               first_weights=0.01, last_drop=0.95, tune_drop=0.6, epochs=1000, tune=1000,
                               own_epochs=1000, batch=100, step=1e-4),
    },
    load=lambda settings: {},
    ticks=lambda settings: len(settings["windows"]) + 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("muse-visual",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "Gains of sub-bands, a mixture of electrodes and two filters over time with one ReLU between them,"
        " then a dense layer. First trained on the blocks of all people, then from there on a person's own."
    ),
    claim="Information transfer rate with 0.4 s of flicker above FBCCA and TRCA",
    differs=DIFFERS,
    cost="small: 10 minutes on two busy cores; needs neuropil[recordings]",
)  # fmt: skip
