"""Hidden Markov models against hmmlearn (an environment of its own has it; skipped elsewhere)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.belief import HMM, Categorical, Counts, Normal, smooth_states, viterbi
from neuropil.core import run, start

hmm = pytest.importorskip("hmmlearn.hmm", reason="hmmlearn is not installed (a peer, optional)")

T, K, D = 40, 3, 2


def drawn(kind):
    """(our emission, hmmlearn's model with the same one, observations)."""
    rng = np.random.default_rng(0)
    if kind == "categorical":
        p = rng.dirichlet(np.ones(4), K)
        peer = hmm.CategoricalHMM(K, n_features=4)
        peer.emissionprob_ = p
        return Categorical(p), peer, rng.integers(0, 4, T)
    if kind == "normal":
        mean, sd = rng.standard_normal((K, D)), rng.uniform(0.5, 1.5, (K, D))
        peer = hmm.GaussianHMM(K, covariance_type="diag")
        peer.n_features, peer.means_, peer.covars_ = D, mean, sd**2
        return Normal(mean, sd), peer, rng.standard_normal((T, D))
    rate = rng.uniform(0.5, 5, (K, D))
    peer = hmm.PoissonHMM(K)
    peer.n_features, peer.lambdas_ = D, rate
    return Counts(rate), peer, rng.poisson(2.0, (T, D)).astype(float)


@pytest.mark.parametrize("kind", ["categorical", "normal", "counts"])
def test_evidence_beliefs_and_best_path(kind, x64):
    emission, peer, xs = drawn(kind)
    rng = np.random.default_rng(1)
    peer.startprob_, peer.transmat_ = rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), K)
    model, xs = HMM(peer.startprob_, peer.transmat_, emission), jnp.asarray(xs)
    there = np.asarray(xs).reshape(T, -1)
    carry, belief = run(model, start(model, 1.0, jax.random.key(0)), xs)
    np.testing.assert_allclose(carry.state["log_evidence"], peer.score(there), rtol=1e-10)
    each, _ = jax.jit(smooth_states)(model, xs, belief)
    np.testing.assert_allclose(np.exp(each), peer.predict_proba(there), atol=1e-9)
    log_p, path = peer.decode(there)
    found, best = jax.jit(viterbi)(model, xs)
    np.testing.assert_array_equal(found, path)
    np.testing.assert_allclose(best, log_p, rtol=1e-10)
