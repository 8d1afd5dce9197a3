"""Wiring whose synapses never change their sign (Dale's law)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.wiring.base import Wiring


class Signed(Wiring):
    r"""Any wiring with fixed signs: what is learned is the size, the weight is sign x |size|.

    $$w = \sigma \odot |\theta|, \qquad \sigma \in \{-1, 0, +1\}$$

    A sign of 0 is a synapse that is not there and never comes: a zero diagonal, a mask, the absent blocks of
    an E/I network. `Signed.of` takes the signs that the weights have now; `Signed.dale` makes them from the
    kind of every presynaptic cell. The other way to keep signs, a projection after every step of the
    optimiser, is `neuropil.learn.keep_signs`.

    **Arguments**: `part`, a wiring that holds its `weight` in a field; `sign`, of a shape that broadcasts to
    it.

    >>> from neuropil.wiring import Dense
    >>> net = Signed.dale(Dense(jnp.array([[0.5, 2.0], [1.0, -3.0]])), [1, -1], loops=False)
    >>> net.weight.tolist()
    [[0.0, -2.0], [1.0, 0.0]]
    >>> net.forward(jnp.array([1.0, 1.0])).tolist()
    [-2.0, 1.0]

    Source: Song, Yang, Wang (2016), PLOS Comput. Biol. 12, e1004792 (there with a rectified size).

    Raises ValueError for signs other than -1, 0, 1 or that do not fit the weight, and for a wiring whose
    weight is no field.
    """

    part: Wiring
    sign: Array

    def __init__(self, part: Wiring, sign: Array | np.ndarray):
        self.part = part
        self.sign = jnp.asarray(sign, jnp.int8)

    def __check_init__(self):
        if "weight" not in {f for f in vars(self.part)}:
            raise ValueError(
                f"Signed: {type(self.part).__name__} holds no field 'weight'; sign its factors apart"
            )
        shape = jnp.shape(self.part.weight)
        try:
            fits = jnp.broadcast_shapes(self.sign.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"Signed: signs of shape {self.sign.shape} do not fit weights of shape {shape}"
            )
        if not isinstance(self.sign, jax.core.Tracer) and not np.isin(self.sign, (-1, 0, 1)).all():
            raise ValueError("Signed: a sign is -1, 0 (no synapse) or 1")

    @staticmethod
    def of(part: Wiring) -> Signed:
        """With the signs that the weights have now; weights of 0 stay 0."""
        return Signed(part, jnp.sign(part.weight))

    @staticmethod
    def dale(part: Wiring, kinds: Array | np.ndarray | list, *, loops: bool = True) -> Signed:
        """Dense wiring (post, pre) whose column j has the sign `kinds[j]`: one sign a presynaptic cell.

        `loops=False`: no cell meets itself (a zero diagonal). For sparse wiring give the weights their
        signs, `edges.wiring(size * kinds[edges.pre])`, and write `Signed.of`.
        """
        weight, kinds = part.weight, jnp.asarray(kinds)
        if weight.ndim != 2 or kinds.shape != weight.shape[1:]:
            raise ValueError(
                f"Signed.dale: {kinds.shape} kinds for weights {weight.shape}; give one a column"
            )
        sign = jnp.broadcast_to(kinds[None], weight.shape)
        if not loops:
            sign = sign * (1 - jnp.eye(*weight.shape, dtype=sign.dtype))
        return Signed(part, sign)

    @property
    def weight(self) -> Array:
        """The weights with their signs."""
        size = jnp.abs(self.part.weight)
        return jnp.broadcast_to(self.sign, size.shape).astype(size.dtype) * size

    def signed(self) -> Wiring:
        """The plain wiring with these weights."""
        return eqx.tree_at(lambda p: p.weight, self.part, self.weight)

    def forward(self, x):
        return self.signed().forward(x)

    def transpose(self, y):
        return self.signed().transpose(y)

    def unroll(self, state, xs, ticks):
        return self.signed().unroll(state, xs, ticks)

    def rest(self):
        return self.part.rest()

    def children(self):
        return {"part": ""}
