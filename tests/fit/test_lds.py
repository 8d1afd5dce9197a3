"""Linear and switching dynamical systems: the joint Gaussian, modes found by another optimiser, sums over all
paths of states; then that they climb, and what is refused."""

from itertools import product

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone

from neuropil.fit import lds, switching
from neuropil.fit.lds import LDS, checked_bins, simulate
from neuropil.fit.observations import Bins, LinearGaussian, LogLinearPoisson, Path
from neuropil.fit.switching import SwitchingLDS
from neuropil.fit.trajectory import orthonormal

N, M, T = 2, 3, 7
RNG = np.random.default_rng(0)
TURN = 0.9 * np.array([[0.8, -0.6], [0.6, 0.8]])
U = RNG.normal(size=(T, 1))
PARAMS = {
    "A": TURN, "B": np.array([[0.5], [-0.3]]), "Q": np.array([[0.3, 0.1], [0.1, 0.2]]),
    "mean": np.array([0.5, -0.5]), "cov": np.array([[1.0, 0.2], [0.2, 0.5]]),
    "weights": 0.6 * RNG.normal(size=(M, N + 2)), "noise": np.array([0.5, 0.3, 0.8]),
}  # fmt: skip
LENGTHS = [4, 3]


def arrays(params):
    return {name: jnp.asarray(a) for name, a in params.items()}


def joint(params=PARAMS):
    """Mean and covariance of the trajectory of two sequences before any bin is seen."""
    mean, cov = np.zeros((T, N)), np.zeros((T, N, T, N))
    for t in range(T):
        if t in (0, LENGTHS[0]):
            mean[t], cov[t, :, t] = params["mean"], params["cov"]
            continue
        A = params["A"]
        mean[t] = A @ mean[t - 1] + params["B"] @ U[t]
        cov[t] = np.einsum("ij,jsk->isk", A, cov[t - 1])
        cov[:, :, t] = np.einsum("sik,jk->sij", cov[:, :, t - 1], A)
        cov[t, :, t] = A @ cov[t - 1, :, t - 1] @ A.T + params["Q"]
    return mean.ravel(), cov.reshape(T * N, T * N)


def seen_through(params, y):
    """(matrix from all of z to what was seen, offset, variances, what was seen) of all bins."""
    W = params["weights"]
    wide, offset = np.kron(np.eye(T), W[:, :N]), U @ W[:, N : N + 1].T + W[:, -1]
    keep = ~np.isnan(y.ravel())
    return wide[keep], offset.ravel()[keep], np.tile(params["noise"], T)[keep], y.ravel()[keep]


def test_beliefs_and_evidence_are_those_of_the_joint_gaussian(x64):
    y = RNG.normal(size=(T, M))
    y[1, 0] = y[2] = np.nan
    for noise in ("diagonal", "full"):
        seen = np.nan_to_num(y) if noise == "full" else y  # full noise takes no holes
        params, R = dict(PARAMS), np.diag(PARAMS["noise"])
        if noise == "full":
            R = R + 0.1
            params["noise"] = R
        part = LinearGaussian(noise)
        bins, _ = checked_bins(part, seen, U, LENGTHS)
        path, evidence, mean = lds._believe(part, arrays(params), bins)
        z, P = joint()
        C, d, r, x = seen_through(PARAMS, seen)
        S = C @ P @ C.T + (np.kron(np.eye(T), R) if noise == "full" else np.diag(r))
        gain, error = P @ C.T @ np.linalg.inv(S), x - C @ z - d
        after = P - gain @ C @ P
        np.testing.assert_allclose(path.mean.ravel(), z + gain @ error, atol=1e-10)
        dense = after.reshape(T, N, T, N)
        for t in range(T):
            np.testing.assert_allclose(path.cov[t], dense[t, :, t], atol=1e-10)
            before = dense[t, :, t - 1] if t not in (0, LENGTHS[0]) else np.zeros((N, N))
            np.testing.assert_allclose(path.cross[t], before, atol=1e-10)
        square = error @ np.linalg.solve(S, error) + np.linalg.slogdet(2 * np.pi * S)[1]
        assert float(evidence) == pytest.approx(-square / 2, rel=1e-10)
        W = PARAMS["weights"]
        want = np.asarray(path.mean) @ W[:, :N].T + U @ W[:, N : N + 1].T + W[:, -1]
        np.testing.assert_allclose(mean, want, atol=1e-10)


