import numpy as np
import pytest

from neuropil.stats import ceiling, correlate, halves, reliability, spearman_brown


def data(noise, repeats=8, samples=400, targets=60, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(samples, targets))
    return signal, signal + noise * rng.normal(size=(repeats, samples, targets))


def test_spearman_brown_is_the_reliability_of_more_data():
    # r(1) = s / (s + e); with k times the data the noise falls to e / k
    s, e, k = 2.0, 3.0, 4.0
    assert spearman_brown(s / (s + e), k) == pytest.approx(s / (s + e / k))


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_reliability_is_the_share_of_signal_variance(noise):
    _, repeats = data(noise)
    expected = 1 / (1 + noise**2 / 8)
    assert reliability(repeats, splits=20).mean() == pytest.approx(expected, abs=0.01)


def test_the_true_signal_reaches_the_ceiling_and_no_more():
    signal, repeats = data(2.0)
    reached = correlate(signal, repeats.mean(0))
    assert reached.mean() == pytest.approx(ceiling(repeats, splits=20).mean(), abs=0.01)


def test_missing_repeats_are_left_out_sample_by_sample():
    _, repeats = data(2.0)
    rng = np.random.default_rng(1)
    few = rng.integers(4, 9, 400)
    repeats[np.arange(8)[:, None] >= few[None, :]] = np.nan
    a, b = halves(repeats, rng)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
    # noise of each half: mean of 1 / (k // 2) over k = 4..8
    noise = 4 * np.mean([1 / (k // 2) for k in few])
    assert correlate(a, b).mean() == pytest.approx(1 / (1 + noise), abs=0.02)
    repeats[1:, 5] = np.nan
    with pytest.raises(ValueError, match="sample 5 has fewer than 2"):
        halves(repeats, rng)


def test_pure_noise_has_no_ceiling_and_a_constant_unit_none_at_all():
    rng = np.random.default_rng(0)
    assert ceiling(rng.normal(size=(6, 300, 50)), splits=10).mean() < 0.2
    assert np.isnan(correlate(np.ones((5, 1)), np.arange(5.0)[:, None]))[0]
    with pytest.raises(ValueError, match="repeats must have shape"):
        reliability(np.zeros((3, 4)))
