"""FBCCA on pure sinusoids and under any mixing, TRCA on planted responses, Deep-SSVEP's counts and laws."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.signal import cheby1, freqz
from sklearn.base import clone

from neuropil.fit.deepssvep import DeepSSVEP
from neuropil.fit.ssvep import FBCCA, TRCA, canonical_correlation, filter_bank, references
from neuropil.stats import information_transfer_rate

DRAW = np.random.default_rng(0)
HZ = (8.0, 9.6, 11.0)


def trials(n=4, time=150, noise=0.02, channels=4):
    """Sinusoids of `HZ` in two of the channels, their phases by class."""
    y = np.tile(np.arange(3), n)
    t = np.arange(time) / 250
    wave = np.sin(2 * np.pi * np.asarray(HZ)[y][:, None] * t + y[:, None])
    x = noise * DRAW.normal(size=(len(y), channels, time))
    x[:, 0] += wave
    x[:, 1] -= 0.5 * wave
    return x, y


def test_correlation_finds_the_frequency_and_ignores_mixing():
    x, y = trials()
    rho = canonical_correlation(x, references(HZ, 150, 250.0, 3))
    assert (rho.argmax(1) == y).all()
    assert rho[np.arange(len(y)), y].min() > 0.99
    mixed = np.einsum("dc,nct->ndt", DRAW.normal(size=(4, 4)), x)
    np.testing.assert_allclose(
        canonical_correlation(mixed, references(HZ, 150, 250.0, 3)), rho, atol=1e-8
    )
    model = FBCCA(HZ, bands=3)
    assert clone(model).fit(x, y).score(x, y) == 1
    with pytest.raises(ValueError, match="one each"):
        FBCCA((8.0,)).fit(x, y)


def test_the_filter_bank_is_the_published_one():
    for band, (gain, a) in {
        1: (0.76613, (-0.30261, -0.53226)),
        3: (0.68215, (-0.1297, -0.36431)),
    }.items():
        b, denominator = cheby1(1, 1.0, [8 * band, 90], "bandpass", fs=250)
        np.testing.assert_allclose(b, [gain, 0, -gain], atol=1e-5)
        np.testing.assert_allclose(denominator[1:], a, atol=1e-5)
        _, h = freqz(b, denominator, worN=[8 * band, 90], fs=250)
        np.testing.assert_allclose(20 * np.log10(abs(h)), -1, atol=1e-6)
    with pytest.raises(ValueError, match="fewer bands"):
        filter_bank(np.zeros((1, 1, 50)), 128.0, 5)


@pytest.mark.parametrize("ensemble", [True, False])
def test_trca_tells_phases_that_frequency_cannot(ensemble):
    """Targets 0.2 Hz apart in 0.3 s: only the phase, which FBCCA does not use, tells them apart."""
    y, t = np.tile(np.arange(4), 8), np.arange(75) / 250
    hz = 10 + 0.2 * y[:, None]
    x = 0.7 * DRAW.normal(size=(32, 5, 75))
    x += (
        DRAW.normal(size=5)[None, :, None]
        * np.sin(2 * np.pi * hz * t + np.pi / 2 * y[:, None])[:, None]
    )
    learned = TRCA(ensemble=ensemble).fit(x[:20], y[:20])
    assert learned.score(x[20:], y[20:]) > 0.9
    assert FBCCA(10 + 0.2 * np.arange(4)).fit(x[:20], y[:20]).score(x[20:], y[20:]) < 0.7
    with pytest.raises(ValueError, match="one trial"):
        TRCA().fit(x[:5], y[:5])


@pytest.mark.parametrize(
    ("size", "count"), [((27, 100), 414_283), ((192, 100), 420_883), ((27, 50), 294_283)]
)
def test_deep_ssvep_has_the_published_counts(size, count):
    net = jax.eval_shape(lambda k: DeepSSVEP.init(*size, 40, key=k), jr.key(0))
    assert sum(a.size for a in jax.tree.leaves(net)) == count


def test_deep_ssvep_is_homogeneous_but_not_linear():
    net = DeepSSVEP.init(6, 20, 4, bands=2, features=5, scale=0.3, key=jr.key(0))
    x = jnp.asarray(DRAW.normal(size=(3, 6, 20)), jnp.float32)
    said = jax.jit(lambda x: net(x))
    np.testing.assert_allclose(said(2.5 * x), 2.5 * said(x), rtol=1e-4, atol=1e-6)
    assert not np.allclose(said(-x), -said(x), rtol=1e-2)
    with pytest.raises(ValueError, match="sub-bands"):
        DeepSSVEP.init(7, 20, 4, bands=2, key=jr.key(0))


def test_information_transfer_rate():
    assert information_transfer_rate(1.0, 40, 0.9) == pytest.approx(354.80, abs=0.01)
    rates = information_transfer_rate(np.array([0.0, 1 / 40, 0.5]), 40, 0.9)
    assert rates[:2].tolist() == [0, 0]
    bits = np.log2(40) + 0.5 * np.log2(0.5) + 0.5 * np.log2(0.5 / 39)
    assert rates[2] == pytest.approx(60 * bits / 0.9)
    with pytest.raises(ValueError, match="accuracy"):
        information_transfer_rate(1.2, 40, 0.9)
