r"""Wiring diagrams of linear systems: many systems wired together are one system, and diagrams nest.

Boxes side by side have outputs y and inputs u; the whole takes v and shows z:
$u = W_i y + W_e v$, $z = W_o y$.

Sources: Vagner, Spivak, Lerman (2015), Theory Appl. Categ. 30, 1793; Spivak, Hosgood (2021), arXiv:2111.01297.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jax import Array

from neuropil.core import System, param


class LinearSystem(System):
    r"""$x_{t+1} = A x_t + B u_t$, $y_t = C x_t$: what it shows depends on its state alone (a Moore machine)."""

    A: Array = param(axes=("state", "state"))
    B: Array = param(axes=("state", "input"))
    C: Array = param(axes=("output", "state"))

    def __check_init__(self):
        n, m, k = self.A.shape[0], self.B.shape[-1], self.C.shape[0]
        for name, shape in {"A": (n, n), "B": (n, m), "C": (k, n)}.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"LinearSystem: {name} has shape {getattr(self, name).shape}, not {shape}"
                )

    def init(self, dt, key):
        return jnp.zeros(self.A.shape[0], self.A.dtype)

    def step(self, state, u, tick):
        return self.A @ state + self.B @ u, self.C @ state

    def rest(self):
        return jnp.zeros(self.C.shape[0], self.A.dtype)


def beside(*systems: LinearSystem) -> LinearSystem:
    """Systems side by side, not yet wired: block-diagonal A, B and C."""
    blocks = (jsl.block_diag(*(getattr(s, n) for s in systems)) for n in "ABC")
    return LinearSystem(*blocks)


class Diagram(eqx.Module):
    """Who hears whom: `inner` (u, y), `inward` (u, v), `outward` (z, y).

    >>> loop = Diagram(jnp.array([[-1.0]]), jnp.ones((1, 1)), jnp.ones((1, 1)))  # u = v - y
    >>> box = LinearSystem(jnp.array([[0.5]]), jnp.ones((1, 1)), jnp.ones((1, 1)))
    >>> float(loop.wire(box).A[0, 0])
    -0.5
    """

    inner: Array
    inward: Array
    outward: Array

    def wire(self, boxes: LinearSystem) -> LinearSystem:
        """The one system that the wired boxes are: (A + B Wi C, B We, Wo C)."""
        a = boxes.A + boxes.B @ self.inner @ boxes.C
        return LinearSystem(a, boxes.B @ self.inward, self.outward @ boxes.C)

    def around(self, *nested: Diagram) -> Diagram:
        """The flat diagram of this one with a diagram inside each of its boxes."""
        inner, inward, outward = (
            jsl.block_diag(*(getattr(d, n) for d in nested)) for n in ("inner", "inward", "outward")
        )
        return Diagram(
            inward @ self.inner @ outward + inner, inward @ self.inward, self.outward @ outward
        )


def box(inputs: int, outputs: int) -> Diagram:
    """The diagram of one box as it is: the unit of nesting."""
    return Diagram(jnp.zeros((inputs, outputs)), jnp.eye(inputs), jnp.eye(outputs))


class Wired(System):
    r"""Boxes run under a diagram, with the traffic put out, so that an outer system can learn the wiring.

    $$y_t = C x_t, \quad u_t = W_i y_t + W_e v_t, \quad x_{t+1} = A x_t + B u_t, \quad z_t = W_o y_t$$

    Input v; output {"shown": z, "y": outputs of the boxes, "u": their inputs}. In a
    `Managed(Wired(...), rule, owns="diagram.inner", reads={"y": "output.y", "u": "output.u"})` the wiring is
    the state of an outer system that receives what flowed through it.
    """

    boxes: LinearSystem
    diagram: Diagram

    def init(self, dt, key):
        return self.boxes.init(dt, key)

    def step(self, state, v, tick):
        y = self.boxes.C @ state
        u = self.diagram.inner @ y + self.diagram.inward @ v
        new = self.boxes.A @ state + self.boxes.B @ u
        return new, {"shown": self.diagram.outward @ y, "y": y, "u": u}
