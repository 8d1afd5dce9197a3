"""Observation models equal their closed forms, and what is identifiable comes back from what they draw."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import gamma

from neuropil.recordings import Recording
from neuropil.recordings.observe import (
    BOLD,
    INDICATORS,
    Balloon,
    Bernoulli,
    Calcium,
    FieldPotential,
    Hemodynamic,
    Poisson,
    Surface,
    bold,
    observe,
)


def test_counts_have_the_mean_and_variance_of_their_law_and_give_the_rate_back():
    rates = np.tile([5.0, 40.0, 200.0], (50, 100, 1)).astype(np.float32)
    rec = Recording.from_array(rates, rate=100.0, unit="Hz", labels=["a", "b", "c"])
    counts = observe(rec, Poisson(), jr.key(0))
    n = counts.to_numpy().reshape(-1, 3)
    assert (counts.unit, n.dtype, counts.data.unit.values.tolist()) == (
        "spikes",
        np.int32,
        ["a", "b", "c"],
    )
    error = np.sqrt(rates[0, 0] / 100 / len(n))
    assert (np.abs(n.mean(0) - rates[0, 0] / 100) < 4 * error).all()
    np.testing.assert_allclose(
        n.var(0) / n.mean(0), 1, atol=0.08
    )  # Fano factor of a Poisson process
    once = observe(rec, Bernoulli(), jr.key(0)).to_numpy().reshape(-1, 3)
    p = once.mean(0)
    assert once.max() == 1
    np.testing.assert_allclose(-np.log1p(-p) * 100, rates[0, 0], rtol=0.15)  # the rate comes back
    np.testing.assert_allclose(
        observe(rec, Bernoulli()).to_numpy()[0, 0], -np.expm1(-rates[0, 0] / 100), rtol=1e-5
    )
    np.testing.assert_allclose(
        observe(rec, Poisson()).to_numpy()[0, 0], rates[0, 0] / 100, rtol=1e-6
    )


def test_calcium_is_the_sum_of_its_impulse_responses_and_the_kinetics_come_back():
    model = Calcium(tau_rise=20.0, tau_decay=150.0, amplitude=0.5, base=0.1, noise=0.01)
    dt, n = 10.0, 200
    spikes = np.zeros((1, n, 1), np.float32)
    spikes[0, [5, 9, 60], 0] = [1, 2, 1]
    d, r = np.exp(-dt / 150), np.exp(-dt / 20)
    k = np.arange(1, n + 1)
    h = (d**k - r**k) / (d - r)
    want = 0.1 + 0.5 * np.convolve(spikes[0, :, 0], h / h.max())[:n]
    np.testing.assert_allclose(model.mean(jnp.asarray(spikes), dt)[0, :, 0], want, atol=2e-5)
    one = model.mean(jnp.zeros((1, n, 1)).at[0, 0].set(1.0), dt)
    assert float(one.max()) == pytest.approx(0.6, abs=1e-5)
    # an oracle that knows the spikes finds gamma_1, gamma_2 and the amplitude by least squares (noise is small)
    train = (np.random.default_rng(0).random((1, 4000, 1)) < 0.05).astype(np.float32)
    f = np.asarray(model.sample(jnp.asarray(train), dt, jr.key(1)))[0, :, 0] - 0.1
    clean = np.asarray(model.mean(jnp.asarray(train), dt))[0, :, 0] - 0.1
    x = np.column_stack([clean[1:-1], clean[:-2], train[0, 2:, 0]])
    got = np.linalg.lstsq(x, f[2:], rcond=None)[0]
    one, two = (float(g) for g in model.coefficients(dt))
    np.testing.assert_allclose(got, [one, two, 0.5 / h.max()], atol=0.01)
    poles = np.roots([1, -got[0], -got[1]])
    np.testing.assert_allclose(np.sort(-dt / np.log(poles)), [20, 150], rtol=0.1)
    spike = jnp.zeros((1, 2000, 1)).at[0, 0].set(1.0)
    traced = jax.jit(lambda m: m.mean(spike, 1.0)[0, :, 0])
    for name, (amplitude, peak, half) in INDICATORS.items():
        trace = traced(Calcium.of(name))
        assert float(trace.max()) == pytest.approx(amplitude, rel=1e-4)
        assert int(trace.argmax()) == pytest.approx(peak, abs=1.5)
        late = float(trace[1000] / trace[1000 + round(half)])
        assert late == pytest.approx(2, rel=0.02)  # far from the peak the decay is a pure one
    bent = Calcium(half=1.0, hill=2.0).mean(jnp.full((1, 500, 1), 5.0), dt)
    assert float(bent.max()) == pytest.approx(0.6, rel=0.01)  # saturates at amplitude h(inf) / h(1)
    with pytest.raises(ValueError, match="must be shorter than tau_decay"):
        Calcium(tau_rise=200.0)


def test_field_potentials_fall_off_as_one_over_distance_and_currents_come_back():
    rng = np.random.default_rng(0)
    sources = rng.uniform(-100, 100, (4, 3))
    electrodes = rng.uniform(200, 500, (10, 3))
    model = FieldPotential(electrodes=electrodes, sources=sources, noise=0.01)
    d = np.linalg.norm(electrodes[:, None] - sources, axis=-1) * 1e-6
    want = 1e-9 / (4 * np.pi * 0.3 * d) * 1e6
    np.testing.assert_allclose(model.gain, want, rtol=1e-5)
    x = rng.normal(size=(1, 500, 4)).astype(np.float32)
    y = np.asarray(model.sample(jnp.asarray(x), 1.0, jr.key(0)))[0]
    got = np.linalg.lstsq(want, y.T, rcond=None)[0].T
    error = 0.01 * np.sqrt(np.diag(np.linalg.inv(want.T @ want)))  # what least squares can reach
    np.testing.assert_allclose((got - x[0]).std(0), error, rtol=0.15)
    near = FieldPotential(electrodes=[[0.0, 0, 0]], sources=[[0.0, 0, 0]])
    assert np.isfinite(near.gain).all()


def test_surface_is_mnes_lead_field_and_an_oracle_finds_the_moments():
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    from neuropil.recordings.head import cortex, eeg_sensors, lead_field

    field = lead_field(eeg_sensors("Fz C3 Cz C4 Pz Oz T7 T8".split()), cortex(3), save=False)
    model = Surface.of(field, rate=100.0)
    x = np.random.default_rng(0).normal(0, 20, (1, 400, 3)).astype(np.float32)
    rec = observe(
        Recording.from_array(x, rate=100.0, unit="nA m"), model, jr.key(0), labels=field.labels,
        positions=field.positions, positions_unit="m",
    )  # fmt: skip
    assert (rec.unit, rec.data.measure.values[0], rec.shape[2]) == ("uV", "uV", 8)
    y = rec.to_numpy()[0]
    left = y - field.project(x[0] * 1e-9) * 1e6
    assert left.std() == pytest.approx(0.05 * np.sqrt(50), rel=0.1)
    got = np.linalg.lstsq(field.gain * 1e-3, y.T, rcond=None)[0].T
    gain = field.gain * 1e-3
    error = 0.05 * np.sqrt(50) * np.sqrt(np.diag(np.linalg.inv(gain.T @ gain)))
    np.testing.assert_allclose((got - x[0]).std(0), error, rtol=0.15)


def test_the_canonical_response_is_two_gammas():
    model = Hemodynamic(amplitude=2.0)
    t = np.arange(0, 32.05, 0.1)
    h = gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6
    np.testing.assert_allclose(model.kernel(100.0), h / h.sum(), atol=1e-6)
    x = np.zeros((1, 400, 2), np.float32)
    x[0, 10:200, 0] = 1
    want = 2 * np.convolve(x[0, :, 0], h / h.sum())[:400]
    y = model.mean(jnp.asarray(x), 100.0)[0]
    np.testing.assert_allclose(y[:, 0], want, atol=2e-5)
    np.testing.assert_allclose(y[:, 1], 0, atol=1e-6)
    noisy = np.asarray(model.sample(jnp.asarray(x), 100.0, jr.key(0)))[0, :, 0]
    assert want @ noisy / (want @ want) * 2 == pytest.approx(
        2.0, abs=0.15
    )  # the amplitude comes back


def test_the_balloon_settles_where_it_must_and_its_efficacy_comes_back(x64):
    balloon = Balloon(1)
    x = jnp.full((1, 600, 1), 0.5)
    y = bold(balloon, x, 100.0)[0, :, 0]
    assert float(y[-1]) == pytest.approx(float(balloon.steady(jnp.array([0.5]))[0]), rel=1e-4)
    assert float(y.max()) > 1.02 * float(y[-1])  # it overshoots first
    # a small input: the linear system that Friston's equations become about rest
    eps, kappa, gam, tau, alpha, rho = 1.0, 0.65, 0.41, 0.98, 0.32, 0.34
    slope = 1 + (1 - rho) * np.log(1 - rho) / rho  # of f E(f) / rho at 1
    a = np.array(
        [
            [-kappa, -gam, 0, 0],
            [1, 0, 0, 0],
            [0, 1 / tau, -1 / (alpha * tau), 0],
            [0, slope / tau, -(1 / alpha - 1) / tau, -1 / tau],
        ]
    )
    out = 2.0 * np.array([0, 0, 2 - (2 * rho - 0.2), -(7 * rho + 2)])
    from scipy.linalg import expm

    state, small, got = np.zeros(4), 1e-4, []
    flow = expm(0.1 * a)
    drive = np.linalg.solve(a, (flow - np.eye(4)) @ np.array([eps * small, 0, 0, 0]))
    for _ in range(300):
        state = flow @ state + drive
        got.append(out @ state)
    near = bold(balloon, jnp.full((1, 300, 1), small), 100.0)[0, :, 0]
    np.testing.assert_allclose(near, got, atol=2e-3 * np.abs(got).max())
    # the only thing that scales with the input comes back from noisy percent changes
    task = jnp.zeros((1, 300, 1)).at[0, 50:100].set(1.0).at[0, 180:200].set(1.0)
    read = BOLD(Balloon(1, efficacy=0.7), noise=0.05).sample(task, 200.0, jr.key(0))
    loss = jax.jit(lambda e: ((bold(Balloon(1, efficacy=e), task, 200.0) - read) ** 2).mean())
    grid = np.linspace(0.4, 1.0, 25)
    assert grid[np.argmin([loss(e) for e in grid])] == pytest.approx(0.7, abs=0.026)


def test_holes_are_refused_and_a_split_stays_what_it_is():
    from neuropil.recordings import preprocess as pp

    rec = Recording.from_array(np.full((10, 5, 1), 20.0), rate=10.0, unit="Hz")
    test = pp.split(rec).test
    assert observe(test, Poisson(), jr.key(0)).split == test.split
    ragged = Recording.from_trials([np.ones((3, 1)), np.ones((5, 1))], rate=10.0, unit="Hz")
    with pytest.raises(ValueError, match="masked samples"):
        observe(ragged, Poisson())
