"""Scores of the Neural Latents Benchmark against its own tools (a peer, optional: `nlb_tools`)."""

import numpy as np
import pytest

from neuropil.stats import co_smoothing, psth_r2, velocity_r2

theirs = pytest.importorskip(
    "nlb_tools.evaluation", reason="nlb_tools is not installed (a peer, optional)"
)
RNG = np.random.default_rng(0)


def test_bits_per_spike_velocity_and_psths():
    rates = np.exp(0.5 * RNG.normal(size=(30, 12, 6)))
    counts = RNG.poisson(rates).astype(float)
    counts[2, 7:] = np.nan
    assert co_smoothing(counts, rates, draws=2).value == pytest.approx(
        theirs.bits_per_spike(rates.copy(), counts), rel=1e-9
    )
    velocity = rates[..., :2] + RNG.normal(size=(30, 12, 2))
    velocity[4, :3] = np.nan
    parts = rates[:20], velocity[:20], rates[20:], velocity[20:]
    every = np.ones((20, 1), bool), np.ones((10, 1), bool)
    want = theirs.velocity_decoding(parts[0], parts[1], every[0], parts[2], parts[3], every[1])
    assert velocity_r2(*parts, draws=2).value == pytest.approx(want, rel=1e-9)
    condition, jitter = np.arange(30) % 3, RNG.integers(-2, 3, 30)
    psth = RNG.normal(size=(3, 12, 6))
    psth[:, [0, 1, 10, 11]] = np.nan
    want = theirs.eval_psth(psth, rates, [np.flatnonzero(condition == c) for c in range(3)], jitter)
    got = psth_r2(psth, rates, condition, jitter=jitter, draws=2)
    assert got.value == pytest.approx(want, rel=1e-9)
