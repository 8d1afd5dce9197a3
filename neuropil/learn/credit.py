r"""Credit assignment: which change of which parameter lowers the loss, and who may know what to find out.

A learner (`Credit`) takes the place of backpropagation in a `Trainer`, by one argument:

    credit = FeedbackAlignment.init(net, x, key)
    trainer = Trainer(net, Supervised(cross_entropy), optax.sgd(0.1), credit=credit)

It gives the optimiser a direction in place of the gradient; it says what it needs, and refuses a network or a
loss that does not offer it (`Unsuited`, with the reason). A learner with parameters of its own (a feedback
network) has them trained beside the model's, by the same optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from neuropil.core import Chain, System
from neuropil.core.param import check_bounds
from neuropil.learn.layers import Unsuited, layers


def cross_entropy(logits: Float[Array, " class"], label: Any) -> Float[Array, ""]:
    """-log softmax(logits)[label] of one sample.

    >>> round(float(cross_entropy(jnp.zeros(2), jnp.int32(1))), 4)
    0.6931
    """
    return -jax.nn.log_softmax(logits)[label]


def squared_error(output: Array, target: Array) -> Float[Array, ""]:
    """|output - target|^2 / 2 of one sample.

    >>> float(squared_error(jnp.ones(2), jnp.zeros(2)))
    1.0
    """
    return 0.5 * jnp.sum((output - target) ** 2)


def correct(logits: Float[Array, " class"], label: Any) -> dict[str, Array]:
    """{"accuracy": 1 where the largest logit is the label's} of one sample, to measure with.

    >>> float(correct(jnp.array([0.0, 2.0]), jnp.int32(1))["accuracy"])
    1.0
    """
    return {"accuracy": (jnp.argmax(logits) == label).astype(logits.dtype)}


def answer(model: Any, x: Array) -> Array:
    """What a model says to one sample: a layered `Chain`, or any callable that is no `System`.

    Raises Unsuited for a system with a state: that runs over time, so the loss must say how.
    """
    if isinstance(model, Chain):
        for layer in layers(model):
            x = layer(x)
        return x
    if isinstance(model, System):
        raise Unsuited(
            f"{type(model).__name__} runs over time; write Supervised(error, answer=...) with a function "
            "(model, x) of one sample that runs it"
        )
    return model(x)


@dataclass(frozen=True)
class Supervised:
    """The mean error over a batch {"x": (sample, ...), "y": (sample, ...)}, open to learners that need parts.

    - `error(output, y)`: of one sample, a number (`cross_entropy`, `squared_error`);
    - `answer(model, x)`: the output of one sample; - `measure(output, y)`: {name: number}, reported as means.

    It is a loss for `Trainer` by itself: `loss(model, batch, key)` is (mean error, means of what is measured).

    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((1, 2))))
    >>> batch = {"x": jnp.ones((4, 2)), "y": jnp.zeros((4, 1))}
    >>> float(Supervised(squared_error)(net, batch, None)[0])
    2.0
    """

    error: Callable[[Array, Any], Array]
    answer: Callable[[Any, Array], Array] = answer
    measure: Callable[[Array, Any], dict] | None = None

    def __call__(self, model: Any, batch: dict, key: Any) -> tuple[Array, dict]:
        outputs = jax.vmap(lambda x: self.answer(model, x))(batch["x"])
        return self.judged(outputs, batch["y"])

    def refuses(self, model: Any) -> str:
        """Why this loss cannot be had of this model; "" where it can."""
        try:
            if self.answer is answer and isinstance(model, Chain):
                layers(model)
            elif self.answer is answer and isinstance(model, System):
                answer(model, None)
        except Unsuited as reason:
            return f"needs an answer to each input: {reason}"
        return ""

    def judged(self, outputs: Array, ys: Any) -> tuple[Array, dict]:
        """(mean error, means of what is measured) of a batch of outputs."""
        means = {}
        if self.measure is not None:
            means = jax.tree.map(jnp.mean, jax.vmap(self.measure)(outputs, ys))
        return jnp.mean(jax.vmap(self.error)(outputs, ys)), means


class Credit(eqx.Module):
    """How a trainer finds the direction in which the parameters move.

    A subclass is final and writes `gradient` (or, through `Objective`, `objective`), `init(net, x, key)` where
    it must look at the network, and says in one line each:

    - `needs`: what network and loss must offer; `locality`: what a synapse must know to change.

    Its own `param` fields are checked against their bounds, so a negative step or noise is refused.
    """

    needs: ClassVar[str] = ""
    locality: ClassVar[str] = ""

    def __check_init__(self):
        check_bounds(self)

    def refuses(self, model: Any, loss: Callable) -> str:
        """Why this model cannot be trained on this loss in this way; "" where it can."""
        return loss.refuses(model) if hasattr(loss, "refuses") else ""

    def teaches(self) -> Any:
        """A tree of True and False like the learner: what of its own learns too (default: nothing)."""
        return jax.tree.map(lambda _: False, self)

    def gradient(
        self, loss: Callable, learned: Any, fixed: Any, batch: Any, key: Any
    ) -> tuple[Array, dict, Any, Any]:
        """(loss, metrics, direction for `learned`, direction for what of its own learns).

        The model is `equinox.combine(learned, fixed)`. A direction stands for the gradient: the optimiser
        goes against it.
        """
        raise TypeError(f"{type(self).__name__} has no gradient(loss, learned, fixed, batch, key)")


def judged(loss: Callable, model: Any, batch: Any, key: Any) -> tuple[Array, dict]:
    """(loss, metrics) whether or not the loss gives metrics. ValueError where it is no single number."""
    out = loss(model, batch, key)
    value, metrics = out if isinstance(out, tuple) else (out, {})
    if jnp.shape(value):
        raise ValueError(f"loss has shape {jnp.shape(value)}, not (); write jnp.mean(...)")
    return value, metrics


class Objective(Credit):
    """A learner whose direction is the gradient of an objective with cuts in it (`stop_gradient`).

    A subclass writes `objective`. What the objective is worth means nothing; only its gradient is used.
    """

    def objective(
        self, loss: Callable, model: Any, batch: Any, key: Any
    ) -> tuple[Array, tuple[Array, dict]]:
        """(what is differentiated, (loss, metrics) to be reported)."""
        raise TypeError(f"{type(self).__name__} has no objective(loss, model, batch, key)")

    def gradient(self, loss, learned, fixed, batch, key):
        own, rest = eqx.partition(self, self.teaches())

        def value(moving):
            learned, own = moving
            model = eqx.combine(learned, fixed)
            return eqx.combine(own, rest).objective(loss, model, batch, key)

        (_, (reported, metrics)), slopes = jax.value_and_grad(value, has_aux=True)((learned, own))
        return reported, metrics, *slopes


class Backpropagation(Objective):
    r"""The gradient itself, $\partial L / \partial \theta$; through time, where the model runs over time.

    The reference for all other learners. Source: Rumelhart, Hinton, Williams (1986), Nature 323, 533.
    """

    needs: ClassVar[str] = "a loss that can be differentiated"
    locality: ClassVar[str] = "error through the transposed weights of all later layers and times"

    @classmethod
    def init(cls, net: Any, x: Any, key: Any) -> Backpropagation:
        """There is nothing to draw."""
        return cls()

    def objective(self, loss, model, batch, key):
        value, metrics = judged(loss, model, batch, key)
        return value, (value, metrics)


class Taught(eqx.Module):
    """What a trainer owns where the learner has parameters of its own: the model's and the learner's."""

    model: Any
    credit: Any


def refuses_layers(model: Any, loss: Callable, count: int | None = None) -> str:
    """Why a learner that goes layer by layer cannot train this; "" where it can.

    `count`: how many layers the learner's feedback was made for.
    """
    if not isinstance(loss, Supervised) or loss.answer is not answer:
        return "needs to see output and error of each sample; write Supervised(cross_entropy) as the loss"
    try:
        found = layers(model)
    except Unsuited as reason:
        return f"needs a layered network: {reason}"
    if count is not None and len(found) != count:
        return (
            f"was made for a network of {count} layers, not {len(found)}; make it by init(net, ...)"
        )
    return ""


def batch_of(batch: Any) -> tuple[Array, Any]:
    """(x, y) of a batch. TypeError where it is no {"x", "y"}."""
    if not (isinstance(batch, dict) and {"x", "y"} <= set(batch)):
        raise TypeError('a batch of Supervised is {"x": (sample, ...), "y": (sample, ...)}')
    return batch["x"], batch["y"]


def error_slopes(loss: Supervised, outputs: Array, ys: Any) -> Array:
    """dE/d(output) of each sample, (sample, ...): not divided by the size of the batch."""
    return jax.vmap(jax.grad(loss.error))(outputs, ys)
