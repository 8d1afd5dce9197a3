"""The tempotron against its kernel, its cost's gradient, and a task it can learn."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Chain, Event, Managed, Tick, run, start
from neuropil.plasticity import Tempotron, tempotron_peak, tempotron_potential
from neuropil.wiring import Dense

TAU, FAST = 15.0, 3.75


def kernel(t):
    _, top = tempotron_peak(TAU, FAST)
    return np.where(t > 0, (np.exp(-t / TAU) - np.exp(-t / FAST)) / float(top), 0.0)


def test_potentials_are_sums_of_kernels():
    spikes = np.zeros((60, 2), np.float32)
    spikes[[3, 10, 11], 0] = 1
    spikes[20, 1] = 2
    got = np.asarray(tempotron_potential(jnp.asarray(spikes), TAU, FAST, 1.0))
    t = np.arange(60.0)
    np.testing.assert_allclose(got[:, 0], sum(kernel(t - k) for k in (3, 10, 11)), atol=1e-5)
    np.testing.assert_allclose(got[:, 1], 2 * kernel(t - 20), atol=1e-5)
    peak, _ = tempotron_peak(TAU, FAST)
    assert kernel(float(peak)) == pytest.approx(1, abs=1e-6)


def test_the_rule_is_the_gradient_of_the_distance_from_the_threshold():
    rng = np.random.default_rng(0)
    psp = tempotron_potential(jnp.asarray(rng.random((50, 6)) < 0.1, jnp.float32), TAU, FAST, 1.0)
    w = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)
    spiked = (psp @ w.T).max(0) > 0.6
    target = jnp.where(jnp.arange(4) < 3, ~spiked, spiked).astype(jnp.float32)  # three are wrong
    rule = Tempotron(6, 4, threshold=0.6)

    def cost(w):
        peak = (psp @ w.T).max(0)
        wrong = (peak > 0.6) != (target > 0)
        return jnp.where(wrong, jnp.where(target > 0, 0.6 - peak, peak - 0.6), 0.0).sum()

    change = rule.change(psp @ w.T, psp, target)
    assert bool(change[:3].any())
    assert not bool(change[3].any())  # it was right
    assert len(set(spiked.tolist())) == 2
    np.testing.assert_allclose(change, -jax.grad(cost)(w), atol=1e-6)


def test_momentum_adds_the_last_change_and_a_batch_takes_the_mean():
    rule = Tempotron(2, 1, rate=0.1, momentum=0.5)
    psp = jnp.ones((2, 3, 2)) * jnp.array([1.0, 3.0]).reshape(2, 1, 1)
    reads = {"psp": psp, "target": jnp.ones((2, 1))}
    event = Event(jnp.zeros((1, 2)), reads, None, jnp.zeros((2, 3, 1)))
    tick = Tick(jnp.int32(0), jnp.float32(1.0), jr.key(0))
    state, w = rule.step(rule.init(1.0, jr.key(0)), event, tick)
    np.testing.assert_allclose(w, 0.2, rtol=1e-6)
    _, w = rule.step(state, Event(w, reads, None, event.y), tick)
    np.testing.assert_allclose(w, 0.2 + 0.2 + 0.1, rtol=1e-6)


def test_it_learns_to_tell_patterns_of_spikes_apart():
    """Ten random patterns of one spike a train, half of which the cell should answer (load 0.5)."""
    rng = np.random.default_rng(1)
    spikes = np.zeros((10, 60, 20), np.float32)
    np.put_along_axis(spikes, rng.integers(0, 40, (10, 1, 20)), 1, axis=1)
    psp = jnp.moveaxis(
        tempotron_potential(jnp.moveaxis(jnp.asarray(spikes), 1, 0), TAU, FAST, 1.0), 0, 1
    )
    target = jnp.arange(10.0)[:, None] % 2
    cell = Chain(psp=lambda x: x["psp"], wire=Dense(jnp.full((1, 20), 0.05)))
    rule = Tempotron(20, 1, rate=0.02)
    learner = Managed(
        cell, rule, "parts.wire.weight", {"psp": "input.psp", "target": "input.target"}
    )
    again = lambda a: jnp.tile(a, (40, *[1] * (a.ndim - 1)))
    xs = {"psp": again(psp), "target": again(target)}
    potentials = run(learner, start(learner, 60.0, jr.key(0)), xs)[1]
    right = (np.asarray(potentials).max(1) > 1) == (np.asarray(xs["target"]) > 0)
    assert right[-20:].all()
    assert not right[:10].all()
