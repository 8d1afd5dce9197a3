"""Encoders against what they state: exact times, exact digits, exact probabilities."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.coding import (
    Delta,
    GaussianFields,
    bernoulli,
    binary_phase,
    binary_phase_decode,
    delta_decode,
    latency,
    log_latency,
    phase,
    poisson,
)
from neuropil.core import run, start

GRID = np.linspace(0, 1, 9)


def test_rates_are_those_asked_for():
    n, p = 40_000, np.array([0.02, 0.3, 0.9])
    rate = np.asarray(bernoulli(p, n, jr.key(0))).mean(0)
    assert (abs(rate - p) < 4 * np.sqrt(p * (1 - p) / n)).all()
    hz = jnp.array([20.0, 300.0])
    spikes = np.asarray(poisson(hz, n, jr.key(1), dt=2.0))
    expected = 1 - np.exp(-np.array([20.0, 300.0]) * 2e-3)
    assert set(np.unique(spikes)) == {0.0, 1.0}
    assert (abs(spikes.mean(0) - expected) < 4 * np.sqrt(expected / n)).all()
    counts = np.asarray(poisson(hz, n, jr.key(1), dt=2.0, counts=True))
    mean = np.array([0.04, 0.6])
    assert (abs(counts.mean(0) - mean) < 4 * np.sqrt(mean / n)).all()
    np.testing.assert_allclose(counts.var(0), mean, rtol=0.05)


def test_random_encoders_are_functions_of_their_key():
    same = bernoulli(GRID, 20, jr.key(3)) == bernoulli(GRID, 20, jr.key(3))
    assert bool(same.all())
    assert not bool((bernoulli(GRID, 20, jr.key(3)) == bernoulli(GRID, 20, jr.key(4))).all())


def test_linear_latency_is_one_spike_at_its_tick():
    spikes = np.asarray(latency(GRID, 81))
    assert (spikes.sum(0) == 1).all()
    np.testing.assert_array_equal(spikes.argmax(0), np.arange(80, -1, -10))
    assert latency(jnp.array([2.0, -1.0]), 5).argmax(0).tolist() == [0, 4]


def test_log_latency_is_the_first_spike_of_a_leaky_membrane():
    x, tau, threshold, dt = np.array([0.21, 0.3, 0.5, 1.0, 3.0]), 15.0, 0.2, 0.5
    spikes = np.asarray(log_latency(x, 200, dt=dt, tau=tau, threshold=threshold))
    assert (spikes.sum(0) == 1).all()
    t = spikes.argmax(0) * dt
    potential = lambda t: x * (1 - np.exp(-t / tau))
    assert (potential(t) < threshold + 1e-6).all()
    assert (potential(t + dt) > threshold - 1e-6).all()
    assert np.asarray(log_latency(np.array([0.2, 0.1, 0.0]), 50, dt=1.0)).sum() == 0
    late = log_latency(jnp.array([0.2000001]), 10, dt=1.0)  # after the last tick
    assert np.asarray(late).sum() == 0


def test_phase_and_binary_phase():
    spikes = np.asarray(phase(jnp.array([1.0, 0.5, 0.0]), 12, 5))
    assert [np.flatnonzero(c).tolist() for c in spikes.T] == [[0, 5, 10], [2, 7], [4, 9]]
    values = jnp.arange(16) / 16
    for cycles in (1, 3):
        coded = binary_phase(values, 4 * cycles, bits=4)
        np.testing.assert_array_equal(binary_phase_decode(coded, bits=4), values)
    assert float(binary_phase_decode(binary_phase(1.0, 8), 8)) == 255 / 256
    rng = np.random.default_rng(0).random(50)
    error = rng - np.asarray(binary_phase_decode(binary_phase(rng, 8), 8))
    assert (error >= 0).all()
    assert (error < 2**-8).all()


def test_receptive_fields_peak_at_their_centre_and_overlap_as_stated():
    fields = GaussianFields.spread(-1.0, 3.0, 6)
    gap = float(fields.centre[1] - fields.centre[0])
    assert gap == pytest.approx(1.0)
    assert float(fields.width) == pytest.approx(gap / 1.5)
    activity = np.asarray(fields(fields.centre))
    np.testing.assert_allclose(np.diag(activity), 1.0)
    np.testing.assert_allclose(np.diag(activity, 1), np.exp(-(1.5**2) / 2), rtol=1e-5)
    assert fields(jnp.zeros((2, 3))).shape == (2, 3, 6)


def test_delta_gives_a_signal_back_to_within_its_threshold():
    signal = np.cumsum(np.random.default_rng(1).normal(size=(300, 2)), axis=0)
    threshold = np.array([0.7, 2.0])
    encoder = Delta(2, threshold=threshold)
    events = run(encoder, start(encoder, 1.0, jr.key(0)), jnp.asarray(signal, jnp.float32))[1]
    assert float(events[0].sum()) == 0  # the first input is the reference
    assert float((events[:, 0] * events[:, 1]).sum()) == 0  # never both at once
    back = np.asarray(delta_decode(events, threshold, signal[0]))
    assert (abs(back - signal) < threshold + 1e-3).all()


def test_delta_of_at_most_one_event_catches_up_and_a_ramp_is_regular():
    encoder = Delta(1, threshold=1.0, most=1, start=0.0)
    step = jnp.full((8, 1), 3.5)
    events = run(encoder, start(encoder, 1.0, jr.key(0)), step)[1]
    assert events[:, 0, 0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    ramp = 0.25 * jnp.arange(8.0)[:, None]
    events = run(encoder, start(encoder, 1.0, jr.key(0)), -ramp)[1]
    assert events[:, 1, 0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: bernoulli(0.5, 0, jr.key(0)), "ticks = 0"),
        (lambda: phase(0.5, 5, 0), "period = 0"),
        (lambda: binary_phase(0.5, 5, 30), "bits = 30"),
        (lambda: binary_phase_decode(jnp.zeros(5), 4), "no whole cycles"),
        (lambda: GaussianFields.spread(0.0, 1.0, 2), "give 3 or more"),
        (lambda: Delta(1, most=0), "most = 0"),
        (lambda: Delta(1, threshold=0.0), "Delta.threshold"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(wrong, message):
    with pytest.raises(ValueError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)
