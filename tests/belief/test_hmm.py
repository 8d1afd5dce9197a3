"""Hidden Markov model against enumeration of every path."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.belief import HMM, Categorical, Counts, Normal, smooth_states, viterbi
from neuropil.core import run, start

T, K = 5, 3


def emission(kind):
    key = jr.key(5)
    if kind == "categorical":
        return Categorical(jax.nn.softmax(jr.normal(key, (K, 4)))), jnp.array([0, 3, -1, 2, 3])
    if kind == "normal":
        xs = jr.normal(jr.key(6), (T, 2)).at[2, 1].set(jnp.nan)
        return Normal(jr.normal(key, (K, 2)), 0.5 + jr.uniform(key, (K, 2))), xs
    xs = jr.poisson(jr.key(6), 2.0, (T, 2)).astype(float).at[3].set(jnp.nan)
    return Counts(4 * jr.uniform(key, (K, 2))), xs


def model(kind):
    part, xs = emission(kind)
    return HMM(jax.nn.softmax(jr.normal(jr.key(1), (K,))), transition(), part), xs


def transition():
    t = jax.nn.softmax(2 * jr.normal(jr.key(2), (K, K)))
    t = t.at[0, 2].set(0.0)  # a step that is never taken
    return t / t.sum(1, keepdims=True)


def enumerate_paths(m, xs):
    """Every path of states with its probability together with xs."""
    likely = np.exp(np.stack([m.emission.log_likelihood(x) for x in xs]))
    first, t = np.asarray(m.initial), np.asarray(m.transition)
    paths = np.array(list(itertools.product(range(K), repeat=T)))
    p = first[paths[:, 0]] * likely[0, paths[:, 0]]
    for s in range(1, T):
        p = p * t[paths[:, s - 1], paths[:, s]] * likely[s, paths[:, s]]
    return paths, p


@pytest.mark.parametrize("kind", ["categorical", "normal", "counts"])
def test_evidence_beliefs_and_best_path_are_those_of_enumeration(kind, x64):
    m, xs = model(kind)
    paths, p = enumerate_paths(m, xs)
    carry, belief = run(m, start(m, 1.0, jr.key(0)), xs)
    np.testing.assert_allclose(carry.state["log_evidence"], np.log(p.sum()), atol=1e-12)
    each, pairs = jax.jit(smooth_states)(m, xs, belief)
    for t in range(T):
        exact = [p[paths[:, t] == k].sum() / p.sum() for k in range(K)]
        np.testing.assert_allclose(np.exp(each[t]), exact, atol=1e-12)
    for t in range(T - 1):
        exact = np.zeros((K, K))
        np.add.at(exact, (paths[:, t], paths[:, t + 1]), p / p.sum())
        np.testing.assert_allclose(np.exp(pairs[t]), exact, atol=1e-12)
    last = [p[paths[:, -1] == k].sum() / p.sum() for k in range(K)]
    np.testing.assert_allclose(np.exp(belief.log_prob[-1]), last, atol=1e-12)
    path, log_p = jax.jit(viterbi)(m, xs)
    np.testing.assert_array_equal(path, paths[p.argmax()])
    np.testing.assert_allclose(log_p, np.log(p.max()), atol=1e-12)


def test_a_long_run_does_not_underflow_and_its_evidence_has_a_gradient():
    m, _ = model("normal")
    xs = jr.normal(jr.key(0), (3000, 2))

    def log_evidence(mean):
        part = Normal(mean, m.emission.sd)
        now = HMM(m.initial, m.transition, part)
        return run(now, start(now, 1.0, jr.key(0)), xs, record=None)[0].state["log_evidence"]

    value, slope = jax.value_and_grad(log_evidence)(m.emission.mean)
    assert -1e5 < float(value) < -2000
    assert np.isfinite(np.asarray(slope)).all()


def test_probabilities_that_do_not_sum_to_one_are_refused():
    part = Categorical(jnp.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="HMM: transition sums to"):
        HMM([0.5, 0.5], [[0.5, 0.4], [0.5, 0.5]], part)
    with pytest.raises(ValueError, match="transition has shape"):
        HMM([0.5, 0.5], jnp.eye(3), part)
