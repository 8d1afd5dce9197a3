"""Spike trials in the HDF5 form of SHD: made-up files with known spikes."""

import numpy as np
import pytest

from neuropil.recordings import read
from neuropil.recordings.events import open_trials
from neuropil.worlds import datasets

h5py = pytest.importorskip("h5py", reason="needs the extra neuropil[events]")

TIMES = [[0.005, 0.0125, 0.3], [0.02], [], [0.0, 0.0, 0.0101]]
UNITS = [[0, 699, 5], [7], [], [4, 3, 4]]
LABELS = [1, 0, 1, 0]


def write(path, times=TIMES, units=UNITS, labels=LABELS, words=(b"null", b"eins")):
    with h5py.File(path, "w") as f:
        for name, rows, dtype in (("times", times, "f2"), ("units", units, "u2")):
            kind = h5py.vlen_dtype(np.dtype(dtype))
            data = f.create_dataset(f"spikes/{name}", (len(rows),), dtype=kind)
            for i, row in enumerate(rows):
                data[i] = np.asarray(row, dtype)
        f["labels"] = np.asarray(labels, "u2")
        f["extra/keys"] = np.asarray(words, "S10")
        f["extra/speaker"] = np.arange(len(labels), dtype="u2")
    return path


def test_trials_counts_and_recording_by_hand(tmp_path):
    trials = open_trials(write(tmp_path / "a.h5"))
    assert (len(trials), trials.words, trials.labels.tolist()) == (4, ("null", "eins"), LABELS)
    first = trials.trial(0)
    assert first.x.tolist() == [0, 699, 5]
    np.testing.assert_allclose(first.t, [5000, 12500, 300000], rtol=5e-4)  # half precision
    assert (first.size, bool(first.polarity.all()), len(trials.trial(2))) == ((700, 1), True, 0)
    counts = trials.counts(10.0, 5, pool=5)
    assert (counts.shape, counts.dtype) == ((4, 5, 140), np.uint8)
    want = np.zeros((4, 5, 140))
    want[0, 0, 0] = want[0, 1, 139] = 1  # 0.3 s lies beyond the five bins
    want[1, 2, 1] = 1
    want[3, 0, 0], want[3, 1, 0] = 2, 1
    np.testing.assert_array_equal(counts, want)
    np.testing.assert_array_equal(trials.counts(10.0, 5, pool=5, trials=[3, 0]), want[[3, 0]])
    rec = read(tmp_path / "a.h5", rate=100)
    assert rec.shape == (4, 31, 700)
    assert rec.data["label"].values.tolist() == LABELS
    assert rec.select(trials=[0], units=[5]).to_numpy()[0, :, 0].nonzero()[0].tolist() == [30]
    assert rec.to_numpy().sum() == 7


def test_bad_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(write(tmp_path / "b.h5").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"a\.h5 is not a sound HDF5 file"):
        open_trials(path)
    with h5py.File(path, "w") as f:
        f["labels"] = [1]
    with pytest.raises(ValueError, match="no spikes/times and no spikes/units"):
        open_trials(path)
    for change, says in (
        ({"labels": [1, 0, 1]}, "one of each a trial"),
        ({"labels": [1, 0, 1, 2]}, "labels 0..2 but 2 words"),
    ):
        with pytest.raises(ValueError, match=says):
            open_trials(write(path, **change))
    for change, says in (
        ({"units": [[0, 700, 5], *UNITS[1:]]}, "units 0..700, but there are 700"),
        ({"times": [[0.1, np.nan, 0.3], *TIMES[1:]]}, "negative or no number"),
        ({"times": [[0.1, 0.3], *TIMES[1:]]}, "2 times but 3 units"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            open_trials(write(path, **change)).counts()
        assert "\n" not in str(caught.value)
    trials = open_trials(write(path))
    with pytest.raises(ValueError, match="pool = 3 does not divide"):
        trials.counts(pool=3)
    with pytest.raises(ValueError, match="must be positive"):
        trials.counts(dt=0)
    with pytest.raises(IndexError, match="no trial 4"):
        trials.trial(4)
    with pytest.raises(FileNotFoundError):
        open_trials(tmp_path / "none.h5")


def test_the_data_sets_are_put_there_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROPIL_DATA", str(tmp_path))
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"put it under NEUROPIL_DATA as shd/shd_train\.h5"):
        datasets.load("shd")
    for name, parts in (("shd", ("train", "test")), ("ssc", ("train", "valid", "test"))):
        (tmp_path / name).mkdir()
        for part in parts:
            write(tmp_path / name / f"{name}_{part}.h5")
        data = datasets.load(name)
        assert datasets.available(name)
        assert (data.words, len(data.test)) == (("null", "eins"), 4)
        assert (data.valid is None) == (name == "shd")
        assert len(datasets.checksums(name)) == len(parts)
        assert all(c.ok for c in datasets.verify(name).values())
    write(tmp_path / "shd" / "shd_test.h5", words=(b"zero", b"one"))
    with pytest.raises(ValueError, match="other words"):
        datasets.load("shd")
