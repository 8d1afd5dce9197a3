"""Series that reservoirs are judged by: NARMA, Mackey-Glass, Lorenz, Henon."""

from __future__ import annotations

from collections.abc import Callable

import jax.core
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float


def narma(u: Float[Array, " time"], order: int = 10) -> Float[Array, " time"]:
    r"""Nonlinear autoregressive moving average driven by u, usually uniform on 0..0.5; y is 0 before order.

    $$y_{t+1} = 0.3\, y_t + 0.05\, y_t \sum_{i=0}^{9} y_{t-i} + 1.5\, u_{t-9} u_t + 0.1$$

    >>> y = narma(jnp.full(200, 0.2))                 # a fixed point: y = 0.3 y + 0.5 y^2 + 0.16
    >>> round(float(y[-1]), 3)
    0.288

    Raises ValueError where it grows without bound (about one long series in a hundred, for inputs on
    0..0.5): draw another input.

    Source: Atiya, Parlos (2000), IEEE Trans. Neural Netw. 11, 697.
    """

    def step(carry, now):
        past, heard = carry  # the last `order` values of y and of u, newest last
        heard = jnp.concatenate([heard[1:], now[None]])
        new = 0.3 * past[-1] + 0.05 * past[-1] * past.sum() + 1.5 * heard[0] * heard[-1] + 0.1
        return (jnp.concatenate([past[1:], new[None]]), heard), past[-1]

    zero = jnp.zeros(order, u.dtype)
    heard = jnp.concatenate([zero[:1], u[: order - 1]])
    _, y = lax.scan(step, (zero, heard), u[order - 1 :])
    y = jnp.concatenate([jnp.zeros(order - 1, u.dtype), y])
    if not isinstance(y, jax.core.Tracer) and not (np.isfinite(y).all() and np.abs(y).max() < 10):
        raise ValueError("narma: the series grows without bound; draw another input")
    return y


def mackey_glass(
    ticks: int,
    *,
    tau: float | int = 17.0,
    beta: float = 0.2,
    gamma: float = 0.1,
    power: float | int = 10.0,
    start: float = 1.2,
    sample: float | int = 1.0,
    steps: int = 10,
    settle: int = 0,
) -> Float[Array, " time"]:
    r"""The Mackey-Glass delay equation, by Runge-Kutta 4 with the delayed value linear within a step.

    $$\dot x = \frac{\beta\, x(t - \tau)}{1 + x(t - \tau)^{n}} - \gamma\, x$$

    `sample`: time between two values, made of `steps` steps; x = `start` before time 0; `settle`: samples left
    out. Chaotic for tau = 17 (mildly) and 30.

    >>> bool(jnp.allclose(mackey_glass(50, start=1.0), 1.0))      # (beta / gamma - 1)^(1/n) is a fixed point
    True

    Raises ValueError where tau is no multiple of the step.

    Source: Mackey, Glass (1977), Science 197, 287.
    """
    h = sample / steps
    lag = round(tau / h)
    if lag < 1 or abs(lag * h - tau) > 1e-6 * tau:
        raise ValueError(
            f"mackey_glass: tau = {tau} is no multiple of the step, {sample} / {steps}"
        )

    def field(x, late):
        return beta * late / (1 + late**power) - gamma * x

    def step(carry, _):
        x, past, at = carry  # a ring: `at` holds the oldest value, one delay ago
        late, soon = past[at], past[(at + 1) % (lag + 1)]
        mid = (late + soon) / 2
        a = field(x, late)
        b = field(x + h / 2 * a, mid)
        c = field(x + h / 2 * b, mid)
        d = field(x + h * c, soon)
        new = x + h / 6 * (a + 2 * b + 2 * c + d)
        return (new, past.at[at].set(new), (at + 1) % (lag + 1)), None

    def value(carry, _):
        return lax.scan(step, carry, None, length=steps)[0], carry[0]

    floats = jnp.result_type(float)
    first = (jnp.asarray(start, floats), jnp.full(lag + 1, start, floats), jnp.int32(0))
    return lax.scan(value, first, None, length=settle + ticks)[1][settle:]


def lorenz_field(
    x: Float[Array, "3"], sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3
) -> Float[Array, "3"]:
    """The Lorenz equations: sigma (y - x), x (rho - z) - y, x y - beta z."""
    a, b, c = x
    return jnp.stack([sigma * (b - a), a * (rho - c) - b, a * b - beta * c])


def rk4(field: Callable[[Array], Array], h: float) -> Callable[[Array], Array]:
    """One step of Runge-Kutta 4 of dx/dt = field(x), as a map."""

    def step(x):
        a = field(x)
        b = field(x + h / 2 * a)
        c = field(x + h / 2 * b)
        d = field(x + h * c)
        return x + h / 6 * (a + 2 * b + 2 * c + d)

    return step


def lorenz(
    ticks: int,
    *,
    sample: float = 0.02,
    steps: int = 2,
    start: tuple[float, float, float] = (1.0, 1.0, 1.0),
    settle: int = 1000,
) -> Float[Array, "time 3"]:
    """The Lorenz system (10, 28, 8/3), sampled every `sample`, the first `settle` samples left out.

    >>> x = lorenz(200)
    >>> x.shape, bool((jnp.abs(x[:, 0]) < 25).all())
    ((200, 3), True)

    Source: Lorenz (1963), J. Atmos. Sci. 20, 130.
    """
    move = rk4(lorenz_field, sample / steps)

    def value(x, _):
        return lax.fori_loop(0, steps, lambda _, x: move(x), x), x

    first = jnp.asarray(start, jnp.result_type(float))
    return lax.scan(value, first, None, length=settle + ticks)[1][settle:]


def henon_map(x: Float[Array, "2"], a: float = 1.4, b: float = 0.3) -> Float[Array, "2"]:
    """The Henon map (x, y) -> (1 - a x^2 + y, b x).

    Source: Henon (1976), Commun. Math. Phys. 50, 69.

    >>> henon_map(jnp.array([0.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    return jnp.stack([1 - a * x[0] ** 2 + x[1], b * x[0]])
