"""Every file of these kinds in NEUROPIL_DATA: units of measure, rates, names, positions, events as
its README says.
"""

import functools
import os
from pathlib import Path

import numpy as np
import pytest

from neuropil.recordings import read

DATA = Path(os.environ.get("NEUROPIL_DATA", "nowhere"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs NEUROPIL_DATA")

EEG = "eeg-file-formats"
CASES = "case-studies-spikes-lfp-eeg"
HIPPO = "hippocampus-linear-and-w-track"


@functools.cache
def average():
    return read(DATA / "meg-neuromag-kit/test-ave.fif.gz")


def part(rec, seconds=0.2):
    start = float(rec.data.time[0])
    return rec.select(time=(start, start + seconds)).to_numpy(0)


@pytest.mark.parametrize(
    ("name", "options", "shape", "rate", "unit", "first"),
    [
        (f"{EEG}/test.edf", {}, (1, 3072, 139), 512, "V", "A1"),
        (f"{EEG}/test.bdf", {}, (1, 2048, 73), 2048, "V", None),
        (f"{EEG}/test.vhdr", {}, (1, 7900, 32), 1000, "V", "FP1"),
        ("eeg-eeglab-visual-attention/eeglab_data.set", {}, (1, 30504, 32), 128, "V", None),
        ("meg-neuromag-kit/test.sqd", {}, (1, 2000, 193), 1000, "T", None),
        ("meg-neuromag-kit/test_ctf_comp_raw.fif", {}, (1, 241, 340), 480, "T", None),
        ("meg-neuromag-kit/test-ave.fif.gz", {}, (4, 421, 376), 600.615, "mixed", "MEG 0113"),
        (
            "eeg-muse-p300-ssvep-n170/p300_subject1_session1.npz",
            {},
            (6, 30732, 5),
            256,
            "uV",
            "TP9",
        ),
        ("eeg-motor-imagery-openbci/S02_FILT_S1R0.mat", {}, (1, 15520, 15), 128, "uV", "Pz"),
        (
            "celegans-whole-brain-calcium/worm_2022-08-02-01.npz",
            {},
            (1, 1600, 98),
            1.6666,
            "z",
            None,
        ),
        ("grasshopper-auditory-spikes/grasshopper_2.npz", {}, (1, 10000, 1), 1000, "spikes", 0),
        (
            "grasshopper-auditory-spikes/grasshopper_1.npz",
            {"of": "stimulus"},
            (1, 200000, 1),
            20000,
            "envelope",
            "sound",
        ),
        (f"{HIPPO}/linear-track/session.npz", {}, (1, 198247, 31), 100, "spikes", 0),
        (f"{HIPPO}/linear-track/session.npz", {"of": "position"}, (1, 118964, 2), 60, "px", "x"),
        (f"{HIPPO}/linear-track/spikes.mat", {}, (1, 196828, 31), 100, "spikes", 0),
        (
            "macaque-motor-reach-trials/trial_748_data.csv.gz",
            {},
            (1, 3236, 182),
            1000,
            "spikes",
            None,
        ),
        (
            "macaque-motor-reach-trials/trial_1356_data.csv.gz",
            {"like": "hand_vel", "unit": "mm/s"},
            (1, 3566, 2),
            1000,
            "mm/s",
            "hand_vel_x",
        ),
        ("macaque-it-7objects/it_7objects_spikes.npz", {}, (420, 100, 132), 100, "spikes", 0),
        (f"{CASES}/spikes-1.mat", {}, (1, 177761, 1), 1000, "spikes", 0),
        (f"{CASES}/spikes-1.mat", {"of": "position"}, (1, 177761, 1), 1000, "cm", "x"),
        (f"{CASES}/08_spikes-1.mat", {}, (2, 30000, 1), 1000, "spikes", 0),
        (f"{CASES}/10_spikes-1.mat", {}, (50, 2000, 1), 1000, "spikes", 0),
        (f"{CASES}/spikes-LFP-1.mat", {"of": "field"}, (100, 1000, 1), 1000, "mV", 0),
        (f"{CASES}/EEG-1.mat", {"data": "EEG", "unit": "uV"}, (10, 1000, 1), 1000, "uV", 0),
        (f"{CASES}/03_EEG-1.mat", {"data": "EEG", "unit": "uV"}, (1, 2000, 1), 1000, "uV", 0),
        (f"{CASES}/ECoG-1.mat", {"data": "E2", "unit": "mV"}, (100, 500, 1), 500, "mV", 0),
        (f"{CASES}/LFP-3.mat", {"data": "LFP", "unit": "mV"}, (1, 10000, 1), 1000, "mV", 0),
        (
            "lfp-hippocampus-motor/ca1.npy",
            {"rate": 1250, "unit": "mV"},
            (1, 75000, 1),
            1250,
            "mV",
            0,
        ),
        ("fmri-roi-timeseries/fmri1.nii.gz", {}, (1, 40, 1800), 1 / 1.35, "BOLD", "0,0,0"),
        ("fmri-haxby2001-mini/single_slice/bold.nii.gz", {}, (1, 1452, 800), 0.4, "BOLD", "0,0,0"),
        (
            "hcp-whole-brain-sc-bold/hcp/102816/TC_rsfMRI_REST1_LR.mat",
            {"data": "tc", "axes": ("unit", "time"), "rate": 1 / 0.72, "unit": "BOLD"},
            (1, 1200, 94),
            1 / 0.72,
            "BOLD",
            0,
        ),
        ("event-camera-samples/sample_stmnist.mat", {}, (1, 897, 200), 1000, "spikes", "0off"),
    ],
)
def test_every_file_gives_its_shape_rate_unit_and_names(name, options, shape, rate, unit, first):
    if name.startswith((EEG, "eeg-eeglab", "meg-")):
        pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    if ".nii" in name:
        pytest.importorskip("nibabel", reason="needs the extra neuropil[recordings]")
    rec = average() if "-ave." in name else read(DATA / name, **options)
    assert rec.shape == shape
    assert rec.rate == pytest.approx(rate, rel=1e-3)
    assert rec.unit == unit
    if first is not None:
        assert rec.data.unit.values[0] == first
    assert np.isfinite(part(rec)).all()


def test_the_clock_of_the_openbci_file_wins_over_what_it_states_and_says_so():
    rec = read(DATA / "eeg-motor-imagery-openbci/S02_FILT_S1R0.mat")
    assert "states 125 Hz, its clock steps at 128 Hz" in rec.about["rate"]
    counts = rec.events["label"].value_counts()
    assert (counts["right"], counts["rest"], counts["trial"]) == (5, 5, 10)
    assert (rec.data.kind.values == "eeg").all()


def test_runs_of_the_muse_are_trials_with_named_events():
    rec = read(DATA / "eeg-muse-p300-ssvep-n170/ssvep_subject1_session1.npz")
    assert rec.events["label"].value_counts().to_dict() == {"20 Hz": 107, "30 Hz": 90}
    assert rec.data.run.values.tolist() == list(range(6))
    assert rec.mask is not None  # the runs are of unlike length
    native = DATA / "eeg-muse-p300-ssvep-n170/native_ssvep_data_2017-09-14-21.20.04.csv.gz"
    with pytest.raises(ValueError, match="stand still or run back 123 times"):
        read(native)
    counted = read(native, rate=256.0, unit="uV")
    assert "the stamps say" in counted.about["clock"]
    assert set(counted.events["label"]) == {"1", "2"}
    assert counted.shape[2] == 5


def test_spike_counts_are_those_of_the_readmes():
    rec = read(DATA / f"{HIPPO}/linear-track/session.npz", rate=10.0)
    assert rec.to_numpy().sum() == 28_829
    assert len(rec.spikes.times) == 28_829
    assert set(rec.data.tetrode.values) <= set(range(40))
    cells = read(DATA / "macaque-it-7objects/it_7objects_spikes.npz", rate=10.0)
    assert cells.to_numpy(0).sum() == 603_003
    assert cells.mask.sum() == 55_433
    hopper = read(DATA / "grasshopper-auditory-spikes/grasshopper_1.npz")
    assert hopper.to_numpy().sum() == 929
    reach = read(DATA / "macaque-motor-reach-trials/trial_748_data.csv.gz")
    assert reach.to_numpy().mean() * 1000 == pytest.approx(2.8, abs=0.05)


def test_positions_kinds_and_events_of_eeg_and_meg():
    pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    lab = read(DATA / "eeg-eeglab-visual-attention/eeglab_data.set")
    assert lab.events["label"].value_counts().to_dict() == {"square": 80, "rt": 74}
    assert lab.positions.shape == (32, 3)
    assert (
        0.05 < np.linalg.norm(lab.positions, axis=1).min() < 0.15
    )  # metres from the head's origin
    mean = average()
    kinds, counts = np.unique(mean.data.kind.values, return_counts=True)
    assert dict(zip(kinds, counts, strict=True)) == {
        "eeg": 60,
        "eog": 1,
        "grad": 204,
        "mag": 102,
        "stim": 9,
    }
    assert mean.data.nave.values.tolist() == [3, 6, 6, 6]
    assert mean.data.measure.values[mean.data.kind.values == "grad"][0] == "T/m"
    normal = np.stack([mean.data[f"normal_{c}"].values for c in "xyz"], 1)
    meg = np.isin(mean.data.kind.values, ("mag", "grad"))
    np.testing.assert_allclose(np.linalg.norm(normal[meg], axis=1), 1, atol=1e-3)
    vision = read(DATA / f"{EEG}/test.vhdr")
    assert len(vision.events) == 13


def test_voxels_lie_in_millimetres_and_a_mask_keeps_its_own():
    pytest.importorskip("nibabel", reason="needs the extra neuropil[recordings]")
    folder = DATA / "fmri-haxby2001-mini/sub001"
    bold = folder / "BOLD/task001_run001/bold_25mm.nii.gz"
    whole = read(bold)
    assert (whole.shape, whole.rate, whole.positions_unit) == ((1, 121, 600), 0.4, "mm")
    steps = np.diff(whole.positions[:2], axis=0)[0]
    assert np.abs(steps).max() == pytest.approx(25, abs=0.1)
    brain = read(bold, mask=folder / "masks/25mm/brain.nii.gz")
    assert brain.shape == (1, 121, 129)
    i = whole.data.unit.values.tolist().index(brain.data.unit.values[7])
    np.testing.assert_array_equal(brain.to_numpy()[..., 7], whole.to_numpy()[..., i])
