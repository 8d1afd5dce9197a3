"""meg-gpt: scores of known signals, decoders' splits, Cam-CAN's layout; parts have tests of their own."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Tick
from neuropil.papers.fit import _meg_gpt as arms
from neuropil.papers.fit import _meg_gpt_data as data
from neuropil.papers.fit.meg_gpt import STUDY, check
from neuropil.worlds import datasets

SMALL, TINY = STUDY.scales["small"], STUDY.scales["smoke"]


def short(**change):
    return SMALL | dict(subjects=2, seconds=60.0, made=30.0) | change


def test_a_recording_is_like_itself_and_noise_of_its_spectrum_has_no_bursts():
    rest = data.rest(short(), 0)
    same = arms.likeness(rest.reference, rest, 100.0)
    for name in ("spectrum", "correlation", "envelope", "lifetime", "peak"):
        assert same[name] == pytest.approx(0, abs=1e-6), name
    assert same["within"] == pytest.approx(0.67, abs=0.05)
    turn = np.exp(2j * np.pi * np.random.default_rng(0).random((2, 3001, 4)))
    gaussian = np.fft.irfft(np.abs(np.fft.rfft(rest.reference, axis=1)) * turn, axis=1)
    other = arms.likeness(gaussian, rest, 100.0)
    assert other["spectrum"] < 0.12
    assert other["variations"][:, 1] == pytest.approx(0.523, abs=0.06)
    assert other["envelope"] > 0.3
    # two of six pairs are correlated by 0.67: what a model without exchange cannot but miss
    assert other["correlation"] == pytest.approx(0.67 / np.sqrt(3), abs=0.06)


def test_linear_baselines_have_the_covariance_that_they_should():
    settings = short()
    rest = data.rest(settings, 0)
    made = lambda how: arms.Modelling(how, settings)._made(rest, 0, jr.key(0))
    alone, both = (arms.likeness(made(how), rest, 100.0) for how in ("ar", "mvar"))
    assert abs(alone["within"]) < 0.15
    assert both["within"] == pytest.approx(0.67, abs=0.08)
    assert max(alone["spectrum"], both["spectrum"]) < 0.25


def test_decoders_are_tested_on_the_last_run_and_on_the_subject_left_out():
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(40) % 4, (3, 1))
    run = np.tile(np.arange(40) // 20, (3, 1))
    told = np.eye(4)[y]
    assert arms.accuracies(told, y, run) == (1.0, 1.0)
    # what holds in the first run only is of no use in the last
    first = told * (run == 0)[..., None] + rng.normal(size=told.shape) * 0.01
    session, subject = arms.accuracies(first, y, run)
    assert session < 0.5
    assert subject > session


def test_band_power_sees_which_mode_is_raised_and_gates_are_the_ceiling():
    settings = short(task_subjects=3, trials=40)
    trials = data.task(settings, 0)
    power = arms.accuracies(arms.band_power(trials.x, 100.0), trials.y, trials.run)
    gates = arms.accuracies(trials.gates, trials.y, trials.run)
    raw = arms.accuracies(trials.x.reshape(3, 80, -1), trials.y, trials.run)
    assert min(power) > 0.45
    assert min(gates) > 0.55
    assert max(raw) < 0.45


def test_arms_of_a_seed_share_data_and_one_more_seed_has_others():
    tick = lambda k: Tick(jnp.int32(0), jnp.float32(1.0), jr.key(k))
    out = [arms.Modelling("real", TINY).step(None, None, tick(k))[1] for k in (0, 0, 1)]
    assert float(out[0]["spectrum"]) == float(out[1]["spectrum"]) != float(out[2]["spectrum"])


def test_cam_can_s_layout_is_read(tmp_path, monkeypatch):
    mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    rng = np.random.default_rng(0)
    info = mne.create_info(3, 250.0, "misc")
    for name in ("sub-1", "sub-2"):
        (tmp_path / "cam-can" / name).mkdir(parents=True)
        raw = mne.io.RawArray(rng.normal(5, 2, (3, 2500)), info, verbose="error")
        raw.save(tmp_path / "cam-can" / name / "sflip_parc-raw.fif", verbose="error")
    events = np.stack([np.arange(8) * 200 + 50, np.zeros(8, int), np.arange(8) % 4 + 1], 1)
    for name in ("sub01_run01", "sub01_run02", "sub02_run01", "sub02_run02"):
        (tmp_path / "wakeman-henson" / name).mkdir(parents=True)
        raw = mne.io.RawArray(rng.normal(size=(3, 2500)), info, verbose="error")
        kinds = {kind: k + 1 for k, kind in enumerate(data.CLASSES)}
        cut = mne.Epochs(raw, events, kinds, 0.0, 0.5, baseline=None, preload=True, verbose="error")
        cut.save(tmp_path / "wakeman-henson" / name / "sflip_parc-epo.fif", verbose="error")
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path))
    settings = STUDY.scales["paper"] | dict(seconds=8.0, made=6.0)
    rest = data.rest(settings, 0)
    assert rest.train.shape == rest.reference.shape == (2, 1000, 3)
    assert abs(rest.train.mean()) < 0.1
    trials = data.task(settings, 0)
    assert trials.x.shape == (2, 16, 80, 3)
    assert trials.y[0].tolist() == [0, 1, 2, 3] * 4
    assert trials.run[0].tolist() == [0] * 8 + [1] * 8
    with pytest.raises(ValueError, match="Hz"):
        data.parcels(2, 4.0, 100.0, 100)
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path / "cam-can"))
    with pytest.raises(FileNotFoundError, match="cam-can"):
        data.parcels(2, 5.0, 250.0, 100)


@pytest.mark.skipif(not datasets.available("neuromag-average"), reason="needs neuromag-average")
def test_measured_fields_are_z_scored_magnetometers():
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    x = data.real_fields()
    assert x.shape == (421, 408)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"patch": 3}, "patch"),
        ({"scored": 17}, "scored"),
        ({"heads": 5}, "heads"),
        ({"token_window": 20}, "token_window"),
        ({"runs": 1}, "runs"),
        ({"made": 2.0}, "made"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    for settings in STUDY.scales.values():
        check(settings)
    with pytest.raises(ValueError, match=says):
        check(SMALL | change)
