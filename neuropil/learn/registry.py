"""Every learner by name: the table of learners and networks that the tests and the docs go through.

credit = learner("feedback-alignment", net, x, key)       # x: one input
trainer = Trainer(net, loss, tx, credit=credit)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from neuropil.learn.credit import Backpropagation, Credit
from neuropil.learn.feedback import DirectFeedbackAlignment, FeedbackAlignment
from neuropil.learn.forward_mode import eprop, rtrl, snap1, uoro
from neuropil.learn.layers import Unsuited
from neuropil.learn.local import CounterCurrent, ForwardForward
from neuropil.learn.overtime import moving_sizes
from neuropil.learn.perturbation import (
    NodePerturbation,
    evolution_strategies,
    spsa,
    weight_perturbation,
)
from neuropil.learn.targets import TargetPropagation
from neuropil.learn.truncated import Truncated, synthetic_gradients


def _span(net: Any, x: Any) -> int:
    """The shortest span above one tick of which a sequence is made."""
    moving_sizes(net)
    ticks = jax.tree.leaves(x)[0].shape[0]
    return next((k for k in range(2, ticks + 1) if ticks % k == 0), 1)


LEARNERS: dict[str, Callable[[Any, Any, Array], Credit]] = {
    "backpropagation": Backpropagation.init,
    "feedback-alignment": FeedbackAlignment.init,
    "direct-feedback-alignment": DirectFeedbackAlignment.init,
    "target-propagation": TargetPropagation.init,
    "forward-forward": ForwardForward.init,
    "counter-current": CounterCurrent.init,
    "node-perturbation": NodePerturbation.init,
    "weight-perturbation": lambda net, x, key: weight_perturbation(),
    "spsa": lambda net, x, key: spsa(),
    "evolution-strategies": lambda net, x, key: evolution_strategies(),
    "truncated-backpropagation": lambda net, x, key: Truncated(_span(net, x)),
    "synthetic-gradients": lambda net, x, key: synthetic_gradients(
        _span(net, x), sum(moving_sizes(net)), (32,), key
    ),
    "real-time-recurrent-learning": lambda net, x, key: rtrl(),
    "snap-1": lambda net, x, key: snap1(min(moving_sizes(net))),
    "uoro": lambda net, x, key: uoro(),
    "e-prop": lambda net, x, key: eprop(min(moving_sizes(net)), net),
}
"""Name -> (network, one input, key) -> learner with its usual settings.

The input of a network that runs over time is a sequence, (time, ...).
"""


def learner(name: str, net: Any, x: Any, key: Array) -> Credit:
    """A learner by name, made for a network and inputs like x.

    >>> import jax.numpy as jnp, jax.random as jr
    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((3, 2))), jnp.tanh, Dense(jnp.ones((1, 3))))
    >>> type(learner("feedback-alignment", net, jnp.ones(2), jr.key(0))).__name__
    'FeedbackAlignment'

    Raises KeyError for a name that is none, Unsuited where the learner cannot train this network.
    """
    if name not in LEARNERS:
        raise KeyError(f"learner {name!r} is none; there are {', '.join(LEARNERS)}")
    return LEARNERS[name](net, x, key)


def refusal(name: str, net: Any, x: Any, loss: Callable, key: Array) -> str:
    """Why a learner cannot train this network on this loss; "" where it can."""
    try:
        return learner(name, net, x, key).refuses(net, loss)
    except Unsuited as reason:
        return str(reason)
