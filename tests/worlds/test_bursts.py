"""Simulated bursts: gates' occupancy and lifetimes, phases of a pair, what the task tells of its classes."""

import numpy as np
import pytest

from neuropil.worlds.bursts import burst_task, bursts, markov_gates, play, shifted


def test_gates_are_the_chain_that_is_written():
    gates = markov_gates(np.random.default_rng(0), (4, 50_000))
    assert gates.mean() == pytest.approx(1 / 3, abs=0.03)
    off = np.diff(gates, axis=1) == -1
    assert off.sum() / gates[:, :-1].sum() == pytest.approx(0.02, rel=0.1)
    with pytest.raises(ValueError, match="stay"):
        markov_gates(np.random.default_rng(0), (5,), stay=1.5)


def test_a_pair_is_correlated_as_its_phases_say_and_pairs_are_not():
    draw = bursts(shifted((7.0, 17.0), 2), 200.0)
    r = np.mean([np.corrcoef(x.T) for x in draw.x], axis=0)
    assert r[0, 1] == pytest.approx(0.67, abs=0.04)  # measured on the official simulation
    assert np.abs(r[:2, 2:]).max() < 0.05
    np.testing.assert_allclose(draw.x.std(1), 1, atol=1e-6)
    # an open gate without noise or filter: cos of the phase difference of neighbours
    still = play(
        np.random.default_rng(0), np.ones((1, 2, 4000), int), draw.hz[:1], snr=1e6, band=None
    )
    assert np.corrcoef(still[0].T)[0, 1] == pytest.approx(np.cos(2 * np.pi * 0.25 / 3), abs=1e-2)


def test_each_subject_has_its_own_frequency():
    draw = bursts(shifted((7.0, 17.0), 2, 0.5), 300.0)
    hz = np.fft.rfftfreq(draw.x.shape[1], 0.01)
    for x, (slow, fast) in zip(draw.x, draw.hz, strict=True):
        power = np.abs(np.fft.rfft(x, axis=0)) ** 2
        assert hz[power[:, 0].argmax()] == pytest.approx(slow, abs=0.1)
        assert hz[power[:, 3].argmax()] == pytest.approx(fast, abs=0.1)


def test_the_class_raises_its_gates_as_reliably_as_it_says():
    task = burst_task(shifted((7.0, 17.0), 4), 80, reliability=1.0)
    bits = (task.y[..., None] >> np.arange(2)) & 1
    assert (task.gates[bits == 1] == 1).all()
    assert task.gates[bits == 0].mean() == pytest.approx(1 / 3, abs=0.05)
    power = task.x.var(2)
    assert power[bits[..., 0] == 1][:, 0].mean() > 1.4 * power[bits[..., 0] == 0][:, 0].mean()
    # phase is random: the means of classes say nothing
    mean = np.abs(np.stack([task.x[task.y == c].mean(0) for c in range(4)])).max()
    assert mean < 0.45
    assert sorted(set(task.run.ravel())) == [0, 1]


def test_groups_and_gates_must_agree():
    with pytest.raises(ValueError, match="groups"):
        play(np.random.default_rng(0), np.ones((1, 3, 50), int), np.ones((1, 3)))
