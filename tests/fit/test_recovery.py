"""Every model of `neuropil.fit` finds what a recording was simulated with: up to which symmetry, how closely.

One table. A line either points at the test where a model is recovered already, or holds the recovery here.
Beside an oracle: the true parameters on the same bins; a fit may not do much worse on bins it has not seen.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment

import neuropil.fit
from neuropil.fit.filters import KalmanDecoder
from neuropil.fit.gp import FourierGP
from neuropil.fit.hmm import align_states
from neuropil.fit.lds import LDS, simulate
from neuropil.fit.observations import LinearGaussian, LogLinearPoisson
from neuropil.fit.switching import SwitchingLDS

HERE = Path(__file__).parent


class Line(NamedTuple):
    """What is recovered, what is free, how closely, and where: a test's name or a function here."""

    what: str
    symmetry: str
    tolerance: str
    where: str | Callable


def turn(angle, size):
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def eigenvalue_error(found, truth):
    gap = np.abs(np.linalg.eigvals(found)[:, None] - np.linalg.eigvals(truth)[None])
    return gap[linear_sum_assignment(gap)].max()


def linear_system(observation, gain, noise):
    """Two latent signals, driven by an input, through 12 units; 1,500 bins to learn from and 500 to judge."""
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2000, 1))
    C = gain * rng.normal(size=(12, 2))
    weights = np.column_stack([C, np.zeros(12), rng.normal(size=12) * 0.3])
    truth = {"A": turn(0.3, 0.95), "B": np.array([[0.4], [0.0]]), "Q": 0.1 * np.eye(2),
             "mean": np.zeros(2), "cov": np.eye(2), "weights": weights} | noise  # fmt: skip
    truth = {name: jnp.asarray(a, float) for name, a in truth.items()}
    z, y = simulate(observation, truth, 2000, jr.key(0), u)
    y = np.where(rng.random(y.shape) < 0.05, np.nan, y)
    model = LDS(2, observation, iterations=40).fit(y[:1500], inputs=u[:1500])
    oracle = LDS(2, observation, iterations=1, tolerance=0)
    oracle.params_, oracle.n_features_in_ = truth, 12
    return C, truth, z, y, u, model, oracle


def recover_lds(observation, gain, noise, path):
    C, truth, z, y, u, model, oracle = linear_system(observation, gain, noise)
    assert eigenvalue_error(np.asarray(model.params_["A"]), turn(0.3, 0.95)) < 0.04
    loading = np.asarray(model.params_["weights"])[:, :2]
    assert subspace_angles(loading, C).max() < 0.15
    # C B is what an input does to the units: it does not depend on the coordinates
    push = loading @ np.asarray(model.params_["B"])
    want = C @ np.asarray(truth["B"])
    assert np.linalg.norm(push - want) < 0.15 * np.linalg.norm(want)
    held = {"X": y[1500:], "inputs": u[1500:]}
    found = np.column_stack([model.transform(**held), np.ones(500)])
    best = np.column_stack([oracle.transform(**held), np.ones(500)])
    rest = lambda x: np.linalg.lstsq(x, z[1500:], rcond=None)[1].sum() / z[1500:].var(0).sum() / 500
    assert rest(found) < path
    assert rest(found) < 1.1 * rest(best)
    assert model.score(**held) > oracle.score(**held) - 0.1
    if noise:
        np.testing.assert_allclose(model.params_["noise"], noise["noise"], rtol=0.2)


