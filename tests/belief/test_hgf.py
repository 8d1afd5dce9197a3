"""Hierarchical Gaussian filters against closed forms, Kalman's filter, and numbers of pyhgf 0.2.12."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import native
from neuropil.belief import (
    HGF,
    Binary,
    Chooser,
    Classical,
    Continuous,
    Enhanced,
    Kalman,
    State,
    Unbounded,
    Value,
    Volatile,
    Volatility,
    binary_hgf,
    categorical_hgf,
    continuous_hgf,
    probabilities,
)
from neuropil.belief.volatility import BOUND, Gaussian, Moved
from neuropil.core import run, start

K = np.arange(1, 201)
SERIES = np.sin(2 * np.pi * K / 40) + 0.2 * np.cos(2 * np.pi * K**2 / 97)
BITS = (K**2 % 7 < 3).astype(float)
go = lambda net, x, **more: run(net, start(net, 1.0, jr.key(0)), jnp.asarray(x), **more)


def gaussian_surprise(x, belief):
    """pyhgf's: under the lowest state's prediction, without the noise of the input."""
    error = x - belief.expected_mean
    p = belief.expected_precision
    return float(0.5 * (jnp.log(2 * jnp.pi / p) + p * error**2).sum())


# summed surprise, mean and precision of the top state at the end, of pyhgf 0.2.12 in double precision
PYHGF = [
    (2, Classical(False), 9.205868434, -1.301451772, 2.030964128),
    (3, Enhanced(False), 5.433635465, -0.953438115, 0.299187180),
    (3, Enhanced(), 5.433635465, -0.953438115, 0.299187180),  # no bound is touched here
    (3, Unbounded(), 17.151251040, 1.464373994, 1.160402925),
]


@pytest.mark.parametrize(("levels", "update", "surprise", "mean", "precision"), PYHGF)
def test_continuous_filters_give_pyhgfs_numbers(levels, update, surprise, mean, precision, x64):
    net = continuous_hgf((-3.0,) * levels, noise=100.0, update=update)
    _, y = go(net, SERIES)
    x1, top = y.nodes["x1"], y.nodes[f"x{levels}"]
    np.testing.assert_allclose(x1.expected_precision[0], 1 / (1 + np.exp(-3)), rtol=1e-12)
    np.testing.assert_allclose(x1.mean[0], 0.35265572, atol=1e-8)
    got = gaussian_surprise(jnp.asarray(SERIES), x1), float(top.mean[-1]), float(top.precision[-1])
    np.testing.assert_allclose(got, (surprise, mean, precision), atol=2e-8)


def test_binary_filters_give_pyhgfs_numbers_by_kernel_and_by_scan(x64):
    net = binary_hgf((-2.0, -4.0), update=Classical(False))
    for how in (native.pure, None):
        if how:
            with how():
                end, y = go(net, BITS)
        else:
            end, y = go(net, BITS)
        got = float(y.surprise.sum()), float(y.nodes["x3"].mean[-1])
        np.testing.assert_allclose(got, (136.579976284, 0.000492499), atol=1e-9)
        np.testing.assert_allclose(end.state["surprise"], got[0], rtol=1e-12)
        np.testing.assert_allclose(y.nodes["x3"].precision[-1], 0.809871114, atol=1e-9)


def test_without_volatility_coupling_it_is_the_kalman_filter(x64):
    net = continuous_hgf((-3.0, -2.0), noise=4.0, coupling=(0.0,))
    x = np.where(K % 11 == 0, np.nan, SERIES)  # with holes
    end, y = go(net, x)
    first = 1 + np.exp(-3)  # the first tick moves before it sees
    kalman = Kalman([[1.0]], [[1.0]], [[np.exp(-3)]], [[0.25]], [0.0], [[first]])
    other, b = go(kalman, x[:, None])
    np.testing.assert_allclose(y.nodes["x1"].mean, b.mean[:, 0], atol=1e-12)
    np.testing.assert_allclose(1 / y.nodes["x1"].precision, b.cov[:, 0, 0], atol=1e-12)
    np.testing.assert_allclose(end.state["surprise"], -other.state["log_evidence"], rtol=1e-12)


def test_what_is_not_seen_leaves_every_belief_at_its_prediction():
    _, y = go(continuous_hgf((-3.0, -2.0, -2.0)), np.where(K % 3 == 0, np.nan, SERIES))
    blind = np.flatnonzero(K % 3 == 0)
    for belief in y.nodes.values():
        np.testing.assert_array_equal(belief.mean[blind], belief.expected_mean[blind])
        np.testing.assert_array_equal(belief.precision[blind], belief.expected_precision[blind])
    assert (np.asarray(y.surprise)[blind] == 0).all()


def test_the_kernel_gives_the_numbers_of_the_scan_whatever_is_seen(x64):
    jumps = np.cumsum(np.random.default_rng(0).standard_t(1.5, 300))
    jumps[[7, 8, 50]] = np.nan
    bits = np.where(np.isnan(jumps), np.nan, BITS[np.arange(300) % 200])
    for net, x in (
        (continuous_hgf((-4.0, -2.0, -1.0), drift=(0.1, 0.0, 0.0), noise=50.0), jumps),
        (binary_hgf((1.0, 0.0), coupling=(1.5,), update=Classical()), bits),
    ):
        a = go(net, x)
        with native.pure():
            b = go(net, x)
        for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            if jnp.issubdtype(p.dtype, jnp.floating):
                np.testing.assert_allclose(p, q, rtol=1e-8, atol=1e-8)


def moved(step, error, predicted=1.0):
    """A child with this gamma and Delta, for which alpha and beta follow."""
    before = (1 - step) / predicted
    as_array = lambda *v: [jnp.asarray(a, float) for a in v]
    return Moved(
        *as_array(1.0, step, error, np.log(step / predicted), before, (error + 1) / predicted)
    )


def test_where_the_quadratic_expansion_breaks_and_what_the_bounds_do(x64):
    """P = 0 at Delta = (gamma + 2 pi / kappa^2 gamma) / (1 - 2 gamma); beyond, NaN or the bounds."""
    hat, step = Gaussian(jnp.float64(0.5), jnp.float64(0.01)), 0.2
    limit = (step + 2 * 0.01 / step) / (1 - 2 * step)
    for rule in (Classical, Enhanced):
        below = rule(bounded=False)(hat, 0.0, 0.0, [moved(step, limit - 1e-6)])
        beyond = rule(bounded=False)(hat, 0.0, 0.0, [moved(step, limit + 1e-6)])
        assert 0 < float(below.precision) < 1e-6
        assert np.isnan(float(beyond.precision))
        kept = rule()(hat, 0.0, 0.0, [moved(step, 1e6)])
        assert float(kept.precision) == 0.005
        # up to where the child's likelihood is largest, and no further: alpha + Omega = beta
        np.testing.assert_allclose(
            float(kept.mean) - 0.5, np.log((1e6 + 1 - (1 - step)) / step), rtol=1e-9
        )
        down = rule()(hat, 0.0, 0.0, [moved(0.99, -0.999)])
        np.testing.assert_allclose(float(down.mean), 0.5 - 2.0, rtol=1e-9)
        mild = moved(0.6, 0.01), moved(0.6, -0.01)
        for one in mild:  # within the bounds nothing is changed
            assert rule()(hat, 0.0, 0.0, [one]) == rule(bounded=False)(hat, 0.0, 0.0, [one])


def test_a_hundred_thousand_observations_with_jumps_stay_finite():
    rng = np.random.default_rng(3)
    size = np.where(rng.random(100_000) < 0.01, 3.0, 0.05)
    x = np.cumsum(size * rng.standard_normal(100_000)).astype(np.float32)
    for update in (Enhanced(), Classical()):
        net = continuous_hgf((-4.0, -2.0, -2.0), noise=1e3, update=update)
        _, y = go(net, x)
        assert all(np.isfinite(a).all() for a in jax.tree.leaves(y))
        assert float(jnp.abs(y.nodes["x2"].mean).max()) < BOUND
        loose = continuous_hgf((-4.0, -2.0, -2.0), noise=1e3, update=type(update)(bounded=False))
        _, y = go(loose, x)
        assert not np.isfinite(y.nodes["x2"].mean[-1])  # the plain filter ends in NaN
        assert np.isinf(y.surprise[-1])


def test_a_network_of_the_same_shape_is_not_compiled_again():
    traced = []

    @jax.jit
    def last(net, carry, x):
        traced.append(1)
        return run(net, carry, x, record=None)[0].state["surprise"]

    found = []
    for omega in (-3.0, -5.0):
        net = continuous_hgf((omega, -2.0), noise=np.exp(-omega))
        found.append(float(last(net, start(net, 1.0, jr.key(0)), jnp.asarray(SERIES, jnp.float32))))
    assert len(traced) == 1
    assert found[0] != found[1]
    assert jax.tree.structure(continuous_hgf()) == jax.tree.structure(continuous_hgf((-1.0, 0.0)))


def test_a_volatile_node_is_a_pair():
    one = HGF(
        {"u": Continuous(), "x": Volatile(State(1.0), State(2.0, 3.0), 0.5)}, {"x>u": Value()}
    )
    two = HGF(
        {"u": Continuous(), "x": State(1.0), "x_volatility": State(2.0, 3.0)},
        {"x>u": Value(), "x_volatility>x": Volatility(0.5)},
    )
    assert jax.tree.structure(one) == jax.tree.structure(two)
    assert jax.tree.leaves(one) == jax.tree.leaves(two)


def test_categories_begin_equal_and_follow_what_is_seen():
    net = categorical_hgf(3, (-1.0, -3.0))
    seen = np.eye(3)[np.r_[np.zeros(25, int), np.full(25, 2)]]
    _, y = go(net, seen)
    p = np.asarray(probabilities(y))
    np.testing.assert_allclose(p[0], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert p[25, 0] > 0.8
    assert p[-1, 2] > 0.7


def test_choices_follow_the_unit_square_sigmoid():
    p, beta = jnp.array([0.2, 0.5, 0.9]), 3.0
    odds = p**beta / (p**beta + (1 - p) ** beta)
    agent = Chooser(binary_hgf(), beta)
    got = jnp.exp(agent.log_likelihood(p, jnp.array([1.0, 0.0, 0.0])))
    np.testing.assert_allclose(got, [odds[0], 1 - odds[1], 1 - odds[2]], rtol=1e-4)


WRONG = [
    ({"u": Continuous()}, {"y>u": Value()}, "edge 'y>u'"),
    ({"u": Continuous(), "x": State()}, {"x>u": State()}, "must be a Value"),
    ({"u": Binary(), "x": State()}, {}, "no value parent"),
    ({"x": State()}, {}, "no input"),
    ({"u": Continuous(), "x": State(), "y": State()}, {"x>u": Value()}, "no children"),
    ({"u": Binary(), "x": State()}, {"x>u": Value(), "u>x": Value()}, "cannot be a parent"),
    (
        {"u": Binary(), "x": State(), "y": State()},
        {"x>u": Value(), "y>u": Volatility()},
        "no variance",
    ),
    (
        {"u": Binary(), "x": State(), "y": State()},
        {"x>u": Value(), "x>y": Value(), "y>x": Value()},
        "circle",
    ),
]


@pytest.mark.parametrize(("nodes", "edges", "says"), WRONG)
def test_a_graph_that_cannot_be_is_refused(nodes, edges, says):
    with pytest.raises(ValueError, match=says):
        HGF(nodes, edges)


def test_unbounded_refuses_a_node_that_it_cannot_serve():
    with pytest.raises(ValueError, match="serves one volatility child"):
        categorical_hgf(3, update=Unbounded())
    with pytest.raises(ValueError, match="need 2 of mean"):
        continuous_hgf((-1.0, -1.0), mean=(0.0,))
    with pytest.raises(KeyError, match="no inputs"):
        continuous_hgf().step(None, {"v": 0.0}, None)