def test_laplace_mode_and_evidence_are_those_of_a_dense_optimiser(x64):
    y = RNG.poisson(2.0, (T, M)).astype(float)
    y[2] = np.nan
    part = LogLinearPoisson()
    bins, _ = checked_bins(part, y, U, LENGTHS)
    path, evidence, rate = lds._believe(part, arrays(PARAMS), bins)
    z, P = joint()
    C, d, _, k = seen_through(PARAMS, y)
    known = np.linalg.inv(P)

    def loss(x):
        eta = C @ x + d
        return (np.exp(eta) - k * eta).sum() + 0.5 * (x - z) @ known @ (x - z)

    def slope(x):
        return C.T @ (np.exp(C @ x + d) - k) + known @ (x - z)

    best = minimize(loss, z, jac=slope, method="BFGS", options={"gtol": 1e-10}).x
    np.testing.assert_allclose(path.mean.ravel(), best, atol=1e-6)
    H = known + C.T @ (np.exp(C @ best + d)[:, None] * C)
    after = np.linalg.inv(H).reshape(T, N, T, N)
    np.testing.assert_allclose(path.cov[3], after[3, :, 3], atol=1e-6)
    np.testing.assert_allclose(path.cross[3], after[3, :, 2], atol=1e-6)
    from scipy.special import gammaln

    want = (
        -loss(best) - gammaln(k + 1).sum() - (np.linalg.slogdet(H)[1] + np.linalg.slogdet(P)[1]) / 2
    )
    assert float(evidence) == pytest.approx(want, rel=1e-8)
    W = PARAMS["weights"]
    eta = best.reshape(T, N)[2] @ W[:, :N].T + U[2] @ W[:, N : N + 1].T + W[:, -1]
    spread = np.einsum("ui,ij,uj->u", W[:, :N], after[2, :, 2], W[:, :N])
    np.testing.assert_allclose(rate[2], np.exp(eta + spread / 2), rtol=1e-5)  # a bin not seen


def loading_of(z, y, penalty):
    """(c, d) of one unit where z is known: `update`, until it moves no more."""
    part = LogLinearPoisson(penalty=penalty)
    none, one = jnp.zeros((len(z), 1, 1)), jnp.ones((len(z), 1))
    path = Path(jnp.asarray(z)[:, None], none, none, jnp.zeros(()))
    begins = jnp.arange(len(z)) == 0
    bins = Bins(jnp.asarray(y)[:, None], jnp.ones((len(z), 1), bool), none[:, :, 0], one, begins)
    learn = jax.jit(lambda weights: part.update({"weights": weights}, path, bins)["weights"])
    weights = jnp.zeros((1, 2))
    for _ in range(10):
        weights = learn(weights)
    return np.asarray(weights[0])


def test_the_prior_holds_loadings_of_few_spikes_in_any_coordinates(x64):
    """z takes two values, so that without a prior the rates are the two means; where one of them is 0 the
    loading has no likeliest value, and with a prior it is where the slope of both together is 0."""
    z = np.repeat([-1.0, 1.0], 50)
    many = np.tile([2.0, 4.0, 0.0, 6.0, 3.0], 20) * np.where(z > 0, 1.0, 0.5)
    c, d = loading_of(z, many, 0)
    np.testing.assert_allclose(np.exp([d - c, d + c]), [1.5, 3.0], rtol=1e-8)
    few = np.zeros(100)
    few[[60, 70, 80]] = 1.0  # three spikes, all where z = 1
    c, d = loading_of(z, few, 1.0)
    rate = np.exp(z * c + d)
    assert (few - rate) @ z == pytest.approx(c, abs=1e-6)  # the slope of c^2 Var z / 2
    assert (few - rate).sum() == pytest.approx(0.01 * d, abs=1e-6)
    assert loading_of(z, few, 0)[0] > 4 > c
    far = loading_of(10 * z + 3, few, 1.0)[
        0
    ]  # (d differs, and with it the hundredth that holds it)
    assert far == pytest.approx(c / 10, rel=0.01)
    np.testing.assert_allclose(loading_of(z, 300 * few, 1.0)[1] + loading_of(z, 300 * few, 1.0)[0],
                               np.log(300 * 3 / 50), atol=0.02)  # fmt: skip


