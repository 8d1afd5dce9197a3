r"""How a forward-mode learner remembers what the parameters did to the state, $M_t = d s_t / d\theta$.

With $J_t = \partial s_t / \partial s_{t-1}$ and $I_t = \partial s_t / \partial \theta$ of one tick,

$$M_t = J_t M_{t-1} + I_t .$$

An influence keeps M, or something smaller that stands for it; `learn.ForwardMode` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float, PyTree

from neuropil.core import Tick

Back = Callable[[Float[Array, " S"]], tuple[Float[Array, " S"], PyTree]]
"""c -> (c J, c I): cotangents of the state after the tick, taken back to the state before and to theta."""


class Influence(eqx.Module):
    """What a forward-mode learner carries from tick to tick. Write `begin`, `advance` and `along`.

    - `begin(first, theta, key)`: the memory before the first tick; `first` is a `Back` whose second part is
      d(state before the first tick) / d(theta) (most systems start at rest: zero);
    - `advance(memory, back, tick)`: the memory after a tick;
    - `along(memory, g)`: the gradient g M of a number whose derivative to the state is g.

    `locality` says in one line what a synapse must know.
    """

    locality: ClassVar[str] = ""

    def begin(self, first: Back, size: int, theta: PyTree, key: Array) -> PyTree:
        """The memory before the first tick; the state has `size` numbers."""
        raise TypeError(f"{type(self).__name__} has no begin(first, size, theta, key)")

    def advance(self, memory: PyTree, back: Back, tick: Tick) -> PyTree:
        """The memory after a tick."""
        raise TypeError(f"{type(self).__name__} has no advance(memory, back, tick)")

    def along(self, memory: PyTree, g: Float[Array, " S"]) -> PyTree:
        """g M, a tree like theta."""
        raise TypeError(f"{type(self).__name__} has no along(memory, g)")


class ExactInfluence(Influence):
    r"""All of M: S x P numbers, and S reverse passes through a tick. Any system.

    Source: Williams, Zipser (1989), Neural Comput. 1, 270.
    """

    locality: ClassVar[str] = "what it did to every unit, carried forward; error of now"

    def begin(self, first, size, theta, key):
        return jax.vmap(first)(jnp.eye(size, dtype=jnp.result_type(float)))[1]

    def advance(self, memory, back, tick):
        size = jax.tree.leaves(memory)[0].shape[0]
        J, I = jax.vmap(back)(jnp.eye(size, dtype=jnp.result_type(float)))
        return jax.tree.map(lambda m, i: jnp.tensordot(J, m, 1) + i, memory, I)

    def along(self, memory, g):
        return jax.tree.map(lambda m: jnp.tensordot(g, m, 1), memory)


class RankOneInfluence(Influence):
    r"""One random outer product, $\tilde s \tilde\theta^\top$, whose mean is M: S + P numbers. Any system.

    $$\tilde s \leftarrow \rho_0 J \tilde s + \rho_1 \nu, \qquad
      \tilde\theta \leftarrow \tilde\theta / \rho_0 + \nu^\top I / \rho_1, \qquad \nu_i = \pm 1$$

    $\rho_0^2 = |\tilde\theta| / |J \tilde s|$, $\rho_1^2 = |\nu^\top I| / |\nu|$ keep the variance small;
    the mean does not depend on them.

    Source: Tallec, Ollivier (2018), ICLR, arXiv:1702.05043.
    """

    locality: ClassVar[str] = "one number of its own, one sum over all units; error of now"

    def begin(self, first, size, theta, key):
        signs = jr.rademacher(key, (size,), jnp.result_type(float))
        return {"state": signs, "theta": first(signs)[1]}

    def advance(self, memory, back, tick):
        s, theta = memory["state"], memory["theta"]
        signs = jr.rademacher(tick.child("signs").key, s.shape, s.dtype)
        through = jax.linear_transpose(lambda c: back(c)[0], s)
        (moved,), fresh = through(s), back(signs)[1]
        a = _balance(optax.tree.norm(theta), jnp.linalg.norm(moved))
        b = _balance(optax.tree.norm(fresh), jnp.linalg.norm(signs))
        joined = jax.tree.map(lambda old, new: old / a + new / b, theta, fresh)
        return {"state": a * moved + b * signs, "theta": joined}

    def along(self, memory, g):
        scale = g @ memory["state"]
        return jax.tree.map(lambda t: scale * t, memory["theta"])


def _balance(above, below):
    """sqrt(above / below); 1 where there is nothing to balance. A free choice, so no gradient goes through."""
    none = (above <= 0) | (below <= 0)
    ratio = jnp.where(none, 1.0, above) / jnp.where(none, 1.0, below)
    return jax.lax.stop_gradient(jnp.sqrt(ratio))


class UnitInfluence(Influence):
    r"""What a parameter does to the state of its own unit: k P numbers, with k numbers of state a unit.

    Row r of an array belongs to unit r mod n (n = `units`): one row a unit, as in `SimpleRNN` or a `Dense`
    onto the cells, or stacked gates, as in `LSTM`. With $D_j$ the k x k block of J of unit j,

    $$M_{c\theta} \leftarrow \sum_{c'} D_{j(\theta) c c'} M_{c'\theta} + I_{c\theta}.$$

    This is SnAp-1: paths from unit to unit and back over more than one tick are left out. With `alone=True`
    J is said to hold nothing but these blocks (the paths between units are cut, as in e-prop): k reverse
    passes a tick are then enough, otherwise k n.

    Arrays whose first axis is no multiple of n belong to no unit: they must not reach the state (a readout).

    Source: Menick, Elsen, Evci, Osindero, Simonyan, Graves (2021), ICLR, arXiv:2006.07232.
    """

    units: int = eqx.field(static=True)
    alone: bool = eqx.field(static=True, default=False)

    @property
    def locality(self) -> str:
        """With cut paths a trace of its own unit and what that unit is told; else the unit's paths too."""
        if self.alone:
            return "an eligibility trace of its own; the learning signal of its own unit now"
        return "what it did to its own unit, carried forward; error of now"

    def __check_init__(self):
        if self.units < 1:
            raise ValueError(f"UnitInfluence: units = {self.units} but a population has at least 1")

    def owns(self, theta: Array) -> bool:
        """Whether an array has rows that belong to units."""
        return bool(jnp.ndim(theta)) and theta.shape[0] % self.units == 0

    def begin(self, first, size, theta, key):
        return self._immediate(first, size, theta)

    def advance(self, memory, back, tick):
        k = next(a.shape[0] for a in jax.tree.leaves(memory))
        n, dtype = self.units, jnp.result_type(float)
        if not k:
            return memory  # all is cut: what a tick does to its own error is all there is
        ones = jnp.repeat(jnp.eye(k, dtype=dtype), n, 1)
        if self.alone:
            blocks, fresh = jax.vmap(back)(ones)
            blocks = blocks.reshape(k, k, n)
        else:
            J = jax.vmap(lambda c: back(c)[0])(jnp.eye(k * n, dtype=dtype)).reshape(k, n, k, n)
            blocks = jnp.einsum("anbn->abn", J)
            fresh = jax.vmap(lambda c: back(c)[1])(ones)

        def moved(m, i):
            if m is None:
                return None
            rows = m.reshape(k, m.shape[1] // n, n, *m.shape[2:])
            return i + jnp.einsum("abn,brn...->arn...", blocks, rows).reshape(m.shape)

        return jax.tree.map(moved, memory, fresh, is_leaf=lambda a: a is None)

    def along(self, memory, g):
        n = self.units
        g = g.reshape(g.size // n, n)

        def one(m):
            rows = m.reshape(m.shape[0], m.shape[1] // n, n, *m.shape[2:])
            return jnp.einsum("kn,krn...->rn...", g, rows).reshape(m.shape[1:])

        return jax.tree.map(one, memory)

    def _immediate(self, back: Back, size: int, theta: PyTree) -> PyTree:
        """I: every parameter reaches one unit, so the derivative of the sum over units is the derivative."""
        k, dtype = size // self.units, jnp.result_type(float)
        if not k:
            return jax.tree.map(
                lambda p: jnp.zeros((0, *p.shape), dtype) if self.owns(p) else None, theta
            )
        ones = jnp.repeat(jnp.eye(k, dtype=dtype), self.units, 1)
        fresh = jax.vmap(lambda c: back(c)[1])(ones)
        return jax.tree.map(lambda f, p: f if self.owns(p) else None, fresh, theta)


def why_not_units(
    influence: UnitInfluence, back: Back, size: int, theta: PyTree, key: Array
) -> str:
    """Why a tick is not one of units that each parameter reaches alone; "" where it is.

    Cotangents drawn at random tell: what comes back to a parameter must be that of its own unit times the
    derivative of the sum, and (`alone`) what comes back to the state must stay within the unit.
    """
    if size % influence.units:
        return f"the state has {size} numbers, which is no multiple of {influence.units} units"
    k, n = size // influence.units, influence.units
    draw = jr.normal(key, (n,), jnp.result_type(float))
    for c in range(k):
        only = jnp.zeros((k, n), draw.dtype).at[c]
        (mixed, mine), (summed, ours) = back(only.set(draw).ravel()), back(only.set(1.0).ravel())
        paths = jax.tree_util.tree_flatten_with_path(mine)[0]
        for (path, got), whole, p in zip(
            paths, jax.tree.leaves(ours), jax.tree.leaves(theta), strict=True
        ):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            if not influence.owns(p):
                if bool(jnp.any(got != 0)):
                    return (
                        f"{name} of shape {p.shape} reaches the state but has no row for each unit"
                    )
                continue
            rows = draw.reshape(1, n, *[1] * (p.ndim - 1))
            want = (whole.reshape(-1, n, *p.shape[1:]) * rows).reshape(p.shape)
            if not bool(jnp.allclose(got, want, rtol=1e-3, atol=1e-5 * (1 + jnp.abs(want).max()))):
                return f"a row of {name} reaches more than one unit"
        want = summed.reshape(k, n) * draw[None]
        if influence.alone and not bool(
            jnp.allclose(mixed.reshape(k, n), want, rtol=1e-3, atol=1e-5)
        ):
            return "units reach each other within a tick by a path that is not cut"
    return ""


def unit_layout(state: Any, units: int) -> list[str]:
    """Paths of the floating-point leaves whose last axes are not the units (they cannot be carried)."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    fits = lambda a: a.size and a.size % units == 0 and units in _tails(a.shape)
    return [
        jax.tree_util.keystr(path, simple=True, separator=".") for path, a in leaves if not fits(a)
    ]


def _tails(shape: tuple[int, ...]) -> list[int]:
    """Products of the last 1, 2, ... axes."""
    out, product = [], 1
    for n in reversed(shape):
        product *= n
        out.append(product)
    return out
