"""HMM: all paths by brute force, the filter in logarithms, recovery of what was simulated."""

from itertools import pairwise, product

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.base import clone

from neuropil import belief
from neuropil.core import run, start
from neuropil.fit import hmm
from neuropil.fit.chain import beginnings, smooth_chain
from neuropil.fit.emissions import GLM, Bernoulli, Gaussian, Poisson
from neuropil.fit.hmm import HMM, align_states, simulate

K, T = 3, 6
RNG = np.random.default_rng(0)
INITIAL = RNG.dirichlet(np.ones(K))
TRANSITION = RNG.dirichlet(np.ones(K), K)
LIKELY = RNG.normal(size=(T, K)) * 2
smooth = jax.jit(smooth_chain)


def brute_force(likely):
    """Over all K^T paths: P(state), expected moves, log evidence."""
    states, pairs, total = np.zeros((len(likely), K)), np.zeros((K, K)), 0.0
    for path in product(range(K), repeat=len(likely)):
        p = INITIAL[path[0]] * np.exp(sum(likely[t, k] for t, k in enumerate(path)))
        p *= np.prod([TRANSITION[a, b] for a, b in pairwise(path)])
        total += p
        for t, k in enumerate(path):
            states[t, k] += p
        for a, b in pairwise(path):
            pairs[a, b] += p
    return states / total, pairs / total, np.log(total)


def test_one_and_two_sequences_against_all_paths(x64):
    args = jnp.asarray(INITIAL), jnp.asarray(TRANSITION), jnp.asarray(LIKELY)
    one = smooth(*args, jnp.asarray(beginnings(T)))
    states, pairs, evidence = brute_force(LIKELY)
    np.testing.assert_allclose(one.states, states, atol=1e-12)
    np.testing.assert_allclose(one.pairs, pairs, atol=1e-12)
    assert float(one.log_evidence) == pytest.approx(evidence, abs=1e-12)
    two = smooth(*args, jnp.asarray(beginnings(T, [4, 2])))
    parts = [brute_force(LIKELY[:4]), brute_force(LIKELY[4:])]
    np.testing.assert_allclose(two.states, np.concatenate([p[0] for p in parts]), atol=1e-12)
    np.testing.assert_allclose(two.pairs, parts[0][1] + parts[1][1], atol=1e-12)
    np.testing.assert_allclose(two.first, parts[0][0][0] + parts[1][0][0], atol=1e-12)
    assert float(two.log_evidence) == pytest.approx(parts[0][2] + parts[1][2], abs=1e-12)


def test_same_as_the_online_filter_and_smoother_also_where_products_underflow(x64):
    rate = RNG.gamma(2, 20, (K, 40))
    y = jnp.asarray(RNG.poisson(rate[RNG.integers(0, K, T)]), float)
    model = belief.HMM(INITIAL, TRANSITION, belief.Counts(rate))
    _, filtered = run(model, start(model, 1.0, jr.key(0)), y)
    log_states, log_pairs = belief.smooth_states(model, y, filtered)
    emission, params = Poisson(), {"rate": jnp.asarray(rate)}
    likely = emission.log_likelihood(params, emission.prepare(y, None))
    out = smooth(model.initial, model.transition, likely, jnp.asarray(beginnings(T)))
    np.testing.assert_allclose(out.states, jnp.exp(log_states), atol=1e-10)
    np.testing.assert_allclose(out.pairs, jnp.exp(log_pairs).sum(0), atol=1e-10)
    assert float(out.log_evidence) == pytest.approx(float(filtered.log_evidence.sum()), rel=1e-12)


def test_lengths_that_do_not_sum_are_refused():
    for wrong in ([3, 4], [6, 0], [[6]]):
        with pytest.raises(ValueError, match="lengths"):
            beginnings(6, wrong)


STICKY = np.full((K, K), 0.02) + 0.94 * np.eye(K)
TRUE = {
    "poisson": (Poisson(), {"rate": np.array([[1.0, 4, 2], [4, 1, 2], [1, 1, 6]])}),
    "bernoulli": (
        Bernoulli(),
        {
            "probability": np.array(
                [[0.1, 0.9, 0.5, 0.5], [0.9, 0.1, 0.5, 0.2], [0.2, 0.2, 0.1, 0.9]]
            )
        },
    ),
    "gaussian": (
        Gaussian(),
        {
            "mean": np.array([[0.0, 0], [3, 0], [0, 3]]),
            "cov": np.array([[[1, 0.5], [0.5, 1]], [[1, 0], [0, 0.5]], [[1, -0.4], [-0.4, 1]]]),
        },
    ),
}


