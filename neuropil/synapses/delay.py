"""Exact delays: what goes in at one tick comes out a given time later."""

from __future__ import annotations

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import System


class Delay(System):
    r"""Everything comes out `delay` ms later: $y(t) = x(t - d)$, zero before the run.

    d must be a whole number of ticks; with `interpolate=True` a fraction is shared between the two
    neighbouring ticks, $y = (1 - f)\, x_{t-n} + f\, x_{t-n-1}$. Inside a `Network` an edge already costs
    one tick: the network tells the first delay of an edge so, and an impulse arrives after exactly d.

    **Arguments**: `delay` (ms), one number or one for every unit of the last axis; `shape` of the input.

    State: the last inputs, a ring whose position is the tick's number.

    >>> import jax
    >>> from neuropil.core import run, start
    >>> line = Delay(2.0, 1)
    >>> run(line, start(line, 1.0, jax.random.key(0)), jnp.arange(1.0, 6.0)[:, None])[1][:, 0].tolist()
    [0.0, 0.0, 1.0, 2.0, 3.0]

    Raises ValueError for a negative delay, one that is no multiple of dt (unless interpolated), and for
    one shorter than a tick on a network edge.
    """

    delay: tuple[float, ...] = eqx.field(
        static=True, converter=lambda d: (float(d),) if np.ndim(d) == 0 else tuple(map(float, d))
    )
    shape: tuple[int, ...] = eqx.field(
        static=True, converter=lambda n: (n,) if isinstance(n, int) else tuple(n)
    )
    interpolate: bool = eqx.field(static=True, default=False)
    passed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if any(not (math.isfinite(d) and d >= 0) for d in self.delay):
            raise ValueError(f"Delay: {min(self.delay)} ms; a delay is finite and not negative")
        if len(self.delay) not in (1, self.shape[-1]):
            raise ValueError(
                f"Delay: {len(self.delay)} delays for {self.shape[-1]} units; give one, or one a unit"
            )

    def _ticks(self, dt: float) -> tuple[list[int], list[float]]:
        """Whole ticks and fractions of every delay at this dt."""
        whole, part = [], []
        for d in self.delay:
            n = d / dt - self.passed
            near = round(n)
            if abs(n - near) < 1e-6 * max(1.0, abs(n)):
                n, fraction = near, 0.0
            elif self.interpolate:
                n, fraction = math.floor(n), n - math.floor(n)
            else:
                raise ValueError(
                    f"Delay: {d} ms is no multiple of dt = {dt} ms; choose another dt, or write "
                    "Delay(..., interpolate=True)"
                )
            if n < 0:
                raise ValueError(
                    f"Delay: {d} ms on a network edge, which costs one tick of {dt} ms"
                )
            whole.append(int(n))
            part.append(fraction)
        return whole, part

    def init(self, dt, key):
        whole, part = self._ticks(dt)
        slots = max(n + (f > 0) for n, f in zip(whole, part, strict=True)) + 1
        state = {"line": jnp.zeros((slots, *self.shape))}
        if len(self.delay) > 1 or any(part):
            state["ticks"] = jnp.asarray(whole, jnp.int32)
            state["part"] = jnp.asarray(part)
        return state

    def step(self, state, x, tick):
        line = state["line"]
        slots = line.shape[0]
        line = line.at[tick.i % slots].set(x)
        return {**state, "line": line}, self._read(state, line, tick.i)

    def _read(self, state: dict, line: Array, i: Array) -> Array:
        slots = line.shape[0]
        if "ticks" not in state:
            return line[(i + 1) % slots]  # the oldest
        unit = jnp.arange(self.shape[-1])
        at = lambda n: (
            line[(i - n) % slots, ..., unit] if n.shape[0] > 1 else line[(i - n[0]) % slots]
        )
        near, far = at(state["ticks"]), at(state["ticks"] + 1)
        if state["ticks"].shape[0] > 1:  # the gather put the unit axis first
            near, far = jnp.moveaxis(near, 0, -1), jnp.moveaxis(far, 0, -1)
        part = state["part"].reshape((1,) * (near.ndim - 1) + (-1,))
        return (1 - part) * near + part * far

    def unroll(self, state, xs, ticks):
        line = state["line"]
        slots, n = line.shape[0], xs.shape[0]
        if "ticks" in state or slots == 1:
            return System.unroll(self, state, xs, ticks)
        first = ticks.i[0]
        old = line[(first + 1 + jnp.arange(slots - 1)) % slots]  # oldest first
        stream = jnp.concatenate([old, xs.astype(line.dtype)])
        last = first + n - 1
        newest = stream[-slots:]  # inputs of the ticks last - slots + 1 .. last
        line = jnp.zeros_like(line).at[(last - slots + 1 + jnp.arange(slots)) % slots].set(newest)
        return {**state, "line": line}, stream[:n]

    def on_edge(self):
        return Delay(
            self.delay if len(self.delay) > 1 else self.delay[0], self.shape, self.interpolate, 1
        )

    def rest(self):
        return jnp.zeros(self.shape)
