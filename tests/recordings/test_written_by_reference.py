"""NWB and BIDS files written here by the formats' reference libraries, suite2p folders, and interop
both ways.
"""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from neuropil.recordings import read
from neuropil.recordings.napper import events_of, from_pynapple, intervals_of, to_pynapple
from neuropil.recordings.suite2p import dff

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session with sorted units, an LFP with a gain for each channel, ROI traces, a running speed, trials."""
    pytest.importorskip("pynwb", reason="needs the extra neuropil[recordings]")
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries
    from pynwb.file import Subject
    from pynwb.ophys import (
        DfOverF,
        Fluorescence,
        ImageSegmentation,
        OpticalChannel,
        RoiResponseSeries,
    )

    file = NWBFile("a test", "session-1", datetime(2024, 1, 2, tzinfo=UTC))
    file.subject = Subject(subject_id="mouse7", species="Mus musculus", sex="F", age="P90D")
    device = file.create_device("probe")
    group = file.create_electrode_group("shank", "a shank", "CA1", device)
    for i in range(4):
        file.add_electrode(
            x=10.0 * i, y=1.0, z=2.0, location="CA1", group=group, imp=1.0, filtering="none"
        )
    file.add_unit_column("quality", "how good")
    times = [np.sort(RNG.uniform(1, 9, n)) for n in (50, 80, 20)]
    for i, t in enumerate(times):
        file.add_unit(
            spike_times=t, electrodes=[i, i + 1], quality="good" if i else "noise", id=10 * i
        )
    file.add_trial_column("condition", "what was shown")
    for i, name in enumerate(("left", "right", "left")):
        file.add_trial(start_time=1.0 + 3 * i, stop_time=2.0 + 3 * i + 0.5 * i, condition=name)
    region = file.create_electrode_table_region([3, 1], "two of them")
    raw = RNG.integers(-1000, 1000, (2000, 2)).astype(np.int16)
    lfp = ElectricalSeries(
        "lfp",
        raw,
        region,
        rate=200.0,
        starting_time=0.5,
        conversion=1e-6,
        channel_conversion=[1.0, 2.0],
    )
    module = file.create_processing_module("ecephys", "fields")
    module.add(LFP(electrical_series=lfp))
    channel = OpticalChannel("green", "GCaMP", 520.0)
    plane = file.create_imaging_plane(
        "plane", channel, "a plane", device, 920.0, "GCaMP6f", "V1", imaging_rate=30.0
    )
    segmentation = ImageSegmentation()
    rois = segmentation.create_plane_segmentation("rois", plane, "PlaneSegmentation")
    for i in range(3):
        rois.add_roi(pixel_mask=[(i, 2 * i, 1.0), (i + 2, 2 * i, 1.0)])
    ophys = file.create_processing_module("ophys", "calcium")
    ophys.add(segmentation)
    table = rois.create_roi_table_region("all", region=[0, 1, 2])
    calcium = RNG.normal(size=(300, 3))
    frames = 1.0 + np.arange(300) / 30.0
    ophys.add(
        Fluorescence([RoiResponseSeries("raw", calcium + 10, "a.u.", table, timestamps=frames)])
    )
    ophys.add(DfOverF([RoiResponseSeries("dff", calcium, "dF/F", table, timestamps=frames)]))
    behaviour = file.create_processing_module("behavior", "behaviour")
    speed = TimeSeries("speed", RNG.normal(size=500), "cm/s", rate=50.0)
    where = SpatialSeries("where", RNG.normal(size=(500, 2)), "the corner", rate=50.0, unit="cm")
    behaviour.add([BehavioralTimeSeries(time_series=speed), Position(spatial_series=where)])
    path = tmp_path_factory.mktemp("nwb") / "session.nwb"
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path, times, raw, calcium


def test_nwb_units_keep_times_places_quality_and_trials(session):
    path, times, *_ = session
    rec = read(path, rate=100.0)
    assert (rec.unit, rec.data.unit.values.tolist()) == ("spikes", [0, 10, 20])
    assert rec.data.quality.values.tolist() == ["noise", "good", "good"]
    for i, t in enumerate(times):
        np.testing.assert_array_equal(rec.spikes.train(10 * i), t)
    np.testing.assert_array_equal(rec.to_numpy().sum((0, 1)), [50, 80, 20])
    np.testing.assert_allclose(rec.positions, [[5, 1, 2], [15, 1, 2], [25, 1, 2]])
    assert rec.events["label"].tolist() == ["left", "right", "left"]
    np.testing.assert_allclose(rec.events["duration"], [1.0, 1.5, 2.0])
    assert (rec.about["subject"], rec.about["session"]) == ("mouse7", "session-1")
    cut = read(path, rate=100.0, trials=True)
    assert cut.shape == (3, 200, 3)
    np.testing.assert_array_equal(cut.mask.sum("time"), [100, 150, 200])
    inside = sum(((t >= 4.0) & (t < 5.5)).sum() for t in times)
    assert cut.to_numpy(0)[1].sum() == inside
    assert cut.data.condition.values.tolist() == ["left", "right", "left"]


def test_nwb_series_come_in_si_units_with_their_clocks_and_places(session):
    path, _, raw, calcium = session
    lfp = read(path, of="lfp")
    assert (lfp.rate, lfp.unit, float(lfp.data.time[0])) == (200.0, "V", 0.5)
    assert lfp.data.unit.values.tolist() == [3, 1]
    np.testing.assert_allclose(lfp.to_numpy()[0], raw * 1e-6 * [1.0, 2.0])
    np.testing.assert_allclose(lfp.positions[:, 0], [30, 10])
    part = lfp.select(time=(1.0, 1.5), units=[1])
    np.testing.assert_allclose(part.to_numpy()[0, :, 0], raw[100:200, 1] * 2e-6)
    roi = read(path, of="dff")
    np.testing.assert_array_equal(roi.to_numpy()[0], calcium)
    assert (roi.unit, roi.rate, float(roi.data.time[0])) == ("dF/F", pytest.approx(30), 1.0)
    np.testing.assert_allclose(roi.positions, [[1, 0], [2, 2], [3, 4]])
    where = read(path, of="where")
    assert (where.data.unit.values.tolist(), where.unit, where.rate) == (["x", "y"], "cm", 50.0)
    assert read(path, of="speed").unit == "cm/s"
    with pytest.raises(ValueError, match="no 'nothing': choose among units, "):
        read(path, of="nothing")


def test_nwb_faults_are_said(session, tmp_path):
    from pynwb import NWBHDF5IO, NWBFile

    whole = session[0].read_bytes()
    (tmp_path / "cut.nwb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.nwb is not a sound NWB file") as caught:
        read(tmp_path / "cut.nwb")
    assert "\n" not in str(caught.value)

    def made(name, **trial):
        file = NWBFile("a", name, datetime(2024, 1, 2, tzinfo=UTC))
        file.add_unit(spike_times=[0.5, 0.2] if name == "unsorted" else [-0.2, 0.5])
        if trial:
            file.add_trial(**trial)
        with NWBHDF5IO(str(tmp_path / f"{name}.nwb"), "w") as io:
            io.write(file)
        return tmp_path / f"{name}.nwb"

    with pytest.raises(ValueError, match=r"unit 0 in unsorted\.nwb are not in order"):
        read(made("unsorted"))
    early = read(made("early"), rate=10.0)
    assert "0.2 s before the session's reference time" in early.about["before"]
    assert early.to_numpy().sum() == 2
    with pytest.raises(ValueError, match=r"Trial 0 \(0.1..0.1 s\) holds no sample"):
        read(made("empty", start_time=0.1, stop_time=0.1), rate=10.0, trials=True)
    with pytest.raises(ValueError, match=r"starts at 0\.4 s and stops at 0\.1 s"):
        read(made("backwards", start_time=0.4, stop_time=0.1))


def test_bids_written_by_mne_bids_comes_back_with_its_sidecars(tmp_path):
    mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    bids = pytest.importorskip("mne_bids", reason="needs the extra neuropil[recordings]")
    info = mne.create_info(["Fz", "C3", "C4", "Oz"], 100.0, "eeg")
    info.set_montage("spherical_1005")
    info["line_freq"] = 50.0
    data = 1e-5 * RNG.normal(size=(4, 500))
    for subject in ("01", "02"):
        raw = mne.io.RawArray(data, info, verbose="error")
        raw.set_annotations(mne.Annotations([1.0, 3.0], [0.5, 0.0], ["go", "stop"]))
        raw.info["bads"] = ["C4"]
        where = bids.BIDSPath(
            subject=subject, session="a", task="tap", root=tmp_path, datatype="eeg"
        )
        _write(mne, bids, raw, where)
    rec = read(tmp_path, subject="01")
    assert rec.shape == (1, 500, 4)
    assert rec.data.unit.values.tolist() == ["Fz", "C3", "C4", "Oz"]
    assert rec.data.bad.values.tolist() == [False, False, True, False]
    assert rec.events["label"].tolist() == ["go", "stop"]
    np.testing.assert_allclose(rec.events["onset"], [1.0, 3.0])
    assert (rec.about["task"], rec.data.subject.values[0]) == ("tap", "01")
    np.testing.assert_allclose(rec.to_numpy()[0], data.T, atol=1e-9)
    assert np.isfinite(rec.positions).all()
    name = next(tmp_path.rglob("sub-02*_eeg.edf"))
    assert read(name).about["subject"] == "02"
    with pytest.raises(ValueError, match=r"2 recordings of .* fit"):
        read(tmp_path)
    with pytest.raises(ValueError, match="'colour' is no entity"):
        read(tmp_path, colour="red")
    with pytest.raises(ValueError, match="neither a suite2p folder"):
        read(tmp_path / "sub-01")


def _write(mne, bids, raw, where):
    """mne-bids copies files from disk, so the recording is written as EDF first."""
    pytest.importorskip("edfio", reason="writing EDF needs edfio (extra test)")
    path = where.root / "source.edf"
    mne.export.export_raw(path, raw, verbose="error", overwrite=True)
    again = mne.io.read_raw_edf(path, verbose="error")
    again.set_montage(raw.get_montage())
    again.info["line_freq"] = 50.0
    again.info["bads"] = raw.info["bads"]
    again.set_annotations(raw.annotations)
    bids.write_raw_bids(again, where, verbose="error", overwrite=True)
    path.unlink()


def test_suite2p_folder(tmp_path):
    plane = tmp_path / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    traces = 100 + RNG.uniform(0, 5, (4, 600)).astype(np.float32)
    np.save(plane / "F.npy", traces)
    np.save(plane / "Fneu.npy", 0.1 * traces)
    np.save(plane / "spks.npy", traces - 100)
    np.save(plane / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.8], [1, 0.7]]))
    rec = read(tmp_path / "suite2p", rate=30.0)
    assert (rec.shape, rec.unit) == ((1, 600, 3), "fluorescence")
    assert rec.data.unit.values.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(rec.to_numpy()[0], traces[[0, 2, 3]].T)
    np.testing.assert_allclose(rec.data.probability, [0.9, 0.8, 0.7])
    assert read(tmp_path / "suite2p", of="spks", rate=30.0, cells=False).shape == (1, 600, 4)
    ratio = read(tmp_path / "suite2p", of="dff", rate=30.0, window=5.0)
    assert ratio.unit == "dF/F"
    np.testing.assert_allclose(
        ratio.to_numpy()[0, :, 0],
        dff((0.93 * traces[:1]).T.astype(float), 30.0, 5.0)[:, 0],
        atol=1e-6,
    )
    flat = np.full((100, 1), 4.0)
    flat[50] = 6.0
    np.testing.assert_allclose(dff(flat, 10.0)[[0, 50], 0], [0, 0.5])
    with pytest.raises(ValueError, match="baseline of unit 0 falls to -1"):
        dff(-np.ones((50, 1)), 10.0)
    with pytest.raises(ValueError, match="give rate="):
        read(tmp_path / "suite2p")
    np.save(plane / "spks.npy", traces[:, :100])
    with pytest.raises(ValueError, match="one of them is cut short"):
        read(tmp_path / "suite2p", of="spks", rate=30.0)


def test_pynapple_both_ways_loses_nothing():
    nap = pytest.importorskip("pynapple", reason="needs the extra neuropil[spikes]")
    support = nap.IntervalSet([0.0, 5.0], [3.0, 9.0])
    group = nap.TsGroup(
        {3: nap.Ts(np.array([0.1, 0.1, 1.0, 7.123456789])), 8: nap.Ts(np.array([2.0, 8.0]))},
        time_support=support,
        metadata={"area": ["x", "y"]},
    )
    rec = from_pynapple(group, rate=10.0)
    assert rec.mask.sum() == 70  # 3 to 5 s were not recorded
    back = to_pynapple(rec)
    assert list(back.index) == [3, 8]
    for unit in (3, 8):
        np.testing.assert_array_equal(back[unit].t, group[unit].t)
    np.testing.assert_array_equal(back.time_support.values, support.values)
    assert back["area"].tolist() == ["x", "y"]
    t = np.array([0.0, 0.1, 0.2, 5.3])
    frame = nap.TsdFrame(
        t,
        RNG.normal(size=(4, 2)),
        columns=["a", "b"],
        time_support=support,
        metadata={"depth": [1, 2]},
    )
    again = to_pynapple(from_pynapple(frame, unit="uV"))
    np.testing.assert_array_equal(again.values, frame.values)
    np.testing.assert_array_equal(again.t, t)
    np.testing.assert_array_equal(again.time_support.values, support.values)
    assert (list(again.columns), again["depth"].tolist()) == (["a", "b"], [1, 2])
    single = nap.Tsd(t, np.arange(4.0), time_support=support)
    assert isinstance(to_pynapple(from_pynapple(single)), nap.Tsd)
    states = nap.IntervalSet(
        [0.1, 0.7], [0.4, 0.9], metadata={"label": ["sws", "rem"], "score": [1.0, 2.0]}
    )
    rec = from_pynapple(group, events=states)
    back = intervals_of(rec)
    np.testing.assert_array_equal(back.values, states.values)
    assert back["score"].tolist() == [1.0, 2.0]
    assert events_of(states)["label"].tolist() == ["sws", "rem"]
    with pytest.raises(TypeError, match="not a list"):
        from_pynapple([1, 2])
    counts = rec.bin(0.1)
    assert len(to_pynapple(counts)[3]) == 4  # exact times go along
    from neuropil.recordings import Recording

    plain = Recording.from_array(np.ones((1, 5, 1), int), rate=10.0, unit="spikes")
    with pytest.raises(ValueError, match="would invent times"):
        to_pynapple(plain)


def test_mne_both_ways_loses_nothing():
    mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    from neuropil.recordings.mnelib import from_epochs, from_raw, to_epochs, to_raw

    info = mne.create_info(["Fz", "C3", "C4", "STI"], 100.0, ["eeg", "eeg", "eeg", "stim"])
    info.set_montage("spherical_1005", on_missing="ignore")
    raw = mne.io.RawArray(1e-5 * RNG.normal(size=(4, 900)), info, first_samp=250, verbose="error")
    raw.set_meas_date(datetime(2020, 5, 6, tzinfo=UTC))
    raw.info["bads"] = ["C4"]
    notes = mne.Annotations(
        [3.5, 5.25], [0.5, 0.0], ["go", "BAD_x"], raw.info["meas_date"], [(), ("C3",)]
    )
    raw.set_annotations(notes)
    rec = from_raw(raw)
    back = to_raw(rec)
    np.testing.assert_array_equal(back.get_data(), raw.get_data())
    assert mne.utils.object_diff(dict(raw.info), dict(back.info)) == ""
    assert (back.annotations == raw.annotations, back.first_samp) == (True, 250)
    np.testing.assert_allclose(rec.events["onset"], [1.0, 2.75])
    some = to_raw(rec.select(units=["C4", "Fz"], time=(1.0, 2.0)))
    assert (some.ch_names, some.info["bads"]) == (["C4", "Fz"], ["C4"])
    events = np.stack([np.arange(300, 1000, 100), np.zeros(7, int), np.tile([1, 2], 4)[:7]], 1)
    meta = pd.DataFrame({"score": np.arange(7.0), "word": list("abcdefg")})
    epochs = mne.Epochs(
        raw, events, {"a": 1, "b": 2}, -0.1, 0.3, baseline=(None, 0), metadata=meta,
        preload=True, reject={"eeg": 5e-5}, verbose="error", reject_by_annotation=False,
    )  # fmt: skip
    rec = from_epochs(epochs)
    again = to_epochs(rec)
    np.testing.assert_array_equal(again.get_data(), epochs.get_data())
    np.testing.assert_array_equal(again.events, epochs.events)
    assert mne.utils.object_diff(dict(epochs.info), dict(again.info)) == ""
    assert (again.event_id, again.drop_log, again.baseline) == (
        epochs.event_id,
        epochs.drop_log,
        epochs.baseline,
    )
    pd.testing.assert_frame_equal(again.metadata, epochs.metadata)
    np.testing.assert_allclose(again.times, epochs.times)
    few = to_epochs(rec.select(trials=[0, 2]))
    np.testing.assert_array_equal(few.events, epochs.events[[0, 2]])
    assert json.loads(rec.about["mne_event_id"]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="use to_epochs"):
        to_raw(rec)
