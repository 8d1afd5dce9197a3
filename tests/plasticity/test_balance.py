"""Local balance: the rule by hand, and the rates that it reaches."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.blocks import BalancedReservoir, balanced_wiring
from neuropil.core import Managed, run, start
from neuropil.plasticity import InhibitoryBalance


def test_rates_reach_their_targets_and_the_pattern_of_synapses_stays():
    excite, inhibit = balanced_wiring(60, jr.key(0), degree=20)
    into = 0.25 * jr.uniform(jr.key(1), (60, 1), minval=-1.0)
    target = jr.uniform(jr.key(2), (60,), minval=0.35, maxval=0.65)
    net = BalancedReservoir(excite, inhibit, into)
    rule = InhibitoryBalance(inhibit, target=target, rate=0.01)
    system = Managed(net, rule, "inhibit", {"post": "output"})
    xs = 0.5 * jr.uniform(jr.key(3), (3000, 1))
    carry, r = run(system, start(system, 1.0, jr.key(4)), xs)
    free = np.asarray((inhibit > 0).sum(1) > 1)
    before, after = (np.abs(part.mean(0) - target)[free].mean() for part in (r[:300], r[-1000:]))
    assert after < 0.01 < 0.03 < before
    found = carry.state.theta
    assert bool((found >= 0).all())
    assert float(jnp.abs(found * (inhibit == 0)).max()) == 0


def test_a_batch_is_averaged():
    rule = InhibitoryBalance(jnp.ones((2, 3)), target=0.5, rate=1.0)
    r = jnp.array([[0.0, 1.0], [0.6, 0.8]])
    found = rule.change(jnp.ones((2, 3)), r)
    np.testing.assert_allclose(found, np.array([[0.8], [1.4]]) * np.ones((2, 3)), atol=1e-6)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="post, pre"):
        InhibitoryBalance(jnp.ones(3))
    with pytest.raises(ValueError, match="targets"):
        InhibitoryBalance(jnp.ones((3, 3)), target=jnp.ones(2))
