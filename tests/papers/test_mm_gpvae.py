"""mm-gpvae: the partition of latents, its objective, the renderer, and that arms see the same trials."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.gp import FourierGP
from neuropil.papers.fit import _mm_gpvae as page
from neuropil.papers.fit._mm_gpvae_net import MultiModal, Uses, objective
from neuropil.papers.fit._mm_gpvae_score import affine_r2
from neuropil.papers.fit.mm_gpvae import STUDY, check

RNG = np.random.default_rng(0)
SETTINGS = STUDY.scales["smoke"] | dict(train=20, test=5, neurons=40)


@pytest.fixture(scope="module")
def trials():
    return page.simulate(np.random.default_rng(1), RNG.random((7, 8, 8), np.float32), SETTINGS)


@pytest.fixture(scope="module")
def model():
    gp = FourierGP.of(20, shortest=10.0, length=12.0, floor=0.01)
    return MultiModal(gp, jnp.full(6, 0.8), 9, (8,), jr.key(0))


def test_digits_turn_and_grow():
    digit = np.zeros((1, 5, 5), np.float32)
    digit[0, 2, 4] = 1.0  # right of the middle
    one = lambda degrees, zoom: page.turned(digit, np.array([degrees]), np.array([zoom]), 11)[0]
    same = one(0.0, 1.0)
    np.testing.assert_allclose(same[3:8, 3:8], digit[0], atol=1e-6)
    assert same.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(one(90.0, 1.0), np.rot90(same), atol=1e-5)
    bigger = one(0.0, 2.0)
    assert bigger.sum() == pytest.approx(4.0, rel=0.05)  # area
    assert np.argmax(bigger[5]) == 9  # twice as far from the middle


def test_trials_are_what_the_latents_say(trials):
    assert trials.images.shape == (25, 20, 100)
    want = np.exp(np.einsum("kln,cl->knc", trials.latents[:, :2], trials.loading) + trials.offset)
    np.testing.assert_allclose(trials.rates, want)
    assert trials.counts.mean() == pytest.approx(trials.rates.mean(), rel=0.05)


def test_latents_of_spikes_are_found_by_the_true_model(trials):
    rows = np.arange(4)
    found = page.most_likely(trials, rows, SETTINGS)
    for i in range(2):
        flat = [a.reshape(-1, 1) for a in (found[:, i], trials.latents[rows, i])]
        assert affine_r2(*flat, *flat)[0] > 0.8


def test_each_modality_moves_its_own_latents_only(model):
    spikes = jnp.asarray(RNG.poisson(1.0, (2, 20, 6)), float)
    images = jnp.asarray(RNG.normal(size=(2, 20, 9)), float)
    infer = eqx.filter_jit(lambda s, i, u: model.infer(s, i, u)[0])
    both, spikes_only = Uses.of("both"), Uses.of("spikes")
    mean = infer(spikes, images, both)
    other = np.asarray(infer(spikes, images + 1.0, both) - mean)
    assert np.abs(other[:, 0]).max() == 0
    assert np.abs(other[:, 1:]).max((0, 2)).min() > 0
    other = np.asarray(infer(spikes + 1.0, images, both) - mean)
    assert np.abs(other[:, 2]).max() == 0
    assert np.abs(other[:, :2]).max((0, 2)).min() > 0
    alone = infer(spikes, images, spikes_only) - infer(spikes, 2 * images, spikes_only)
    assert np.abs(np.asarray(alone)[:, :2]).max() == 0


def test_sign_of_the_shared_latent_is_free_and_silent_modalities_cost_nothing(model):
    batch = {
        "spikes": jnp.asarray(RNG.poisson(1.0, (2, 20, 6)), float),
        "images": jnp.asarray(RNG.normal(size=(2, 20, 9)), float),
        "uses": Uses.of("spikes"),
    }
    cost = eqx.filter_jit(lambda m, b: objective(m, b, jr.key(3)))
    other = batch | {"images": 5 * batch["images"]}
    assert float(cost(model, batch)) == pytest.approx(float(cost(model, other)), rel=1e-6)
    # the spike encoder says minus the shared latent, and its loading is turned
    where = lambda m: (m.spike_net.layers[-1].weight, m.spike_net.layers[-1].bias, m.loading)
    weight, bias, loading = where(model)
    sign = jnp.array([1.0, -1.0, 1.0, 1.0])
    turned = (weight * sign[:, None], bias * sign, loading * sign[None, :2])
    mirrored = eqx.tree_at(where, model, turned)
    assert float(cost(model, batch)) == pytest.approx(float(cost(mirrored, batch)), rel=1e-5)


def test_affine_score_is_fitted_on_training_rows():
    x = RNG.normal(size=(50, 1))
    assert affine_r2(x, 2 - 3 * x, x + 9, 2 - 3 * (x + 9))[0] == pytest.approx(1.0)
    assert affine_r2(x, 2 - 3 * x, x, 2 + 3 * x)[0] < 0  # what it learned there is wrong here
    assert np.isnan(affine_r2(np.nan * x, x, x, x)[0])


@pytest.mark.parametrize(
    ("change", "says"), [({"batch": 500}, "batch"), ({"bins": 5}, "bins"), ({"pool": 0}, "pool")]
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
