r"""Truncated backpropagation through time, with and without a prediction of what was cut off.

A sequence is cut into spans of K ticks. Plain truncation lets no credit pass from span to span. A *synthesiser*
C predicts from the state at the end of a span the gradient of all later error (decoupled neural interfaces):

$$E_i = L_i + \gamma\, \mathrm{stop}(C(s_i)) \cdot s_i, \qquad
  \Delta\theta \propto \frac{\partial E_i}{\partial\theta}$$

and learns from the next span's own gradient, itself completed by a prediction, as in temporal differences:

$$C(s_{i-1}) \leftarrow \frac{\partial E_i}{\partial s_{i-1}}$$

Sources: Williams, Peng (1990), Neural Comput. 2, 490; Jaderberg et al. (2017), ICML, arXiv:1608.05343.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from neuropil.core import Tick, param
from neuropil.learn.overtime import OnlineCredit
from neuropil.wiring.base import uniform


class Synthesiser(eqx.Module):
    r"""A multilayer perceptron from the state to a gradient of the same size, at first exactly zero.

    $C(s) = \mathrm{scale} \cdot (W_n\, \mathrm{relu}(\dots \mathrm{relu}(W_1 s + b_1)) + b_n)$ with
    $W_n = 0$, $b_n = 0$.

    `scale` is the unit in which the network counts: targets much smaller or larger than 1 are learned slowly.

    >>> C = Synthesiser.init_zero(4, (8,), jr.key(0))
    >>> C(jnp.ones(4)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    scale: float | int = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        if not self.scale > 0:
            raise ValueError(f"Synthesiser: scale = {self.scale} but it must be positive")

    @staticmethod
    def init_zero(
        size: int, hidden: tuple[int, ...], key: Array, *, scale: float | int = 1.0
    ) -> Synthesiser:
        """Hidden layers uniform on +-1/sqrt(fan-in), weights and biases; the last layer zero."""
        widths = (size, *hidden)
        keys = jr.split(key, 2 * len(hidden))
        pairs = list(itertools.pairwise(widths))
        weights = [uniform(k, (m, n), n) for k, (n, m) in zip(keys[::2], pairs, strict=True)]
        biases = [uniform(k, (m,), n) for k, (n, m) in zip(keys[1::2], pairs, strict=True)]
        last, none = jnp.zeros((size, widths[-1])), jnp.zeros(size)
        return Synthesiser((*weights, last), (*biases, none), scale)

    def __call__(self, s: Float[Array, " S"]) -> Float[Array, " S"]:
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            s = jax.nn.relu(w @ s + b)
        return self.scale * (self.weights[-1] @ s + self.biases[-1])


class Truncated(OnlineCredit):
    r"""Backpropagation through the last `ticks` ticks, and a prediction of the rest where there is one.

    **Arguments**

    - `ticks`: K, the span; the whole sequence gives backpropagation through time.
    - `synthesiser`: C, any callable from the state as a vector (floating-point leaves in the tree's order) to a
      gradient of the same size, such as a `Synthesiser`; None for plain truncation. Its arrays learn with the
      model's, by the same optimiser, on $|C(s_{i-1}) - g|^2 / \mathrm{scale}$ (1 where C has no scale).
    - `factor`: $\gamma$, how much of the prediction is believed; also the discount of what C learns:
      $C(s_i) = \sum_{j>i} \gamma^{j-i-1}\, \partial L_j / \partial s_i$.

    The state before the first span is taken as given. Memory: K ticks.

    >>> Truncated(5).span
    5

    Raises ValueError for a span below 1 tick; `gradient` for a sequence that is not made of whole spans.
    """

    needs: ClassVar[str] = "a System and an error at each tick"
    locality: ClassVar[str] = "error through the transposed weights of the last ticks; a prediction"

    ticks: int = eqx.field(static=True)
    synthesiser: Callable | None = None
    factor: Array = param(1.0, bounds=(0, None))

    def __check_init__(self):
        if self.ticks < 1:
            raise ValueError(f"Truncated: ticks = {self.ticks} but a span has at least 1 tick")
        if self.synthesiser is not None and not callable(self.synthesiser):
            raise TypeError(
                "Truncated: the synthesiser cannot be called; write Synthesiser.init_zero(...)"
            )

    @property
    def span(self) -> int:
        """Ticks taken at once."""
        return self.ticks

    def teaches(self):
        nothing = jax.tree.map(lambda _: False, self)
        if self.synthesiser is None:
            return nothing
        learns = jax.tree.map(eqx.is_inexact_array, self.synthesiser)
        return eqx.tree_at(lambda t: t.synthesiser, nothing, learns, is_leaf=lambda a: a is None)

    def begin(self, learned, fixed, dt, key):
        return eqx.combine(learned, fixed).init(dt / self.ticks, key)

    def advance(self, error, learned, fixed, state, x, y, tick):
        add = lambda tree: jax.tree.map(lambda a: a[None], tree)
        one = Tick(tick.i, tick.dt, tick.key[None])
        state, wrong, out, way, own = self.advance_batch(
            error, learned, fixed, add(state), add(x), add(y), one
        )
        drop = lambda tree: jax.tree.map(lambda a: a[0], tree)
        return drop(state), wrong, drop(out), way, own

    def advance_batch(self, error, learned, fixed, state, x, y, tick):
        """All samples in one pass, so that no gradient is held sample by sample."""
        moving, rest = eqx.partition(state, eqx.is_inexact_array)
        n, k = tick.key.shape[0], self.ticks
        i = tick.i * k + jnp.arange(k, dtype=jnp.int32)
        keys = jax.vmap(lambda key: jax.vmap(lambda j: jr.fold_in(key, j))(i), out_axes=1)(tick.key)
        inner = Tick(i, tick.dt / k, keys)
        flat = lambda tree: jax.vmap(lambda t: ravel_pytree(t)[0])(tree)
        predict = None if self.synthesiser is None else jax.vmap(self.synthesiser)

        def cost(moving, learned):
            model = eqx.combine(learned, fixed)
            before = eqx.combine(moving, rest)
            along = lambda tree: jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), tree)
            after, out = model.unroll_batch(before, along(x), inner)
            out = along(out)
            wrong = jax.vmap(jax.vmap(error))(out, y).sum()
            whole = wrong
            if predict is not None:
                end = flat(eqx.filter(after, eqx.is_inexact_array))
                ahead = jax.lax.stop_gradient(predict(end))
                whole = wrong + self.factor * jnp.sum(ahead * end)
            return whole, (wrong, after, out)

        slopes = jax.value_and_grad(cost, (0, 1), has_aux=True)
        (_, (wrong, after, out)), (g, way) = slopes(moving, learned)
        way = jax.tree.map(lambda a: a / n, way)
        own = eqx.filter(self, self.teaches())
        if predict is not None:
            own = self._taught(flat(moving), flat(g))
        return after, wrong / n, out, way, own

    def _taught(self, states: Float[Array, "n S"], goals: Float[Array, "n S"]) -> Truncated:
        """Gradient of the synthesiser's own error, the mean over samples, as a tree like this learner."""
        learns, rest = eqx.partition(self, self.teaches())

        def cost(learns):
            C = eqx.combine(learns, rest).synthesiser
            wrong = jnp.sum((jax.vmap(C)(states) - goals) ** 2, axis=1)
            return jnp.mean(wrong) / getattr(C, "scale", 1.0)

        states, goals = map(jax.lax.stop_gradient, (states, goals))
        return jax.grad(cost)(learns)


def synthetic_gradients(
    ticks: int,
    size: int,
    hidden: tuple[int, ...],
    key: Array,
    *,
    factor: float = 0.1,
    scale: float = 1.0,
) -> Truncated:
    """Truncated backpropagation with a new `Synthesiser` of a state of `size` numbers.

    With `scale` = the size of a batch, and `factor` = 0.1, as in the code of Pemberton et al. (2021).
    """
    return Truncated(ticks, Synthesiser.init_zero(size, hidden, key, scale=scale), factor)