@pytest.mark.parametrize(
    "name", [n if n == "poisson" else pytest.param(n, marks=pytest.mark.slow) for n in TRUE]
)
def test_what_was_simulated_is_recovered_up_to_the_order_of_states(name):
    emission, params = TRUE[name]
    params = {k: jnp.asarray(v) for k, v in params.items()}
    args = jnp.ones(K) / K, jnp.asarray(STICKY), params
    states, y = simulate(emission, *args, 4000, jr.key(1))
    model = HMM(K, emission, iterations=40, random_state=0).fit(y)
    found, order = align_states(states, model.predict(y), K)
    assert (found == states).mean() > 0.93
    np.testing.assert_allclose(
        np.asarray(model.transition_)[np.ix_(order, order)], STICKY, atol=0.03
    )
    for what, value in params.items():
        np.testing.assert_allclose(np.asarray(model.emission_[what])[order], value, atol=0.25)
    rises = np.diff(model.history_) / len(y)
    assert (rises > -1e-5).all()
    assert model.score(y) * len(y) == pytest.approx(model.log_likelihood(y), rel=1e-6)
    assert (model.predict(y, path=False) == model.predict(y)).mean() > 0.97


def test_glm_hmm_recovers_weights_of_choices():
    x = RNG.normal(size=(6000, 2))
    weights = jnp.asarray([[0.0, 4.0, 0.0], [0.0, 0.0, -4.0]])[:, :, None]
    args = jnp.ones(2) / 2, jnp.asarray([[0.98, 0.02], [0.02, 0.98]]), {"weights": weights}
    states, y = simulate(GLM(), *args, 6000, jr.key(2), x)
    model = HMM(2, GLM(), iterations=60, random_state=0).fit(y, inputs=x)
    found, order = align_states(states, model.predict(y, inputs=x), 2)
    assert (found == states).mean() > 0.9
    np.testing.assert_allclose(np.asarray(model.emission_["weights"])[order], weights, atol=0.5)
    assert (np.diff(model.history_) / len(y) > -1e-5).all()
    one = HMM(1, GLM(), iterations=3).fit(y, inputs=x)  # one state: a plain logistic regression
    from sklearn.linear_model import LogisticRegression

    plain = LogisticRegression(C=100.0).fit(x, y[:, 0])
    np.testing.assert_allclose(one.emission_["weights"][0, 1:, 0], plain.coef_[0], atol=2e-3)


def test_gaussian_glm_with_one_state_is_least_squares():
    x = RNG.normal(size=(200, 2))
    y = x @ np.array([[1.0, 0], [2, -1]]) + 0.5 + 0.1 * RNG.normal(size=(200, 2))
    model = HMM(1, GLM("gaussian", penalty=1e-6), iterations=2).fit(y, inputs=x)
    full = np.column_stack([np.ones(200), x])
    want, rest, *_ = np.linalg.lstsq(full, y, rcond=None)
    np.testing.assert_allclose(model.emission_["weights"][0], want, atol=1e-4)
    np.testing.assert_allclose(model.emission_["variance"][0], rest / 200, rtol=1e-2)


def test_a_second_fit_to_data_of_the_same_shape_compiles_nothing():
    y = RNG.poisson(2.0, (50, 4))
    begin = {"rate": RNG.gamma(2, 1, (2, 4))}
    model = HMM(2, iterations=3, start=begin).fit(y)
    before = hmm.expectation_maximisation._cache_size()
    clone(model).fit(RNG.poisson(3.0, (50, 4)), lengths=[20, 30])
    assert hmm.expectation_maximisation._cache_size() == before
    assert clone(model).get_params()["emission"] == Poisson()


@pytest.mark.parametrize(
    ("change", "data", "says"),
    [
        ({}, -np.ones((5, 2)), "Poisson emissions"),
        ({}, np.full((5, 2), 0.5), "whole numbers"),
        ({}, np.full((5, 2), np.nan), "NaN"),
        ({}, np.ones(5), "time, unit"),
        ({"states": 0}, np.ones((5, 2)), "at least 1"),
        ({"stay": 1.0}, np.ones((5, 2)), "between 0 and 1"),
        ({"emission": Bernoulli()}, 2 * np.ones((5, 2)), "0 or 1"),
        ({"emission": GLM()}, np.ones((5, 2)), "needs inputs"),
        ({"emission": GLM("binomial")}, np.ones((5, 2)), "family"),
        ({"emission": Gaussian("tied")}, np.ones((5, 2)), "covariance"),
    ],
)
def test_bad_input_is_refused_with_the_reason(change, data, says):
    with pytest.raises(ValueError, match=says):
        HMM(**change).fit(data)