def recover_switching(observation, gain, base, agree):
    rng = np.random.default_rng(1)
    A, b = [turn(0.1, 0.99), turn(-0.7, 0.9)], [np.zeros(2), np.array([0.3, 0.0])]
    C, k, z, path, signals = gain * rng.normal(size=(20, 2)), 0, np.ones(2), [], []
    for _ in range(1500):
        k = 1 - k if rng.random() < 0.02 else k
        z = A[k] @ z + b[k] + 0.15 * rng.normal(size=2)
        path.append(k)
        signals.append(z)
    eta = np.array(signals) @ C.T + base
    counts = isinstance(observation, LogLinearPoisson)
    y = rng.poisson(np.exp(eta)) if counts else eta + 0.3 * rng.normal(size=eta.shape)
    model = SwitchingLDS(2, 2, observation, iterations=40, random_state=0).fit(y)
    found, order = align_states(path, model.path(y), 2)
    assert np.mean(found == path) > agree
    for mine, true in zip(np.asarray(model.params_["A"])[order], A, strict=True):
        assert eigenvalue_error(mine, true) < 0.08
    stay = np.asarray(model.params_["transition"])[np.ix_(order, order)]
    np.testing.assert_allclose(np.diag(stay), 0.98, atol=0.02)


def recover_kalman():
    rng = np.random.default_rng(2)
    z = np.zeros((3000, 2))
    for t in range(1, 3000):
        z[t] = turn(0.2, 0.95) @ z[t - 1] + 0.3 * rng.normal(size=2)
    x = z @ rng.normal(size=(2, 15)) + rng.normal(size=(3000, 15))
    decoder = KalmanDecoder().fit(x, z)
    assert eigenvalue_error(np.asarray(decoder.system_.A), turn(0.2, 0.95)) < 0.03


def recover_length():
    """The length of a Gaussian process: the grid's best evidence lies at the true one."""
    length, bins = 8.0, 60
    draws = FourierGP.of(bins, shortest=4.0, length=length).sample(jr.key(0), (30,))
    y = draws + 0.3 * jr.normal(jr.key(1), draws.shape)
    tried = np.array([4.0, 5.5, 8.0, 11.0, 16.0])
    best = [
        sum(float(FourierGP.of(bins, shortest=4.0, length=l).evidence(row, 0.09)) for row in y[:10])
        for l in tried
    ]
    assert tried[int(np.argmax(best))] == length


