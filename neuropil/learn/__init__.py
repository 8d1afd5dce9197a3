"""Learning by gradients: surrogates, the trainer and the loop round it.

Backpropagation through time is `jax.grad` through `neuropil.core.run`; `run(..., remat=k)` trades time for
memory and `run(..., truncate=k)` cuts the gradient (truncated BPTT).
"""

from neuropil.cells.surrogate import (
    ATan,
    Boxcar,
    Gaussian,
    NoGradient,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
    Triangle,
)
from neuropil.learn.attack import pgd
from neuropil.learn.credit import (
    Backpropagation,
    Credit,
    Objective,
    Supervised,
    Taught,
    correct,
    cross_entropy,
    squared_error,
)
from neuropil.learn.descent import descend
from neuropil.learn.distillation import (
    Branch,
    Distilled,
    PrototypeHead,
    SelfDistillation,
    distilling,
)
from neuropil.learn.feedback import DirectFeedbackAlignment, FeedbackAlignment
from neuropil.learn.forward_mode import (
    Broadcast,
    ForwardMode,
    eprop,
    messages,
    rtrl,
    snap1,
    uoro,
)
from neuropil.learn.influence import ExactInfluence, Influence, RankOneInfluence, UnitInfluence
from neuropil.learn.layers import Layer, Unsuited, activities, flatten, layers, mirror, unit_rms
from neuropil.learn.learners import (
    AsSystem,
    Beside,
    Descender,
    Identity,
    Implements,
    Learner,
    Series,
    Tied,
    Updates,
    as_managed,
    series,
)
from neuropil.learn.local import (
    CosinePrototypes,
    CounterCurrent,
    ForwardForward,
    Paired,
    Prototypes,
)
from neuropil.learn.loop import Fit, NonFiniteError, check_data, evaluate, minibatches, train
from neuropil.learn.optimiser import Gradient, Optimiser, learnable
from neuropil.learn.overtime import Online, OnlineCredit, OverTime
from neuropil.learn.perturbation import (
    NodePerturbation,
    Perturbation,
    centred_ranks,
    evolution_strategies,
    spsa,
    weight_perturbation,
)
from neuropil.learn.ppo import PPO, Actor, ClippedSurrogate
from neuropil.learn.projection import Projected, guarded_linear, project_update
from neuropil.learn.rate_gradient import RateLIF, rate_weights, weighted_rate
from neuropil.learn.registry import LEARNERS, learner, refusal
from neuropil.learn.signs import keep_signs, scale_gradients
from neuropil.learn.targets import TargetPropagation
from neuropil.learn.trainer import Trainer
from neuropil.learn.truncated import Synthesiser, Truncated, synthetic_gradients
from neuropil.learn.wiring_diagram import Diagram, LinearSystem, Wired, beside, box

__all__ = [
    "LEARNERS",
    "PPO",
    "ATan",
    "Actor",
    "AsSystem",
    "Backpropagation",
    "Beside",
    "Boxcar",
    "Branch",
    "Broadcast",
    "ClippedSurrogate",
    "CosinePrototypes",
    "CounterCurrent",
    "Credit",
    "Descender",
    "Diagram",
    "DirectFeedbackAlignment",
    "Distilled",
    "ExactInfluence",
    "FeedbackAlignment",
    "Fit",
    "ForwardForward",
    "ForwardMode",
    "Gaussian",
    "Gradient",
    "Identity",
    "Implements",
    "Influence",
    "Layer",
    "Learner",
    "LinearSystem",
    "NoGradient",
    "NodePerturbation",
    "NonFiniteError",
    "Objective",
    "Online",
    "OnlineCredit",
    "Optimiser",
    "OverTime",
    "Paired",
    "Perturbation",
    "Projected",
    "PrototypeHead",
    "Prototypes",
    "RankOneInfluence",
    "RateLIF",
    "SelfDistillation",
    "Series",
    "Sigmoid",
    "StraightThrough",
    "SuperSpike",
    "Supervised",
    "Surrogate",
    "Synthesiser",
    "TargetPropagation",
    "Taught",
    "Tied",
    "Trainer",
    "Triangle",
    "Truncated",
    "UnitInfluence",
    "Unsuited",
    "Updates",
    "Wired",
    "activities",
    "as_managed",
    "beside",
    "box",
    "centred_ranks",
    "check_data",
    "correct",
    "cross_entropy",
    "descend",
    "distilling",
    "eprop",
    "evaluate",
    "evolution_strategies",
    "flatten",
    "guarded_linear",
    "keep_signs",
    "layers",
    "learnable",
    "learner",
    "messages",
    "minibatches",
    "mirror",
    "pgd",
    "project_update",
    "rate_weights",
    "refusal",
    "rtrl",
    "scale_gradients",
    "series",
    "snap1",
    "spsa",
    "squared_error",
    "synthetic_gradients",
    "train",
    "unit_rms",
    "uoro",
    "weight_perturbation",
    "weighted_rate",
]
