import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.worlds.circuits import (
    CONJUNCTION,
    LONE,
    Circuit,
    hub_circuit,
    kinds,
    log_probability,
    ornstein_uhlenbeck,
    random_circuit,
)


@pytest.fixture(scope="module")
def hub():
    circuit = hub_circuit(jr.key(1))
    return circuit, circuit.simulate(60_000, jr.key(2))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def within(observed, p, n, sigmas=4.5):
    """Is the mean of n Bernoulli draws where p says it should be?"""
    return abs(observed - p) < sigmas * np.sqrt(p * (1 - p) / n)


def test_hubs_and_lone_units_fire_at_their_base_rate(hub):
    circuit, sim = hub
    spikes, free = np.asarray(sim.spikes), np.asarray(circuit.gain) == 0
    kind = kinds()
    for i in range(circuit.units):
        if kind[i] == 0:
            assert within(spikes[:, i].mean(), 0.08, len(spikes))
        if kind[i] == LONE and free[i]:
            assert within(spikes[:, i].mean(), 0.03, len(spikes))


def test_additive_targets_answer_their_hub_at_the_planted_lag(hub):
    circuit, sim = hub
    spikes = np.asarray(sim.spikes)
    base = np.log(0.03 / 0.97)
    checked = 0
    for post, pre in np.argwhere(np.asarray(circuit.kernels).max(2) > 0):
        if circuit.gain[post] != 0:
            continue
        lag = circuit.lags()[post, pre]
        after = spikes[lag:, post][spikes[:-lag, pre] > 0]
        silent = spikes[lag:, post][spikes[:-lag, pre] == 0]
        assert within(after.mean(), sigmoid(base + 1.2), len(after))
        assert within(silent.mean(), 0.03, len(silent))
        checked += 1
    assert checked >= 4


def test_conjunction_targets_need_both_hubs(hub):
    circuit, sim = hub
    spikes = np.asarray(sim.spikes)
    recent = sum(np.pad(spikes, ((lag, 0), (0, 0)))[: len(spikes)] for lag in (1, 2, 3)) > 0
    base = np.log(0.03 / 0.97)
    for target, a, b in np.asarray(circuit.conjunctions):
        assert kinds()[target] == CONJUNCTION
        if circuit.gain[target] != 0:
            continue
        both = recent[:, a] & recent[:, b]
        assert within(spikes[both, target].mean(), sigmoid(base + 3.0), both.sum())
        assert within(spikes[~both, target].mean(), 0.03, (~both).sum())
    p = (1 - 0.92**3) ** 2  # hubs are independent
    share = np.mean(recent[:, 0] & recent[:, 1])
    assert abs(share - p) < 0.1 * p


def test_modulated_units_follow_the_behaviour(hub):
    circuit, sim = hub
    z, spikes = np.asarray(sim.z), np.asarray(sim.spikes)
    lone = [i for i in np.flatnonzero(np.asarray(circuit.gain)) if kinds()[i] == LONE]
    for i in lone:
        expected = sigmoid(np.log(0.03 / 0.97) + 0.8 * z).mean()
        assert within(spikes[:, i].mean(), expected, len(z))
    assert (np.asarray(circuit.gain) != 0).sum() == 8


def test_true_rates_are_those_used_and_are_the_ceiling(hub):
    circuit, sim = hub
    np.testing.assert_allclose(circuit.rates(sim.spikes, sim.z), sim.rates, rtol=2e-5)
    true = circuit.log_likelihood(sim.spikes, sim.z)
    flat = jnp.broadcast_to(sim.spikes.mean(0), sim.spikes.shape)
    homogeneous = log_probability("bernoulli", sim.spikes, flat).mean(0)
    driven = np.asarray(circuit.adjacency().any(1))
    assert np.all(np.asarray(true - homogeneous)[driven] > 0)


def test_wiring_of_the_hub_circuit():
    circuit = hub_circuit(jr.key(3))
    a = circuit.adjacency()
    assert a.shape == (30, 30)
    assert a[3:13].sum(1).tolist() == [1] * 10
    assert a[13:23].sum(1).tolist() == [2] * 10
    assert a[:3].sum() == 0
    assert a[23:].sum() == 0
    assert a[:, 3:].sum() == 0
    lags = circuit.lags()[3:13].max(1)
    assert lags.min() >= 1
    assert lags.max() <= 5


def test_same_key_same_spikes_and_a_longer_run_has_the_same_wiring():
    circuit = random_circuit(jr.key(0), 4, density=0.5)
    a = circuit.simulate(50, jr.key(1)).spikes
    np.testing.assert_array_equal(a, circuit.simulate(50, jr.key(1)).spikes)
    assert not np.array_equal(a, circuit.simulate(50, jr.key(2)).spikes)


def test_poisson_rates_and_conditional_rates():
    kernels = jnp.zeros((2, 2, 2)).at[1, 0, 1].set(0.7)
    circuit = Circuit(jnp.log(jnp.array([0.3, 0.2])), kernels, family="poisson")
    s = np.asarray(circuit.simulate(40_000, jr.key(0)).spikes)
    assert abs(s[:, 0].mean() - 0.3) < 4.5 * np.sqrt(0.3 / len(s))
    # E exp(0.7 k) for k ~ Poisson(0.3) is exp(0.3 (e^0.7 - 1))
    expected = 0.2 * np.exp(0.3 * (np.exp(0.7) - 1))
    assert abs(s[:, 1].mean() - expected) < 6 * np.sqrt(expected / len(s))
    two = s[2:, 1][s[:-2, 0] == 2]
    assert abs(two.mean() - 0.2 * np.exp(1.4)) < 4.5 * np.sqrt(0.2 * np.exp(1.4) / len(two))


def test_ornstein_uhlenbeck_is_stationary_with_the_right_memory():
    z = np.asarray(jax.vmap(lambda k: ornstein_uhlenbeck(200, 20.0, k))(jr.split(jr.key(0), 2000)))
    np.testing.assert_allclose(z.var(0)[[0, 50, 199]], 1.0, atol=0.12)
    corr = np.mean(z[:, :-20] * z[:, 20:])
    assert abs(corr - np.exp(-1)) < 0.03


def test_log_probability_against_scipy():
    from scipy import stats

    k, r = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.2, 0.4], [0.9, 0.01]])
    with jax.enable_x64(True):
        got = log_probability("bernoulli", jnp.array(k), jnp.array(r))
        np.testing.assert_allclose(got, stats.bernoulli.logpmf(k, r), rtol=1e-12)
        got = log_probability("poisson", jnp.array(3 * k), jnp.array(r))
        np.testing.assert_allclose(got, stats.poisson.logpmf(3 * k, r), rtol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="family"):
        Circuit(jnp.zeros(2), jnp.zeros((2, 2, 1)), family="gauss")
    with pytest.raises(ValueError, match=r"kernels must have shape \(2, 2"):
        Circuit(jnp.zeros(2), jnp.zeros((3, 3, 1)))
    with pytest.raises(ValueError, match="as many weights"):
        Circuit(jnp.zeros(3), jnp.zeros((3, 3, 1)), conjunctions=[(0, 1, 2)])
    with pytest.raises(ValueError, match="no probability"):
        random_circuit(jr.key(0), rate=200.0)
    with pytest.raises(ValueError, match="runs away"):
        Circuit(jnp.zeros(1), jnp.ones((1, 1, 1)), family="poisson").simulate(50, jr.key(0))
    with pytest.raises(ValueError, match="at least 2 hubs"):
        hub_circuit(jr.key(0), hubs=1)
