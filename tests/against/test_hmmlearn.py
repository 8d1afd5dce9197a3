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


@pytest.mark.parametrize("kind", ["poisson", "gaussian"])
def test_em_of_several_sequences_climbs_as_hmmlearn_does(kind, x64):
    """Ten iterations from the same start, two sequences: the same likelihoods and the same parameters."""
    from neuropil.fit.emissions import Gaussian, Poisson
    from neuropil.fit.hmm import HMM

    draw = np.random.default_rng(3)
    state = np.repeat(draw.integers(0, 3, 40), 20)
    lengths, stay = [500, 300], 0.9
    if kind == "poisson":
        y = draw.poisson(draw.gamma(2, 2, (3, 4))[state])
        start = {"rate": draw.gamma(2, 2, (3, 4))}
        ours = HMM(3, Poisson(strength=0.0), start=start, stay=stay, iterations=10, tolerance=0)
        peer = hmm.PoissonHMM(
            3, n_iter=10, tol=-np.inf, init_params="", lambdas_prior=0.0, lambdas_weight=0.0
        )
        peer.lambdas_ = start["rate"].copy()
    else:
        y = 3 * draw.normal(size=(3, 2))[state] + draw.normal(size=(800, 2))
        start = {"mean": draw.normal(size=(3, 2)), "cov": np.stack([2 * np.eye(2)] * 3)}
        ours = HMM(3, Gaussian(floor=0.0), start=start, stay=stay, iterations=10, tolerance=0)
        peer = hmm.GaussianHMM(
            3, "full", n_iter=10, tol=-np.inf, init_params="", covars_prior=0.0, covars_weight=0.0,
            min_covar=0.0,
        )  # fmt: skip
        peer.means_, peer.covars_ = start["mean"].copy(), start["cov"].copy()
    peer.startprob_ = np.ones(3) / 3
    peer.transmat_ = np.full((3, 3), 0.05) + 0.85 * np.eye(3)
    ours.fit(y, lengths=lengths)
    peer.fit(y, lengths)
    np.testing.assert_allclose(ours.history_, peer.monitor_.history, rtol=1e-6)
    np.testing.assert_allclose(ours.transition_, peer.transmat_, atol=1e-5)
    assert ours.log_likelihood(y, lengths=lengths) == pytest.approx(
        peer.score(y, lengths), rel=1e-6
    )
    np.testing.assert_array_equal(ours.predict(y, lengths=lengths), peer.predict(y, lengths))
