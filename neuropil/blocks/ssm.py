r"""State-space layers: linear time-invariant (S4D) and selective (S6, SSD).

All are linear in their state with a diagonal transition, so `unroll` needs no loop over ticks.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Complex, Float, Key

from neuropil.blocks.attention import check_heads, join_heads, split_heads
from neuropil.blocks.recurrence import linear_scan, separable
from neuropil.core import System, Tick, param
from neuropil.wiring import Dense


class DiagonalSSM(System):
    r"""Diagonal state-space layer (S4D): each channel is a sum of damped oscillators.

    $$\dot h = (-r + i\omega) h + u, \qquad y = 2\,\mathrm{Re} \sum_n c_n h_n + d\,u$$

    with h (width, modes) complex, held exactly between ticks (zero-order hold, so a constant input
    gives the same samples at every dt). `unroll` is one associative scan.

    Source: Gu et al. (2022), arXiv 2206.11893; the linear recurrent unit (Orvieto et al. 2023) is
    the same layer with another parametrisation.

    >>> from neuropil.core import run, start
    >>> part = DiagonalSSM.init_linear(3, 4, key=jr.key(0))
    >>> run(part, start(part, 1.0, jr.key(1)), jnp.ones((5, 3)))[1].shape
    (5, 3)
    """

    rate: Array = param(unit="1/ms", bounds=(0, None), axes=("width", "mode"))
    frequency: Array = param(unit="rad/ms", axes=("width", "mode"))
    read_real: Array = param(axes=("width", "mode"))
    read_imaginary: Array = param(axes=("width", "mode"))
    skip: Array = param(axes=("width",))

    @staticmethod
    def init_linear(
        width: int,
        modes: int,
        *,
        key: Key[Array, ""],
        tau: tuple[float | int, float | int] = (10.0, 1000.0),
    ) -> DiagonalSSM:
        """S4D-Lin: rate 1/2 and frequencies pi n, both per time constant; tau (ms) is log-uniform in
        the given range, one a channel. Reading weights are normal, the skip is 1."""
        low, high = tau
        if not 0 < low <= high:
            raise ValueError(
                f"DiagonalSSM: tau = {tau} ms; write (shortest, longest), both positive"
            )
        a, b, c = jr.split(key, 3)
        log_tau = jr.uniform(a, (width, 1), minval=math.log(low), maxval=math.log(high))
        per_ms = jnp.exp(-log_tau)
        ones = jnp.ones((1, modes))
        frequency = math.pi * jnp.arange(modes)[None, :] * per_ms
        scale = math.sqrt(0.5 / modes)
        # the drive of a mode is of order dt / tau, so the reading is scaled by 1 / tau
        real, imaginary = (scale * per_ms * jr.normal(k, (width, modes)) for k in (b, c))
        return DiagonalSSM(0.5 * ones * per_ms, frequency, real, imaginary, jnp.ones(width))

    def discrete(self, dt: Array | float) -> tuple[Complex[Array, "w m"], Complex[Array, "w m"]]:
        """(transition, drive) of one tick of length dt (ms)."""
        pole = jax.lax.complex(-self.rate, self.frequency)
        still = pole == 0
        drive = jnp.where(still, dt, jnp.expm1(dt * pole) / jnp.where(still, 1.0, pole))
        return jnp.exp(dt * pole), drive

    def init(self, dt, key):
        return jax.lax.complex(jnp.zeros_like(self.rate), jnp.zeros_like(self.rate))

    def _read(self, h, u):
        read = jax.lax.complex(self.read_real, self.read_imaginary)
        return 2 * (read * h).real.sum(-1) + self.skip * u

    def step(self, state: Complex[Array, "width mode"], x: Float[Array, " width"], tick: Tick):
        decay, drive = self.discrete(tick.dt)
        state = decay * state + drive * x[:, None]
        return state, self._read(state, x)

    def unroll(self, state, xs: Float[Array, "time width"], ticks: Tick):
        decay, drive = self.discrete(ticks.dt)
        all_drive = drive[None] * xs[:, :, None]
        h = linear_scan(jnp.broadcast_to(decay[None], all_drive.shape), all_drive, state)
        return h[-1], jax.vmap(self._read)(h, xs)

    def rest(self):
        return jnp.zeros_like(self.skip)


def inverse_softplus(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The z with softplus(z) = x, for x > 0."""
    return x + jnp.log(-jnp.expm1(-x))


