"""Values into spikes: by rate, by the time of the first spike, by phase, by a population."""

from __future__ import annotations

import math

import jax.numpy as jnp
import jax.random as jr
from jax import Array
from jax.typing import ArrayLike

from neuropil.core import Part, param


def _ticks(owner: str, ticks: int) -> None:
    if ticks < 1:
        raise ValueError(f"{owner}: ticks = {ticks} but it must be at least 1")


def bernoulli(p: ArrayLike, ticks: int, key: Array) -> Array:
    """Rate code: every tick spikes with probability p, independently.

    **Arguments**: `p` (*unit) in 0 .. 1; returns spikes, 0.0 or 1.0, (ticks, *unit).

    >>> bernoulli(jnp.array([0.0, 1.0]), 4, jr.key(0)).sum(0).tolist()
    [0.0, 4.0]
    """
    _ticks("bernoulli", ticks)
    p = jnp.asarray(p, jnp.result_type(float))
    return (jr.uniform(key, (ticks, *p.shape), p.dtype) < p[None]).astype(p.dtype)


def poisson(rate: ArrayLike, ticks: int, key: Array, *, dt: float, counts: bool = False) -> Array:
    r"""Rate code: Poisson trains of `rate` (Hz), cut into ticks of `dt` (ms).

    At most one spike a tick, with probability $1 - e^{-r\,dt}$, exactly that a Poisson train spikes in it;
    `counts=True` gives the number of spikes of each tick instead, whose mean is r dt at any rate.

    **Arguments**: `rate` (*unit), not negative; for a value x in 0 .. 1 write `rate=highest * x`.
    Returns (ticks, *unit).

    >>> poisson(jnp.array([0.0, 1e6]), 5, jr.key(0), dt=1.0).sum(0).tolist()
    [0.0, 5.0]
    """
    mean = jnp.asarray(rate, jnp.result_type(float)) * dt / 1000
    if counts:
        _ticks("poisson", ticks)
        return jr.poisson(key, mean[None], (ticks, *mean.shape)).astype(mean.dtype)
    return bernoulli(-jnp.expm1(-mean), ticks, key)


def _at(tick: Array, ticks: int) -> Array:
    """One spike at a tick of each unit; none where the tick lies beyond the end (or is not finite)."""
    time = jnp.arange(ticks).reshape(-1, *[1] * tick.ndim)
    return (time == tick[None]).astype(jnp.result_type(float))


def latency(x: ArrayLike, ticks: int) -> Array:
    r"""Time-to-first-spike code, linear: one spike at tick round((1 - x)(ticks - 1)): the larger, the sooner.

    **Arguments**: `x` (*unit) in 0 .. 1, beyond which it is clipped; returns (ticks, *unit).

    >>> latency(jnp.array([1.0, 0.5, 0.0]), 5).argmax(0).tolist()
    [0, 2, 4]
    """
    _ticks("latency", ticks)
    x = jnp.clip(jnp.asarray(x, jnp.result_type(float)), 0, 1)
    return _at(jnp.round((1 - x) * (ticks - 1)), ticks)


def log_latency(
    x: ArrayLike, ticks: int, *, dt: float, tau: float = 20.0, threshold: float = 0.2
) -> Array:
    r"""Time-to-first-spike code, logarithmic: when a leaky membrane driven by x reaches the threshold.

    $$t = \tau \ln \frac{x}{x - \theta}, \qquad \text{no spike for } x \le \theta$$

    **Arguments**: `x` (*unit), not negative; `dt`, `tau` (ms); `threshold` in the unit of x. The spike is in
    the tick that holds t, round down; one that comes after `ticks` is left out. Returns (ticks, *unit).

    >>> log_latency(jnp.array([1.0, 0.4, 0.1]), 50, dt=1.0).sum(0).tolist()     # 4.5 ms, 13.9 ms, never
    [1.0, 1.0, 0.0]

    Source: the first spike of a leaky integrate-and-fire cell; as an encoder in snnTorch and SpikingJelly.
    """
    _ticks("log_latency", ticks)
    x = jnp.asarray(x, jnp.result_type(float))
    reaches = x > threshold
    safe = jnp.where(reaches, x, 2 * threshold + 1)
    t = tau * jnp.log(safe / (safe - threshold))
    return _at(jnp.where(reaches, jnp.floor(t / dt), jnp.inf), ticks)


