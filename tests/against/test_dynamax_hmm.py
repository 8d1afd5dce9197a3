"""HMMs against dynamax 1.0.3: likelihoods and EM; its numbers are recorded here, and made anew where it is.

PYTHONPATH=<its site-packages> python -m pytest tests/against/test_dynamax_hmm.py
"""

import jax.numpy as jnp
import numpy as np
import pytest

from neuropil.fit.emissions import GLM, Poisson
from neuropil.fit.hmm import HMM

T, K = 120, 3
t = np.arange(T)
PHASE = (t // 15) % K
COUNTS = np.stack(
    [(3 * t + 2 * u + t * t // 7) % 4 + 3 * (PHASE == u % K) for u in range(4)], axis=1
)
RATE = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [2.0, 2.5, 2.5, 2.0]])
INITIAL, TRANSITION = np.ones(K) / K, np.full((K, K), 0.05) + 0.85 * np.eye(K)
X = np.stack([np.sin(0.7 * t), np.cos(1.3 * t)], axis=1)
CHOICES = ((t * t + 3 * t) % 5 + 3 * X[:, 0] > 2).astype(int)
WEIGHTS = np.array([[0.1, 1.0, -1.0], [0.0, -2.0, 0.5], [-0.3, 0.0, 2.0]])  # offset, then inputs

RECORDED = {
    "logistic": -72.50939530350303,
    "climb": [-986.6876033958947, -944.2750807681807, -875.449331543885, -847.3181971058476,
              -829.796326721084, -822.7011456934392],
    "rate": [[3.728471646, 1.780930525, 0.737961009, 4.774051870],
             [1.232725325, 4.253629999, 1.325613478, 1.348098936],
             [2.833173650, 0.798615289, 3.764960731, 1.808106920]],
    "transition": [[0.763370703, 0.037194813, 0.199434485], [5.108e-07, 0.954188396, 0.045811093],
                   [0.140112013, 0.044633403, 0.815254583]],
}  # fmt: skip


def ours(iterations):
    """EM from the same start, by maximum likelihood (no prior)."""
    start = {"rate": RATE}
    model = HMM(K, Poisson(strength=0.0), start=start, stay=0.9, iterations=iterations, tolerance=0)
    return model.fit(COUNTS)


def logistic():
    """Log-likelihood of a GLM-HMM of choices at given parameters: what a fit finds before its first step."""
    start = {"weights": WEIGHTS[:, :, None]}
    model = HMM(K, GLM(), start=start, stay=0.9, iterations=1, tolerance=0)
    return model.fit(CHOICES[:, None], inputs=X).history_[0]


def theirs():
    """The same numbers by dynamax."""
    models = pytest.importorskip(
        "dynamax.hidden_markov_model", reason="dynamax is not installed (a peer, optional)"
    )
    import jax.random as jr

    flat = dict(initial_probs_concentration=1.0, transition_matrix_concentration=1.0)
    peer = models.PoissonHMM(
        K, 4, emission_prior_concentration=1.0, emission_prior_rate=1e-12, **flat
    )
    chain = dict(initial_probs=jnp.asarray(INITIAL), transition_matrix=jnp.asarray(TRANSITION))
    params, props = peer.initialize(jr.PRNGKey(0), emission_rates=jnp.asarray(RATE), **chain)
    counts = jnp.asarray(COUNTS)
    climb = []
    for _ in range(6):
        climb.append(float(peer.marginal_log_prob(params, counts)))
        params, _ = peer.fit_em(params, props, counts, num_iters=1, verbose=False)
    glm = models.LogisticRegressionHMM(K, 2)
    w, _ = glm.initialize(
        jr.PRNGKey(0), emission_weights=jnp.asarray(WEIGHTS[:, 1:]),
        emission_biases=jnp.asarray(WEIGHTS[:, 0]), **chain,
    )  # fmt: skip
    return {
        "logistic": float(glm.marginal_log_prob(w, jnp.asarray(CHOICES), inputs=jnp.asarray(X))),
        "climb": climb,
        "rate": np.asarray(params.emissions.rates).tolist(),
        "transition": np.asarray(params.transitions.transition_matrix).tolist(),
    }


def agree(want):
    model = ours(6)
    np.testing.assert_allclose(model.history_, want["climb"], rtol=1e-6)
    np.testing.assert_allclose(model.emission_["rate"], want["rate"], rtol=1e-5)
    np.testing.assert_allclose(model.transition_, want["transition"], atol=1e-6)
    np.testing.assert_allclose(logistic(), want["logistic"], rtol=1e-6)


def test_recorded_likelihoods_and_climb(x64):
    agree(RECORDED)


def test_dynamax_says_so_now(x64):
    agree(theirs())
