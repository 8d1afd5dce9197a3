"""Dense wiring in which every synapse has a delay of its own: fixed, or learned with the weights."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from neuropil.core import Part, System, param
from neuropil.synapses.causal import causal_sum


class NearestTap(Part):
    """All of a synapse's weight at the tick nearest to its delay (exact; no gradient to the delay)."""

    def __call__(self, age: Array, delay: Array, dt: Any) -> Array:
        at = jnp.round((delay - age[0]) / dt).astype(jnp.int32)
        return (jnp.arange(age.shape[0])[:, None, None] == at[None]).astype(delay.dtype)


class LinearTaps(Part):
    r"""The weight shared among the ticks within `sigma` + dt of the delay, as a triangle.

    $$\text{share}_k \propto \max(0,\; \sigma + dt - |k\,dt - d|)$$

    With sigma = 0 this is linear interpolation between the two neighbouring ticks.

    Source: Khalfaoui-Hassani, Pellegrini, Masquelier (2023), ICLR (DCLS), arXiv:2112.03740.
    """

    sigma: Array = param(0.0, unit="ms", bounds=(0, None))

    def __call__(self, age: Array, delay: Array, dt: Any) -> Array:
        off = jnp.abs(age[:, None, None] - delay[None])
        return _normalised(jnp.maximum(0.0, self.sigma + dt - off) / dt)


class GaussianTaps(Part):
    r"""The weight shared among all ticks as a Gaussian round the delay, so that distant spikes have a say.

    $$\text{share}_k \propto \exp\!\Big(-\frac12 \Big(\frac{k\,dt - d}{\sigma + 0.27\,dt}\Big)^2\Big)$$

    Training begins with a wide sigma and lets it shrink: the gradient to a delay sees about 2 sigma. `floor`
    (ticks) is the width that is left at sigma = 0: there a whole number of ticks keeps 99.8 % in one tap.

    Source: Khalfaoui-Hassani, Pellegrini, Masquelier (2023), arXiv:2306.00817; Hammouamri,
    Khalfaoui-Hassani, Masquelier (2024), ICLR, arXiv:2306.17670 and their code.
    """

    sigma: Array = param(10.0, unit="ms", bounds=(0, None))
    floor: float = eqx.field(static=True, default=0.27, converter=float)

    def __call__(self, age: Array, delay: Array, dt: Any) -> Array:
        q = (age[:, None, None] - delay[None]) / (self.sigma + self.floor * dt)
        return _normalised(jnp.exp(-(q**2) / 2))


def narrowing(done: Any, first: float, last: float, share: float = 0.25) -> Array:
    """Width of a kernel when a share `done` (0 to 1) of training is over.

    It falls geometrically from `first` to `last` in the first `share` of training, and stays there.

    >>> [round(float(narrowing(d, 12.0, 0.23)), 2) for d in (0.0, 0.125, 0.25, 1.0)]
    [12.0, 1.66, 0.23, 0.23]
    """
    return first * (last / first) ** jnp.minimum(jnp.asarray(done) / share, 1.0)


def _normalised(share: Array) -> Array:
    """Shares of every synapse that add up to 1, over the first axis."""
    return share / (share.sum(0, keepdims=True) + 1e-7)


