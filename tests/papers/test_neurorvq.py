"""neurorvq: the round trip of spectra, the rate, the transform coder, gradients, the runs that are tested."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.fit import _neurorvq as arms
from neuropil.papers.fit._neurorvq_net import TAPS, Branch, Tokeniser, from_spectrum
from neuropil.papers.fit.neurorvq import STUDY, check
from neuropil.worlds import datasets

TINY = STUDY.scales["smoke"]
MOMENTS = (jnp.full((1, 1, 1, 101), 1.5), jnp.full((1, 1, 1, 101), 0.7))


def test_amplitude_cosine_and_sine_give_the_signal_back():
    x = arms.data("simulated", 4, 2, 200).test[:3]
    full = np.fft.rfft(x)
    spectrum = (np.log1p(np.abs(full)), np.cos(np.angle(full)), np.sin(np.angle(full)))
    again = from_spectrum(*(jnp.asarray(a, jnp.float32) for a in spectrum))
    np.testing.assert_allclose(again, x, atol=1e-4)


def test_200_samples_become_25_values_a_feature_in_every_branch():
    x = jax.ShapeDtypeStruct((24, 200), jnp.float32)
    for taps in TAPS:
        part = eqx.filter_eval_shape(Branch.init, 8, taps, jr.key(0))
        assert eqx.filter_eval_shape(lambda part, x: part(x), part, x).shape == (24, 200)


def test_gradients_reach_every_part_and_none_of_what_is_fixed():
    x = jnp.asarray(arms.data("simulated", 4, 2, 200).train[:2])

    @jax.jit
    def slope(key):
        model = Tokeniser.init(TINY, 1, 2, MOMENTS, key, angle=0.0, sent=1.0)
        return jax.grad(lambda m: m.loss(x, key))(model)

    found = slope(jr.key(0))
    for name in (
        "branches",
        "encoder",
        "down",
        "books",
        "up",
        "decoder",
        "amplitude",
        "cosine",
        "sine",
    ):
        assert any(np.abs(a).max() > 0 for a in jax.tree.leaves(getattr(found, name))), name
    for name in ("log_mean", "log_std", "angle", "sent"):
        assert np.abs(getattr(found, name)).max() == 0, name


def test_the_transform_coder_spends_what_it_may_and_is_near_the_bound_of_white_noise():
    x = np.random.default_rng(0).normal(size=(3000, 1, 1, 16))
    guess, bits = arms.transform_code(x[:2000], x[2000:], 48.0)  # 3 bits a sample
    assert bits == pytest.approx(48, abs=1)
    error = ((guess - x[2000:]) ** 2).mean()
    bound = 2.0 ** (-2 * 3)  # rate and distortion of a normal sample
    assert (
        bound < error < 1.6 * bound
    )  # a uniform quantiser loses a quarter of a bit: 2 pi e / 12 = 1.42


def test_residual_codes_of_few_patterns_and_their_sums_are_exact():
    one, two = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 6)))[0].T.reshape(2, 3, 16)
    pairs = np.stack([10 * a + b for a in one for b in two])
    train = np.tile(pairs, (20, 1)).reshape(-1, 1, 1, 16)
    guess, codes = arms.residual_code(train, train[:9], 3, 2, np.random.default_rng(1), held=0.9999)
    np.testing.assert_allclose(guess, train[:9], atol=1e-6)
    assert len({tuple(c) for c in codes}) == 9


def test_flat_patches_are_left_out_and_the_rest_is_standardised():
    run = np.random.default_rng(0).normal(3.0, 5.0, (2000, 2))
    run[1000:1200, 1] = 0.0
    kept = arms.cut(run, 2, 200)
    assert kept.shape == (4, 2, 2, 200)  # of five windows
    np.testing.assert_allclose(kept.mean(-1), 0, atol=1e-9)
    np.testing.assert_allclose(kept.std(-1), 1, atol=1e-9)


@pytest.mark.skipif(not datasets.available("muse-visual"), reason="needs muse-visual")
def test_the_recording_gives_as_many_patches_as_its_runs_are_long():
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    here = arms.data("muse-visual", 4, 2, 200)
    assert here.train.shape[1:] == (4, 2, 200)
    assert 220 <= len(here.train) <= 240
    assert 110 <= len(here.test) <= 120


@pytest.mark.parametrize(
    ("change", "says"),
    [({"patch": 100}, "multiple of 8"), ({"branches": 5}, "branches"), ({"heads": 7}, "heads")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
