"""onehot-hmm-glm: basis, past, density of the Gumbel softmax, and the limits of both priors."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.fit import _onehot_arms as arms
from neuropil.papers.fit import _onehot_model as model
from neuropil.papers.fit.onehot_hmm_glm import STUDY, check

SMOKE = STUDY.scales["smoke"]


def test_basis_and_past():
    np.testing.assert_allclose(model.basis(), [0.6364, 0.2341, 0.0861, 0.0317, 0.0117], atol=1e-4)
    counts = np.zeros((1, 8, 1))
    counts[0, 2] = 1.0
    past = model.history(jnp.asarray(counts), jnp.asarray(model.basis()))[0, :, 0]
    np.testing.assert_allclose(past, [0, 0, 0, *model.basis()], atol=1e-6)
    two = model.Data.of(np.concatenate([counts, 0 * counts]))
    assert two.y[8:].sum() == 0  # what came before a sequence is not its past
    assert np.flatnonzero(two.begins).tolist() == [0, 8]


@pytest.mark.parametrize("tau", [0.2, 0.5, 1.0])
def test_density_of_two_classes_integrates_to_one(tau, x64):
    u = jnp.linspace(-80.0, 80.0, 40_001)  # logit of the first class: da = a (1 - a) du
    log_a = jnp.stack([jax.nn.log_sigmoid(u), jax.nn.log_sigmoid(-u)], axis=-1)
    log_p = jnp.log(jnp.array([0.3, 0.7]))
    density = jnp.exp(model.log_density(log_a, log_p, tau) + log_a.sum(-1))
    assert float(density.sum() * (u[1] - u[0])) == pytest.approx(1.0, abs=1e-3)
    shifted = model.log_density(log_a, log_p + 3.0, tau)
    np.testing.assert_allclose(shifted, model.log_density(log_a, log_p, tau))
    if tau == 1.0:  # uniform P and temperature 1: the first class is uniform
        flat = model.log_density(log_a, jnp.zeros(2), tau)
        np.testing.assert_allclose(flat, 0.0, atol=1e-9)


def test_classes_strengths_and_the_halving_of_logits():
    a = jnp.asarray([[[[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]]])
    params = {"a": a, "r": jnp.zeros((1, 1, 3))}
    np.testing.assert_allclose(
        model.weights(params, hard=True)[0, 0], np.log(2) * np.array([0, -1, 1])
    )
    np.testing.assert_allclose(
        model.weights(params)[0, 0], model.weights(params, hard=True)[0, 0], atol=1e-3
    )
    back = model._halved({"a": jnp.asarray([[0.0, 0.0, 30.0], [0.0, 0.0, 5.0]])})["a"]
    assert back.tolist() == [[0.0, 0.0, 15.0], [0.0, 0.0, 5.0]]


def test_priors_at_their_limits():
    """Precision 0 is no prior; a very high one about the mean makes all states equal; log rates of W = 0."""
    w = jr.normal(jr.key(0), (2, 3, 3))
    none, tight = model.Prior(0.0, True), model.Prior(4.0, True)
    assert float(model.log_prior({"w": w}, none)) == 0.0
    off = w - w.mean(0)[None]
    assert float(model.log_prior({"w": w}, tight)) == pytest.approx(
        float(-2 * (off**2).sum()), rel=1e-5
    )
    slope = jax.grad(lambda w: model.log_prior({"w": w}, tight))(w)
    np.testing.assert_allclose(slope, -4 * off, atol=1e-5)
    data = model.Data.of(np.ones((1, 4, 3)))
    likely = model.log_likelihood(0 * w, jnp.zeros(3), data)
    np.testing.assert_allclose(likely, 3 * (np.log(0.5) - 0.5), rtol=1e-6)


def test_worlds_and_what_is_measured():
    rng = np.random.default_rng(0)
    w = arms.interactions(rng, "few", 4, 30)
    assert 0.7 < (w == 0).mean() < 0.9
    assert np.abs(w).max() < 1.387
    same = lambda w: (np.sign(w[0]) == np.sign(w[1])).mean()
    assert same(w) > same(arms.interactions(rng, "apart", 4, 30)) + 0.05
    world = arms.simulate(rng, "few", SMOKE | dict(units=6, time=200))
    assert [len(world.counts[use]) for use in ("train", "choose", "test")] == [2, 2, 2]
    assert 0.3 < world.counts["train"].mean() < 0.7
    truth = arms.measure("truth", world, SMOKE, jr.key(0))
    assert truth[2] == pytest.approx(1.0)
    assert truth[4] > 0.5
    assert arms.balanced(np.array([0, 0, 0, 1]), np.zeros(4)) == 0.5
    real = arms.recorded(rng, np.arange(3000)[:, None], SMOKE)
    assert len({int(piece[0, 0]) for part in real.counts.values() for piece in part}) == 6


@pytest.mark.parametrize(
    ("change", "says"),
    [({"states": 1}, "at least 2"), ({"worlds": 6}, "worlds"), ({"few": 0}, "at least 1")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
