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
from neuropil.learn.layers import Layer, Unsuited, activities, layers, mirror, unit_rms
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
from neuropil.learn.loop import Fit, NonFiniteError, check_data, evaluate, minibatches, train
from neuropil.learn.optimiser import Gradient, Optimiser, learnable
from neuropil.learn.projection import Projected, guarded_linear, project_update
from neuropil.learn.rate_gradient import RateLIF, rate_weights, weighted_rate
from neuropil.learn.signs import keep_signs, scale_gradients
from neuropil.learn.trainer import Trainer
from neuropil.learn.wiring_diagram import Diagram, LinearSystem, Wired, beside, box

__all__ = [
    "ATan",
    "AsSystem",
    "Backpropagation",
    "Beside",
    "Boxcar",
    "Credit",
    "Descender",
    "Diagram",
    "Fit",
    "Gaussian",
    "Gradient",
    "Identity",
    "Implements",
    "Layer",
    "Learner",
    "LinearSystem",
    "NoGradient",
    "NonFiniteError",
    "Objective",
    "Optimiser",
    "Projected",
    "RateLIF",
    "Series",
    "Sigmoid",
    "StraightThrough",
    "SuperSpike",
    "Supervised",
    "Surrogate",
    "Taught",
    "Tied",
    "Trainer",
    "Triangle",
    "Unsuited",
    "Updates",
    "Wired",
    "activities",
    "as_managed",
    "beside",
    "box",
    "check_data",
    "correct",
    "cross_entropy",
    "evaluate",
    "guarded_linear",
    "keep_signs",
    "layers",
    "learnable",
    "minibatches",
    "mirror",
    "project_update",
    "rate_weights",
    "scale_gradients",
    "series",
    "squared_error",
    "train",
    "unit_rms",
    "weighted_rate",
]
