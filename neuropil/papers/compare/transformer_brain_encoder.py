r"""Transformer brain encoders: attention routes features from a map to regions by what they are.

Adeli, Sun, Kriegeskorte (2025), NeurIPS, arXiv:2505.17329; code: Hosseinadeli/transformer_brain_encoder.

Each region r has a learned query that looks at the tokens X (with position code E in the keys only), and
every voxel v a linear readout of what its region saw:
$$t_r = \mathrm{LN}(a_r + \mathrm{MLP}(a_r)), \quad a_r = W_o\,\mathrm{att}(q_r, W_k (X + E), W_v X), \quad
  \hat y_v = w_v \cdot t_{r(v)} + b_v.$$

Claim: it predicts responses to unseen images better than ridge and than readouts whose field is fixed. Here
regions of the simulation that follow a category's object wherever it is should need it, and regions with a
fixed field should not: there the factorised readout should win. How we differ: `STUDY.differs`.

Found at small: on category regions attention correlates at 0.46 (ceiling 0.71; best baseline, pooled ridge,
0.13; 0.04 without content in the keys) and puts 42 % of its attention on the object's place (chance 2 %). On
fixed fields the order is reversed: factorised 0.69, Gaussian 0.70, ridge 0.42, attention 0.25. On V4, with
hand-made features of 950 images, attention and ridge are equal (0.466 both, difference within 0.013) and
keys of position alone do as well: nothing there asks for routing. It is no evidence on the human areas or
the network's features that the paper is about.
"""

from neuropil.papers.compare._brain_encoder import WORLDS, Encoder, load
from neuropil.papers.compare._brain_encoder_score import (
    CITE,
    DIFFERS,
    GAPS,
    METRICS,
    figures,
    score,
)
from neuropil.studies import Arm, Study


def arm(name: str, role: str, about: str) -> Arm:
    """An arm of both worlds."""
    return Arm(lambda s, data: Encoder(name, s, data), role, about, jit=False, gaps=GAPS)


def check(settings: dict) -> None:
    """ValueError for settings that make no sense together."""
    if settings["width"] % 4 or settings["width"] % settings["heads"]:
        raise ValueError("width must be a multiple of 4 and of heads")
    if settings["categories"] > min(settings["width"], settings["side"] ** 2):
        raise ValueError("more categories than features or places; give fewer")
    if settings["batch"] > min(settings["train"], settings["train_v4"]):
        raise ValueError("batch is larger than a training set; make it smaller")
    if not 1 <= settings["worlds"] <= len(WORLDS):
        raise ValueError("worlds is 1 (the simulation) or 2 (macaque V4 too)")


_SMALL = dict(
    seeds=5, data="macaque-v4", worlds=2, side=7, width=32, categories=6, voxels=30, train=1500, test=400,
    train_v4=950, heads=4, epochs=20, batch=32, rate=0.005, rate_field=0.02, shown=240,
)  # fmt: skip

STUDY = Study(
    slug="transformer-brain-encoder",
    arms={
        "attention": arm("attention", "system", "a query for each region looks at content and place"),
        "ridge": arm("ridge", "baseline", "ridge on all tokens, a penalty for each voxel"),
        "pooled": arm("pooled", "baseline", "ridge on mean, maximum and variance over places"),
        "factorised": arm("factorised", "baseline", "a mask over places and weights for each voxel"),
        "gaussian": arm("gaussian", "baseline", "a Gaussian field and weights for each voxel"),
        "semantic": arm("semantic", "variant", "a Gaussian field for each region that content moves"),
        "position": arm("position", "control", "attention whose keys hold the place alone"),
        "shuffled": arm("shuffled", "control", "attention trained on responses to other images"),
        "oracle": arm("oracle", "ceiling", "ridge on the very vector that a region reads"),
    },
    scales={
        "smoke": _SMALL | dict(seeds=1, data="simulated", worlds=1, side=3, width=8, categories=2, voxels=3,
                               train=64, test=32, train_v4=64, heads=2, epochs=1, shown=12),
        "small": _SMALL,
        "paper": _SMALL | dict(side=31, width=768, heads=16, voxels=1000, train=9000, test=1000),
    },
    load=load,
    ticks=lambda settings: settings["worlds"],
    score=score,
    metrics=METRICS,
    figures=figures,
    datasets=("macaque-v4",),
    demo="simulated",
    check=check,
    cite=CITE,
    mechanism=(
        "A learned query for each brain region attends to the tokens of an image by content and place; a linear"
        " readout of what it saw predicts every voxel of the region."
    ),
    claim="Predicts unseen responses better than ridge and factorised readouts where content is routed",
    differs=DIFFERS,
    cost="small: under 2 minutes for all arms and seeds on two cores",
)  # fmt: skip
