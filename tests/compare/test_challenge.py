"""Closed forms of the challenge's score: chance, the true signal, the cap, scale, constant predictions."""

import numpy as np
import pytest

from neuropil.compare.challenge import challenge_score, vertex_scores
from neuropil.stats import correlate, explainable

RNG = np.random.default_rng(0)
FEW = dict(resamples=20, permutations=19)


def test_chance_is_half_the_variance_of_a_correlation_and_half_of_the_vertices_without_signal():
    y, p = RNG.normal(size=(159, 20_000)), RNG.normal(size=(159, 20_000))
    r = correlate(p, y)
    assert (np.maximum(r, 0) ** 2).mean() == pytest.approx(1 / (2 * 158), abs=2e-4)
    # card: simulated at T = 159
    for top, found, tolerance in (
        (0.3, 1.0, 0.1),
        (0.05, 6.1, 0.4),
        (0.01, 20.9, 1.0),
        (0.0, 50, 1.5),
    ):
        got = vertex_scores(r, np.full(20_000, top)).mean()
        assert got == pytest.approx(found, abs=tolerance)


@pytest.mark.parametrize(("s", "share"), [(0.3, 91.8), (0.6, 96.7), (1.0, 98.6)])
def test_the_true_signal_scores_less_than_100_by_the_cap(s, share):
    counts = RNG.integers(1, 4, 395)
    counts = np.where(RNG.random(395) < 0.42, 3, counts)
    signal = s * RNG.normal(size=(395, 3000))
    y = signal + RNG.normal(size=signal.shape) / np.sqrt(counts)[:, None]
    top = explainable(s, counts)
    r = correlate(signal, y)
    assert (r**2).mean() == pytest.approx(top, abs=0.004)
    assert vertex_scores(r, np.full(3000, top)).mean() == pytest.approx(share, abs=1.2)


def test_scale_and_offset_are_free_and_the_sign_is_not():
    y = RNG.normal(size=(80, 12))
    p = y + RNG.normal(size=y.shape)
    top = np.full(12, 0.7)
    plain = challenge_score(p, y, top, **FEW)
    moved = challenge_score(3 * p + np.arange(12), y, top, **FEW)
    assert moved.value == pytest.approx(plain.value)
    assert plain.interval[0] < plain.value < plain.interval[1]
    assert plain.p == 1 / 20
    assert challenge_score(-p, y, top, **FEW).value < 5
    with pytest.warns(UserWarning, match="1 predictions do not vary"):
        flat = challenge_score(np.c_[np.ones(80), p[:, 1:]], y, top, **FEW)
    each = vertex_scores(correlate(p[:, 1:], y[:, 1:]), top[1:])
    assert flat.value == pytest.approx(each.sum() / 12)


def test_vertices_are_pooled_over_subjects_not_averaged():
    one, two = RNG.normal(size=(40, 3)), RNG.normal(size=(60, 9))
    tops = [np.full(3, 0.5), np.full(9, 0.5)]
    noise = RNG.normal(size=(60, 9))
    score = challenge_score([one, noise], [one, two], tops, **FEW)
    rest = vertex_scores(correlate(noise, two), tops[1])
    assert score.value == pytest.approx((300 + rest.sum()) / 12)
    assert score.n == 100
    with pytest.raises(ValueError, match="do not agree"):
        challenge_score(one, one, np.ones(2), **FEW)
    with pytest.raises(ValueError, match="NaN"):
        challenge_score(one * np.nan, one, np.ones(3), **FEW)