class DelayedDense(System):
    r"""All to all, with a delay for every synapse: $y_i(t) = \sum_j w_{ij}\, x_j(t - d_{ij})$.

    The delays learn like any other parameter (dilated convolution with learnable spacings): `taps` shares
    a synapse's weight among whole ticks, and the gradient flows through the shares,

    $$y_i(t) = \sum_{j,k} w_{ij}\, \text{share}_k(d_{ij})\, x_j(t - k\,dt), \qquad \sum_k \text{share}_k = 1.$$

    **Arguments**

    - `weight` (post, pre); `delay` (post, pre) in ms, between 0 and `longest`.
    - `longest` (ms): how far back the line reaches; a whole number of ticks.
    - `taps`: `NearestTap()` (default; the delay rounded to ticks, exact), `LinearTaps(sigma)` or
      `GaussianTaps(sigma)`. Train with a wide Gaussian whose sigma shrinks (`narrowing`), run with `rounded()`.

    Input (pre,), output (post,). State: the inputs of the last ticks, a ring whose position is the tick's
    number. `unroll` does the whole time axis as matrix products between Fourier coefficients, so that its
    cost hardly grows with `longest`. On a `Network` edge the tick that has passed is counted in.

    >>> from neuropil.core import run, start
    >>> wire = DelayedDense([[1.0, 10.0]], [[0.0, 2.0]], longest=3.0)
    >>> xs = jnp.zeros((4, 2)).at[0].set(1.0)
    >>> ys = run(wire, start(wire, 1.0, jax.random.key(0)), xs)[1][:, 0]
    >>> bool(jnp.allclose(ys, jnp.array([1.0, 0.0, 10.0, 0.0]), atol=1e-5))
    True

    Raises ValueError for a delay that is negative or beyond `longest`, for shapes that differ, for a
    `longest` that is no multiple of dt, and for a delay shorter than a tick on a network edge.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier (2024), ICLR, arXiv:2306.17670.
    """

    weight: Array = param(axes=("post", "pre"))
    delay: Array = param(unit="ms", bounds=(0, None), axes=("post", "pre"))
    longest: float = eqx.field(static=True, converter=float)
    taps: Any = eqx.field(default_factory=NearestTap)
    passed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if jnp.ndim(self.weight) != 2 or jnp.shape(self.delay) != jnp.shape(self.weight):
            raise ValueError(
                f"DelayedDense: weight {jnp.shape(self.weight)} and delay {jnp.shape(self.delay)}; "
                "both must be (post, pre)"
            )
        if not (math.isfinite(self.longest) and self.longest >= 0):
            raise ValueError(f"DelayedDense: longest = {self.longest} ms; it must be 0 or more")
        if not isinstance(self.delay, jax.core.Tracer) and self.delay.size:
            most = float(self.delay.max())
            if most > self.longest * (1 + 1e-6):
                raise ValueError(
                    f"DelayedDense: a delay of {most:g} ms is beyond longest = {self.longest:g} ms"
                )

    @staticmethod
    def init_uniform(
        pre: int,
        post: int,
        longest: float | int,
        key: Array,
        *,
        dt: float | int | None = None,
        taps: Any = None,
    ) -> DelayedDense:
        """Weights uniform on +-sqrt(6 / pre) (Kaiming), delays on [0, longest]; whole ticks with `dt`."""
        a, b = jax.random.split(key)
        bound = math.sqrt(6 / pre)
        weight = jax.random.uniform(a, (post, pre), minval=-bound, maxval=bound)
        delay = jax.random.uniform(b, (post, pre), maxval=longest) if longest else 0 * weight
        delay = delay if dt is None else dt * jnp.round(delay / dt)
        return DelayedDense(weight, delay, longest, NearestTap() if taps is None else taps)

    def _slots(self, dt: float | int) -> int:
        ticks = round(self.longest / dt)
        if abs(ticks * dt - self.longest) > 1e-6 * max(dt, self.longest):
            raise ValueError(
                f"DelayedDense: longest = {self.longest} ms is no multiple of dt = {dt} ms"
            )
        if ticks < self.passed:
            raise ValueError(
                f"DelayedDense: longest = {self.longest} ms on a network edge of {dt} ms"
            )
        return ticks + 1 - self.passed

    def init(self, dt, key):
        least = 0.0
        if self.passed and not isinstance(self.delay, jax.core.Tracer):
            least = float(self.delay.min()) if self.delay.size else dt
            if least < dt * (1 - 1e-6):
                raise ValueError(
                    f"DelayedDense: a delay of {least:g} ms on a network edge, which costs one tick of {dt} ms"
                )
        return {"line": jnp.zeros((self._slots(dt), self.weight.shape[1]), self.weight.dtype)}

    def kernel(self, slots: int, dt: Any) -> Array:
        """Weight of every tick of the past, (slots, post, pre); the first is the youngest."""
        age = (jnp.arange(slots) + self.passed) * jnp.asarray(dt, self.delay.dtype)
        return self.weight[None] * self.taps(age, self.delay, dt)

    def rounded(self) -> DelayedDense:
        """The same synapses with every weight at one tick, that nearest to its delay."""
        return DelayedDense(self.weight, self.delay, self.longest, NearestTap(), self.passed)

    def clipped(self) -> DelayedDense:
        """The same synapses with the delays back in [0, longest], as after a step of gradient descent."""
        return eqx.tree_at(lambda s: s.delay, self, jnp.clip(self.delay, 0, self.longest))

    def step(self, state, x, tick):
        line = state["line"]
        slots = line.shape[0]
        line = line.at[tick.i % slots].set(x)
        if isinstance(self.taps, NearestTap):  # one gather in place of slots products
            n = jnp.round(self.delay / tick.dt).astype(jnp.int32) - self.passed
            heard = line[(tick.i - n) % slots, jnp.arange(line.shape[1])[None]]
            return {"line": line}, (self.weight * heard).sum(1)
        past = line[(tick.i - jnp.arange(slots)) % slots]
        return {"line": line}, jnp.einsum("koi,ki->o", self.kernel(slots, tick.dt), past)

    def unroll(self, state, xs, ticks):
        line = state["line"]
        slots, n = line.shape[0], xs.shape[0]
        first = ticks.i[0]
        old = line[(first + 1 + jnp.arange(slots - 1)) % slots]  # oldest first
        stream = jnp.concatenate([old, xs.astype(line.dtype)])
        ys = causal_sum(self.kernel(slots, ticks.dt), stream)
        at = first + n - 1 - jnp.arange(slots)  # the ticks whose inputs are kept, newest first
        kept = stream[stream.shape[0] - 1 - jnp.arange(min(slots, n + slots - 1))]
        return {"line": line.at[at % slots].set(kept)}, ys

    def on_edge(self):
        return DelayedDense(self.weight, self.delay, self.longest, self.taps, 1)

    def rest(self):
        return jnp.zeros(self.weight.shape[0], self.weight.dtype)
