"""NALSM: its cell, synapse, plasticity and astrocyte by hand, densities of the liquid, branching."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.build import _nalsm
from neuropil.papers.build import _nalsm_liquid as liquid
from neuropil.papers.build.nalsm import STUDY
from neuropil.stats.criticality import branching_factor


@pytest.fixture(scope="module")
def top():
    return liquid.Topology.draw(jr.key(0), (6, 6, 6), 784)


def run(w, inputs, kicks):
    """Spikes (ms, cell) of one sample in which the inputs are kicked as said."""
    step = lambda state, kick: liquid.millisecond(w, state, kick)
    first = liquid.silent(w.shape[1])
    return jax.lax.scan(step, first, jnp.asarray(kicks, float).reshape(-1, inputs))


def test_an_input_that_is_driven_every_ms_fires_every_third():
    _, s = run(jnp.zeros((1, 2)), 1, np.ones(13))
    np.testing.assert_array_equal(np.flatnonzero(s[:, 1]), [1, 4, 7, 10])


def test_a_spike_adds_its_weight_and_then_its_kernel():
    w = jnp.array([[0.0, 1.0]])
    seen = []
    state = liquid.silent(2)
    for kick in (1.0, 0.0, 0.0, 0.0):
        state, _ = liquid.millisecond(w, state, jnp.array([kick]))
        seen.append(float(state["v"][0]))
    gains = np.diff(np.array(seen) + 0, prepend=0) + np.array([0, *seen[:-1]]) / 64
    np.testing.assert_allclose(gains, [0, 1, np.exp(-1), np.exp(-2)], atol=1e-6)
    assert 1 / (1 - np.exp(-1)) == pytest.approx(
        1.58198, abs=1e-5
    )  # sum of the kernel, of the card


def test_only_the_last_spike_counts():
    state = {**liquid.silent(2), "kernel": jnp.array([0.0, 0.9]), "v": jnp.array([0.0, 25.0])}
    state, s = liquid.millisecond(jnp.array([[0.0, 1.0]]), state, jnp.zeros(1))
    assert s.tolist() == [0.0, 1.0]
    assert float(state["v"][0]) == pytest.approx(1.0)  # not 1.9


def test_densities_are_those_of_the_code(top):
    n = top.cells
    inside, outside = top.mask[:, :n], top.mask[:, n:]
    assert int(outside.sum()) == int(0.15 * n * 784)
    assert float(inside.mean()) == pytest.approx(0.050, abs=0.006)
    assert float(jnp.trace(inside)) == 0
    assert int(top.inhibitory.sum()) == round(0.2 * n)
    assert float((top.sign[:, n:] > 0).sum() / outside.sum()) == pytest.approx(0.5, abs=0.02)
    assert set(np.unique(top.sign[:, :n][:, top.inhibitory[:n]])) <= {-1.0, 0.0}


def by_hand(w, s, trace, a, top, rate):
    """The rule, synapse by synapse."""
    new = np.zeros_like(w)
    for i, j in zip(*np.nonzero(np.asarray(top.mask)), strict=True):
        calm = bool(top.inhibitory[j])
        later, earlier = (-a, rate) if calm else (rate, -a)
        change = later * trace[j] * s[i] + earlier * trace[i] * s[j]
        low, high = (-3, 0) if calm else (0, 3) if j < top.cells else (-3, 3)
        new[i, j] = np.clip(w[i, j] + change, low, high)
    return new


def test_plasticity_is_the_rule_synapse_by_synapse():
    top = liquid.Topology.draw(jr.key(1), (2, 2, 2), 5)
    rng = np.random.default_rng(0)
    w = np.asarray(top.sign) * rng.uniform(0, 3, top.sign.shape)
    s, trace = (rng.random(13) < 0.5).astype(float), 5 * rng.random(13)
    found = liquid.plastic(
        jnp.asarray(w), jnp.asarray(s), jnp.asarray(trace), jnp.asarray(0.2), top, 0.15
    )
    np.testing.assert_allclose(found, by_hand(w, s, trace, 0.2, top, 0.15), atol=1e-6)


def test_the_trace_falls_to_one_over_e_in_ten_ms():
    assert liquid.DECAY**10 == pytest.approx(0.3676, abs=1e-4)


def test_the_astrocyte_is_the_official_step():
    cell, a = liquid.astrocyte(0.07), 0.15
    s = jnp.array([1.0, 1.0, 1.0, 0.0, 1.0])  # three of three liquid cells, one of two inputs
    for _ in range(3):
        found = liquid.listens(cell, jnp.asarray(a), s, 3)
        a = a + (0.07 * (3 - 1) + 0.15 - a) / 100
        assert float(found) == pytest.approx(a, rel=1e-5)
    quiet = liquid.listens(cell, jnp.asarray(0.15), jnp.zeros(5), 3)
    assert float(quiet) == pytest.approx(0.15, rel=1e-6)


@pytest.fixture(scope="module")
def settled():
    """Weights and mean A after two images, by gain and clamp."""
    top = liquid.Topology.draw(jr.key(1), (3, 3, 3), 64)
    images = jr.uniform(jr.key(2), (3, 64))

    @jax.jit
    def settle(gain, clamp):
        cell = liquid.astrocyte(gain)
        return liquid.settle(3 * top.sign, top, cell, images, jr.key(3), clamp, 20, 2, False)

    return top, {k: settle(*k) for k in ((0.0, jnp.nan), (0.0, 0.15), (0.5, jnp.nan))}


def test_without_gain_the_astrocyte_is_symmetric_stdp(settled):
    _, found = settled
    for a, b in zip(found[0.0, jnp.nan], found[0.0, 0.15], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert float(found[0.5, jnp.nan][1]) != pytest.approx(0.15, rel=1e-3)


def test_weights_stay_in_their_bounds_and_nothing_grows_where_nothing_was(settled):
    top, found = settled
    low, high = top.bounds()
    for w, _ in found.values():
        assert float(jnp.abs(w - 3 * top.sign).max()) > 0.1  # it did change
        assert bool((w >= low[None] - 1e-6).all() & (w <= high[None] + 1e-6).all())
        assert float(jnp.abs(w * (1 - top.mask)).max()) == 0


def test_frozen_counts_are_those_of_single_milliseconds():
    top = liquid.Topology.draw(jr.key(1), (2, 2, 2), 5)
    images, key = jr.uniform(jr.key(2), (3, 5)), jr.key(4)
    counts = liquid.frozen(3 * top.sign, images, key, 30)
    kicks = jnp.stack([jr.uniform(k, images.shape) < images for k in jr.split(key, 30)])
    for k in range(3):
        _, s = run(3 * top.sign, 5, kicks[:, k])
        np.testing.assert_array_equal(counts[k], s[:, :8].sum(0))
    assert float(counts.sum()) > 0


def test_branching_of_known_cascades():
    def all_to_all(per_tick):
        s = np.zeros((60, 40))
        for t, k in enumerate(per_tick):
            s[t, :k] = 1
        return branching_factor(s, ~np.eye(40, dtype=bool), window=1, edge=5)

    assert float(all_to_all([10] * 60)) == pytest.approx(1.0)
    dying = [0] * 4 + [32, 16, 8, 4, 2, 1] + [0] * 50
    growing = [0] * 4 + [1, 2, 4, 8, 16] + [32] * 51
    assert float(all_to_all(dying)) < 0.5
    assert float(all_to_all(growing)) > 1.05
    assert np.isnan(float(branching_factor(np.zeros((60, 3)), np.eye(3, dtype=bool))))
    with pytest.raises(ValueError, match="window"):
        branching_factor(np.zeros((20, 3)), np.eye(3, dtype=bool))
    with pytest.raises(ValueError, match="wiring"):
        branching_factor(np.zeros((60, 3)), np.eye(4, dtype=bool))


def test_readout_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = [jnp.asarray(rng.integers(0, 3, n)) for n in (120, 60, 60)]
    told = [
        jnp.asarray(rng.random((len(y), 8)) + 4 * np.eye(8)[np.asarray(y)], float) for y in labels
    ]
    blind = [jnp.asarray(rng.random((len(y), 8)), float) for y in labels]
    assert float(_nalsm.readout(told, labels, 3)[1]) > 0.95
    assert float(_nalsm.readout(blind, labels, 3)[1]) < 0.6


@pytest.mark.parametrize(
    ("change", "match"), [({"grid": 1}, "grid"), ({"ms": 10}, "20 ms"), ({"test": 0}, "test")]
)
def test_settings_that_make_no_sense_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        STUDY.check(STUDY.scales["small"] | change)