def test_the_start_is_that_of_log_normal_rates_and_calm_where_spikes_are_few():
    rng = np.random.default_rng(0)
    root = np.array([[0.6, 0.0, 0.0], [0.4, 0.5, 0.0], [-0.5, 0.2, 0.3]])
    y = rng.poisson(np.exp(rng.normal(size=(20_000, 3)) @ root.T + 1.0)).astype(float)
    mean, cov, _ = LogLinearPoisson().begin(y, np.arange(-1, 19_999), np.arange(20_000))
    np.testing.assert_allclose(mean, 1.0, atol=0.1)
    np.testing.assert_allclose(cov, root @ root.T, atol=0.1)
    sparse = np.zeros((1000, 2))
    sparse[100:110, 0] = sparse[500:510, 1] = 1.0  # a tenth of a coincidence expected, none found
    _, cov, _ = LogLinearPoisson().begin(sparse, np.arange(-1, 999), np.arange(1000))
    np.testing.assert_allclose(cov, -np.log(1.1), atol=1e-6)


SWITCHING = {
    "A": np.stack([TURN, 0.5 * np.eye(N)]),
    "B": np.stack([np.zeros((N, 1)), np.array([[0.8], [0.2]])]),
    "Q": np.stack([PARAMS["Q"], 0.1 * np.eye(N)]),
    "mean": PARAMS["mean"], "cov": PARAMS["cov"],
    "weights": PARAMS["weights"][:, [0, 1, 3]], "noise": PARAMS["noise"],
    "initial": np.array([0.6, 0.4]), "transition": np.array([[0.9, 0.1], [0.3, 0.7]]),
}  # fmt: skip


@pytest.mark.slow
def test_the_bound_of_switching_lies_below_the_sum_over_all_paths(x64):
    """With equal states it is the evidence of one system; with unlike ones it is below, and not by much."""
    part, y = LinearGaussian(), RNG.normal(size=(T, M))
    whole, _ = checked_bins(part, y, None, LENGTHS, ones=True)
    alike = SWITCHING | {name: np.stack([SWITCHING[name][1]] * 2) for name in "ABQ"}
    path, states, *_, bound, _ = switching._believe(part, 30, arrays(alike), whole)
    one = {k: a for k, a in alike.items() if k not in ("initial", "transition")}
    one |= {name: a[0] for name, a in one.items() if name in "ABQ"}
    same, evidence, _ = lds._believe(part, arrays(one), whole)
    assert float(bound) == pytest.approx(float(evidence), rel=1e-9)
    np.testing.assert_allclose(path.cov, same.cov, atol=1e-9)
    np.testing.assert_allclose(states[0], SWITCHING["initial"], atol=1e-9)

    params, exact = SWITCHING, []
    for ks in product(range(2), repeat=T):
        log_p = sum(
            np.log(
                params["initial"][k] if t in (0, LENGTHS[0]) else params["transition"][ks[t - 1], k]
            )
            for t, k in enumerate(ks)
        )
        exact.append(log_p + _evidence_of_path(params, ks, y))
    exact = np.logaddexp.reduce(exact)
    bounds = [float(switching._believe(part, n, arrays(params), whole)[3]) for n in (1, 3, 30)]
    assert np.all(np.diff(bounds) > -1e-9)
    assert exact - 1.0 < bounds[-1] < exact


def _evidence_of_path(params, ks, y):
    """log p(y | states), by the joint Gaussian."""
    mean, cov = np.zeros((T, N)), np.zeros((T, N, T, N))
    for t, k in enumerate(ks):
        if t in (0, LENGTHS[0]):
            mean[t], cov[t, :, t] = params["mean"], params["cov"]
            continue
        A = params["A"][k]
        mean[t] = A @ mean[t - 1] + params["B"][k][:, 0]
        cov[t] = np.einsum("ij,jsk->isk", A, cov[t - 1])
        cov[:, :, t] = np.einsum("sik,jk->sij", cov[:, :, t - 1], A)
        cov[t, :, t] = A @ cov[t - 1, :, t - 1] @ A.T + params["Q"][k]
    C, d = np.kron(np.eye(T), params["weights"][:, :N]), np.tile(params["weights"][:, -1], T)
    S = C @ cov.reshape(T * N, -1) @ C.T + np.diag(np.tile(params["noise"], T))
    error = y.ravel() - C @ mean.ravel() - d
    return -0.5 * (error @ np.linalg.solve(S, error) + np.linalg.slogdet(2 * np.pi * S)[1])


def drawn(time, units=8):
    params = dict(PARAMS, weights=np.column_stack([RNG.normal(size=(units, N + 1)), np.ones(units)]),
                  noise=np.full(units, 0.4))  # fmt: skip
    u = RNG.normal(size=(time, 1))
    return params, u, *simulate(LinearGaussian(), arrays(params), time, jr.key(1), u)


