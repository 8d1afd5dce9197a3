"""Newton's method for the GLMs of all units at once.

`solve` finds directions by conjugate gradients, for designs of many columns; `newton_steps` by the Hessian
itself, for few columns and several weightings of the bins (the states of an HMM).
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
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


def softplus(x: Array) -> Array:
    """log(1 + e^x) to the last digit of its largest values, in a third of the time of `jax.nn.softplus`.

    >>> [round(float(y), 4) for y in softplus(jnp.array([0.0, 1000.0]))]
    [0.6931, 1000.0]
    """
    return jnp.maximum(x, 0) + jnp.log(1 + jnp.exp(-jnp.abs(x)))


def column_products(design: Float[Array, "time column"]) -> Float[Array, "time pair"]:
    """x_i x_j of every pair of columns i <= j, which `newton_steps` makes its Hessians of."""
    i, j = np.triu_indices(design.shape[1])
    return design[:, i] * design[:, j]


def newton_steps(
    family: str,
    steps: int,
    rows: Float[Array, "column time"],
    pairs: Float[Array, "time pair"],
    y: Float[Array, "output time"],
    weights: Float[Array, "state time"],
    penalty: Array | float,
    start: Float[Array, "state output column"],
) -> Float[Array, "state output column"]:
    """Newton steps on sum_t weights_kt log p(y_t) - penalty / 2 |theta_k|^2, each halved until it climbs.

    Column 0 of the design is the offset, which no penalty holds; `pairs` from `column_products`. All Hessians
    are one product of matrices, and so are sums over time (a sum that keeps the order of its terms is slower).
    """
    columns = len(rows)
    place = np.zeros((columns, columns), int)
    place[np.triu_indices(columns)] = np.arange(pairs.shape[1])
    place = np.maximum(place, place.T)
    ridge = jnp.full((1, 1, columns), penalty, y.dtype).at[..., 0].set(0.0)
    w, target = weights[:, None], y[None]
    normaliser = softplus if family == "bernoulli" else jnp.exp
    # a little more than nothing keeps a column that never varies from making the Hessian singular
    ground = jnp.diag(ridge[0, 0] + 1e-6)

    def loss(theta, eta):
        each = w * (normaliser(eta) - target * eta)
        return each @ jnp.ones(each.shape[2], each.dtype) + 0.5 * (ridge * theta**2).sum(2)

    def one(of):  # one after the other: batches of LAPACK calls can block each other
        hessian, slope = of
        return -jsl.solve(hessian[place] + ground, slope, assume_a="pos")

    def newton(carry, _):
        theta, eta, value = carry
        mean = mean_of(family, eta)
        heavy = w * (mean * (1 - mean) if family == "bernoulli" else mean)
        slope = jnp.einsum("kut,ct->kuc", w * (mean - target), rows) + ridge * theta
        hessian = jnp.einsum("kut,tp->kup", heavy, pairs)
        flat = lambda a: a.reshape(-1, a.shape[-1])
        d = jax.lax.map(one, (flat(hessian), flat(slope))).reshape(theta.shape)
        along, gain = jnp.einsum("kuc,ct->kut", d, rows), (slope * d).sum(2)
        slack = 10 * jnp.finfo(y.dtype).eps * jnp.abs(value)  # rounding is no reason to stop
        at = lambda step: loss(theta + step[..., None] * d, eta + step[..., None] * along)
        bad = lambda step, now: ~(now <= value + 1e-4 * step * gain + slack) & (step > 1e-8)

        def halve(carry):
            step, now = carry
            step = jnp.where(bad(step, now), step / 2, step)
            return step, at(step)

        whole = jnp.ones_like(value)
        step, now = jax.lax.while_loop(lambda c: jnp.any(bad(*c)), halve, (whole, at(whole)))
        step = step[..., None]
        return (theta + step * d, eta + step * along, now), None

    eta = jnp.einsum("kuc,ct->kut", start, rows)
    return jax.lax.scan(newton, (start, eta, loss(start, eta)), None, length=steps)[0][0]
