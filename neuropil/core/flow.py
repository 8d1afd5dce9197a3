"""A vector field and a jump become a System; the numerical scheme is chosen apart."""

from __future__ import annotations

import math
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

from neuropil.core.system import System


class Flow(eqx.Module):
    r"""A model written as a differential equation, with an optional jump at the end of a tick.

    $$\dot y = f(t, y, x), \qquad (y, \text{output}) \leftarrow \text{jump}(y, x)$$

    t and 1/f in ms. Write the population as the last axis; the input x is constant within a tick.
    """

    def init(self, key: Key[Array, ""]) -> PyTree:
        """The state at time 0."""
        raise TypeError(f"{type(self).__name__} has no init(key); return the state at time 0")

    def field(self, t: Float[Array, ""], y: PyTree, x: PyTree) -> PyTree:
        """dy/dt per ms, same tree as y."""
        raise TypeError(f"{type(self).__name__} has no field(t, y, x); return dy/dt per ms")

    def jump(self, y: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        """What happens at once at the end of a tick (spike and reset): (state, output)."""
        return y, y

    def rest(self) -> PyTree:
        """Output before the first tick."""
        return self.jump(self.init(jax.random.key(0)), None)[1]


class Method(eqx.Module):
    """A numerical scheme: `__call__(field, t, y, x, dt)` gives y at t + dt.

    `order` is its order; `limit` the largest dt / tau at which a decay of time constant tau stays bounded
    (None: any).
    """

    limit = None

    def __call__(self, field, t, y, x, dt):
        raise TypeError(f"{type(self).__name__} has no __call__(field, t, y, x, dt)")


def _plus(y, scale, k):
    return jax.tree.map(lambda a, b: a + scale * b, y, k)


class Euler(Method):
    r"""Forward Euler: $y \leftarrow y + \Delta t\, f(y)$, for models that were published with it.

    `sequence`: names of the variables in the order in which they are updated, each seeing the new values of
    those before it (needs a state that is a dictionary); empty: all at once.
    """

    sequence: tuple[str, ...] = eqx.field(static=True, default=())
    order = 1
    limit = 2.0

    def __call__(self, field, t, y, x, dt):
        if not self.sequence:
            return _plus(y, dt, field(t, y, x))
        if sorted(self.sequence) != sorted(y):
            raise ValueError(f"Euler: sequence {self.sequence} but the variables are {sorted(y)}")
        for name in self.sequence:
            y = y | {name: y[name] + dt * field(t, y, x)[name]}
        return y


class RK4(Method):
    """The classical Runge-Kutta scheme of order 4, for smooth fields that are not stiff."""

    order = 4
    limit = 2.785

    def __call__(self, field, t, y, x, dt):
        k1 = field(t, y, x)
        k2 = field(t + dt / 2, _plus(y, dt / 2, k1), x)
        k3 = field(t + dt / 2, _plus(y, dt / 2, k2), x)
        k4 = field(t + dt, _plus(y, dt, k3), x)
        step = lambda a, p, q, r, s: a + dt / 6 * (p + 2 * q + 2 * r + s)
        return jax.tree.map(step, y, k1, k2, k3, k4)


def _own_slopes(field, t, y, x):
    """f and, for every leaf a and b, the elementwise derivative df_a/dy_b (an m x m table of arrays)."""
    leaves, tree = jax.tree.flatten(y)
    f = lambda *ls: jax.tree.leaves(field(t, jax.tree.unflatten(tree, ls), x))
    value, columns = [], []
    for b in range(len(leaves)):
        tangent = [jnp.ones_like(a) if k == b else jnp.zeros_like(a) for k, a in enumerate(leaves)]
        value, column = jax.jvp(f, tuple(leaves), tuple(tangent))
        columns.append(column)
    return value, columns


def _phi(z):
    """(e^z - 1) / z, also at z = 0."""
    small = jnp.abs(z) < 1e-6
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1 + z / 2, jnp.expm1(safe) / safe)


