r"""A tokeniser of EEG: several scales of filters, residual codebooks of unit rows, spectra as what is told.

Barmpas et al. (2025), arXiv:2510.13068; code KonstantinosBarmpas/NeuroRVQ.

Branches k of convolutions with filters of different length read a patch, a transformer mixes patches, and
each branch is coded in stages, $z = r/|r|$, $q = \arg\max_i e_i \cdot z$, $r \leftarrow r - e_q$. A decoder
tells log amplitude, cosine and sine of every frequency; phases are learned by $1 - \cos(\hat\phi - \phi)$.

Claim: this reconstructs every band, the fast ones above all, better than one code a patch.
"""

from neuropil.papers.fit._neurorvq import Coder
from neuropil.papers.fit._neurorvq_net import TAPS
from neuropil.papers.fit._neurorvq_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(how: str, role: str, about: str) -> Arm:
    """A coder, learned and scored in one tick."""
    return Arm(lambda settings, data: Coder(how, settings), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["patch"] % 8 or settings["patch"] < 40:
        raise ValueError("patch: a multiple of 8 (pools of 2 and 4), 40 samples or more")
    if not 1 <= settings["branches"] <= len(TAPS):
        raise ValueError(f"branches: 1 to {len(TAPS)}, each has filters of its own length")
    if (settings["features"] * settings["patch"] // 8) % settings["heads"]:
        raise ValueError("heads must divide features x patch / 8, the width of tokens")


_SMALL = dict(
    seeds=5, data="muse-visual", channels=4, patches=2, patch=200, features=2, heads=5, depth=1, code=16,
    codes=64, branches=4, stages=4, decay=0.99, revive=0.02, hop=50, steps=700, batch=16,
    learning_rate=2e-3,
)  # fmt: skip

STUDY = Study(
    slug="neurorvq",
    arms={
        "neurorvq": arm("residual", "system", "four scales, each coded in stages"),
        "dct": arm("dct", "baseline", "cosine transform, uniform step, entropy code, as many bits"),
        "pca": arm("pca", "baseline", "principal components, k-means stage after stage, as many bits"),
        "one-code": arm("one", "baseline", "four scales, one stage: fewer bits"),
        "single-scale": arm("single", "variant", "one scale, all stages in it: as many bits"),
        "raw-angle": arm("angle", "variant", "phases learned by the squared difference of angles"),
        "shuffled": arm("shuffled", "control", "the system's codes of other windows"),
        "unquantised": arm("whole", "ceiling", "the same network, nothing quantised"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", features=1, branches=1, stages=1, codes=8, hop=400,
                               steps=3, batch=2),
        "small": _SMALL,
        "paper": _SMALL | dict(patches=64, features=8, heads=10, depth=12, code=128, codes=8192, stages=8,
                               revive=0.0, steps=100000, batch=64, learning_rate=5e-4),
    },
    load=lambda settings: {},
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("muse-visual",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "Filters of four lengths read each patch, a transformer mixes patches, and every branch is coded by"
        " unit vectors, stage after stage. The decoder tells amplitude, cosine and sine of each frequency."
    ),
    claim="Residual codes at several scales with a loss of phases on the unit circle reconstruct every band",
    differs=DIFFERS,
    cost="small: 8 minutes on two cores; needs neuropil[recordings]",
)  # fmt: skip
