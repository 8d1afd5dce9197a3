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
from neuropil.learn.loop import Fit, NonFiniteError, check_data, evaluate, minibatches, train
from neuropil.learn.optimiser import Gradient, Optimiser, learnable
from neuropil.learn.projection import Projected, guarded_linear, project_update
from neuropil.learn.rate_gradient import RateLIF, rate_weights, weighted_rate
from neuropil.learn.trainer import Trainer

__all__ = [
    "ATan",
    "Boxcar",
    "Fit",
    "Gaussian",
    "Gradient",
    "NoGradient",
    "NonFiniteError",
    "Optimiser",
    "Projected",
    "RateLIF",
    "Sigmoid",
    "StraightThrough",
    "SuperSpike",
    "Surrogate",
    "Trainer",
    "Triangle",
    "check_data",
    "evaluate",
    "guarded_linear",
    "learnable",
    "minibatches",
    "project_update",
    "rate_weights",
    "train",
    "weighted_rate",
]
