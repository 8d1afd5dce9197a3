"""Spectra, envelopes and bursts against what is known of them."""

import numpy as np
import pytest

from neuropil.stats import oscillations as osc

RNG = np.random.default_rng(0)


def test_envelope_of_gaussian_noise_varies_as_rayleigh_and_of_a_gated_rhythm_as_its_gate():
    noise = RNG.normal(size=(60_000, 1))
    assert osc.variation(osc.envelope(noise, 100.0, 17.0)) == pytest.approx(
        np.sqrt(4 / np.pi - 1), abs=0.03
    )
    time = np.arange(60_000) / 100
    gate = (time % 12 < 4)[:, None]  # long gates: the filter's edges count little
    bursts = gate * np.sin(2 * np.pi * 10 * time)[:, None]
    # a third on: mean p, deviation sqrt(p (1 - p))
    assert osc.variation(osc.envelope(bursts, 100.0, 10.0)) == pytest.approx(np.sqrt(2), rel=0.05)


def test_lifetimes_by_hand_and_those_cut_by_the_ends_do_not_count():
    up = np.array([9, 0, 9, 9, 0, 9, 0, 9])
    assert osc.burst_lifetimes(up, 1.0, 2.0).tolist() == [1.0, 0.5]
    assert osc.burst_lifetimes(up, 1.0, 2.0, shortest=0.8).tolist() == [1.0]
    assert osc.burst_lifetimes(np.zeros(5), 1.0, 2.0).size == 0


def test_errors_are_zero_of_the_same_and_do_not_depend_on_the_order_of_time():
    x = RNG.normal(size=(2000, 3))
    assert osc.spectrum_error(x, x, 100.0) == 0 == osc.correlation_error(x, x)
    assert osc.spectrum_error(x, x[::-1], 100.0) < 0.15  # Welch's segments lie otherwise
    assert osc.correlation_error(x, x[::-1]) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="segment"):
        osc.power_spectrum(x[:100], 100.0)


def test_peaks_lie_where_the_rhythm_is():
    time = np.arange(6000) / 100
    x = np.sin(2 * np.pi * 6.6 * time)[:, None] + 0.3 * RNG.normal(size=(6000, 1))
    assert osc.peak_frequency(x, 100.0, (5.5, 8.5)) == pytest.approx(6.6, abs=0.05)