def test_em_climbs_with_holes_and_trials_and_compiles_once():
    _, u, _, y = drawn(300)
    holed = np.where(RNG.random(y.shape) < 0.2, np.nan, y)
    model = LDS(N, iterations=8, tolerance=0).fit(holed, inputs=u, lengths=[100, 200])
    assert (np.diff(model.history_) > 0).all()
    before = lds._maximise._cache_size()
    again = clone(model).fit(holed[::-1], inputs=u, lengths=[200, 100])
    assert lds._maximise._cache_size() == before
    filled = model.predict(holed, inputs=u, lengths=[100, 200])
    hidden = np.isnan(holed)
    rest = np.mean((filled - y)[hidden] ** 2)
    assert rest < 0.25 * np.var(y[hidden])  # the noise alone is 0.4
    trials = model.transform(y.reshape(3, 100, -1), inputs=u.reshape(3, 100, -1))
    rows = model.transform(y, inputs=u, lengths=[100] * 3)
    np.testing.assert_array_equal(trials.reshape(300, -1), rows)
    assert again.score(holed, inputs=u) == pytest.approx(
        again.log_likelihood(holed, inputs=u) / 300
    )
    C = np.asarray(model.params_["weights"][:, :N])
    np.testing.assert_allclose(C.T @ C, np.eye(N), atol=1e-5)


def test_latent_coordinates_are_free(x64):
    bins, _ = checked_bins(LinearGaussian(), RNG.normal(size=(T, M)), U, None)
    turned = orthonormal(arrays(PARAMS), N)
    one, two = (lds._believe(LinearGaussian(), p, bins) for p in (arrays(PARAMS), turned))
    assert float(one[1]) == pytest.approx(float(two[1]), rel=1e-9)
    np.testing.assert_allclose(one[2], two[2], atol=1e-9)


@pytest.mark.slow
def test_the_bound_of_switching_climbs():
    _, _, _, y = drawn(300)
    model = SwitchingLDS(2, N, iterations=15, tolerance=0, random_state=0).fit(y)
    assert (np.diff(model.history_) > -1e-3).all()
    assert model.posterior(y).shape == (300, 2)
    assert model.predict(y.reshape(3, 100, -1)).shape == (3, 100, 8)
    assert clone(model).get_params()["states"] == 2


def test_single_precision_keeps_covariances_positive():
    """Precise units of a slow signal: the posterior's variance is a millionth of the prior's."""
    params = dict(PARAMS, A=0.999 * np.eye(N), Q=1e-6 * np.eye(N), cov=1e3 * np.eye(N))
    params["noise"] = np.full(M, 1e-4)
    _, y = simulate(LinearGaussian(), arrays(params), T, jr.key(0), U)
    bins, _ = checked_bins(LinearGaussian(), y, U, None)
    assert bins.y.dtype == jnp.float32
    path, evidence, _ = lds._believe(LinearGaussian(), arrays(params), bins)
    assert (np.linalg.eigvalsh(np.asarray(path.cov, float)) > 0).all()
    with jax.enable_x64(True):
        bins, _ = checked_bins(LinearGaussian(), np.asarray(y, float), U, None)
        exact, wanted, _ = lds._believe(LinearGaussian(), arrays(params), bins)
    np.testing.assert_allclose(path.cov, exact.cov, rtol=0.02, atol=1e-9)
    assert float(evidence) == pytest.approx(float(wanted), rel=0.02)


@pytest.mark.parametrize(
    ("change", "data", "says"),
    [
        ({}, np.ones(5), "time, unit"),
        ({}, np.full((5, 4), np.inf), "infinity"),
        ({"latents": 5}, np.ones((5, 4)), "latents"),
        ({"iterations": 0}, np.ones((5, 4)), "iterations"),
        ({"observation": LogLinearPoisson()}, np.full((5, 4), 0.5), "whole numbers"),
        ({"observation": LinearGaussian("tied")}, np.ones((5, 4)), "diagonal"),
        ({"observation": LinearGaussian("full")}, np.full((5, 4), np.nan), "missing"),
        ({}, np.where(np.arange(4) == 2, np.nan, np.ones((5, 4))), "unit 2 was never seen"),
    ],
)
def test_bad_input_is_refused_with_the_reason(change, data, says):
    with pytest.raises(ValueError, match=says):
        LDS(**change).fit(data)
    with pytest.raises(ValueError, match="inputs"):
        LDS(1).fit(np.ones((5, 4)), inputs=np.ones((4, 1)))
