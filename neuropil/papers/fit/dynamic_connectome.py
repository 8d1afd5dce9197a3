r"""Dynamic functional connectome: which neurons act together, when, and in which animals.

Dyballa, Lang, Haslund-Gourley, Yemini, Zucker (2024), ICLR, arXiv:2402.14102; code:
dyballa/dynamic-connectomes.

Affinities between pairs of traces at each time are a tensor (time, worm, pair), which non-negative
factorisation splits into components, each with its own time course and pattern of pairs; a weighted block
model of each pattern gives communities:
$$a_{ij}^w(t) \approx \sum_r f_t^r f_w^r f_{ij}^r, \qquad f \ge 0.$$

Claim: planted communities and their time courses are recovered far above what shifted traces give, and on a
real worm left-right partners fall together. How we differ: `STUDY.differs`.
"""

from neuropil.papers.fit._dynamic_connectome import Connectome, Method
from neuropil.papers.fit._dynamic_connectome_data import SETTINGS, load
from neuropil.papers.fit._dynamic_connectome_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(role: str, about: str, **method) -> Arm:
    """An arm of all experiments."""
    return Arm(
        lambda s, data: Connectome(Method(**method), s, data), role, about, jit=False, gaps=GAPS
    )


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["neurons"] < 8 or min(settings["motifs"], settings["worms"]) < 1:
        raise ValueError("neurons is at least 8, motifs and worms at least 1")
    if settings["frames"] < 20 * settings["motifs"]:
        raise ValueError(f"frames = {settings['frames']}; each motif needs 20 frames or more")
    if not 1 <= settings["graphs"] <= len(SETTINGS) or settings["nodes"] < 20:
        raise ValueError(f"graphs is between 1 and {len(SETTINGS)}, nodes at least 20")


_SMALL = dict(
    seeds=5, data="worm", neurons=40, worms=5, frames=300, motifs=4, every=3, sweeps=100, starts=2, most=8,
    graphs=9, nodes=125, parts=4, every_worm=8, sweeps_worm=50, starts_worm=1, most_worm=6,
)  # fmt: skip

STUDY = Study(
    slug="dynamic-connectome",
    arms={
        "ntf": arm("system", "slopes that agree, non-negative factors, weighted block model"),
        "window": arm("baseline", "sliding-window correlation in place of slopes", affinity="window"),
        "static": arm("baseline", "one correlation of the whole recording, block model", affinity="static"),
        "svd": arm("baseline", "singular vectors of the unfolded tensor, positive parts", parts="svd"),
        "louvain": arm("baseline", "modularity in place of the block model", groups="louvain"),
        "shifted": arm("control", "each trace shifted by its own time; graphs rewired", shifted=True),
        "clean": arm("ceiling", "traces of the planted motifs alone, every neuron seen", clean=True),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", neurons=12, worms=2, frames=120, motifs=2, sweeps=20,
                               starts=1, most=4, graphs=1, nodes=30, parts=2, sweeps_worm=10, most_worm=3),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, neurons=120, worms=20, frames=960, motifs=8, starts=10, most=16,
                               parts=8, every_worm=3, sweeps_worm=200, starts_worm=10, most_worm=16),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("celegans-whole-brain-calcium", "celegans-connectome"),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "Pairs of neurons whose traces rise and fall together are a tensor of time, animal and pair; its"
        " non-negative factors say when and in whom a pattern of pairs is active; a weighted block model,"
        " chosen by description length, makes communities of each pattern."
    ),
    claim="Recovers planted communities and their time courses",
    differs=DIFFERS,
    cost="small: about 4 minutes for all arms and seeds on two busy cores",
)  # fmt: skip
