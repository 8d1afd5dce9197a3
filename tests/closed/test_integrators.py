"""Every integrator's order of convergence, measured; stiff problems; diffrax against closed form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import (
    RK4,
    Diffrax,
    Euler,
    ExponentialEuler,
    ExponentialMidpoint,
    Flow,
    Implicit,
    Integrated,
    run,
    start,
)

T = 2.0


class Logistic(Flow):
    """One autonomous variable: y' = y (1 - y), y = 1 / (1 + e^-t (1/y0 - 1))."""

    def init(self, key):
        return jnp.full((1,), 0.2)

    def field(self, t, y, x):
        return y * (1 - y)

    def exact(self):
        return [1 / (1 + np.exp(-T) * 4)]


class Turning(Flow):
    """Two coupled variables: a rotation that fades."""

    def init(self, key):
        return {"a": jnp.ones(1), "b": jnp.zeros(1)}

    def field(self, t, y, x):
        return {"a": -0.3 * y["a"] - 2 * y["b"], "b": 2 * y["a"] - 0.3 * y["b"]}

    def exact(self):
        return np.exp(-0.3 * T) * np.array([np.cos(2 * T), np.sin(2 * T)])


class Driven(Flow):
    """Time in the field: y' = -y + cos t, y = (cos t + sin t - e^-t) / 2 from 0."""

    def init(self, key):
        return jnp.zeros(1)

    def field(self, t, y, x):
        return -y + jnp.cos(t)

    def exact(self):
        return [(np.cos(T) + np.sin(T) - np.exp(-T)) / 2]


def error(flow, method, n):
    system = Integrated(flow, method)
    carry, _ = run(system, start(system, T / n, jr.key(0)), n=n, record=None)
    return np.abs(np.concatenate(jax.tree.leaves(carry.state)) - np.asarray(flow.exact())).max()


ORDERS = [
    (ExponentialEuler, Logistic, 2),  # one autonomous variable
    (ExponentialEuler, Turning, 1),
    (ExponentialEuler, Driven, 1),
    (ExponentialMidpoint, Logistic, 2),
    (ExponentialMidpoint, Turning, 2),
    (ExponentialMidpoint, Driven, 2),
    (Euler, Turning, 1),
    (RK4, Logistic, 4),
    (RK4, Turning, 4),
    (RK4, Driven, 4),
    (Implicit, Logistic, 2),
    (Implicit, Turning, 2),
    (Implicit, Driven, 2),
]


@pytest.mark.parametrize(("method", "flow", "order"), ORDERS)
def test_measured_order(method, flow, order, x64):
    errors = [error(flow(), method(), n) for n in (40, 80)]
    measured = np.log2(errors[0] / errors[1])
    assert abs(measured - order) < 0.15, (errors, measured)


def test_the_full_jacobian_agrees_with_the_blocks(x64):
    a = error(Turning(), Implicit(coupled=True), 40)
    np.testing.assert_allclose(a, error(Turning(), Implicit(), 40), rtol=1e-9)


class Stiff(Flow):
    """A gate 10,000 times faster than the tick, which follows a slow variable."""

    def init(self, key):
        return {"fast": jnp.zeros(1), "slow": jnp.ones(1)}

    def field(self, t, y, x):
        return {"fast": -1e4 * (y["fast"] - y["slow"]), "slow": -0.1 * y["slow"]}


def test_a_stiff_gate_is_stable_where_an_explicit_scheme_is_not(x64):
    slow = np.exp(-0.1 * 20)
    for method, bound in ((Implicit(), 1e-3), (ExponentialEuler(), 0.2)):
        system = Integrated(Stiff(), method)
        carry, _ = run(system, start(system, 1.0, jr.key(0)), n=20, record=None)
        np.testing.assert_allclose(carry.state["fast"], slow, rtol=bound)
        np.testing.assert_allclose(carry.state["slow"], slow, rtol=1e-3)
    system = Integrated(Stiff(), RK4())
    carry, _ = run(system, start(system, 1.0, jr.key(0)), n=20, record=None)
    assert not abs(float(carry.state["fast"][0])) < 1e6


def test_diffrax_is_the_closed_form(x64):
    for flow in (Turning(), Driven()):
        assert error(flow, Diffrax(), 4) < 1e-6


def test_exponential_euler_is_exact_for_a_leak_at_any_tick(x64):
    class Leak(Flow):
        def init(self, key):
            return jnp.zeros(1)

        def field(self, t, y, x):
            return (-y + 3.0) / 7.0

    for n in (1, 5):
        system = Integrated(Leak())
        carry, _ = run(system, start(system, 20.0 / n, jr.key(0)), n=n)
        np.testing.assert_allclose(carry.state, 3 * (1 - np.exp(-20 / 7)), rtol=1e-14)
