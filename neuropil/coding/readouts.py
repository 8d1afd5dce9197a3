"""What is read off spikes or potentials over a trial: as functions, and as the last part of a Chain."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from neuropil.core import Part, System


def _shape(shape):
    return (shape,) if isinstance(shape, int) else tuple(shape)


def spike_count(spikes: Array) -> Array:
    """Number of spikes: (time, *unit) -> (*unit).

    >>> spike_count(jnp.array([[1.0, 0.0], [1.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    return spikes.sum(0)


def spike_rate(spikes: Array, dt: float) -> Array:
    """Mean rate in Hz, of ticks of `dt` ms: (time, *unit) -> (*unit).

    >>> spike_rate(jnp.array([[1.0], [0.0]]), dt=5.0).tolist()
    [100.0]
    """
    return spikes.sum(0) * (1000 / (dt * spikes.shape[0]))


def first_spike(spikes: Array, dt: float) -> Array:
    r"""Time of the first spike in ms: 0 in the first tick, ticks x dt where there is none.

    $$t = dt \sum_{k \ge 0} \prod_{j \le k} (1 - s_j)$$

    For spikes of 0 and 1 this is the number of ticks before the first spike. For s between 0 and 1 it is the
    expected time if s were independent probabilities, and that is where the gradient comes from: making the
    first spike likelier brings t down by the ticks until the next one, a spike earlier by the ticks it would
    save. It is zero for every spike after the first. The cells' surrogates carry it on.
    (time, *unit) -> (*unit).

    >>> import jax
    >>> s = jnp.array([0.0, 1.0, 0.0, 1.0])
    >>> float(first_spike(s, 2.0)), jax.grad(first_spike)(s, 2.0).astype(int).tolist()
    (2.0, [-2, -4, 0, 0])
    """
    return dt * jnp.cumprod(1 - spikes, axis=0).sum(0)


def peak(v: Array) -> Array:
    """Highest value over time, (time, *unit) -> (*unit). The gradient goes to where it is reached."""
    return v.max(0)


def mean(v: Array) -> Array:
    """Mean over time, (time, *unit) -> (*unit)."""
    return v.mean(0)


def last(v: Array) -> Array:
    """Value at the last tick, (time, *unit) -> (*unit)."""
    return v[-1]


class Count(Part):
    """Spikes so far; at the end `spike_count`."""

    def begin(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """What is kept before the first tick."""
        return jnp.zeros(shape, dtype)

    def add(self, kept: Any, y: Array) -> Any:
        """What is kept after a tick with output y."""
        return kept + y

    def out(self, kept: Any, n: Array, dt: Array) -> Array:
        """The readout after n ticks of dt ms."""
        return kept


class Rate(Part):
    """Rate in Hz so far; at the end `spike_rate`."""

    def begin(self, shape, dtype):
        return jnp.zeros(shape, dtype)

    def add(self, kept, y):
        return kept + y

    def out(self, kept, n, dt):
        return kept * (1000 / (n * dt))


class Mean(Part):
    """Mean so far; at the end `mean`."""

    def begin(self, shape, dtype):
        return jnp.zeros(shape, dtype)

    def add(self, kept, y):
        return kept + y

    def out(self, kept, n, dt):
        return kept / n


class Peak(Part):
    """Highest value so far; at the end `peak`."""

    def begin(self, shape, dtype):
        return jnp.full(shape, jnp.finfo(dtype).min, dtype)

    def add(self, kept, y):
        return jnp.maximum(kept, y)

    def out(self, kept, n, dt):
        return kept


class FirstSpike(Part):
    """Time of the first spike in ms, or the time so far where there was none; at the end `first_spike`."""

    def begin(self, shape, dtype):
        return {"silent": jnp.ones(shape, dtype), "ticks": jnp.zeros(shape, dtype)}

    def add(self, kept, y):
        silent = kept["silent"] * (1 - y)
        return {"silent": silent, "ticks": kept["ticks"] + silent}

    def out(self, kept, n, dt):
        return kept["ticks"] * dt


class Readout(System):
    r"""The last part of a chain: at every tick, the readout of all ticks so far, $y_t = R(x_0, \dots, x_t)$.

    `of` says which: `Count()`, `Rate()`, `FirstSpike()` of spikes, `Peak()`, `Mean()` of potentials (the value
    at the end of a trial needs no readout: it is the last output). In a `Trial(chain, ticks, output="last")`
    the readout of the trial comes out.

    >>> import jax
    >>> from neuropil.cells import LIF
    >>> from neuropil.core import Chain, Trial, run, start
    >>> net = Trial(Chain(cell=LIF(2, drive="jump"), read=Readout(2, Count())), 50, output="last")
    >>> run(net, start(net, 50.0, jax.random.key(0)), jnp.full((1, 50, 2), 0.5))[1].tolist()
    [[23.0, 23.0]]

    **Arguments**: `shape` of its input; `of`, a part with `begin`, `add` and `out`.
    State: {"n": ticks so far, "kept"}. Output: `shape`.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_shape)
    of: Count | Rate | Mean | Peak | FirstSpike = eqx.field(default_factory=Count)

    def init(self, dt, key):
        kept = self.of.begin(self.shape, jnp.result_type(float))
        return {"n": jnp.int32(0), "kept": kept}

    def step(self, state, x, tick):
        n, kept = state["n"] + 1, self.of.add(state["kept"], x)
        return {"n": n, "kept": kept}, self.of.out(kept, n, tick.dt)

    def rest(self):
        return jnp.zeros(self.shape, jnp.result_type(float))
