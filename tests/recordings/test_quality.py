"""Bad input: each fault is found, with its reason and its fix, and nothing is repaired unasked."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from neuropil.recordings import Recording, read
from neuropil.recordings import preprocess as pp

DATA = Path(os.environ.get("NEUROPIL_DATA", "nowhere"))
X = np.random.default_rng(0).normal(size=(1, 2000, 4)) * 2e1  # microvolts


def eeg(x=X, unit="uV", **more):
    names = ["Fp1", "C3", "C4", "Oz"]
    return Recording.from_array(
        x, rate=100.0, unit=unit, labels=names, columns={"kind": ["eeg"] * 4}, **more
    )


def test_a_sound_recording_has_no_finding():
    assert pp.inspect(eeg()) == []
    assert pp.require(eeg()).shape == X.shape


def test_volts_and_microvolts_are_told_apart():
    (found,) = pp.inspect(eeg(unit="V"))
    assert str(found).startswith(
        "eeg in V has a deviation of 20.2 V: the values look like uV. If so, say"
    )
    (found,) = pp.inspect(eeg(X * 1e-6, unit="uV"))
    assert "the values look like V" in found.problem
    cured = pp.is_in(eeg(unit="V"), "uV")
    assert pp.inspect(cured) == []
    np.testing.assert_array_equal(cured.to_numpy(), X)
    volts = pp.convert(cured, "V")
    np.testing.assert_allclose(volts.to_numpy(), X * 1e-6)
    assert (volts.unit, volts.history[-1].name) == ("V", "convert")
    with pytest.raises(ValueError, match="uV cannot be made fT"):
        pp.convert(eeg(), "fT")
    mixed = Recording.from_array(
        np.ones((1, 5, 2)),
        rate=1.0,
        unit="mixed",
        columns={"kind": ["mag", "grad"], "measure": ["T", "T/m"]},
    )
    there = pp.convert(mixed, {"mag": "fT", "grad": "fT/cm"})
    np.testing.assert_allclose(there.to_numpy()[0, 0], [1e15, 1e13])
    with pytest.raises(ValueError, match="say a unit for each kind"):
        pp.convert(mixed, "fT")


def test_a_file_in_the_wrong_scale_is_said_when_it_is_read(tmp_path):
    path = eeg(unit="V").save(tmp_path / "wrong.npz")
    with pytest.warns(pp.ScaleWarning, match="20.. V: the values look like uV"):
        rec = read(path)
    np.testing.assert_array_equal(rec.to_numpy(), X)  # said, not changed


def test_flat_loud_clipped_twin_and_missing_values():
    x = X.copy()
    x[..., 0] = 3.0
    assert [f.where for f in pp.inspect(eeg(x)) if f.problem == "flat channels"] == [("Fp1",)]
    x = X.copy()
    x[..., 2] = x[..., 1]
    assert [f.where for f in pp.inspect(eeg(x))] == [("C3", "C4")]
    x = np.clip(X, -20, 20)
    assert pp.inspect(eeg(x))[0].problem.startswith("clipped")
    x = X.copy()
    x[..., 3] *= 100
    assert "20 times louder" in " ".join(map(str, pp.inspect(eeg(x))))
    y = X.copy()
    y[..., 2] = y[..., 1]
    with pytest.raises(ValueError, match="not sound: channels with the same values: C3, C4"):
        pp.require(eeg(y))
    from neuropil.recordings import Lazy

    y = X.copy()
    y[0, 7, 1] = np.nan
    lazy = eeg(Lazy(y.shape, float, lambda *b: y[b]))
    assert pp.inspect(lazy)[0][:2] == ("NaN or infinite", ("C3",))
    silent = Recording.from_spikes([0.1], ["a"], rate=10.0, stop=1.0, labels=["a", "b"])
    assert pp.inspect(silent)[0].where == ("b",)


def test_renamed_channels_are_found_and_missing_ones_are_not_made_up():
    rec = Recording.from_array(
        X, rate=100.0, unit="uV", labels=["EEG FP1-Ref", "Cz.", "T3", "weird"]
    )
    got = pp.match_channels(rec, ["T7", "Fp1", "Cz"])
    assert got.data.unit.values.tolist() == ["T7", "Fp1", "Cz"]
    np.testing.assert_array_equal(got.to_numpy(), X[..., [2, 0, 1]])
    assert "EEG FP1-Ref" in got.history[-1].settings
    assert pp.match_channels(rec, ["O1"], rename={"weird": "O1"}).shape[2] == 1
    with pytest.raises(
        ValueError, match=r"2 of 3 channels are missing: Pz, O2; the nearest to Pz are Cz"
    ):
        pp.match_channels(rec, ["Cz", "Pz", "O2"])
    twice = Recording.from_array(X, rate=1.0, unit="uV", labels=["cz", "CZ.", "a", "b"])
    with pytest.raises(ValueError, match=r"could be cz or CZ\.: say which"):
        pp.match_channels(twice, ["Cz"])
    picked = pp.pick(eeg(), "eeg")
    assert picked.shape == X.shape
    with pytest.raises(ValueError, match="No channel is of the kind 'mag'"):
        pp.pick(eeg(), "mag")


def test_spike_times_out_of_order_early_or_of_no_length():
    with pytest.raises(ValueError, match="not in order"):
        Recording.from_spikes([0.5, 0.2], [1, 1], rate=10.0)
    with pytest.raises(ValueError, match=r"first at -0\.2 s\) lie outside 0\..*: widen start"):
        Recording.from_spikes([-0.2, 0.2], [1, 1], rate=10.0)
    early = Recording.from_spikes([-0.2, 0.2], [1, 1], rate=10.0, start=-1.0)
    assert early.to_numpy().sum() == 2
    with pytest.raises(ValueError, match="Trial 1 is empty"):
        Recording.from_spikes([0.1], [1], rate=10.0, stop=[0.5, 0.0])


def test_two_clocks_are_aligned_or_refused():
    here = np.array([0.0, 10.0, 20.0, 30.0])
    clock = pp.align(here, 5 + here * (1 + 2e-4))
    assert clock.ppm == pytest.approx(200, abs=0.01)
    rec = Recording.from_spikes(
        [1.0, 2.0], [0, 0], rate=100.0, stop=30.0, events={"onset": [1.0], "label": ["x"]}
    )
    moved = clock.apply(rec)
    np.testing.assert_allclose(moved.spikes.times, 5 + np.array([1.0, 2.0]) * 1.0002)
    np.testing.assert_allclose(moved.events["onset"], [6.0002])
    assert moved.rate == pytest.approx(100 / 1.0002)
    jumped = 5 + here.copy()
    jumped[2:] += 0.5
    with pytest.raises(ValueError, match="ms from a straight clock"):
        pp.align(here, jumped)
    with pytest.raises(
        ValueError, match="4 pulses here and 3 there; the intervals part after pulse 0"
    ):
        pp.align(here, np.array([0.0, 20.0, 30.0]))
    with pytest.raises(ValueError, match="do not rise"):
        pp.align(here[::-1], here)


CUT = [
    "eeg-file-formats/test.edf",
    "eeg-file-formats/test.bdf",
    "eeg-eeglab-visual-attention/eeglab_data.set",
    "meg-neuromag-kit/test_ctf_comp_raw.fif",
    "hippocampus-linear-and-w-track/linear-track/spikes.mat",
    "hippocampus-linear-and-w-track/linear-track/session.npz",
    "lfp-hippocampus-motor/ca1.npy",
    "macaque-motor-reach-trials/trial_748_data.csv.gz",
    "fmri-roi-timeseries/fmri1.nii.gz",
]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs NEUROPIL_DATA")
@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_in_the_middle_is_refused_in_one_line(name, tmp_path):
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    pytest.importorskip("nibabel", reason="needs the extra neuropil[recordings]")
    source = DATA / name
    options = {"rate": 1250.0, "unit": "mV"} if name.endswith("npy") else {}
    target = tmp_path / source.name
    if source.suffix == ".set":  # the data lie beside it
        shutil.copy(source, target)
        source, cut = source.with_suffix(".fdt"), target.with_suffix(".fdt")
    else:
        cut = target
    whole = source.read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match=f"{target.stem.split('.')[0]}") as caught:
        read(target, **options).to_numpy()
    assert "\n" not in str(caught.value)
