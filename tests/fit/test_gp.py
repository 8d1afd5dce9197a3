"""Gaussian processes in the Fourier domain beside the exact ones, and the exact ones beside their formulas."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.fit.gp import ExactGP, FourierGP, expected_poisson, squared_exponential

RNG = np.random.default_rng(0)


def test_waves_kept_are_those_of_the_card():
    assert FourierGP.of(60, shortest=10.0, period=72).frequencies.tolist() == [
        *range(7), *range(-6, 0)
    ]  # fmt: skip
    assert FourierGP.of(40, shortest=10.0, period=48).modes == 4
    assert FourierGP.of(60, shortest=10.0).size == 19


@pytest.mark.slow
def test_covariance_is_the_kernel_but_for_what_the_circle_wraps(x64):
    exact = np.asarray(squared_exponential(60, 10.0))
    error = lambda **more: np.abs(FourierGP.of(60, shortest=10.0, **more).covariance - exact).max()
    assert error(floor=1e-12) == pytest.approx(2.2e-4, rel=0.1)  # card
    assert error(period=72) == pytest.approx(0.43, abs=0.01)  # card
    assert error(period=200, floor=1e-12) < 1e-6
    gp = FourierGP.of(60, shortest=10.0, period=200)
    draws = gp.sample(jr.key(0), (20_000,))
    np.testing.assert_allclose(np.cov(draws.T), exact, atol=0.05)
    draws = ExactGP.of(60, length=10.0, floor=1e-6).sample(jr.key(1), (20_000,))
    np.testing.assert_allclose(np.cov(draws.T), exact, atol=0.05)


@pytest.mark.parametrize("noise", [0.1, "each"])
def test_posterior_and_evidence_equal_the_formulas(x64, noise):
    r = RNG.uniform(0.05, 0.5, 60) if noise == "each" else np.full(60, noise)
    K = np.exp(-0.5 * (np.subtract.outer(np.arange(60), np.arange(60)) / 12) ** 2)
    y = RNG.multivariate_normal(np.zeros(60), K + np.diag(r))
    S = K + np.diag(r)
    mean, cov = K @ np.linalg.solve(S, y), K - K @ np.linalg.solve(S, K)
    evidence = -0.5 * (y @ np.linalg.solve(S, y) + np.linalg.slogdet(S)[1] + 60 * np.log(2 * np.pi))
    given = jnp.asarray(r) if noise == "each" else noise
    for gp in (
        FourierGP.of(60, shortest=10.0, length=12.0, period=200, floor=1e-10),
        ExactGP.of(60, length=12.0, floor=1e-10),
    ):
        after = gp.posterior(jnp.asarray(y), given)
        np.testing.assert_allclose(after.mean, mean, atol=2e-5)
        np.testing.assert_allclose(after.covariance, cov, atol=2e-5)
        np.testing.assert_allclose(gp.evidence(jnp.asarray(y), given), evidence, atol=2e-3)
        np.testing.assert_allclose(gp.values(gp.gain(given) @ y), mean, atol=2e-5)
        with pytest.raises(ValueError, match="noise"):
            gp.gain(jnp.ones(3))


def test_bins_that_were_not_seen_count_for_nothing(x64):
    gp = FourierGP.of(30, shortest=5.0)
    seen = np.arange(30) % 3 > 0
    r = jnp.where(jnp.asarray(seen), 0.1, jnp.inf)
    y = RNG.normal(size=30)
    one, two = (gp.posterior(jnp.asarray(y + 9 * off * ~seen), r) for off in (0, 1))
    np.testing.assert_allclose(one.mean, two.mean, atol=1e-9)
    K = np.asarray(gp.covariance)
    S = K[np.ix_(seen, seen)] + 0.1 * np.eye(seen.sum())
    np.testing.assert_allclose(one.mean, K[:, seen] @ np.linalg.solve(S, y[seen]), atol=1e-8)


def test_divergence_is_the_one_of_gaussians(x64):
    m, s = (jnp.asarray(a) for a in RNG.normal(size=(2, 2, 12)))
    for gp in (FourierGP.of(12, shortest=3.0), ExactGP.of(12, length=3.0)):
        m0, s0 = (a[:, : gp.size] for a in (jnp.tile(m, (1, 2)), jnp.tile(s, (1, 2))))
        K = np.diag(gp.spectrum) if isinstance(gp, FourierGP) else np.asarray(gp.covariance)
        inv, log_det = np.linalg.inv(K), np.linalg.slogdet(K)[1]
        v = np.exp(2 * np.asarray(s0))
        want = [
            0.5 * (np.trace(inv * w) + a @ inv @ a + log_det - np.log(w).sum() - gp.size)
            for a, w in zip(np.asarray(m0), v, strict=True)
        ]
        np.testing.assert_allclose(gp.divergence(m0, s0), want, rtol=1e-6)
    prior = FourierGP.of(12, shortest=3.0)
    same = prior.divergence(jnp.zeros(prior.size), 0.5 * jnp.log(prior.spectrum))
    assert float(same) == pytest.approx(0, abs=1e-9)


def test_spread_in_time_is_the_diagonal_of_the_covariance(x64):
    gp = FourierGP.of(20, shortest=4.0)
    np.testing.assert_allclose(gp.spread(gp.spectrum), jnp.diag(gp.covariance), rtol=1e-9)


def test_expected_poisson_is_the_mean_over_draws(x64):
    k, mean, v = jnp.array([0.0, 3.0]), jnp.array([-0.5, 1.0]), jnp.array([0.3, 0.1])
    a = mean[:, None] + jnp.sqrt(v)[:, None] * jr.normal(jr.key(0), (2, 400_000))
    drawn = (k[:, None] * a - jnp.exp(a)).mean(1) - jnp.log(jnp.array([1.0, 6.0]))
    np.testing.assert_allclose(expected_poisson(k, mean, v), drawn, atol=5e-3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FourierGP.of(60, shortest=1.0), "at least 2"),
        (lambda: FourierGP.of(60, shortest=5.0, period=30), "period"),
        (lambda: FourierGP.of(60, shortest=5.0, length=-1.0), "length"),
        (lambda: ExactGP.of(0, length=5.0), "bins"),
        (lambda: ExactGP.of(9, length=5.0, floor=0.0), "floor"),
    ],
)
def test_what_makes_no_process_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
