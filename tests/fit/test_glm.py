import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from neuropil.fit.glm import GLM, FittedGLM, raised_cosines
from neuropil.worlds.circuits import Circuit, hub_circuit, random_circuit


def lagged(y, lags):
    """Design by loops, columns (unit, lag): written apart from the library's."""
    out = np.zeros((len(y), y.shape[1] * lags))
    for j in range(y.shape[1]):
        for lag in range(1, lags + 1):
            out[lag:, j * lags + lag - 1] = y[:-lag, j]
    return out


@pytest.fixture(scope="module")
def pair():
    """Two Poisson units: 0 drives 1 at lag 2, both are refractory."""
    kernels = jnp.zeros((2, 2, 3)).at[1, 0, 1].set(1.0).at[0, 0, 0].set(-0.5)
    circuit = Circuit(jnp.log(jnp.array([0.2, 0.3])), kernels, family="poisson")
    return np.asarray(circuit.simulate(1500, jr.key(0)).spikes, np.float64)


@pytest.mark.parametrize("stimulus", [False, True])
def test_poisson_optimum_is_that_of_sklearn(pair, stimulus):
    x = np.random.default_rng(0).normal(size=(len(pair), 2)) if stimulus else None
    with jax.enable_x64(True):
        fitted = GLM("poisson", lags=3, penalty=4.0).fit(pair, x)
        design = lagged(pair, 3) if x is None else np.hstack([lagged(pair, 3), x])
        for i in range(2):
            ref = PoissonRegressor(
                alpha=4.0 / len(pair), tol=1e-12, max_iter=1000, solver="newton-cholesky"
            )
            ref.fit(design, pair[:, i])
            ours = np.concatenate([np.ravel(fitted.kernels[i]), fitted.stimulus[i]])
            np.testing.assert_allclose(ours, ref.coef_, atol=1e-7)
            np.testing.assert_allclose(fitted.bias[i], ref.intercept_, atol=1e-7)
        np.testing.assert_allclose(fitted.predict(pair, x)[:, 1], ref.predict(design), rtol=1e-6)


def test_bernoulli_optimum_is_that_of_sklearn(pair):
    y = (pair > 0).astype(float)
    with jax.enable_x64(True):
        fitted = GLM("bernoulli", lags=3, penalty=2.0).fit(y)
    for i in range(2):
        ref = LogisticRegression(C=0.5, tol=1e-12, max_iter=1000, solver="newton-cholesky")
        ref.fit(lagged(y, 3), y[:, i])
        np.testing.assert_allclose(np.ravel(fitted.kernels[i]), ref.coef_[0], atol=1e-6)
        np.testing.assert_allclose(fitted.bias[i], ref.intercept_[0], atol=1e-6)
        # at the optimum the gradient is zero: data minus model equals the pull of the penalty
        with jax.enable_x64(True):
            error = y[:, i] - np.asarray(fitted.predict(y)[:, i])
        pull = 2.0 * np.ravel(fitted.kernels[i])
        np.testing.assert_allclose(lagged(y, 3).T @ error, pull, atol=1e-6)
        assert abs(error.sum()) < 1e-6


def test_without_coupling_and_under_a_huge_penalty_it_is_the_homogeneous_rate(pair):
    with jax.enable_x64(True):
        fitted = GLM("poisson", lags=3, penalty=1e12).fit(pair)
        np.testing.assert_allclose(jnp.exp(fitted.bias), pair.mean(0), rtol=1e-8)
        np.testing.assert_allclose(fitted.bits_per_spike(pair), 0, atol=1e-8)
        # log-likelihood of a homogeneous Poisson process in closed form
        from scipy.stats import poisson

        expected = poisson.logpmf(pair, pair.mean(0)).mean(0)
        np.testing.assert_allclose(fitted.log_likelihood(pair), expected, rtol=1e-8)


def test_two_state_chain_has_its_closed_form_weights():
    """A unit with its own lag 1 only is a Markov chain: exp(b), exp(b + k) are its two rates."""
    rng = np.random.default_rng(1)
    y = (rng.random((800, 1)) < 0.3).astype(float)
    before, now = np.concatenate([[0], y[:-1, 0]]), y[:, 0]
    p0, p1 = now[before == 0].mean(), now[before == 1].mean()
    with jax.enable_x64(True):
        fitted = GLM("bernoulli", lags=1, penalty=1e-9).fit(y)
    np.testing.assert_allclose(fitted.bias[0], np.log(p0 / (1 - p0)), atol=1e-6)
    np.testing.assert_allclose(
        fitted.kernels[0, 0, 0] + fitted.bias[0], np.log(p1 / (1 - p1)), atol=1e-6
    )


def test_recovers_planted_kernels_and_their_direction():
    circuit = hub_circuit(jr.key(5), hubs=2, additive=4, conjunction=0, unconnected=2, modulated=0)
    spikes = circuit.simulate(60_000, jr.key(6)).spikes
    fitted = GLM("bernoulli", lags=6, penalty=1.0).fit(spikes)
    true = np.pad(np.asarray(circuit.kernels), ((0, 0), (0, 0), (0, 1)))
    found = np.asarray(fitted.kernels)
    # standard error of a weight is about 1 / sqrt(hub spikes p (1 - p)), near 0.07
    assert np.abs(found[true > 0] - 1.2).max() < 0.3
    assert abs(found[true > 0].mean() - 1.2) < 0.12
    rest = found[:, :2][true[:, :2] == 0]  # columns of the hubs, where the information is
    assert np.abs(rest).mean() < 0.12
    coupling = np.asarray(fitted.coupling())
    edge = circuit.adjacency()
    assert coupling[edge].min() > np.abs(coupling[~edge]).max()
    assert np.all(coupling[edge] > coupling.T[edge])
    # no model beats the generator by more than its own overfitting of about parameters / 2 nats
    ceiling = np.asarray(circuit.log_likelihood(spikes))
    assert np.all(np.asarray(fitted.log_likelihood(spikes)) < ceiling + 60 / 60_000)


