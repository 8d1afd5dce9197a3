"""Sources against their laws: rates, run lengths, exact probabilities, entropy."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.worlds.sources import BernoulliSource, MarkovSource, labelled

BURSTS = MarkovSource.of_rate(jnp.array([0.2, 0.2]), 0.5)
TEMPLATE = BernoulliSource(jnp.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.3], [0.8, 0.6]]))


@pytest.mark.parametrize("source", [BURSTS, TEMPLATE], ids=["markov", "template"])
def test_probabilities_of_all_trains_sum_to_one_and_their_mean_information_is_the_entropy(source):
    trains = jnp.array(list(itertools.product([0.0, 1.0], repeat=8))).reshape(-1, 4, 2)
    logs = jax.vmap(source.log_likelihood)(trains)
    assert float(jnp.exp(logs).sum()) == pytest.approx(1, abs=1e-5)
    bits = -float((jnp.exp(logs) * logs).sum()) / np.log(2)
    if source is TEMPLATE:
        assert bits == pytest.approx(float(source.entropy_rate().sum()), rel=1e-5)
    else:  # the first bin from the stationary state, then three at the entropy rate
        first = -(0.2 * np.log2(0.2) + 0.8 * np.log2(0.8))
        expected = 2 * first + 3 * float(source.entropy_rate().sum())
        assert bits == pytest.approx(expected, rel=1e-5)


def test_samples_follow_the_law():
    n = 50_000
    x = np.asarray(BURSTS.sample(n, jr.key(0)))
    np.testing.assert_allclose(x.mean(0), 0.2, atol=0.01)
    after = [(x[1:][x[:-1] == s]).mean() for s in (0, 1)]
    np.testing.assert_allclose(after, [0.125, 0.5], atol=0.01)
    poisson = BernoulliSource.poisson(jnp.array([40.0]), 2.0)
    assert float(poisson.p[0]) == pytest.approx(1 - np.exp(-0.08), rel=1e-5)


def test_labelled_trains_come_in_turn():
    x, y = labelled((BernoulliSource(jnp.zeros(3)), BernoulliSource(jnp.ones(3))), 5, 4, jr.key(0))
    assert x.shape == (5, 4, 3)
    assert x.mean((1, 2)).tolist() == y.tolist() == [0, 1, 0, 1, 0]


def test_impossible_laws_are_refused():
    with pytest.raises(ValueError, match="must be at most 1"):
        BernoulliSource(jnp.array([1.5]))
    with pytest.raises(ValueError, match="must be at most 1"):
        MarkovSource.of_rate(jnp.array([0.9]), 0.1)
    with pytest.raises(ValueError, match="template has 4"):
        TEMPLATE.sample(5, jr.key(0))
