"""Pair STDP against the window itself, in its full, sparse and batched form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Batched, Managed, run, start
from neuropil.plasticity import HardBounds, NoBounds, PairSTDP, SoftBounds, pair_window
from tests.plasticity.ends import Ends

PRE, POST, T, DT = 4, 3, 60, 0.5


READS = {"pre": "input.pre", "post": "input.post"}


def trains(p=0.15, seed=0):
    a, b = jr.split(jr.key(seed))
    pre = (jr.uniform(a, (T, PRE)) < p).astype(float)
    return {"pre": pre, "post": (jr.uniform(b, (T, POST)) < p).astype(float)}


def learn(rule, xs, w=0.5, fast=None):
    fast = Ends(jnp.full((POST, PRE), w)) if fast is None else fast
    system = Managed(fast, rule, "weight" if isinstance(fast, Ends) else "part.weight", READS)
    return run(system, start(system, DT, jr.key(0)), xs, record=None)[0].state


def by_pairs(rule, xs):
    """The sum over all pairs of spikes, synapse by synapse."""
    times = DT * np.arange(T)
    window = np.asarray(pair_window(rule, jnp.asarray(times), jnp.asarray(times)))
    return np.einsum("ti,sj,ts->ij", np.asarray(xs["post"]), np.asarray(xs["pre"]), window)


@pytest.mark.parametrize("events", [None, 4])
def test_it_is_the_sum_over_all_pairs(events, x64):
    rule = PairSTDP(PRE, POST, tau_plus=17.0, tau_minus=34.0, bounds=NoBounds(), events=events)
    state = learn(rule, trains())
    np.testing.assert_allclose(state.theta - 0.5, by_pairs(rule, trains()), atol=1e-15)
    assert np.abs(state.theta - 0.5).max() > 1e-3


def test_one_pair_gives_the_window(x64):
    rule = PairSTDP(PRE, POST, bounds=NoBounds())
    zero = {"pre": jnp.zeros((T, PRE)), "post": jnp.zeros((T, POST))}
    for gap in (-20, -1, 0, 1, 20):
        xs = {"pre": zero["pre"].at[30, 1].set(1.0), "post": zero["post"].at[30 + gap, 2].set(1.0)}
        expected = np.zeros((POST, PRE))
        if gap > 0:
            expected[2, 1] = 0.005 * np.exp(-gap * DT / 20.0)
        if gap < 0:
            expected[2, 1] = -0.00525 * np.exp(gap * DT / 20.0)
        np.testing.assert_allclose(learn(rule, xs, 0.0).theta, expected, atol=1e-17)


@pytest.mark.parametrize("kind", ["hard", "soft", "none"])
def test_the_sparse_form_is_the_full_one(kind, x64):
    some = {"hard": HardBounds(0.2, 0.6), "soft": SoftBounds(0.2, 0.6, 0.5), "none": NoBounds()}
    bounds = some[kind]
    make = lambda events: PairSTDP(PRE, POST, 0.1, 0.1, bounds=bounds, events=events)
    full, sparse = (learn(make(m), trains(0.3)) for m in (None, 4))
    np.testing.assert_allclose(full.theta, sparse.theta, atol=1e-15)
    assert int(sparse.slow["missed"]) == 0
    if not isinstance(bounds, NoBounds):
        assert 0.2 - 1e-12 <= float(full.theta.min()) <= float(full.theta.max()) <= 0.6 + 1e-12


def test_spikes_beyond_the_expected_number_are_counted():
    state = learn(PairSTDP(PRE, POST, events=1), trains(0.5))
    spikes = trains(0.5)
    beyond = sum(np.maximum(np.asarray(s).sum(1) - 1, 0).sum() for s in spikes.values())
    assert int(state.slow["missed"]) == beyond > 0


def test_soft_bounds_scale_with_the_room_left():
    soft = SoftBounds(0.0, 2.0, 1.0)
    w = jnp.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(soft.up(w, jnp.array(0.1)), [0.2, 0.1, 0.0], atol=1e-7)
    np.testing.assert_allclose(soft.down(w, jnp.array(0.1)), [0.0, 0.1, 0.2], atol=1e-7)
    slope = jax.grad(lambda w: SoftBounds(0.0, 1.0, 0.5).up(w, w / 10))(jnp.array(1.0))
    assert np.isfinite(slope)


def test_a_batch_is_averaged(x64):
    xs = [trains(seed=k) for k in (0, 1)]
    both = jax.tree.map(lambda *a: jnp.stack(a, 1), *xs)
    rule = PairSTDP(PRE, POST, bounds=NoBounds(), batch=2)
    theta = learn(rule, both, fast=Batched(Ends(jnp.full((POST, PRE), 0.5)), 2)).theta
    expected = np.mean([by_pairs(rule, x) for x in xs], 0)
    np.testing.assert_allclose(theta - 0.5, expected, atol=1e-15)


def test_song_miller_abbott_constants():
    rule = PairSTDP(1, 1)
    assert float(rule.a_minus / rule.a_plus) == pytest.approx(1.05)
    assert float(rule.tau_plus) == float(rule.tau_minus) == 20.0
    with pytest.raises(ValueError, match="do not go together"):
        PairSTDP(1, 1, events=1, batch=2)
    with pytest.raises(ValueError, match="tau_plus = -1 ms"):
        PairSTDP(1, 1, tau_plus=-1.0)
