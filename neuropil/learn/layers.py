r"""A feedforward network seen layer by layer: what learners that send errors or targets backwards work on.

A layered network is a `Chain` of wirings and of plain maps without parameters (activations, reshapes):

$$a_i = \varphi_i(W_i\, a_{i-1} + b_i), \qquad a_0 = x$$
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.core import Chain
from neuropil.core.compose import Lift
from neuropil.wiring import Conv, Dense
from neuropil.wiring.base import Wiring, uniform


class Unsuited(ValueError):
    """A learner cannot train this network; the message says why, and what would make it possible."""


def unit_rms(x: Array) -> Array:
    """x / sqrt(mean x^2 + 1e-8): only the direction of an activity goes on, not its length.

    >>> unit_rms(jnp.array([3.0, 3.0])).round(3).tolist()
    [1.0, 1.0]
    """
    return x * jax.lax.rsqrt(jnp.mean(x**2) + 1e-8)


def flatten(x: Array) -> Array:
    """All axes of one sample in a row, ahead of a `Dense`.

    >>> flatten(jnp.ones((2, 3))).shape
    (6,)
    """
    return x.reshape(-1)


# what only makes an activity ready for the next layer is not part of that activity
AHEAD = (unit_rms, flatten)


class Layer(eqx.Module):
    """One wiring with the plain maps round it, for one sample.

    - `before`: maps ahead of the wiring (`unit_rms`, `flatten`; for the first layer whatever stands first);
    - `after`: maps behind it, up to the next layer.
    """

    before: tuple[Callable, ...]
    wiring: Wiring
    after: tuple[Callable, ...]

    def drive(self, a: Array) -> Array:
        """z = W a + b, from the activity of the layer before."""
        for f in self.before:
            a = f(a)
        return self.wiring.forward(a)

    def activity(self, z: Array) -> Array:
        """phi(z)."""
        for f in self.after:
            z = f(z)
        return z

    def __call__(self, a: Array) -> Array:
        return self.activity(self.drive(a))


def layers(net: Any) -> tuple[Layer, ...]:
    """The layers of a network, first to last.

    >>> net = Chain(Dense(jnp.ones((3, 2))), jax.nn.relu, Dense(jnp.ones((1, 3))))
    >>> [len(layer.after) for layer in layers(net)]
    [1, 0]

    Raises Unsuited for what is no `Chain` of wirings and plain maps (a cell with state, a recurrent part).
    """
    if not isinstance(net, Chain):
        raise Unsuited(
            f"{type(net).__name__} has no layers; write Chain(Dense(...), jax.nn.relu, Dense(...))"
        )
    found: list[Layer] = []
    waiting: list[Callable] = []
    for name in net.order:
        part = net.parts[name]
        if isinstance(part, Lift) and not jax.tree.leaves(eqx.filter(part, eqx.is_array)):
            waiting.append(part.function)
        elif isinstance(part, Wiring):
            own = [f for f in waiting if f not in AHEAD] if found else []
            if found:
                found[-1] = Layer(found[-1].before, found[-1].wiring, tuple(own))
            ahead = [f for f in waiting if f not in own]
            found.append(Layer(tuple(ahead), part, ()))
            waiting = []
        else:
            raise Unsuited(
                f"part {name!r} is a {type(part).__name__}, with a state or parameters of its own; "
                "layers are wirings (Dense, Conv) and plain maps between them"
            )
    if not found:
        raise Unsuited("the Chain has no wiring, so nothing to learn; put a Dense in it")
    found[-1] = Layer(found[-1].before, found[-1].wiring, tuple(waiting))
    return tuple(found)


def activities(net: Any, x: Array) -> list[Array]:
    """[a_0 = x, a_1, ..., a_L] of one sample; no gradient passes from a layer to the one before.

    >>> net = Chain(Dense(jnp.ones((3, 2))), jax.nn.relu, Dense(jnp.ones((1, 3))))
    >>> [a.tolist() for a in activities(net, jnp.ones(2))]
    [[1.0, 1.0], [2.0, 2.0, 2.0], [6.0]]
    """
    out = [x]
    for layer in layers(net):
        out.append(layer(jax.lax.stop_gradient(out[-1])))
    return out


def shapes(net: Any, x: Any) -> list[tuple[int, ...]]:
    """Shapes of a_0 .. a_L for an input like x (an array of one sample, or its ShapeDtypeStruct)."""
    like = jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(float))
    try:
        return [a.shape for a in jax.eval_shape(lambda x: activities(net, x), like)]
    except TypeError as error:
        raise Unsuited(f"an input of shape {jnp.shape(x)} does not fit: {error}") from error


def redrawn(wiring: Wiring, key: Array) -> Wiring:
    """A wiring of the same shape without bias, its weights drawn again, uniform on +-1/sqrt(fan-in).

    Raises Unsuited for a wiring other than `Dense` and `Conv`.
    """
    if not isinstance(wiring, Dense | Conv):
        raise Unsuited(
            f"there is no random feedback for {type(wiring).__name__}; use Dense or Conv"
        )
    shape = wiring.weight.shape
    weight = uniform(key, shape, math.prod(shape[1:])).astype(wiring.weight.dtype)
    return eqx.tree_at(lambda w: (w.weight, w.bias), wiring, (weight, None), is_leaf=_none)


def _none(x):
    return x is None


def _linear(x):
    return x


class Back(eqx.Module):
    r"""One layer of a feedback network: from the space of $a_i$ to the space of $a_{i-1}$.

    $$c_{i-1} = \psi(B_i\, c_i)$$

    For a `Dense` layer a `Dense` of the transposed shape; for a `Conv` layer the picture is enlarged to the
    size before (nearest neighbour) and convolved.
    """

    wiring: Dense | Conv
    shape: tuple[int, ...] = eqx.field(static=True)
    activation: Callable = eqx.field(static=True, default=_linear)

    def __call__(self, c: Array) -> Array:
        if isinstance(self.wiring, Dense):
            return self.activation(self.wiring.forward(c.reshape(-1))).reshape(self.shape)
        c = jax.image.resize(c, (c.shape[0], *self.shape[1:]), "nearest")
        return self.activation(self.wiring.forward(c))

    @staticmethod
    def like(
        layer: Layer,
        above: tuple[int, ...],
        below: tuple[int, ...],
        activation: Callable,
        key: Array,
    ) -> Back:
        """The way back over a layer whose activity has shape `above` and whose input has shape `below`."""
        wiring, bias = layer.wiring, getattr(layer.wiring, "bias", None) is not None
        if isinstance(wiring, Dense):
            back = Dense.init_uniform(math.prod(above), math.prod(below), key)
            back = Dense(back.weight, jnp.zeros(math.prod(below)) if bias else None)
        elif isinstance(wiring, Conv) and len(above) == len(below):
            kernel = wiring.weight.shape[2:]
            back = Conv.init_uniform(above[0], below[0], kernel, key)
            none = jnp.zeros(below[0]) if bias else None
            back = Conv(back.weight, none, patches=wiring.patches)
        else:
            raise Unsuited(
                f"there is no way back over {type(wiring).__name__} from {above} to {below}; use Dense, or "
                "Conv and, ahead of the next Dense, `flatten`"
            )
        return Back(back, below, activation)


def mirror(net: Any, x: Any, key: Array, activation: Callable = _linear) -> tuple[Back, ...]:
    """A feedback network: ways back over every layer, first to last.

    The lowest way back, which ends at the input, has no activation.

    >>> net = Chain(Dense(jnp.ones((3, 2))), jax.nn.relu, Dense(jnp.ones((1, 3))))
    >>> [b.wiring.weight.shape for b in mirror(net, jnp.ones(2), jr.key(0))]
    [(2, 3), (3, 1)]

    Raises Unsuited where a layer has no way back.
    """
    sizes, parts = shapes(net, x), layers(net)
    return tuple(
        Back.like(part, above, below, activation if i else _linear, jr.fold_in(key, i))
        for i, (part, below, above) in enumerate(zip(parts, sizes[:-1], sizes[1:], strict=True))
    )