class ExponentialEuler(Method):
    r"""Every variable relaxes exactly along its own linear part (found by differentiation).

    $$y_a \leftarrow y_a + \Delta t\,\varphi(\Delta t J_{aa}) f_a, \quad \varphi(z) = (e^z - 1)/z$$

    with J_aa = df_a / dy_a.

    Exact where f_a is linear in y_a and nothing else moves; order 1 in general (2 for one autonomous
    variable); stable for stiff decays. The field must act element by element over the population.
    Growth within a tick is cut at e^30, so that the upstroke of a spike stays finite.
    """

    order = 1

    def __call__(self, field, t, y, x, dt):
        return _relax(field, t, y, y, x, dt)


class ExponentialMidpoint(Method):
    r"""Order 2: half a tick of exponential Euler, then a whole one with the linear parts found there.

    $$y^* = y + \tfrac{\Delta t}{2} \varphi(\tfrac{\Delta t}{2} J) f, \qquad
    y_a \leftarrow y_a + \Delta t\,\varphi(\Delta t J^*_{aa})\,(f^*_a + J^*_{aa} (y_a - y^*_a))$$

    Twice the work of `ExponentialEuler` and as stable: the scheme for spikes of Hodgkin-Huxley cells at ticks
    that are not tiny. The field must act element by element over the population.

    Source: Börgers, Nectow (2013), SIAM J. Sci. Comput. 35, B623.
    """

    order = 2

    def __call__(self, field, t, y, x, dt):
        middle = _relax(field, t, y, y, x, dt / 2)
        return _relax(field, t + dt / 2, middle, y, x, dt)


def _relax(field, t, at, y, x, dt):
    """y after dt, each variable along its own linear part as it is at (t, at)."""
    f, columns = _own_slopes(field, t, at, x)
    leaves, tree = jax.tree.flatten(y)
    own = [columns[k][k] for k in range(len(leaves))]
    if at is not y:
        there = jax.tree.leaves(at)
        f = [f[k] + own[k] * (a - there[k]) for k, a in enumerate(leaves)]
    # cut at e^30: the upstroke of a spike may overflow, and means nothing there
    new = [a + dt * _phi(jnp.minimum(dt * own[k], 30.0)) * f[k] for k, a in enumerate(leaves)]
    return jax.tree.unflatten(tree, new)


class Implicit(Method):
    r"""Linearly implicit scheme of order 2 (Rosenbrock ROS2, L-stable), for stiff gates.

    $$(1 - \gamma h J) k_1 = f(y), \qquad (1 - \gamma h J) k_2 = f(y + h k_1) - 2 k_1$$
    $$y' = y + \tfrac32 h k_1 + \tfrac12 h k_2$$

    with gamma = 1 - 1/sqrt(2). `coupled=False`: the field acts element by element over the
    population and J is a small block a cell; True: J is the full Jacobian of the flattened state.

    Source: Verwer et al. (1999), SIAM J. Sci. Comput. 20, 1456.
    """

    coupled: bool = eqx.field(static=True, default=False)
    order = 2

    def __call__(self, field, t, y, x, dt):
        h, g = dt, 1 - 1 / math.sqrt(2)
        if self.coupled:
            flat, back = ravel_pytree(y)
            f = lambda t, v: ravel_pytree(field(t, back(v), x))[0]
            left = jnp.eye(flat.size) - g * h * jax.jacfwd(f, argnums=1)(t, flat)
            solve = lambda b: jnp.linalg.solve(left, b)
        else:
            leaves, tree = jax.tree.flatten(y)
            back = lambda v: jax.tree.unflatten(tree, [v[..., k] for k in range(len(leaves))])
            flat = jnp.stack(jnp.broadcast_arrays(*leaves), axis=-1)
            f = lambda t, v: jnp.stack(
                jnp.broadcast_arrays(*jax.tree.leaves(field(t, back(v), x))), axis=-1
            )
            _, columns = _own_slopes(field, t, back(flat), x)
            jac = jnp.stack([jnp.stack(c, axis=-1) for c in columns], axis=-1)
            left = jnp.broadcast_to(jnp.eye(len(leaves), dtype=jac.dtype), jac.shape) - g * h * jac
            solve = lambda b: jnp.linalg.solve(left, b[..., None])[..., 0]
        k1 = solve(f(t, flat))
        k2 = solve(f(t + h, flat + h * k1) - 2 * k1)
        return back(flat + 1.5 * h * k1 + 0.5 * h * k2)


