"""Simulated people: spectra as written down, classes where they should be, the same person in any cohort."""

import numpy as np
import pytest
from scipy.signal import welch

from neuropil.recordings.head import eeg_sensors, meg_sensors
from neuropil.worlds.heads import (
    CAP9,
    listen,
    motor_imagery,
    people,
    pink,
    rhythm,
    ssvep,
    states,
)

pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")


def test_a_rhythm_is_a_lorentzian_and_pink_noise_a_power_law():
    rng = np.random.default_rng(0)
    x = rhythm(rng, (40, 4000, 2), 200.0, 10.0, 2.0)
    assert x.var() == pytest.approx(1, abs=0.05)
    assert x[:, 0].var() == pytest.approx(1, abs=0.3)
    f, p = welch(x, 200.0, axis=1, nperseg=1000)
    p = p.mean((0, 2))
    assert f[p.argmax()] == pytest.approx(10, abs=0.3)
    assert p[np.searchsorted(f, 11)] / p.max() == pytest.approx(0.5, abs=0.1)  # half the width
    x = pink(rng, (20, 4000, 2), 200.0, 1.5)
    assert x.var() == pytest.approx(1, abs=0.1)
    f, p = welch(x, 200.0, axis=1, nperseg=1000)
    band = (f > 3) & (f < 60)
    assert np.polyfit(np.log(f[band]), np.log(p.mean((0, 2))[band]), 1)[0] == pytest.approx(
        -1.5, abs=0.1
    )


def test_a_subject_is_the_same_in_every_cohort_and_unlike_the_others():
    few, many = people(2), people(3)
    np.testing.assert_array_equal(few[1].field.gain, many[1].field.gain)
    assert (few[1].alpha, few[1].skill) == (many[1].alpha, many[1].skill)
    assert few[0].alpha != few[1].alpha
    alike = people(2, spread=0)
    assert (alike[0].skill, alike[0].alpha) == (0.5, 10.0) == (alike[1].skill, alike[1].alpha)
    with pytest.raises(ValueError, match="area 'nose'"):
        people(1, areas=("nose",))
    with pytest.raises(ValueError, match="0 subjects"):
        people(0)


def test_the_rhythm_falls_on_the_side_opposite_to_the_hand():
    (person,) = people(1, spread=0)
    (rec,) = motor_imagery([person], 80, depth=0.9)
    assert (rec.unit, rec.rate, rec.positions_unit) == ("uV", 128.0, "m")
    label, session = rec.data.label.values, rec.data.session.values
    assert [(label[session == s] == "left").sum() for s in (0, 1)] == [20, 20]
    x = rec.to_numpy()
    assert 5 < x.std() < 30  # microvolts, as from a scalp
    f, p = welch(x[:, 96:], 128.0, axis=1, nperseg=128)
    mu = np.log(p[:, (f >= 9) & (f <= 11)].mean(1))
    names = rec.data.unit.values.tolist()
    side = mu[:, names.index("C3")] - mu[:, names.index("C4")]
    assert side[label == "left"].mean() > side[label == "right"].mean() + 0.5
    with pytest.raises(ValueError, match="class 'blink'"):
        motor_imagery([person], 4, classes=("blink",))


def test_the_flicker_is_in_the_spectrum_after_the_delay():
    cohort = people(1, sensors=eeg_sensors(CAP9), spread=0)
    (rec,) = ssvep(cohort, 1, targets=8, seconds=4.0, amplitude=60.0, step=1.0)
    x, hz = rec.to_numpy(), rec.data.frequency.values
    np.testing.assert_array_equal(hz, 8 + np.arange(8.0))
    f, p = welch(x[:, 250:], 250.0, axis=1, nperseg=750)
    oz = p[:, :, rec.data.unit.values.tolist().index("Oz")]
    beyond = oz * ((f > 11.5) & (f < 16))  # away from alpha
    np.testing.assert_allclose(f[beyond.argmax(1)][hz >= 12], hz[hz >= 12], atol=0.2)


def test_eeg_and_meg_hear_the_same_brain():
    info = [eeg_sensors(CAP9), meg_sensors("ctf151")]
    cohort = people(1, sensors=info)
    (rec,) = states(cohort, 6.0)
    assert rec.unit == "mixed"
    kinds = rec.data.kind.values
    assert set(rec.data.measure.values[kinds == "mag"]) == {"fT"}
    x = rec.to_numpy()[0]
    assert 3 < x[:, kinds == "eeg"].std() < 50
    assert 50 < x[:, kinds == "mag"].std() < 2000
    assert np.isfinite(rec.data.normal_x.values[kinds == "mag"]).all()
    assert rec.events["duration"].sum() == pytest.approx(6.0)
    # without background: exactly the lead field times the currents, but for the sensors' noise
    currents = np.zeros((1, 50, len(cohort[0].areas)))
    currents[:, :, 0] = 1e4
    clean = listen(cohort[0], currents, np.random.default_rng(0), 128.0, background=0.0)
    want = cohort[0].field.gain[:, 0] * 1e-5 * np.where(kinds == "eeg", 1e6, 1e15)
    noise = np.where(kinds == "eeg", 0.05, 3.0) * 8
    assert (np.abs(clean.to_numpy()[0].mean(0) - want) < 5 * noise / np.sqrt(50)).all()