class S6(System):
    r"""Selective state-space layer: the input sets the step, and what is written and read.

    $$\Delta_i = \mathrm{softplus}(W_\Delta u_i + b_\Delta), \quad
      h_i = e^{-\Delta_i a} \odot h_{i-1} + \Delta_i\, b_i\, u_i, \quad
      y_i = W_o (c_i \cdot h_i + d \odot u_i)$$

    per channel, with h (width, state), b_i = W_B u_i and c_i = W_C u_i (state,), a = exp(log_a).
    One Delta couples forgetting and writing: a small one skips the token, a large one resets. The
    discretisation of the input is Euler's, as in the source; steps are tokens (dt has no part in it).

    Source: Gu, Dao (2023), arXiv 2312.00752, without its convolution and gate; the step's map has
    full rank here.
    """

    delta: Dense
    write: Dense
    read: Dense
    out: Dense
    log_a: Array = param(axes=("width", "state"))
    skip: Array = param(axes=("width",))

    @staticmethod
    def init_normal(
        width: int,
        state: int,
        *,
        key: Key[Array, ""],
        scale: float | int | None = None,
        steps: tuple[float | int, float | int] | None = (0.001, 0.1),
    ) -> S6:
        """a = 1 .. state in every channel, skip 1; the bias of the step so that Delta is log-uniform
        in `steps` (None: bias 0, so Delta = 0.69); other weights normal (1 / sqrt(width)), biases 0."""
        d, w, r, o, b = jr.split(key, 5)
        scale = 1.0 / math.sqrt(width) if scale is None else scale
        normal = lambda k, n: scale * jr.normal(k, (n, width))
        bias = _step_bias(b, width, steps)
        log_a = jnp.broadcast_to(jnp.log(jnp.arange(1.0, state + 1))[None], (width, state))
        maps = (Dense(normal(w, state)), Dense(normal(r, state)), Dense(normal(o, width)))
        return S6(Dense(normal(d, width), bias), *maps, log_a, jnp.ones(width))

    def coefficients(self, xs: Float[Array, "time width"]):
        """(decay (time, width, state), drive of the same shape, reading weights (time, state))."""
        delta = jax.nn.softplus(jax.vmap(self.delta.forward)(xs))
        decay = jnp.exp(-delta[:, :, None] * jnp.exp(self.log_a)[None])
        drive = (delta * xs)[:, :, None] * self.write.forward(xs)[:, None, :]
        return decay, drive, self.read.forward(xs)

    def init(self, dt, key):
        return jnp.zeros_like(self.log_a)

    def step(self, state: Float[Array, "width state"], x: Float[Array, " width"], tick: Tick):
        decay, drive, read = self.coefficients(x[None])
        state = decay[0] * state + drive[0]
        return state, self.out.forward(state @ read[0] + self.skip * x)

    def unroll(self, state: Float[Array, "width state"], xs: Float[Array, "time w"], ticks: Tick):
        decay, drive, read = self.coefficients(xs)
        h = linear_scan(decay, drive, state)
        ys = jnp.einsum("twn,tn->tw", h, read) + self.skip[None] * xs
        return h[-1], self.out.forward(ys)

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)


class SSD(System):
    r"""State-space duality (Mamba-2): S6 with one scalar decay a head, so it is also masked attention.

    $$h_i = e^{-a \Delta_i} h_{i-1} + \Delta_i\, b_i u_i^\top, \qquad
      \Delta_i = \mathrm{softplus}(z_i), \qquad e^{-a\,\mathrm{softplus}(z)} = \sigma(-z)^a$$

    with h (head, state, part), y_i = W_o (h_i^T c_i + d u_i): the forget gate is a *reversed* sigmoid.
    `unroll` is made of matrix products in chunks. Source: Dao, Gu (2024), arXiv 2405.21060, without
    convolution and gate. The decay is exactly scalar within a head.

    Raises ValueError where heads do not divide the width.
    """

    delta: Dense
    write: Dense
    read: Dense
    out: Dense
    log_a: Array = param(axes=("head",))
    skip: Array = param(axes=("width",))

    def __check_init__(self):
        check_heads("SSD", self.log_a.shape[0], width=self.skip.shape[0])

    @staticmethod
    def init_normal(
        width: int,
        state: int,
        *,
        key: Key[Array, ""],
        heads: int = 1,
        scale: float | int | None = None,
        steps: tuple[float | int, float | int] | None = (0.001, 0.1),
    ) -> SSD:
        """a = 1, skip 1, and the rest as in `S6.init_normal`."""
        d, w, r, o, b = jr.split(key, 5)
        scale = 1.0 / math.sqrt(width) if scale is None else scale
        normal = lambda k, n: scale * jr.normal(k, (n, width))
        bias = _step_bias(b, heads, steps)
        maps = (Dense(normal(w, state)), Dense(normal(r, state)), Dense(normal(o, width)))
        return SSD(Dense(normal(d, heads), bias), *maps, jnp.zeros(heads), jnp.ones(width))

    def coefficients(self, xs: Float[Array, "time width"]):
        """(log decay (head, time), write (head, time, state), values (head, time, part))."""
        heads = self.log_a.shape[0]
        delta = jax.nn.softplus(jax.vmap(self.delta.forward)(xs)).T
        write = jnp.broadcast_to(self.write.forward(xs)[None], (heads, *self._states(xs)))
        values = split_heads(xs, heads) * delta[:, :, None]
        return -jnp.exp(self.log_a)[:, None] * delta, write, values

    def _states(self, xs):
        return len(xs), self.write.weight.shape[0]

    def init(self, dt, key):
        heads, width = self.log_a.shape[0], self.skip.shape[0]
        return jnp.zeros((heads, self.write.weight.shape[0], width // heads), self.skip.dtype)

    def step(self, state: Float[Array, "head state part"], x: Float[Array, " width"], tick: Tick):
        log_decay, write, values = self.coefficients(x[None])
        state = jnp.exp(log_decay)[:, :, None] * state + write[:, 0, :, None] * values[:, :1]
        y = jnp.einsum("hsp,s->hp", state, self.read.forward(x)).reshape(-1)
        return state, self.out.forward(y + self.skip * x)

    def unroll(
        self, state: Float[Array, "head state part"], xs: Float[Array, "time width"], ticks: Tick
    ):
        log_decay, write, values = self.coefficients(xs)
        read = jnp.broadcast_to(self.read.forward(xs)[None], write.shape)
        state, ys = separable(read, write, values, log_decay, state)
        return state, self.out.forward(join_heads(ys) + self.skip[None] * xs)

    def rest(self):
        return jnp.zeros(self.out.weight.shape[0], self.out.weight.dtype)


def _step_bias(key, n, steps):
    if steps is None:
        return jnp.zeros(n)
    low, high = (math.log(s) for s in steps)
    return inverse_softplus(jnp.exp(jr.uniform(key, (n,), minval=low, maxval=high)))
