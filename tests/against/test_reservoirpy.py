"""Reservoirs and their readouts against reservoirpy (an environment of its own has it; skipped elsewhere)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.blocks import EchoState
from neuropil.core import Chain, Managed, run, start
from neuropil.learn.ridge import ridge_readout
from neuropil.plasticity import RecursiveLeastSquares
from neuropil.wiring import Dense

nodes = pytest.importorskip(
    "reservoirpy.nodes", reason="reservoirpy is not installed (a peer, optional)"
)

UNITS, T = 30, 60


def series():
    """(inputs, targets) of T ticks."""
    rng = np.random.default_rng(0)
    u = rng.uniform(-1, 1, (T, 2))
    return u, np.cumsum(u, 0) @ np.array([[1.0, 0.2], [-0.5, 1.0]])


def weights():
    """(recurrent, from the input, bias)."""
    rng = np.random.default_rng(1)
    w = rng.standard_normal((UNITS, UNITS)) * (rng.random((UNITS, UNITS)) < 0.2)
    return 0.4 * w, rng.uniform(-1, 1, (UNITS, 2)), rng.uniform(-0.5, 0.5, UNITS)


def test_states_of_an_echo_state_network_with_the_same_weights(x64):
    (w, into, bias), (u, _) = weights(), series()
    net = EchoState(Dense(jnp.asarray(w)), Dense(jnp.asarray(into)), bias, leak=0.3)
    _, r = run(net, start(net, 1.0, jax.random.key(0)), jnp.asarray(u))
    there = nodes.Reservoir(W=w, Win=into, bias=bias, lr=0.3).run(u)
    np.testing.assert_allclose(r, there, atol=1e-12)


def features():
    (w, into, bias), (u, y) = weights(), series()
    return nodes.Reservoir(W=w, Win=into, bias=bias, lr=0.3).run(u), y


def test_ridge_readout(x64):
    r, y = features()
    peer = nodes.Ridge(ridge=0.1).fit(r, y, warmup=10)
    mine = ridge_readout(r, y, 0.1, washout=10)
    np.testing.assert_allclose(mine.weight, peer.Wout.T, atol=1e-8)
    np.testing.assert_allclose(mine.bias, np.ravel(peer.bias), atol=1e-8)


@pytest.mark.parametrize("forget", [1.0, 0.95])
def test_recursive_least_squares(forget, x64):
    r, y = features()
    peer = nodes.RLS(alpha=0.5, fit_bias=False, forgetting=forget)
    peer.partial_fit(r, y)
    net = Chain(pick=lambda x: x["r"], wire=Dense(jnp.zeros((2, UNITS))))
    rule = RecursiveLeastSquares(UNITS, ridge=0.5, forget=forget)
    reads = {"pre": "input.r", "target": "input.y"}
    system = Managed(net, rule, "parts.wire.weight", reads)
    xs = {"r": jnp.asarray(r), "y": jnp.asarray(y)}
    end, _ = run(system, start(system, 1.0, jax.random.key(0)), xs, record=None)
    np.testing.assert_allclose(end.state.theta, peer.Wout.T, atol=1e-7)
    np.testing.assert_allclose(end.state.slow, peer.P, atol=1e-7)
