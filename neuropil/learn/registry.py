"""Every learner by name: the table of learners and networks that the tests and the docs go through.

credit = learner("feedback-alignment", net, x, key)       # x: one input
trainer = Trainer(net, loss, tx, credit=credit)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from neuropil.learn.credit import Backpropagation, Credit
from neuropil.learn.feedback import DirectFeedbackAlignment, FeedbackAlignment
from neuropil.learn.layers import Unsuited
from neuropil.learn.local import CounterCurrent, ForwardForward
from neuropil.learn.perturbation import (
    NodePerturbation,
    evolution_strategies,
    spsa,
    weight_perturbation,
)
from neuropil.learn.targets import TargetPropagation

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
}
"""Name -> (network, one input, key) -> learner with its usual settings."""


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
