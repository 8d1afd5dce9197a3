"""Homeostasis and structural plasticity: targets are met, sums kept, synapses keep their number."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.cells import LIF
from neuropil.core import Chain, Managed, run, start
from neuropil.plasticity import Homeostat, InTurn, PairSTDP, Rewire, normalised
from neuropil.wiring import Dense


@pytest.mark.parametrize("dt", [0.5, 1.0])
@pytest.mark.parametrize("kind", ["threshold", "weight"])
def test_cells_come_to_their_target_rate(kind, dt):
    """Intrinsic plasticity moves thresholds, synaptic scaling all weights of a cell: either ends at 20 Hz."""
    n = 4
    weight = jnp.asarray([[0.2, 0.4], [0.3, 0.6], [0.5, 1.0], [1.0, 2.0]])
    cell = LIF(n, tau=20.0, threshold=jnp.full(n, 1.0), drive="jump")
    net = Chain(wire=Dense(weight), cell=cell)
    owns = "parts.cell.threshold" if kind == "threshold" else "parts.wire.weight"
    more = dict(gain=3e-5, raises=False) if kind == "threshold" else dict(gain=1e-4, form="scale")
    keeper = Homeostat(n, 20.0, tau=200.0, **more)
    system = Managed(net, keeper, owns, {"activity": "output"})
    xs = jr.bernoulli(jr.key(0), 0.1 * dt, (round(12_000 / dt), 2)).astype(float)
    carry, spikes = run(system, start(system, dt, jr.key(1)), xs)
    rate = np.asarray(spikes[-round(5000 / dt) :]).mean(0) * 1000 / dt
    np.testing.assert_allclose(rate, 20.0, rtol=0.25)
    end = np.asarray(carry.state.theta)
    if kind == "weight":  # signs and ratios are kept
        np.testing.assert_allclose(end[:, 1] / end[:, 0], 2.0, rtol=1e-4)
    else:
        assert (np.diff(end) > 0).all()  # who is driven more needs the higher threshold


def test_normalised_sums_are_exact(x64):
    w = jnp.asarray(np.random.default_rng(0).normal(size=(5, 7)))
    np.testing.assert_allclose(jnp.abs(normalised(w, 78.4)).sum(1), 78.4, rtol=1e-12)
    np.testing.assert_allclose(jnp.abs(normalised(w, 2.0, 0)).sum(0), 2.0, rtol=1e-12)
    assert (jnp.sign(normalised(w, 1.0)) == jnp.sign(w)).all()


@pytest.mark.parametrize("grow", ["random", "correlated"])
def test_rewiring_keeps_the_number_and_goes_where_activity_is_correlated(grow):
    """Two groups of inputs; the cell fires with the first. Weak synapses to the second give way."""
    mask = np.zeros((1, 20), bool)
    mask[0, [0, 1, 10, 11, 12, 13]] = True
    weight = np.where(mask, 0.5, 0.0)
    weight[0, 10:] *= 0.2
    rule = Rewire(mask, 0.34, period=10.0, newborn=0.3, tau=20.0, grow=grow)
    rule = InTurn(stdp=PairSTDP(20, 1, 1e-6, 1e-6), rewire=rule)
    group = jr.bernoulli(jr.key(0), 0.3, (40, 1))
    lone = jr.bernoulli(jr.key(1), 0.05, (40, 10))
    xs = jnp.concatenate([jnp.tile(group, (1, 10)), lone], 1).astype(float)
    net = Managed(
        Chain(wire=Dense(jnp.asarray(weight)), fire=lambda v: (v > 0.9).astype(float)),
        rule, "parts.wire.weight", {"pre": "input", "post": "output"},
    )  # fmt: skip
    carry, _ = run(net, start(net, 1.0, jr.key(2)), xs, record=None)
    now, there = np.asarray(carry.state.theta), np.asarray(carry.state.slow["rewire"]["mask"])
    assert there.sum() == mask.sum()
    assert ((now != 0) == there).all()
    assert there[0, :2].all()  # the strong ones stay
    assert (there != mask).any()
    if grow == "correlated":
        assert there[0, :10].sum() >= 5


def test_rewiring_refuses_what_moves_nothing():
    with pytest.raises(ValueError, match="moves no synapse"):
        Rewire(np.ones((2, 2)), 0.5)
    net = Managed(Dense(jnp.ones((1, 2))), Rewire(np.array([[1, 0]]), 1.0, 1.0), "weight")
    with pytest.raises(ValueError, match="less than a tick"):
        start(net, 2.0, jr.key(0))
