"""Learners that send the output error back through fixed random weights: no weight transport."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.learn.credit import Objective, batch_of, error_slopes, refuses_layers
from neuropil.learn.layers import Layer, Unsuited, activities, layers, redrawn, shapes
from neuropil.wiring.base import Wiring, uniform


@jax.custom_vjp
def _told(z: Array, back: Wiring, x: Array) -> Array:
    """z itself; its error goes to z and, as through `back.forward(x)`, to x."""
    return z


def _forth(z, back, x):
    return z, (back, x)


def _back(kept, g):
    back, x = kept
    none = jax.tree.map(jnp.zeros_like, eqx.filter(back, eqx.is_inexact_array))
    bare = eqx.tree_at(lambda w: w.bias, back, None) if back.bias is not None else back
    return g, none, jax.linear_transpose(bare.forward, x)(g)[0]


_told.defvjp(_forth, _back)


def _aligned(layer: Layer, back: Wiring, a: Array) -> Array:
    """The layer, whose error goes down through `back` in place of its own weights."""
    for f in layer.before:
        a = f(a)
    return layer.activity(_told(layer.wiring.forward(jax.lax.stop_gradient(a)), back, a))


class FeedbackAlignment(Objective):
    r"""The error goes down layer by layer through fixed random weights $B_i$ in place of $W_i^\top$.

    $$\delta_{i-1} = (B_i\, \delta_i) \odot \varphi'(z_{i-1}), \qquad
      \Delta W_i \propto -\langle \delta_i\, a_{i-1}^\top \rangle$$

    - `feedback`: one wiring of the shape of each layer but the first, used transposed: with the forward
      weights themselves this is backpropagation, exactly.

    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((3, 2))), jnp.tanh, Dense(jnp.ones((1, 3))))
    >>> FeedbackAlignment.init(net, jnp.ones(2), jr.key(0)).feedback[0].weight.shape
    (1, 3)

    Source: Lillicrap, Cownden, Tweed, Akerman (2016), Nature Communications 7, 13276.
    """

    needs: ClassVar[str] = "layers; the error of every sample"
    locality: ClassVar[str] = (
        "error of the layer above through its own random weights; backward locking"
    )
    feedback: tuple[Wiring, ...]

    @classmethod
    def init(cls, net: Any, x: Any, key: Array) -> FeedbackAlignment:
        """Feedback weights uniform on +-1/sqrt(fan-in), as the forward weights of most libraries.

        Raises Unsuited for a network without layers, or with other wiring than `Dense` and `Conv`.
        """
        parts = layers(net)[1:]
        keys = jr.split(key, max(1, len(parts)))
        return cls(tuple(redrawn(p.wiring, k) for p, k in zip(parts, keys, strict=False)))

    def refuses(self, model, loss):
        return refuses_layers(model, loss, len(self.feedback) + 1)

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        first, *rest = layers(model)

        def output(x):
            a = first(x)
            for layer, back in zip(rest, self.feedback, strict=True):
                a = _aligned(layer, back, a)
            return a

        value, metrics = loss.judged(jax.vmap(output)(xs), ys)
        return value, (value, metrics)


class DirectFeedbackAlignment(Objective):
    r"""The output error goes straight to every hidden layer, through fixed random weights.

    $$\delta_i = (B_i\, e) \odot \varphi'(z_i), \qquad e = \partial L / \partial a_L$$

    - `feedback`: $B_i$, (size of $a_i$, outputs), one for each hidden layer.

    >>> from neuropil.core import Chain
    >>> from neuropil.wiring import Dense
    >>> net = Chain(Dense(jnp.ones((3, 2))), jnp.tanh, Dense(jnp.ones((1, 3))))
    >>> DirectFeedbackAlignment.init(net, jnp.ones(2), jr.key(0)).feedback[0].shape
    (3, 1)

    Source: Nøkland (2016), NeurIPS, arXiv:1609.01596.
    """

    needs: ClassVar[str] = "layers; the error of every sample"
    locality: ClassVar[str] = (
        "output error through random weights of its own; no error of other layers"
    )
    feedback: tuple[Array, ...]

    @classmethod
    def init(cls, net: Any, x: Any, key: Array) -> DirectFeedbackAlignment:
        """Feedback weights uniform on +-1/sqrt(outputs), for inputs of the shape of x.

        Raises Unsuited for a network without layers, or one that x does not fit.
        """
        sizes = [math.prod(s) for s in shapes(net, x)]
        keys = jr.split(key, len(sizes))
        hidden = zip(sizes[1:-1], keys, strict=False)
        return cls(tuple(uniform(k, (n, sizes[-1]), sizes[-1]) for n, k in hidden))

    def refuses(self, model, loss):
        return refuses_layers(model, loss, len(self.feedback) + 1)

    def objective(self, loss, model, batch, key):
        xs, ys = batch_of(batch)
        _, *hidden, output = jax.vmap(lambda x: activities(model, x))(xs)
        value, metrics = loss.judged(output, ys)
        error = jax.lax.stop_gradient(error_slopes(loss, output, ys).reshape(len(xs), -1))
        total = value
        for a, back in zip(hidden, self.feedback, strict=True):
            a = a.reshape(len(xs), -1)
            if back.shape != (a.shape[1], error.shape[1]):
                raise Unsuited(
                    f"DirectFeedbackAlignment: feedback {back.shape} for {a.shape[1]} cells and "
                    f"{error.shape[1]} outputs; make it by init(net, x, key)"
                )
            # its gradient to a is B e: what the layer is told in place of its own error
            total = total + jnp.sum(jax.lax.stop_gradient(error @ back.T) * a) / len(xs)
        return total, (value, metrics)
