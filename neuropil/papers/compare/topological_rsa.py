r"""Topological representational similarity analysis: between the RDM and the graph of neighbours.

Lin, Kriegeskorte (2024), PNAS 121, e2317881121, arXiv:2309.11028; code: doerlbh/TopologicalRSA.

The ranks x of an RDM's distances go through $g(x) = \mathrm{clip}((x - Q_l) / (Q_u - Q_l), 0, 1)$: distances
below the quantile l count as 0, those above u as 1. With l = 0, u = 1 it is the rank RDM (geometry); with both
near the middle it is nearly the adjacency matrix of a graph (topology). A layer of a network, or a region of a
brain, is then told from the others by its nearest centroid among those of the other networks (or subjects).

Claim: topology-sensitive summaries identify layers and regions as well as RDMs do, and are more robust to
noise. How we differ: `STUDY.differs`.

Found at small: the topology family tells layers apart (0.63, chance 0.125), but 0.16 less well than the RDM as
it is, and 0.04 less than the rank RDM (undecided at a margin of 0.05). It loses more to noise than the RDM as
it is, and no less, as far as can be told, than the rank RDM. What the RDM has beyond its ranks is its scale:
noise in the activity lengthens distances by an amount that itself names the layer, so that the RDM as it is
identifies better with noise (0.98) than without.
IT or judgement of 92 images: 0.94 by the topology family, 0.98 by either RDM (no claim: four brains).
"""

from neuropil.papers.compare._topological_rsa import Identifying, load
from neuropil.papers.compare._topological_rsa_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm: the same networks, stimuli and noise through another summary."""
    return Arm(lambda s, bank: Identifying(name, s, bank), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if not 2 <= settings["instances"] <= settings["networks"]:
        raise ValueError("instances: 2 or more networks, and no more than there are")
    if not 4 <= settings["stimuli"] <= settings["pool"]:
        raise ValueError("stimuli: 4 or more, and no more than the pool holds")
    if settings["noise"][0] != 0 or list(settings["noise"]) != sorted(settings["noise"]):
        raise ValueError("noise: levels from 0 upwards")
    if min(settings["pairs"], settings["depth"], settings["epochs"]) < 1:
        raise ValueError("pairs, depth and epochs are at least 1")


_SMALL = dict(
    seeds=5, data="fashion-mnist", networks=40, instances=10, width=128, depth=7, images=20_000, epochs=3,
    batch=128, pool=300, stimuli=62, pairs=10, noise=(0.0, 0.2, 0.4, 1.0, 2.0), activity=(1.0, 3.0),
    region_noise=(0.0, 1.0, 2.0, 4.0),
)  # fmt: skip

STUDY = Study(
    slug="topological-rsa",
    arms={
        "topology": arm("topology", "system", "RGTMs with both quantiles within 0.4 to 0.6"),
        "rank": arm("rank", "baseline", "rank RDM, the like among geometries"),
        "raw": arm("raw", "baseline", "RDM as it is, with its scale"),
        "geometry": arm("geometry", "variant", "RGTMs with quantiles 0.8 or more apart"),
        "local": arm("local", "variant", "RGTMs of the nearest distances"),
        "global": arm("global", "variant", "RGTMs of the farthest distances"),
        "geodesic": arm("geodesic", "variant", "ranks of path lengths along the 5 % shortest distances"),
        "shuffled": arm("shuffled", "control", "topology, layers shuffled within each network"),
        "untrained": arm("untrained", "control", "topology, on the networks before training"),
        "noiseless": arm("noiseless", "ceiling", "RDM as it is, without noise at any level"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="digits", networks=4, instances=4, width=16, depth=3, images=256,
                               epochs=2, batch=32, pool=60, stimuli=16, pairs=2),
        "small": _SMALL,
        "paper": _SMALL | dict(seeds=10, networks=100, images=60_000, epochs=30, pairs=50),
    },
    load=load,
    ticks=lambda settings: 1,
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("fashion-mnist", "rdm-92images"),
    demo="digits",
    check=check,
    cite=CITE,
    mechanism=(
        "Ranks of an RDM's distances are cut off below one quantile and above another, which leaves the order"
        " of the middle ones; between quantiles close together a graph of neighbours is left."
    ),
    claim="Identifies layers and regions as well as RDMs do, and is more robust to noise",
    differs=DIFFERS,
    cost="small: about 60 s to train 40 networks, then a few seconds for each arm and seed, on one core",
)  # fmt: skip