class Diffrax(Method):
    """Any diffrax solver with any step-size controller, from one tick to the next.

    **Arguments**: `solver` and `controller` as diffrax takes them (default Tsit5, and PID with rtol 1e-6,
    atol 1e-8); `max_steps` within a tick.
    """

    solver: Any = None
    controller: Any = None
    max_steps: int = eqx.field(static=True, default=4096)
    order = 5

    def __call__(self, field, t, y, x, dt):
        import diffrax

        controller = self.controller or diffrax.PIDController(rtol=1e-6, atol=1e-8)
        fixed = isinstance(controller, diffrax.ConstantStepSize)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, x: field(t, y, x)),
            self.solver or diffrax.Tsit5(),
            t0=t,
            t1=t + dt,
            dt0=dt if fixed else None,
            y0=y,
            args=x,
            stepsize_controller=controller,
            max_steps=self.max_steps,
        )
        return jax.tree.map(lambda a: a[-1], solution.ys)


class AccuracyWarning(UserWarning):
    """The scheme is stable at this dt, but too coarse for what it computes."""


def check_dt(
    owner: str, method: Method | None, dt: float | int, fastest: float, resolve: float | None = None
) -> None:
    """Refuse a dt at which a scheme is unstable; warn of one that is coarse.

    **Arguments**: name of the cell; its scheme (None: exact for its leak); dt (ms); `fastest`, its shortest
    time constant (ms) at any moment; `resolve`, the shortest one that must be resolved for spike times to be
    right (ms; default: the fastest).

    Raises ValueError where dt exceeds the scheme's `limit` times the fastest time constant. Warns
    (`AccuracyWarning`) where it exceeds `resolve`.

    >>> check_dt("cell", RK4(), 0.1, 1.0)
    >>> check_dt("cell", RK4(), 3.0, 1.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: cell: dt = 3 ms is unstable with RK4, ... at most 2.785 ms, or choose ExponentialEuler()
    """
    scheme = "the exact leak" if method is None else type(method).__name__
    if method is not None and method.limit is not None and dt > method.limit * fastest:
        raise ValueError(
            f"{owner}: dt = {dt:g} ms is unstable with {scheme}, whose limit is {method.limit:g} times the "
            f"fastest time constant ({fastest:.3g} ms); take at most {method.limit * fastest:.4g} ms, or "
            "choose ExponentialEuler()"
        )
    resolve = fastest if resolve is None else resolve
    if dt > resolve:
        warnings.warn(
            f"{owner}: dt = {dt:g} ms is longer than a time constant of {resolve:.3g} ms; {scheme} stays "
            "bounded there, but spike times and fast variables are inaccurate; take a smaller dt",
            AccuracyWarning,
            stacklevel=3,
        )


class Integrated(System):
    """A flow stepped by a method: the model is written once, the scheme chosen apart.

    >>> from neuropil.core import run, start
    >>> class Decay(Flow):
    ...     def init(self, key): return jnp.ones(())
    ...     def field(self, t, y, x): return -y / 10.0
    >>> system = Integrated(Decay(), ExponentialEuler())
    >>> _, ys = run(system, start(system, 1.0, jax.random.key(0)), n=10)
    >>> bool(jnp.allclose(ys[-1], jnp.exp(-1.0)))
    True
    """

    flow: Flow
    method: Method = eqx.field(default_factory=ExponentialEuler)

    def init(self, dt, key):
        return jax.tree.map(jnp.asarray, self.flow.init(key))

    def step(self, state, x, tick):
        y = self.method(self.flow.field, tick.i * tick.dt, state, x, tick.dt)
        return self.flow.jump(y, x)

    def rest(self):
        return self.flow.rest()
