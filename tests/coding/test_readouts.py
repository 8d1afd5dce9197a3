"""Readouts: functions over a trial, and the same as the last part of a chain."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil import coding
from neuropil.core import run, start

SPIKES = jnp.asarray(np.random.default_rng(0).random((7, 5)) < 0.3, float).at[:, 0].set(0.0)
POTENTIAL = jnp.asarray(np.random.default_rng(1).normal(size=(7, 5)), float)


@pytest.mark.parametrize(
    ("part", "function", "x"),
    [
        (coding.Count(), coding.spike_count, SPIKES),
        (coding.Rate(), lambda x: coding.spike_rate(x, 2.0), SPIKES),
        (coding.FirstSpike(), lambda x: coding.first_spike(x, 2.0), SPIKES),
        (coding.Peak(), coding.peak, POTENTIAL),
        (coding.Mean(), coding.mean, POTENTIAL),
    ],
    ids=lambda p: type(p).__name__,
)
def test_a_readout_of_the_ticks_so_far_is_the_function_of_them(part, function, x):
    readout = coding.Readout(5, of=part)
    ys = run(readout, start(readout, 2.0, jr.key(0)), x)[1]
    for n in (1, 4, 7):
        np.testing.assert_allclose(ys[n - 1], function(x[:n]), rtol=1e-6)


def test_first_spike_is_its_time_and_silence_is_the_end():
    times = np.asarray(coding.first_spike(SPIKES, 0.5))
    spikes = np.asarray(SPIKES)
    expected = np.where(spikes.any(0), spikes.argmax(0), 7) * 0.5
    np.testing.assert_array_equal(times, expected)
    assert times[0] == 3.5


def test_the_gradient_of_the_first_spike_is_that_of_the_expected_time():
    """For independent spikes of probability p the expected time is a sum over all trains."""
    p = np.array([0.2, 0.5, 0.7])

    def expected(p):
        total = 0.0
        for train in np.ndindex(2, 2, 2):
            chance = np.prod(np.where(np.array(train) == 1, p, 1 - p))
            total += chance * (train.index(1) if 1 in train else 3)
        return total

    value, slope = jax.jit(jax.value_and_grad(lambda p: coding.first_spike(p, 1.0)))(p)
    assert float(value) == pytest.approx(expected(p), rel=1e-6)
    numeric = [(expected(p + 1e-5 * e) - expected(p - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    np.testing.assert_allclose(slope, numeric, rtol=1e-4)


def test_last_is_the_last():
    assert coding.last(POTENTIAL).tolist() == POTENTIAL[-1].tolist()
