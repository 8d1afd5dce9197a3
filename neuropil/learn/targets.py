"""Learning by targets: what each layer should have said, found through learned approximate inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.core import param
from neuropil.learn.credit import Objective, batch_of, refuses_layers
from neuropil.learn.layers import Back, activities, layers, mirror


def cut(tree: Any) -> Any:
    """The tree with no gradient into its arrays."""
    return jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, tree)


def distance(a: Array, b: Array) -> Array:
    """|a - b|^2 / 2, mean over samples."""
    return 0.5 * jnp.sum((a - b) ** 2) / len(a)


class TargetPropagation(Objective):
    r"""Difference target propagation: targets go down through inverses g that are learned beside the network.

    $$\hat a_{L-1} = a_{L-1} - s\, \frac{\partial E}{\partial a_{L-1}}, \qquad
      \hat a_{i-1} = a_{i-1} - g_i(a_i) + g_i(\hat a_i)$$

    Layer i < L descends $|a_i - \hat a_i|^2 / 2 s$ (so that small steps s give directions of the size of a
    gradient), the last layer E itself, and the inverses descend, with noise $\epsilon$ of deviation `noise`,

    $$\tfrac12 \big| g_i(f_i(a_{i-1} + \epsilon)) - (a_{i-1} + \epsilon) \big|^2$$

    - `feedback`: $g_i$ for the layers between the first and the last.

    For exact inverses of a linear network the targets are Gauss-Newton's; for orthogonal weights the direction
    is the gradient.

    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((3, 2))), jnp.tanh, Dense(jnp.ones((4, 3))), Dense(jnp.ones((1, 4))))
    >>> [g.wiring.weight.shape for g in TargetPropagation.init(net, jnp.ones(2), jr.key(0)).feedback]
    [(3, 4)]

    Source: Lee, Zhang, Fischer, Bengio (2015), ECML, arXiv:1412.7525.
    """

    needs: ClassVar[str] = "layers; a feedback network of inverses (its own, learned)"
    locality: ClassVar[str] = (
        "target of its layer; the last hidden layer's target needs the output weights transposed"
    )
    feedback: tuple[Back, ...]
    step: Array = param(0.1, bounds=(1e-6, None))
    noise: Array = param(0.1, bounds=(0, None))

    @classmethod
    def init(
        cls,
        net: Any,
        x: Any,
        key: Array,
        *,
        activation: Callable = jnp.tanh,
        step: float | int = 0.1,
        noise: float | int = 0.1,
    ) -> TargetPropagation:
        """Inverses are single layers with an activation (paper: tanh), drawn at random.

        Raises Unsuited for a network without layers, or where a layer has no way back.
        """
        return cls(mirror(net, x, key, activation)[1:-1], step, noise)

    def refuses(self, model, loss):
        reason = refuses_layers(model, loss)
        count = 0 if reason else len(layers(model))
        if not reason and count < 2:
            return "needs a hidden layer; with one layer there is no credit to assign"
        return reason or refuses_layers(model, loss, len(self.feedback) + 2)

    def teaches(self):
        like = jax.tree.map(lambda _: False, self)
        return eqx.tree_at(lambda s: s.feedback, like, jax.tree.map(_floats, self.feedback))

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        parts, still = layers(model), layers(cut(model))
        _, *hidden, output = jax.vmap(lambda x: activities(model, x))(xs)
        value, metrics = loss.judged(output, ys)
        below = cut(hidden)
        slope = jax.vmap(jax.grad(lambda a, y: loss.error(still[-1](a), y)))(below[-1], ys)
        targets = [below[-1] - self.step * slope]
        learning = jnp.zeros(())
        for k in range(len(parts) - 2, 0, -1):  # the layer from a_k to a_{k+1}
            g = jax.vmap(cut(self.feedback[k - 1]))
            targets.insert(0, below[k - 1] - g(below[k]) + g(targets[0]))
            eps = jr.normal(jr.fold_in(key, k), below[k - 1].shape, below[k - 1].dtype)
            noisy = below[k - 1] + self.noise * eps
            again = jax.vmap(self.feedback[k - 1])(jax.vmap(still[k])(noisy))
            learning = learning + distance(again, noisy)
        local = sum(distance(a, cut(t)) for a, t in zip(hidden, targets, strict=True))
        return value + local / cut(self.step) + learning, (value, metrics)


def _floats(a):
    return eqx.is_inexact_array(a)
