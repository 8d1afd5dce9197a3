"""discriminative-kalman: the mixture's moments, its limits, and that all arms see the same data."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.papers.fit import _discriminative_kalman as page
from neuropil.papers.fit.discriminative_kalman import STUDY, check

RNG = np.random.default_rng(0)


def test_moments_of_the_mixture_are_those_of_many_draws(x64):
    H = RNG.normal(size=(2, 2))
    x = np.array([1.5, -0.5])
    f, v = page.Mixture(jnp.asarray(H))(jnp.asarray(x))
    z = RNG.normal(size=(400_000, 2))
    likely = lambda sign, noise: np.exp(-((x - sign * z @ H.T) ** 2).sum(1) / 2 / noise) / noise
    w = likely(1, 1.0) + likely(-1, page.WIDE)
    mean = w @ z / w.sum()
    np.testing.assert_allclose(f, mean, atol=0.01)
    np.testing.assert_allclose(v, (w[:, None] * (z - mean)).T @ (z - mean) / w.sum(), atol=0.01)


def test_variance_of_the_state_is_what_f_and_v_share(x64):
    """E[S - V(x)] = var f(x), the law of total variance."""
    H, _, x, *_ = page.known(RNG, 6, 2000)
    f, v = jax.lax.map(page.Mixture(jnp.asarray(H)), jnp.asarray(x))
    np.testing.assert_allclose(np.mean(v, 0) + np.cov(f.T), np.eye(page.D), atol=0.35)
    assert np.linalg.eigvalsh(np.mean(v, 0)).max() < 1 + 1e-9
    A, Q = page.moves(page.D)
    np.testing.assert_allclose(A @ A.T + Q, np.eye(page.D), atol=1e-12)


def test_order_of_the_arms_on_the_known_model():
    settings = STUDY.scales["smoke"] | dict(time=400, particles=300)
    found = {arm: page.decode_known(arm, settings, 32, jr.key(0)) for arm in STUDY.arms}
    assert found["dkf"] < found["robust"] < found["zero"] == pytest.approx(1.0)
    assert found["dkf"] < found["regression"] < found["kalman"]
    assert abs(found["dkf"] - found["particles"]) < 0.15  # card: 0.49 beside 0.52


def test_simulated_neurons_and_errors():
    z, x = page.tuned(np.random.default_rng(1), 8, 3000, True)
    assert z.std(0) == pytest.approx(1.0, abs=0.2)
    np.testing.assert_allclose(x**2, np.round(x**2), atol=1e-9)
    assert page.errors(0 * z, z) == pytest.approx(1.0)
    again = page.tuned(np.random.default_rng(1), 8, 3000, True)
    np.testing.assert_array_equal(again[1], x)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"time": 10}, "at least 50"), ({"particles": 1}, "particles"), ({"known": ()}, "number")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
