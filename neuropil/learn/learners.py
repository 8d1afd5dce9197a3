r"""The calculus of learners: maps that learn, put together in series and in parallel.

A learner from A to B is (P, I, U, r): with parameters p in P it *implements* b = I(p, a); told a signal s
on B it *updates* p' = U(p, a, s) and *requests* a signal r(p, a, s) on A, which is what the learner
before it is told.

    whole = (layer1 >> layer2) | other        # series: `>>`, in parallel: `|`

The laws (series is associative, identities are units, series and parallel interchange, the composite of
gradient descenders is the gradient descender of the composite) are tested in tests/learn/test_learners.py.

Sources: Fong, Spivak, Tuyéras (2019), Backprop as Functor, LICS; Spivak, Hosgood (2021), arXiv:2111.01297.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from neuropil.core import Managed, System


class Learner(eqx.Module):
    """A map that learns. A subclass writes `start`, `implement`, and `update` and `request`.

    Learners are values: parameters go in and come out, nothing is stored.
    """

    def start(self) -> PyTree:
        """The parameters p before anything is learned."""
        raise TypeError(f"{type(self).__name__} has no start()")

    def implement(self, p: PyTree, a: PyTree) -> PyTree:
        """I(p, a): what comes out."""
        raise TypeError(f"{type(self).__name__} has no implement(p, a)")

    def update(self, p: PyTree, a: PyTree, signal: PyTree) -> PyTree:
        """U(p, a, signal): the parameters afterwards."""
        return self.react(p, a, signal)[1]

    def request(self, p: PyTree, a: PyTree, signal: PyTree) -> PyTree:
        """r(p, a, signal): the signal for whatever gave a. It uses p, never the updated p."""
        return self.react(p, a, signal)[2]

    def react(self, p: PyTree, a: PyTree, signal: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        """(I, U, r) at once."""
        return self.implement(p, a), self.update(p, a, signal), self.request(p, a, signal)

    def __rshift__(self, other: Learner) -> Learner:
        return Series(self, other)

    def __or__(self, other: Learner) -> Learner:
        return Beside(self, other)


class Identity(Learner):
    """The unit of series: gives on what comes, asks for what it is told, has no parameters."""

    def start(self):
        return ()

    def implement(self, p, a):
        return a

    def react(self, p, a, signal):
        return a, p, signal


class Series(Learner):
    r"""`first` then `second`, all updates at the same instant.

    With b = I(p, a): output J(q, b), update (U(p, a, s), V(q, b, c)), request r(p, a, s), where
    s = request of the second at b, made with its *old* parameters.
    """

    first: Learner
    second: Learner

    def start(self):
        return (self.first.start(), self.second.start())

    def implement(self, p, a):
        return self.second.implement(p[1], self.first.implement(p[0], a))

    def react(self, p, a, signal):
        b = self.first.implement(p[0], a)
        c, q, asked = self.second.react(p[1], b, signal)
        _, p0, request = self.first.react(p[0], a, asked)
        return c, (p0, q), request


class Beside(Learner):
    """Two learners side by side: inputs, outputs and signals are pairs."""

    upper: Learner
    lower: Learner

    def start(self):
        return (self.upper.start(), self.lower.start())

    def implement(self, p, a):
        return (self.upper.implement(p[0], a[0]), self.lower.implement(p[1], a[1]))

    def react(self, p, a, signal):
        each = (
            l.react(*now) for l, *now in zip((self.upper, self.lower), p, a, signal, strict=True)
        )
        return tuple(zip(*each, strict=True))


class Descender(Learner):
    r"""Gradient descent on the parameters of a map f(p, a), in one of two conventions for the signal.

    - "cotangent": the signal is a covector g on B, the derivative of whatever loss stands at the end:
      $U = p - \epsilon\, (\partial f / \partial p)^T g$, $r = (\partial f / \partial a)^T g$.
    - "target": the signal is the output that is wanted, b, with error $E = \frac12 |f(p, a) - b|^2$:
      $U = p - \epsilon\, \partial E / \partial p$, $r = a - \partial E / \partial a$ (no rate in r).

    >>> line = Descender(lambda w, a: w * a, jnp.array(2.0), rate=0.1, signal="target")
    >>> p, a, b = line.start(), jnp.array(1.0), jnp.array(0.0)
    >>> [round(float(v), 4) for v in line.react(p, a, b)]  # output, updated weight, request
    [2.0, 1.8, -3.0]
    """

    function: Callable[[Any, Any], Any] = eqx.field(static=True)
    parameters: Any
    rate: float | int = eqx.field(static=True, default=0.1)
    signal: Literal["cotangent", "target"] = eqx.field(static=True, default="cotangent")

    def __check_init__(self):
        if self.signal not in ("cotangent", "target"):
            raise ValueError(f"Descender: signal={self.signal!r}; write 'cotangent' or 'target'")

    def start(self):
        return self.parameters

    def implement(self, p, a):
        return self.function(p, a)

    def slopes(self, p: PyTree, a: PyTree, signal: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        """(output, derivative to the parameters, derivative to the input)."""
        b, back = jax.vjp(self.function, p, a)
        g = signal if self.signal == "cotangent" else jax.tree.map(jnp.subtract, b, signal)
        return (b, *back(g))

    def react(self, p, a, signal):
        b, dp, da = self.slopes(p, a, signal)
        after = jax.tree.map(lambda p, d: p - self.rate * d, p, dp)
        return b, after, da if self.signal == "cotangent" else jax.tree.map(jnp.subtract, a, da)


class Tied(Learner):
    r"""A learner some of whose parameters are the same one: `share(p)` lays p out for the inner learner.

    Two places that read one parameter both want to change it; the owner adds their changes:
    $p' = p + (\partial\, share)^T (U(share(p), a, s) - share(p))$, which for gradient descent is the
    gradient step of the shared parameter.
    """

    inner: Learner
    share: Callable[[Any], Any] = eqx.field(static=True)
    parameters: Any

    def start(self):
        return self.parameters

    def implement(self, p, a):
        return self.inner.implement(self.share(p), a)

    def react(self, p, a, signal):
        laid, back = jax.vjp(self.share, p)
        b, after, request = self.inner.react(laid, a, signal)
        (change,) = back(jax.tree.map(jnp.subtract, after, laid))
        return b, jax.tree.map(jnp.add, p, change), request


def series(*learners: Learner) -> Learner:
    """Any number of learners one after the other; none gives the identity."""
    whole = learners[0] if learners else Identity()
    for learner in learners[1:]:
        whole = whole >> learner
    return whole


class AsSystem(System):
    """A learner is a system: state p, input (a, signal), output (b, request).

    >>> import jax.random as jr
    >>> from neuropil.core import run, start
    >>> line = AsSystem(Descender(lambda w, a: w * a, jnp.array(2.0), 0.1, "target"))
    >>> xs = (jnp.ones(3), jnp.zeros(3))
    >>> carry, (bs, requests) = run(line, start(line, 1.0, jr.key(0)), xs)
    >>> [round(b, 4) for b in bs.tolist()]
    [2.0, 1.8, 1.62]
    """

    learner: Learner

    def init(self, dt, key):
        return jax.tree.map(jnp.array, self.learner.start())

    def step(self, state, x, tick):
        b, p, request = self.learner.react(state, *x)
        return p, (b, request)


class Implements(System):
    r"""The fast half of a learner: it implements and requests with parameters it cannot change.

    $$(a, s) \mapsto (I(p, a),\; r(p, a, s))$$
    """

    p: Any
    learner: Learner

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        b, _, request = self.learner.react(self.p, *x)
        return state, (b, request)


class Updates(System):
    r"""The slow half: it owns the parameters and changes them by what flowed through the fast half.

    $$p \leftarrow U(p, a, s)$$
    """

    learner: Learner

    def init(self, dt, key):
        return ()

    def step(self, state, event, tick):
        return state, self.learner.update(event.theta, *event.x)


def as_managed(learner: Learner) -> Managed:
    """The same learner as two nested systems: the outer one's state is the inner one's parameters."""
    return Managed(Implements(learner.start(), learner), Updates(learner), owns="p")
