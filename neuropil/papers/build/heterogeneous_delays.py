r"""Heterogeneous delays in a layer of spiking neurons for fast motion detection.

Grimaldi, Perrinet (2023), Biological Cybernetics, doi:10.1007/s00422-023-00975-8, arXiv:2307.14077.

Every synapse of a neuron has a weight for each delay, so that events at the right places *and* times
arrive together: evidence for motion class c is
$B_c(t, x) = b_c + \sum_{p, d, i} K_c(p, d, i) A_p(t - d, x - i)$ over both polarities p of events A, the
larger of it and of the same with ON and OFF exchanged, and K is learnt as a logistic regression that is the
same at every place and time.

Claim: the layer tells the direction and speed of natural images that move before an event camera, far
better than the same weights without delays, and goes on doing so when most weights are pruned.
"""

import jax.numpy as jnp
import numpy as np

from neuropil.papers.build._heterogeneous_delays import Correlation, Motion
from neuropil.papers.build._heterogeneous_delays_score import (
    CITE,
    DIFFERS,
    LAST,
    METRICS,
    check,
    score,
)
from neuropil.studies import Arm, Study
from neuropil.worlds import datasets
from neuropil.worlds.moving import MovingImages, dead_leaves, ring_velocities, whiten

OWN = ("depth", "side", "selectivity", "remembers", "films", "updates", "batch", "rate", "tests")
OWN += ("voxels", "top", "levels")


def load(s):
    """Whitened images: those learnt from, and those judged on (`held`: "test" or "valid"; each a quarter
    of the set, every fourth image, in no training film)."""
    if s["data"] == "dead-leaves":
        images = whiten(dead_leaves(0, 24, s["crop"] * 4, disks=200, radii=(2, s["crop"])))
    else:
        images = datasets.load(s["data"], progress=False)["190923"].images.mean(-1) / 255
        images = whiten(images[images.std((1, 2)) > 0.02], border=8)  # a grey field has no motion
    n = np.arange(len(images)) % 4
    return images[n > 1], images[n == ("test", "valid").index(s["held"])]


def films(s, images):
    """The world of one part of the images."""
    velocities = ring_velocities(s["directions"], s["speeds"])
    return MovingImages(
        jnp.asarray(images), jnp.asarray(velocities, jnp.float32), s["crop"], s["steps"]
    )


def learn(still=False, shuffled=False):
    """An arm that learns; the arms differ in two flags and share one compiled program."""

    def build(s, data):
        train, test = (films(s, part) for part in data)
        own = {name: s[name] for name in OWN} | {"ticks": s["passes"]}
        return Motion(train, test, jnp.asarray(still), jnp.asarray(shuffled), **own)

    return Arm(build, **ROLES[still, shuffled], gaps=LAST)


ROLES = {
    (False, False): {"role": "system", "about": "a weight for every place, polarity and delay"},
    (True, False): {
        "role": "baseline",
        "about": "as many weights, events averaged over the delays first",
    },
    (False, True): {"role": "control", "about": "films learnt with the motions of other films"},
}


def figures(results):
    """Figures by name; matplotlib is imported only here."""
    from neuropil.papers.build import _heterogeneous_delays_figures

    return _heterogeneous_delays_figures.figures(results)


SMALL = dict(
    seeds=5, data="macaque-v4", held="test", directions=8, speeds=(0.35, 0.75), crop=32, steps=40,
    depth=11, side=11, selectivity=1.0, remembers=False, films=400, updates=1000, passes=4, batch=256,
    rate=0.002, tests=200, voxels=512, top=0.15,
    levels=(1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002),
)  # fmt: skip

STUDY = Study(
    slug="heterogeneous-delays",
    arms={
        "delays": learn(),
        "no-delay": learn(still=True),
        "shuffled": learn(shuffled=True),
        "correlation": Arm(
            lambda s, data: Correlation(films(s, data[1]), s["depth"], s["tests"]),
            "ceiling",
            "the frames themselves: the shift at which each correlates best with the next",
            ticks=lambda s: 1,
        ),
    },
    scales={
        "smoke": SMALL | dict(seeds=1, data="dead-leaves", directions=4, speeds=(1.0,), crop=12, steps=10,
                              depth=4, side=5, films=32, updates=30, passes=2, batch=64, tests=8, voxels=32,
                              levels=(1.0, 0.2, 0.1, 0.05, 0.02)),
        "small": SMALL,
        "paper": SMALL | dict(directions=12, speeds=(0.25, 0.3969, 0.63), steps=60, depth=21, side=17,
                              updates=4000, passes=20, rate=0.0002),
    },
    load=load,
    ticks=lambda s: s["passes"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("macaque-v4",),
    demo="dead-leaves",
    check=check,
    cite=CITE,
    mechanism=(
        "Each synapse has a weight at every delay, B_c(t, x) = b_c + sum K_c(p, d, i) A_p(t - d, x - i), so"
        " that events at the right places and times arrive together. K is a logistic regression on the motion"
        " class that is the same at every place and time, blind to an exchange of ON and OFF."
    ),
    claim="Delays tell direction and speed of natural images in motion, with a tenth of the weights too",
    differs=DIFFERS,
    cost="small: under 4 minutes on two cores (7.6 minutes of CPU)",
)  # fmt: skip
