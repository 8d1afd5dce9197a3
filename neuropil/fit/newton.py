"""Newton's method with conjugate gradients, for the GLMs of all units at once."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neuropil.stats.likelihood import mean_of


def linear(
    design: Float[Array, "time column"], theta: Float[Array, "parameter unit"]
) -> Float[Array, "time unit"]:
    """Linear predictor; row 0 of theta is the bias."""
    return theta[:1] + design @ theta[1:]


@eqx.filter_jit
def solve(family, iterations, design, y, weights, penalty, allowed, start):
    """Maximise sum_t weights_t log p(y_t) - sum penalty / 2 theta^2 over theta (1 + column, unit).

    `penalty` is (1, unit) or (column, unit). Columns are centred inside, so that bias and weights
    separate in the preconditioner: with one penalty a unit it is the eigendecomposition of the
    Gram matrix, which all units share; with a penalty for each column it is the diagonal.
    """
    n = weights.sum()
    centre = (weights @ design) / n
    x = design - centre[None, :]
    w = weights[:, None]
    shared = penalty.shape[0] == 1
    if shared:
        spectrum, axes = jnp.linalg.eigh(x.T @ (w * x) / n)
    else:
        spectrum, axes = (w * x**2).sum(0) / n, None
    wide = jnp.broadcast_to(penalty, (x.shape[1], y.shape[1]))
    ridge = jnp.concatenate([jnp.zeros((1, y.shape[1]), y.dtype), wide])
    log_normaliser = jax.nn.softplus if family == "bernoulli" else jnp.exp
    tolerance = n * (1e-18 if y.dtype == jnp.float64 else 1e-8)

    def back(r):
        return allowed * jnp.concatenate([r.sum(0, keepdims=True), x.T @ r])

    def loss(theta, eta):
        return (w * (log_normaliser(eta) - y * eta)).sum(0) + 0.5 * (ridge * theta**2).sum(0)

    def direction(theta, eta):
        mean = mean_of(family, eta)
        var = w * (mean * (1 - mean) if family == "bernoulli" else mean)
        gradient = back(w * (mean - y)) + ridge * theta
        level = jnp.maximum(var.sum(0), 1e-6)

        def precondition(r):
            scale = level[None, :] * jnp.maximum(spectrum, 0)[:, None] + wide
            rest = axes @ ((axes.T @ r[1:]) / scale) if shared else r[1:] / scale
            return allowed * jnp.concatenate([r[:1] / level[None, :], rest])

        def body(carry):
            i, d, r, p, rz = carry
            hp = back(var * linear(x, p)) + ridge * p
            a = rz / jnp.maximum((p * hp).sum(0), 1e-30)
            d, r = d + a[None, :] * p, r - a[None, :] * hp
            s = precondition(r)
            new = (r * s).sum(0)
            return i + 1, d, r, s + (new / jnp.maximum(rz, 1e-30))[None, :] * p, new

        z = precondition(-gradient)
        first = -(gradient * z).sum(0)
        goal = jnp.maximum(1e-3 * first, 0.1 * tolerance)
        carry = (0, jnp.zeros_like(theta), -gradient, z, first)
        carry = jax.lax.while_loop(lambda c: (c[0] < 60) & jnp.any(c[4] > goal), body, carry)
        return carry[1], (gradient * carry[1]).sum(0)

    def newton(carry):
        i, theta, eta, value, _ = carry
        d, slope = direction(theta, eta)
        along = linear(x, d)
        slack = 10 * jnp.finfo(y.dtype).eps * jnp.abs(value)  # rounding is no reason to stop

        def at(step):
            return loss(theta + step[None, :] * d, eta + step[None, :] * along)

        def bad(step):
            worse = ~(at(step) <= value + 1e-4 * step * slope + slack)
            return worse & (step > 1e-8)

        step = jax.lax.while_loop(
            lambda s: jnp.any(bad(s)), lambda s: jnp.where(bad(s), s / 2, s), jnp.ones_like(value)
        )
        theta, eta = theta + step[None, :] * d, eta + step[None, :] * along
        return i + 1, theta, eta, loss(theta, eta), -slope

    start = start.at[0].add(centre @ start[1:])
    rate = jnp.clip((w * y).sum(0) / n, 0.5 / n)  # a unit may be silent in the training blocks
    rate = jnp.minimum(rate, 1 - 0.5 / n) if family == "bernoulli" else rate
    origin = jnp.log(rate / (1 - rate) if family == "bernoulli" else rate)
    start = start.at[0].set(jnp.where(jnp.any(start != 0, axis=0), start[0], origin)) * allowed
    eta = linear(x, start)
    carry = (0, start, eta, loss(start, eta), jnp.full(y.shape[1], jnp.inf, y.dtype))

    def unfinished(carry):
        # gains below the rounding of the loss are no longer gains
        rounding = 0.0 if y.dtype == jnp.float64 else 10 * jnp.finfo(y.dtype).eps
        enough = jnp.maximum(tolerance, rounding * jnp.abs(carry[3]))
        return (carry[0] < iterations) & jnp.any(carry[4] > enough)

    carry = jax.lax.while_loop(unfinished, newton, carry)
    theta = carry[1]
    return theta.at[0].add(-(centre @ theta[1:]))
