"""Cells whose output is a rate: a leaky unit, and the simple recurrent network."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from neuropil.cells.parts import as_drive, check_fits, population
from neuropil.core import System, param, run, start


class Rate(System):
    r"""A population of leaky rate units, exact over a tick in which the input is constant.

    $$\tau \dot r = -r + \phi(x), \qquad r \leftarrow b r + (1 - b)\,\phi(x), \quad b = e^{-dt/\tau}$$

    **Arguments**: `shape`, a number of cells or a tuple; `tau` (ms), one or one for every cell; `phi`, any
    function of the input, element by element (default: rectification).

    Input: drive of shape `shape`, or None. State and output: r.

    Source: Wilson, Cowan (1972), Biophys. J. 12, 1, without their refractory term.

    >>> cells = Rate(1, tau=10.0)
    >>> _, r = run(cells, start(cells, 10.0, jax.random.key(0)), jnp.ones((1, 1)))
    >>> bool(jnp.allclose(r, 1 - jnp.exp(-1.0)))
    True

    Raises ValueError for a negative tau or one that does not fit the population.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=population)
    tau: Array = param(10.0, unit="ms", bounds=(0, None), axes=("cell",))
    phi: Callable = eqx.field(static=True, default=jax.nn.relu)

    def __check_init__(self):
        check_fits("Rate", self.shape, tau=self.tau)

    def init(self, dt, key):
        return jnp.zeros(self.shape, self.tau.dtype)

    def step(self, state, x, tick):
        b = jnp.exp(-tick.dt / self.tau)
        r = b * state + (1 - b) * self.phi(as_drive(x, self.shape, state.dtype).current)
        return r, r

    def rest(self):
        return jnp.zeros(self.shape, self.tau.dtype)


class SimpleRNN(System):
    r"""The simple recurrent network: $h \leftarrow \phi(W x + U h + b)$.

    `weight` W (unit, input), `recurrent` U (unit, unit), `bias` b; `phi` default tanh. State and output: h.

    Source: Elman (1990), Cogn. Sci. 14, 179.

    >>> net = SimpleRNN.init_uniform(3, 4, jax.random.key(0))
    >>> run(net, start(net, 1.0, jax.random.key(0)), jnp.ones((5, 3)))[1].shape
    (5, 4)

    Raises ValueError for weights whose shapes do not fit.
    """

    weight: Array = param(axes=("unit", "input"))
    recurrent: Array = param(axes=("unit", "unit"))
    bias: Array = param(axes=("unit",))
    phi: Callable = eqx.field(static=True, default=jnp.tanh)

    def __check_init__(self):
        check_gates("SimpleRNN", self.weight, self.recurrent, self.bias, 1)

    @staticmethod
    def init_uniform(pre: int, post: int, key: Array, *, phi: Callable = jnp.tanh) -> SimpleRNN:
        """All uniform on +-1/sqrt(post), as torch and equinox do."""
        return SimpleRNN(*uniform_gates(pre, post, 1, key), phi)

    def init(self, dt, key):
        return self.rest()

    def _next(self, driven, h):
        return self.phi(driven + self.recurrent @ h)

    def step(self, state, x, tick):
        h = self._next(self.weight @ x + self.bias, state)
        return h, h

    def unroll(self, state, xs, ticks):
        def body(h, driven):
            h = self._next(driven, h)
            return h, h

        return lax.scan(body, state, drive_all(self.weight, self.bias, xs))

    def rest(self):
        return jnp.zeros(self.recurrent.shape[1], self.recurrent.dtype)


def drive_all(weight: Array, bias: Array, xs: Array) -> Array:
    """W x + b of every tick, as one matrix product over the whole time axis."""
    return xs @ weight.T + bias[None]


def uniform_gates(pre: int, post: int, gates: int, key: Array) -> tuple[Array, Array, Array]:
    """(weight, recurrent, bias) of stacked gates, uniform on +-1/sqrt(post)."""
    bound = post**-0.5
    draw = lambda k, *shape: jax.random.uniform(k, shape, minval=-bound, maxval=bound)
    a, b, c = jax.random.split(key, 3)
    n = gates * post
    return draw(a, n, pre), draw(b, n, post), draw(c, n)


def check_gates(owner: str, weight: Array, recurrent: Array, bias: Array, gates: int) -> None:
    """Stacked gates of a recurrent cell: (gates x unit, input), (gates x unit, unit), (gates x unit,)."""
    if jnp.ndim(weight) != 2 or jnp.ndim(recurrent) != 2 or jnp.ndim(bias) != 1:
        raise ValueError(
            f"{owner}: weight {jnp.shape(weight)}, recurrent {jnp.shape(recurrent)}, bias "
            f"{jnp.shape(bias)}; they must have 2, 2 and 1 axes"
        )
    n = gates * recurrent.shape[1]
    if not weight.shape[0] == recurrent.shape[0] == bias.shape[0] == n:
        raise ValueError(
            f"{owner}: weight {weight.shape}, recurrent {recurrent.shape} and bias {bias.shape} must all "
            f"have {gates} x {recurrent.shape[1]} = {n} rows"
        )


def bidirectional(
    forward: System, backward: System, xs: Array, *, dt: float | int, key: Array
) -> Array:
    """A sequence read forwards by one system and backwards by another, outputs side by side.

    A function and not a System: its output at a tick depends on inputs still to come, so it cannot go tick
    by tick.

    **Arguments**: two systems with vector outputs; `xs` (time, input), or (time, batch, input) with
    `Batched` systems; `dt` (ms); `key`. Returns (time, ..., outputs of forward and of backward).

    Source: Schuster, Paliwal (1997), IEEE Trans. Signal Process. 45, 2673.

    >>> cells = Rate(2)
    >>> bidirectional(cells, cells, jnp.ones((5, 2)), dt=1.0, key=jax.random.key(0)).shape
    (5, 4)
    """
    one, two = jax.random.split(key)
    _, ahead = run(forward, start(forward, dt, one), xs)
    _, behind = run(backward, start(backward, dt, two), xs[::-1])
    return jnp.concatenate([ahead, behind[::-1]], axis=-1)
