"""Decoders that filter: the whole Kalman filter beside the projected one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone

from neuropil.belief import Kalman
from neuropil.core import run, start
from neuropil.fit.filters import DiscriminativeKalmanDecoder, KalmanDecoder, dynamics
from neuropil.fit.kernel import NadarayaWatson

RNG = np.random.default_rng(0)
Z = np.zeros((400, 2))
for t in range(1, 400):
    Z[t] = 0.9 * Z[t - 1] + 0.4 * RNG.normal(size=2)
X = Z @ RNG.normal(size=(2, 12)) + RNG.normal(size=(400, 12))


def test_projected_channels_lose_nothing(x64):
    decoder = KalmanDecoder(shrink=0.0).fit(X, Z)
    x, z = X - X.mean(0), (Z - Z.mean(0)) / Z.std(0)
    C = np.linalg.lstsq(z, x, rcond=None)[0].T
    rest = x - z @ C.T
    A, Q, S = dynamics(jnp.asarray(z))
    whole = Kalman(A, C, Q, rest.T @ rest / 400, jnp.zeros(2), S)
    _, belief = run(whole, start(whole, 1.0, jax.random.key(0)), jnp.asarray(x))
    want = np.asarray(belief.mean) * Z.std(0) + Z.mean(0)
    np.testing.assert_allclose(decoder.predict(X), want, atol=1e-4)


def test_kernel_regression_leaves_out_what_it_is_judged_on():
    x, y = jnp.arange(5.0)[:, None], jnp.arange(5.0)[:, None]
    tiny = NadarayaWatson(x, y, jnp.asarray(0.01))
    assert float(tiny(jnp.array([3.0]))[0]) == pytest.approx(
        3.0
    )  # no underflow far from all others
    assert float(tiny(jnp.array([90.0]))[0]) == pytest.approx(4.0)
    wide = NadarayaWatson(x, y, jnp.asarray(1e4))
    assert float(wide(jnp.array([0.0]))[0]) == pytest.approx(2.0, abs=1e-3)
    noise = NadarayaWatson.fit(RNG.normal(size=(60, 2)), RNG.normal(size=(60, 1)))
    smooth = NadarayaWatson.fit(np.linspace(0, 1, 60)[:, None], np.linspace(0, 1, 60)[:, None])
    assert float(smooth.bandwidth) < 0.1 < float(noise.bandwidth)
    with pytest.raises(ValueError, match="at least 7"):
        NadarayaWatson.fit(x, y, apart=2)


@pytest.mark.slow
def test_curved_tuning_is_decoded_by_the_discriminative_filter_alone():
    centres = np.linspace(-1.5, 1.5, 12)
    x = RNG.poisson(4 * np.exp(-((Z[:, :1] - centres) ** 2) / 0.3)) ** 0.5
    usual, ours = (
        d.fit(x[:300], Z[:300, 0]) for d in (KalmanDecoder(), DiscriminativeKalmanDecoder())
    )
    assert ours.score(x[300:], Z[300:, 0]) > usual.score(x[300:], Z[300:, 0]) > 0.3
    assert ours.regress(x[300:]).shape == (100,)
    assert clone(ours).get_params()["held"] == 0.3


@pytest.mark.parametrize("decoder", [KalmanDecoder(), DiscriminativeKalmanDecoder()])
def test_bins_one_by_one_and_a_few_at_once_are_decoded_as_all_at_once(decoder):
    decoder = clone(decoder).fit(X[:300], Z[:300])
    step, state = decoder.online()
    said = []
    for row in X[300:304]:
        state, z = step(state, row)
        said.append(z)
    state, rest = step(state, X[304:308])
    said = np.concatenate([np.stack(said), rest])
    np.testing.assert_allclose(said, decoder.predict(X[300:308]), atol=1e-5)