@pytest.mark.slow
def test_penalty_is_chosen_by_held_out_likelihood_and_per_unit():
    circuit = random_circuit(jr.key(0), 6, density=0.3, weight=2.0)
    spikes = circuit.simulate(3000, jr.key(1)).spikes
    fresh = circuit.simulate(6000, jr.key(2)).spikes
    chosen = GLM("bernoulli", lags=5, penalty=(0.01, 3.0, 1e4)).fit(spikes)
    assert set(np.unique(chosen.penalty)) <= {np.float32(0.01), 3.0, 1e4}
    loose = GLM("bernoulli", lags=5, penalty=0.01).fit(spikes)
    assert chosen.log_likelihood(fresh).sum() > loose.log_likelihood(fresh).sum()
    given = GLM("bernoulli", lags=5, penalty=(0.01, 3.0, 1e4)).fit(spikes, validation=(fresh,))
    assert given.log_likelihood(fresh).sum() >= loose.log_likelihood(fresh).sum()


def test_group_lasso_fulfils_its_conditions_and_clears_pairs_without_connection(pair):
    """At the optimum the data pull on a pair's kernel with penalty * k / |k|, or less if k = 0."""
    with jax.enable_x64(True):
        fitted = GLM("poisson", lags=3, penalty=40.0, group=True).fit(pair)
        error = pair - np.asarray(fitted.predict(pair))
    k = np.asarray(fitted.kernels)
    pull = (lagged(pair, 3).T @ error).T.reshape(2, 2, 3)
    size, force = np.linalg.norm(k, axis=2), np.linalg.norm(pull, axis=2)
    found = size > 0.02
    assert found[1, 0]
    assert not found[:, 1].any()
    np.testing.assert_allclose(pull[found], 40 * k[found] / size[found][:, None], atol=0.1)
    assert np.all(force[~found] < 40.1)


def test_uncoupled_keeps_only_the_own_history(pair):
    with jax.enable_x64(True):
        fitted = GLM("poisson", lags=3, penalty=1.0, coupled=False).fit(pair)
    k = np.asarray(fitted.kernels)
    assert np.all(k[0, 1] == 0)
    assert np.all(k[1, 0] == 0)
    assert np.all(k[0, 0] != 0)


def test_basis_kernels_lie_in_its_span_and_equal_a_fit_on_its_features(pair):
    basis = raised_cosines(3, 8)
    with jax.enable_x64(True):
        fitted = GLM("poisson", basis=basis, penalty=1.0).fit(pair)
    features = np.stack([lagged(pair[:, [j]], 8) @ basis for j in range(2)], 1).reshape(-1, 6)
    ref = PoissonRegressor(alpha=1.0 / len(pair), tol=1e-12, max_iter=1000).fit(
        features, pair[:, 1]
    )
    expected = (ref.coef_.reshape(2, 3)) @ basis.T
    np.testing.assert_allclose(fitted.kernels[1], expected, atol=1e-5)
    np.testing.assert_allclose(raised_cosines(5, 30).sum(1), 1, atol=1e-12)


@pytest.fixture
def fitted():
    """Two units, two lags, no stimulus, made by hand."""
    k = jnp.array([[[-2.0, 1.0], [0.0, 0.5]], [[3.0, -1.0], [0.0, 0.0]]])
    zero = jnp.zeros(2)
    return FittedGLM(zero, k, jnp.zeros((2, 0)), zero, zero + 0.5, "poisson")


def test_coupling_summaries(fitted):
    assert fitted.coupling().tolist() == [[-2, 0.5], [3, 0]]
    assert fitted.coupling("max").tolist() == [[1, 0.5], [3, 0]]
    assert fitted.coupling("sum").tolist() == [[-1, 0.5], [2, 0]]
    np.testing.assert_allclose(fitted.coupling("norm"), [[5**0.5, 0.5], [10**0.5, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match="how must be"):
        fitted.coupling("mean")


def bad(**change):
    y = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(float)
    for (t, i), v in change.items():
        y[t, i] = v
    return y


@pytest.mark.parametrize(
    ("counts", "match"),
    [
        (bad(**{}) * np.nan, "NaN or infinity, first at bin 0, unit 0"),
        (bad() - 1, "must not be negative"),
        (bad() + 0.5, "whole numbers"),
        (bad() * [1, 0, 1], r"unit 1 has the same count in every bin"),
        (bad()[:10], "10 bins are too few for 10 lags"),
    ],
)
def test_bad_counts_are_refused_in_one_line(counts, match):
    with pytest.raises(ValueError, match=match) as error:
        GLM("poisson", lags=10).fit(counts)
    assert "\n" not in str(error.value)


def test_other_refusals(pair, fitted):
    with pytest.raises(ValueError, match="0 or 1"):
        GLM("bernoulli").fit(np.minimum(pair, 2))
    with pytest.raises(ValueError, match="every penalty must be positive"):
        GLM(penalty=-1.0)
    with pytest.raises(ValueError, match="lags must be at least 1"):
        GLM(lags=0)
    with pytest.raises(ValueError, match=r"stimulus must have shape \(1500, feature\)"):
        GLM(lags=2).fit(pair, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="2 units, but counts have 3"):
        fitted.predict(np.zeros((10, 3)))
    with pytest.raises(ValueError, match="0 stimulus features"):
        fitted.predict(pair, np.zeros((1500, 1)))
    with pytest.raises(ValueError, match="features must lie"):
        raised_cosines(9, 4)
