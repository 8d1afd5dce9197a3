r"""Five convolutional networks of EEG compared: Shallow, Deep, EEGNet, EEGNet-Fusion and MI-EEGNet.

Köllőd, Adolf, Iván, Márton, Ulbert (2023), Electronics 12(12):2743, arXiv:2302.08797; code kolcs/bionic_apps.

All filter every channel over time by $w_f$ and mix channels by $s_{fc}$, $y_f = \sum_c s_{fc}\, (w_f * x_c)$;
Shallow takes $\log \langle y^2 \rangle$ of it, a filter-bank CSP, the others further filters and pools.

Claims: trained on other people first and then on one's own session, every network decodes better than from
the session alone (effect of transfer); and the older Shallow and Deep are not worse than the EEGNet family.
"""

from neuropil.papers.fit._eegnet_arms import STAGES, Comparison
from neuropil.papers.fit._eegnet_score import CITE, DIFFERS, GAPS, METRICS, figures, score
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str, shuffled: bool = False) -> Arm:
    """A decoder through all stages."""
    build = lambda settings, data: Comparison(name, settings, shuffled)
    return Arm(build, role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["subjects"] < 2:
        raise ValueError("transfer needs 2 people or more; raise subjects")
    if not 2 <= settings["classes"] <= 4:
        raise ValueError("classes: 2, 3 or 4 of left, right, feet, tongue")
    if settings["trials"] // 2 < settings["batch"]:
        raise ValueError("a session (half of trials) must hold a batch")


_SMALL = dict(
    seeds=5, data="muse-visual", subjects=6, trials=120, classes=4, rate=128.0, depth=0.7, epochs=80,
    cross_epochs=20, tune=30, evoked_epochs=8, batch=30, step=3e-3, momentum=0.9, mi_filters=16,
    fusion_filters=(4, 8, 16),
)  # fmt: skip

STUDY = Study(
    slug="eegnet-family",
    arms={
        "shallow": arm("shallow", "system", "log power of learned filters: the oldest and plainest"),
        "deep": arm("deep", "variant", "four blocks of convolution and maximum"),
        "eegnet": arm("eegnet", "variant", "depthwise and separable filters"),
        "fusion": arm("fusion", "variant", "three EEGNets with short, middle and long filters"),
        "mi-eegnet": arm("mi-eegnet", "variant", "EEGNet's stem, then an Inception block"),
        "csp": arm("csp", "baseline", "CSP of 8 to 30 Hz + LDA; shrinkage LDA on evoked responses"),
        "riemann": arm("riemann", "baseline", "tangent space of 8 to 30 Hz + logistic regression"),
        "shuffled": arm("shallow", "control", "Shallow on shuffled labels", shuffled=True),
        "true-sources": arm("true-sources", "ceiling", "LDA, told where the areas are and their rhythms"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", subjects=2, trials=32, classes=2, epochs=1,
                               cross_epochs=1, tune=1, evoked_epochs=1, batch=16, mi_filters=2,
                               fusion_filters=(2, 2, 2)),
        "small": _SMALL,
        "paper": _SMALL | dict(subjects=100, trials=320, epochs=300, cross_epochs=100, tune=300,
                               evoked_epochs=100, batch=32, step=1e-3, momentum=0.99, mi_filters=64,
                               fusion_filters=(8, 16, 32)),
    },
    load=lambda settings: {},
    ticks=lambda settings: len(STAGES),
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("muse-visual",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "Networks that filter each channel over time, mix the channels, and take power or further filters of"
        " the result. Weights from other people's trials are where training on one's own session begins."
    ),
    claim="Transfer helps every network; Shallow and Deep are not worse than the EEGNet family",
    differs=DIFFERS,
    cost="small: 10 minutes on two busy cores; needs neuropil[recordings]",
)  # fmt: skip