NOISE = {"noise": np.full(12, 0.5)}
TABLE = {
    "hmm.HMM": Line(
        "rates, probabilities, means; transitions; path", "order of states",
        "0.25; 0.03; 93 % of bins",
        "test_hmm.py::test_what_was_simulated_is_recovered_up_to_the_order_of_states"),
    "hmm.HMM of GLMs": Line(
        "weights of choices; path", "order of states", "0.5 of 4; 90 % of bins",
        "test_hmm.py::test_glm_hmm_recovers_weights_of_choices"),
    "glm.GLM": Line(
        "coupling kernels and their direction", "none", "as in the test",
        "test_glm.py::test_recovers_planted_kernels_and_their_direction"),
    "gpfa.GPFA": Line(
        "timescale, noise, latent signal", "sign and scale of a latent", "6 in 4.5..8; 25 %; r 0.97",
        "test_latents.py::test_gpfa_climbs_and_finds_the_timescale"),
    "gpfa.PoissonReadout": Line(
        "weights of log rates", "none", "0.06",
        "test_latents.py::test_readout_finds_the_weights_that_made_the_counts"),
    "sequential.SequentialAutoencoder": Line(
        "rates of held-out units (both networks)", "latent coordinates", "0.02 bits per spike",
        "test_latents.py::test_autoencoders_learn_rates_and_read_no_unit_that_is_held_out"),
    "decode.PlaceDecoder": Line(
        "position from planted place fields", "none", "0.05 of a track of 1",
        "test_decode.py::test_planted_place_fields_are_decoded_and_movement_helps"),
    "classical": Line(
        "class of a planted source (CSP, tangent space)", "mixing of channels", "90 % of trials",
        "test_classical.py::test_a_planted_source_is_decoded"),
    "classical.Coarse": Line(
        "class of a planted evoked response", "none", "80 % of trials",
        "test_classical.py::test_an_evoked_response_is_decoded"),
    "ssvep.FBCCA": Line(
        "frequency of a trial", "mixing of channels", "every trial",
        "test_ssvep.py::test_correlation_finds_the_frequency_and_ignores_mixing"),
    "ssvep.TRCA": Line(
        "phase of a trial", "sign of a filter", "90 % of trials",
        "test_ssvep.py::test_trca_tells_phases_that_frequency_cannot"),
    "neural_decoder.NeuralDecoder": Line(
        "class of a planted power", "none", "90 % of trials",
        "test_eegnets.py::test_a_planted_power_is_found_and_limits_and_averages_are_kept"),
    "filters.DiscriminativeKalmanDecoder": Line(
        "latent signal behind curved tuning", "none", "above Kalman's R2",
        "test_filters.py::test_curved_tuning_is_decoded_by_the_discriminative_filter_alone"),
    "sensortokens.FrozenFeatures": Line(
        "what channels share", "none", "as in the test",
        "test_sensortokens.py::test_pretraining_finds_what_channels_share_and_features_decode"),
    "blockmodel": Line(
        "planted communities", "names of blocks", "all labels",
        "test_blockmodel.py::test_planted_labels_are_a_bottom_and_are_found"),
    "factor": Line(
        "nonnegative factors, a fifth missing", "order and scale", "as in the test",
        "test_factor.py::test_known_factors_come_back_with_a_fifth_missing"),
    "kernel.NadarayaWatson": Line(
        "smooth against noise by the bandwidth", "none", "below and above 0.1",
        "test_filters.py::test_kernel_regression_leaves_out_what_it_is_judged_on"),
    "filters.KalmanDecoder": Line(
        "eigenvalues of A", "none of z: it is given", "0.03", recover_kalman),
    "gp": Line("length of a process", "none", "the next of five on a grid", recover_length),
    "lds.LDS": Line(
        "A, C, C B, R, path", "invertible maps of z",
        "eigenvalues 0.04, angle 0.15, 15 %, 20 %, R2 0.9",
        lambda: recover_lds(LinearGaussian(), 1.0, NOISE, 0.1)),
    "lds.LDS of counts": Line(
        "A, C, C B, path", "invertible maps of z", "eigenvalues 0.04, angle 0.15, 15 %, R2 0.7",
        lambda: recover_lds(LogLinearPoisson(), 0.6, {}, 0.3)),
    "switching.SwitchingLDS": Line(
        "path of states, A of each, transitions", "order of states, invertible maps of z",
        "95 % of bins, eigenvalues 0.08, 0.02",
        lambda: recover_switching(LinearGaussian(), 1.0, 0.0, 0.95)),
    "switching.SwitchingLDS of counts": Line(
        "path of states, A of each, transitions", "order of states, invertible maps of z",
        "93 % of bins, eigenvalues 0.08, 0.02",
        lambda: recover_switching(LogLinearPoisson(), 0.7, 1.0, 0.93)),
}  # fmt: skip
# Learned by gradients for a task of its own, with its recovery in a paper: neurorvq (sensorcodes),
# neuroformer (spiketransformer), mm-gpvae, deep-ssvep; eegparts, tokens, stream and door learn nothing.
HERE_ONLY = [name for name, line in TABLE.items() if callable(line.where)]


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE_ONLY)
def test_recovered(name):
    TABLE[name].where()


def test_the_tests_that_are_pointed_at_exist():
    for name, line in TABLE.items():
        if isinstance(line.where, str):
            file, test = line.where.split("::")
            assert f"def {test}(" in (HERE / file).read_text(), name


def test_every_estimator_has_its_line():
    """A class of the room with a `fit` of scikit-learn's kind is in the table, by itself or with its module."""
    told = {name.split(" of ")[0] for name in TABLE}
    apart = {"neural_decoder.Flattened"}  # an adapter
    for path in Path(neuropil.fit.__file__).parent.glob("*.py"):
        for found in re.finditer(r"^class (\w+)\(.*BaseEstimator.*\):", path.read_text(), re.M):
            name = f"{path.stem}.{found[1]}"
            if not found[1].startswith("_") and name not in apart:
                assert name in told or path.stem in told, f"{name}: add its recovery to TABLE"