def phase(x: ArrayLike, ticks: int, period: int) -> Array:
    r"""Phase code: one spike in every cycle of a background rhythm, at tick round((1 - x)(period - 1)) of it.

    **Arguments**: `x` (*unit) in 0 .. 1 (clipped); `period` in ticks; returns (ticks, *unit).

    >>> phase(jnp.array([1.0, 0.0]), 6, 3).T.tolist()
    [[1.0, 0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]]

    Source: Hopfield (1995), Nature 376, 33.
    """
    _ticks("phase", ticks)
    if period < 1:
        raise ValueError(f"phase: period = {period} ticks but it must be at least 1")
    cycle = latency(x, period)
    return jnp.tile(cycle, (math.ceil(ticks / period), *[1] * (cycle.ndim - 1)))[:ticks]


def binary_phase(x: ArrayLike, ticks: int, bits: int = 8) -> Array:
    r"""Weighted-phase code: the binary digits of x, most significant first, one a tick, again and again.

    A spike at phase k stands for $2^{-(k + 1)}$. x is rounded down to a multiple of 2^-bits.

    **Arguments**: `x` (*unit) in 0 .. 1 (1 itself becomes 1 - 2^-bits); returns (ticks, *unit).

    >>> binary_phase(jnp.array([0.625]), 4, bits=4)[:, 0].tolist()      # 0.1010
    [1.0, 0.0, 1.0, 0.0]

    Source: Kim et al. (2018), Neurocomputing 311, 373.
    """
    _ticks("binary_phase", ticks)
    if not 1 <= bits <= 24:
        raise ValueError(f"binary_phase: bits = {bits} but it must be 1 to 24")
    x = jnp.asarray(x, jnp.result_type(float))
    whole = jnp.clip(jnp.floor(x * 2**bits), 0, 2**bits - 1).astype(jnp.int32)
    place = (bits - 1 - jnp.arange(ticks) % bits).reshape(-1, *[1] * x.ndim)
    return ((whole[None] >> place) & 1).astype(x.dtype)


def binary_phase_decode(spikes: Array, bits: int = 8) -> Array:
    """What `binary_phase` encoded, the mean over the cycles (whole ones: ticks a multiple of bits).

    >>> binary_phase_decode(binary_phase(jnp.array([0.625]), 8, bits=4), bits=4).tolist()
    [0.625]
    """
    ticks = spikes.shape[0]
    if ticks % bits:
        raise ValueError(f"binary_phase_decode: {ticks} ticks are no whole cycles of {bits}")
    weight = 2.0 ** -(1 + jnp.arange(ticks) % bits)
    return jnp.tensordot(weight, spikes, 1) * (bits / ticks)


class GaussianFields(Part):
    r"""Population code: each value through overlapping Gaussian receptive fields.

    $$a_i = e^{-(x - c_i)^2 / 2 w^2}$$

    Activities lie in 0 .. 1: turn them into spikes by `latency`, `bernoulli` or any other encoder.

    **Arguments**: `centre` c (unit,) and `width` w, in the unit of x. `fields(x)`: (...) -> (..., unit).

    >>> fields = GaussianFields.spread(0.0, 1.0, 5)
    >>> [round(c, 3) for c in fields.centre.tolist()], latency(fields(jnp.array([0.5])), 9).argmax(0).tolist()
    ([-0.167, 0.167, 0.5, 0.833, 1.167], [[8, 5, 0, 5, 8]])

    Source: Bohte, Kok, La Poutré (2002), Neurocomputing 48, 17.
    """

    centre: Array = param(axes=("unit",))
    width: Array = param(bounds=(0, None), axes=("unit",))

    @staticmethod
    def spread(low: float, high: float, n: int, beta: float = 1.5) -> GaussianFields:
        r"""n fields over low .. high: c_i = low + (i - 1/2)(high - low)/(n - 2), i = 0 .. n - 1, and
        w = (high - low)/(beta (n - 2)). ValueError for n < 3 or an empty range."""
        if n < 3 or not low < high:
            raise ValueError(
                f"GaussianFields: {n} fields over {low} .. {high}; give 3 or more, low < high"
            )
        gap = (high - low) / (n - 2)
        return GaussianFields(low + (jnp.arange(n) - 0.5) * gap, gap / beta)

    def __call__(self, x: Array) -> Array:
        last = lambda a: a.reshape(*[1] * x.ndim, -1)
        return jnp.exp(-(((x[..., None] - last(self.centre)) / last(self.width)) ** 2) / 2)
