r"""A tokeniser of EEG and MEG that knows a sensor by its place, direction and kind, so that devices may be new.

Xiao et al. (2025), NeurIPS, arXiv:2505.18185; code OpenTSLab/BrainOmni.

Each channel's signal is encoded alone, $f_c$; learned latents read all channels by attention, with keys
$K(f_c + g_c)$ of the sensors' descriptions g and values $V f_c$; the latents, taken to length 1, are coded in
stages; queries $g_c$ read the codes back into any channel, also one that was hidden.

Claim: it serves devices that were left out of training, and training on EEG and MEG together helps both. Here
it is judged on a simulated brain, beside interpolation over sensor positions and the inverse that knows all.

Found at small (correlation of hidden channels, new EEG and new MEG device): 0.44 and 0.22; a table of
indices 0.00 and 0.01, which cannot know new devices, but has also learned the seen ones less (0.16 and
0.13, against 0.49 and 0.31). Joint training is better at equal steps of a modality (+0.04 and +0.05), not
at equal steps in all (-0.06, and -0.01, undecided). A Gaussian process over places is far ahead (0.79 and
0.45; the true inverse 0.84 and 0.74), also in the read-out. Correlations still rose when training ended.
"""

from neuropil.papers.fit._brainomni import Omni
from neuropil.papers.fit._brainomni_judge import CHUNK
from neuropil.papers.fit._brainomni_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(how: str, role: str, about: str) -> Arm:
    """A tokeniser or a linear map, learned and judged in one tick."""
    return Arm(lambda settings, data: Omni(how, settings), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    sizes = settings["sizes"]
    if min(sizes) < 4 or sizes[1] % 3 or sizes[5] % 3 or sizes[3] % 2:
        raise ValueError("sizes: 4 or more; meg-a and meg-new in threes, meg-b in twos")
    if settings["width"] % settings["heads"]:
        raise ValueError("heads must divide the width")
    windows = 5 * settings["segments"]
    if min(windows * settings["test"], windows * settings["new"], settings["readout"]) < CHUNK:
        raise ValueError(f"test, new and readout: {CHUNK} windows or more (a segment has 5)")


_SMALL = dict(
    seeds=5, sizes=(30, 30, 20, 20, 24, 24), train=50, test=2, new=8, segments=4, hz=64.0, snr=3.0,
    degrees=10.0, readout=160, real=1, width=48, latents=8, heads=4, filters=8, ratios=(4, 4), lstm=0,
    codes=64, stages=3, decay=0.95, batch=8, steps=480, learning_rate=3e-3,
)  # fmt: skip

STUDY = Study(
    slug="brainomni",
    arms={
        "joint": arm("joint", "system", "learned from two EEG and two MEG devices"),
        "eeg": arm("eeg", "variant", "from the EEG devices alone, as many steps"),
        "meg": arm("meg", "variant", "from the MEG devices alone, as many steps"),
        "index": arm("index", "control", "a row of a table in place of place, direction and kind"),
        "untrained": arm("untrained", "control", "the joint arm before its first step"),
        "gp": arm("gp", "baseline", "Gaussian process over sensor places, slopes for planar gradiometers"),
        "nearest": arm("nearest", "control", "the nearest seen sensor of the same sort"),
        "minimum-norm": arm("minimum-norm", "ceiling", "sources by the true lead field, powers and noise"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, sizes=(6,) * 6, train=2, new=2, readout=40, real=0, width=8, latents=2,
                               heads=2, filters=2, ratios=(8,), codes=4, stages=1, batch=40, steps=4),
        "small": _SMALL,
        "paper": _SMALL | dict(sizes=(128, 120, 64, 60, 124, 96), train=2000, readout=4000, hz=256.0,
                               width=256, latents=16, filters=32, ratios=(2, 4, 8), lstm=2, codes=512,
                               stages=4, decay=0.99, batch=2560, steps=40000, learning_rate=2e-4),
    },
    load=lambda settings: {},
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    check=check,
    cite=CITE,
    mechanism=(
        "Latents read channels by attention whose keys say where a sensor is, which way it looks and what it"
        " is; they are coded in stages, and queries of the same description read them back into any channel."
    ),
    claim="Serves EEG and MEG devices left out of training; training on both helps each",
    differs=DIFFERS,
    cost="small: 9 minutes on two cores that others used as well; needs neuropil[recordings]",
)  # fmt: skip
