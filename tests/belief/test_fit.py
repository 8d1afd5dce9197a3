"""Fits: coordinates without bounds, a likelihood's maximum, draws from densities known in closed form."""

import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.belief import Free, binary_hgf, continuous_hgf, fit, sample_posterior
from neuropil.core import run, start

PATHS = ["nodes.x1.volatility", "nodes.x1.precision"]


def test_free_coordinates_go_there_and_back_and_know_their_jacobian(x64):
    net = continuous_hgf((-3.0, -2.0), precision=(0.7, 2.0))
    free = Free(net, PATHS)
    u = free.pack()
    assert jax.tree.structure(free.unpack(u)) == jax.tree.structure(net)
    for a, b in zip(jax.tree.leaves(free.unpack(u)), jax.tree.leaves(net), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    flat = lambda u: jnp.stack(list(free.values(u).values()))
    _, log_det = jnp.linalg.slogdet(jax.jacfwd(flat)(u))
    np.testing.assert_allclose(free.log_jacobian(u), log_det, rtol=1e-12)


@pytest.mark.slow
def test_the_likelihoods_maximum_is_found_from_several_starts():
    rng = np.random.default_rng(1)
    walk = np.cumsum(np.exp(-1.0) * rng.standard_normal(300))  # omega = -2
    seen = jnp.asarray(walk + 0.3 * rng.standard_normal(300), jnp.float32)
    net = continuous_hgf((-4.0, -2.0), noise=1 / 0.09, coupling=(0.0,))

    def loss(net):
        carry = start(net, 1.0, jr.key(0))
        return run(net, carry, seen, record=None)[0].state["surprise"]

    @jax.jit
    def both(key, grid):
        at = lambda omega: loss(Free(net, PATHS[:1]).unpack(omega[None]))
        done = fit(net, loss, PATHS[:1], steps=150, rate=0.1, starts=2, key=key)
        return done, jax.vmap(at)(grid)

    grid = np.linspace(-5, 1, 61, dtype=np.float32)
    done, losses = both(jr.key(0), grid)
    omega = float(done.model.nodes["x1"].volatility)
    assert abs(omega - grid[np.argmin(losses)]) < 0.11
    assert float(done.loss) <= float(losses.min()) + 1e-3
    assert abs(omega + 2.0) < 0.6
    assert done.losses.shape == (2, 150)
    np.testing.assert_allclose(done.losses[:, -1], done.loss, rtol=1e-4)  # both starts end there


def test_what_cannot_be_fitted_is_refused():
    net = binary_hgf()
    with pytest.raises(KeyError, match="did you mean 'volatility'"):
        Free(net, ["nodes.x2.volatilty"])
    with pytest.raises(ValueError, match="lies on its bound"):
        Free(net, ["nodes.x2.autoconnection"])
    with pytest.raises(ValueError, match="no parameters named"):
        Free(net, [])
    with pytest.raises(ValueError, match="several starts need key"):
        fit(net, lambda m: m.nodes["x2"].mean ** 2, ["nodes.x2.mean"], starts=3)


def test_the_missing_sampler_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r"pip install neuropil\[bayes\]"):
        sample_posterior(binary_hgf(), lambda m: 0.0, ["nodes.x2.mean"], jr.key(0))


@pytest.mark.slow
def test_draws_have_the_moments_of_the_density():
    """A normal for a parameter without bounds, an exponential for one above 0: the Jacobian is right."""
    pytest.importorskip("blackjax", reason="the extra `bayes` is not installed")
    log_density = lambda m: (
        -0.5 * ((m.nodes["x2"].volatility + 2.0) / 0.5) ** 2 - m.nodes["x2"].precision
    )
    paths = ["nodes.x2.volatility", "nodes.x2.precision"]
    go = jax.jit(lambda key: sample_posterior(binary_hgf(), log_density, paths, key, draws=2000))
    p = go(jr.key(0))
    omega, pi = (np.asarray(p.draws[path]) for path in paths)
    assert omega.shape == (4, 2000)
    np.testing.assert_allclose([omega.mean(), omega.std()], [-2.0, 0.5], atol=0.05)
    np.testing.assert_allclose([pi.mean(), pi.std()], [1.0, 1.0], atol=0.12)
    assert all(float(v) < 1.02 for v in p.r_hat.values())
    assert all(float(v) > 500 for v in p.ess.values())
    assert float(np.mean(p.divergent)) < 0.01
