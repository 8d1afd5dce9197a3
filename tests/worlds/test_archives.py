"""Archives that cannot be reached from here: each reader on a small file of exactly its format, each fetch
refused until it is agreed to."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from neuropil.recordings import may_fit
from neuropil.worlds import archives

RNG = np.random.default_rng(0)


def test_every_card_says_licence_citation_and_how_it_comes():
    for name in archives.names():
        card = archives.info(name)
        assert all((card.title, card.licence, card.citation, card.homepage, card.note))
        assert card.library or "archives/" in card.note
    with pytest.raises(KeyError, match="did you mean mc_maze"):
        archives.info("mc_mase")


class Asset:
    def __init__(self, path, content, sent=None):
        self.path, self.size, self.content = path, len(content), content if sent is None else sent

    def download(self, path):
        path.write_bytes(self.content)


def client(assets):
    dandiset = SimpleNamespace(
        get_assets_by_glob=lambda pattern: iter(assets),
        get_raw_metadata=lambda: {"license": ["spdx:CC-BY-4.0"]},
    )
    return SimpleNamespace(get_dandiset=lambda number: dandiset)


def test_dandi_is_asked_once_told_the_price_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path))
    monkeypatch.delenv("NEUROPIL_DATA", raising=False)
    files = [Asset("sub-J/a.nwb", b"x" * 1000), Asset("sub-J/b.nwb", b"y" * 500)]
    with pytest.raises(PermissionError, match=r"2 files, 0\.00 GB, licence CC-BY-4\.0.*agree=True"):
        archives.fetch("mc_maze_small", client=client(files))
    assert not list(tmp_path.rglob("*.nwb"))
    paths = archives.fetch("mc_maze_small", client=client(files), agree=True)
    assert [p.read_bytes()[:1] for p in paths] == [b"x", b"y"]
    files[0].content = b"z"  # it is here: not fetched again
    assert archives.fetch("mc_maze_small", client=client(files), agree=True) == paths
    assert archives.local("mc_maze_small", "**/*.nwb") == paths
    short = [Asset("sub-J/c.nwb", b"x" * 10, sent=b"x" * 7)]
    with pytest.raises(ValueError, match="came with 7 bytes instead of 10"):
        archives.fetch("mc_maze_small", client=client(short), agree=True)
    assert not list(tmp_path.rglob("c.nwb*"))
    with pytest.raises(ConnectionError, match="DANDI does not answer"):
        archives.fetch("mc_maze", client=SimpleNamespace(get_dandiset=None), agree=True)
    with pytest.raises(ValueError, match=r"is fetched by hand: see https://algonauts"):
        archives.fetch("algonauts2023")
    with pytest.raises(FileNotFoundError, match="is not on this machine"):
        archives.local("mc_rtt")


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    """A file of the Neural Latents Benchmark: held-out units, observed intervals, splits of the trials."""
    pynwb = pytest.importorskip("pynwb", reason="needs the extra neuropil[recordings]")
    file = pynwb.NWBFile("maze", "nlb", datetime(2021, 9, 1, tzinfo=UTC))
    file.add_unit_column("heldout", "whether it is to be predicted")
    spikes = [np.sort(RNG.uniform(0, 12, 300)) for _ in range(4)]
    for i, t in enumerate(spikes):
        file.add_unit(spike_times=t, obs_intervals=[[0.0, 12.0]], heldout=i == 3)
    for name in ("move_onset_time", "split", "trial_type"):
        file.add_trial_column(name, name)
    for i in range(5):
        part = ["train", "train", "val", "test", "train"][i]
        onset = np.nan if i == 4 else 1.0 + 2 * i
        file.add_trial(
            start_time=2.0 * i,
            stop_time=2.0 * i + 1.9,
            move_onset_time=onset,
            split=part,
            trial_type=i,
        )
    behaviour = file.create_processing_module("behavior", "hand")
    velocity = RNG.normal(size=(12000, 2))
    behaviour.add(pynwb.TimeSeries("hand_vel", velocity, "mm/s", rate=1000.0))
    path = tmp_path_factory.mktemp("nlb") / "sub-J_train.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path, spikes


def test_the_benchmark_is_cut_and_split_as_it_says(maze):
    path, spikes = maze
    train = archives.load_nlb(path, "mc_maze")
    assert (train.shape, train.rate) == ((2, 140, 4), 200.0)
    assert train.data.heldout.values.tolist() == [False, False, False, True]
    for trial, onset in enumerate((1.0, 3.0)):
        for unit in range(4):
            want, _ = np.histogram(spikes[unit], 140, (onset - 0.25, onset + 0.45))
            got = train.to_numpy(0)[trial, :, unit]
            assert np.abs(got - want).sum() <= 2  # spikes on an edge may round either way
    test = archives.load_nlb(path, "mc_maze", part="test", forward=True)
    assert test.shape == (1, 180, 4)
    with pytest.raises(ValueError, match="This is a leak"):
        may_fit(test)
    assert may_fit(train)
    assert archives.load_nlb(path, "mc_maze", part="val").split.part == "valid"
    with pytest.raises(ValueError, match="no column 'go_time'"):
        archives.load_nlb(path, "dmfc_rsg")
    with pytest.raises(ValueError, match="no trial of the part 'all'"):
        archives.load_nlb(path, "mc_maze", part="all")


def test_a_submission_holds_what_the_benchmark_reads(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs the extra neuropil[events]")
    shapes = [
        (75, 140, 107),
        (75, 140, 35),
        (25, 140, 107),
        (25, 140, 35),
        (25, 40, 107),
        (25, 40, 35),
    ]
    rates = {k: RNG.uniform(0.001, 0.1, s) for k, s in zip(archives.TENSORS, shapes, strict=True)}
    path = archives.submission(tmp_path / "mine.h5", {"mc_maze_small": rates})
    with h5py.File(path) as file:
        assert list(file) == ["mc_maze_small"]
        for key, shape in zip(archives.TENSORS, shapes, strict=True):
            assert (file["mc_maze_small"][key].shape, file["mc_maze_small"][key].dtype) == (
                shape,
                np.float32,
            )
            np.testing.assert_allclose(file["mc_maze_small"][key], rates[key], rtol=1e-6)
    coarse = {k: v[:, ::4] for k, v in rates.items()}
    with h5py.File(
        archives.submission(tmp_path / "b.h5", {"mc_maze_small": coarse}, bin_ms=20)
    ) as file:
        assert list(file) == ["mc_maze_small_20"]

    def refused(says, **change):
        bad = {k: v for k, v in (rates | change).items() if v is not None}
        with pytest.raises(ValueError, match=says):
            archives.submission(tmp_path / "bad.h5", {"mc_maze_small": bad})
        assert not (tmp_path / "bad.h5").exists()

    refused("'eval_rates_heldout', which is missing", eval_rates_heldout=None)
    refused("no tensor 'rates'", rates=rates["eval_rates_heldin"])
    refused(
        "give \\(trial, 140 bins of 5 ms", train_rates_heldin=rates["train_rates_heldin"][:, :100]
    )
    refused("negative or no number", eval_rates_heldout=-rates["eval_rates_heldout"])
    refused(
        "The heldout tensors of mc_maze_small have",
        eval_rates_heldout=rates["eval_rates_heldout"][..., :3],
    )
    silent = rates["eval_rates_heldout"].copy()
    silent[..., 2] = 0
    refused("a unit whose rate is always 0", eval_rates_heldout=silent)


def test_moabb_sets_become_epochs_of_every_session_and_run():
    """The form of `BaseDataset.get_data`: {subject: {session: {run: Raw}}}, events by annotation or channel."""
    mne = pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")

    def raw(annotated):
        kinds = ["eeg"] * 3 + ([] if annotated else ["stim"])
        info = mne.create_info(["C3", "Cz", "C4"] + ([] if annotated else ["stim"]), 100.0, kinds)
        data = np.zeros((len(kinds), 2000))
        data[:3] = 2e-5 * RNG.normal(size=(3, 2000))
        if not annotated:
            data[3, [200, 800]] = [1, 2]
        out = mne.io.RawArray(data, info, verbose="error")
        if annotated:
            out.set_annotations(mne.Annotations([2.0, 8.0, 9.0], 1.0, ["left", "right", "other"]))
        return out

    runs = {"0": {"0": raw(True), "1": raw(False)}, "1": {"0": raw(True)}}
    dataset = SimpleNamespace(
        subject_list=[1, 2],
        event_id={"left": 1, "right": 2},
        interval=[0, 3],
        get_data=lambda subjects: {s: runs for s in subjects},
    )
    (one,) = archives.moabb_recordings(dataset, [2])
    assert (one.shape, one.unit, one.rate) == ((6, 300, 3), "uV", 100.0)
    assert one.data.label.values.tolist() == ["left", "right"] * 3
    assert one.data.session.values.tolist() == ["0"] * 4 + ["1"] * 2
    first = runs["0"]["0"].get_data(picks="eeg")[:, 200:500].T * 1e6
    np.testing.assert_allclose(one.to_numpy()[0], first)
    with pytest.raises(ValueError, match="has no subject 9"):
        archives.moabb_recordings(dataset, [9])


def test_allens_two_photon_sessions(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs the extra neuropil[events]")
    traces, time = RNG.normal(size=(3, 200)), 5 + np.arange(200) / 30
    path = tmp_path / "501.nwb"
    with h5py.File(path, "w") as f:
        p = f.create_group("processing/brain_observatory_pipeline")
        for group in ("DfOverF", "Fluorescence"):
            p[f"{group}/imaging_plane_1/data"] = traces
            p[f"{group}/imaging_plane_1/timestamps"] = time
        p["ImageSegmentation/cell_specimen_ids"] = [11, 12, 13]
        plane = p.create_group("ImageSegmentation/imaging_plane_1")
        plane["roi_list"] = np.array([b"roi_0", b"roi_1", b"roi_2"])
        for i in range(3):
            plane[f"roi_{i}/pix_mask"] = [[i, 1], [i + 2, 3]]
        s = f.create_group("stimulus/presentation")
        s["natural_scenes_stimulus/data"] = [4, 7]
        s["natural_scenes_stimulus/frame_duration"] = [[30, 37], [60, 67]]
        s["drifting_gratings_stimulus/data"] = [[2.0, 90.0]]
        s["drifting_gratings_stimulus/features"] = np.array([b"temporal_frequency", b"orientation"])
        s["drifting_gratings_stimulus/frame_duration"] = [[90, 150]]
    rec = archives.open_allen_2p(path)
    assert (rec.shape, rec.unit, rec.rate) == ((1, 200, 3), "dF/F", pytest.approx(30))
    np.testing.assert_array_equal(rec.to_numpy()[0], traces.T)
    assert rec.data.unit.values.tolist() == [11, 12, 13]
    np.testing.assert_allclose(rec.positions, [[1, 2], [2, 2], [3, 2]])
    scenes = rec.events[rec.events["label"] == "natural_scenes"]
    assert scenes["frame"].tolist() == [4, 7]
    np.testing.assert_allclose(scenes["onset"], time[[30, 60]])
    assert rec.events[rec.events["label"] == "drifting_gratings"]["orientation"].tolist() == [90.0]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"501\.nwb is not a session of Allen's Visual Coding"):
        archives.open_allen_2p(path)


def test_algonauts_folder(tmp_path):
    folder = tmp_path / "subj01"
    for sub in ("training_split/training_fmri", "training_split/training_images", "roi_masks"):
        (folder / sub).mkdir(parents=True)
    lh, rh = RNG.normal(size=(3, 5)).astype(np.float32), RNG.normal(size=(3, 4)).astype(np.float32)
    np.save(folder / "training_split/training_fmri/lh_training_fmri.npy", lh)
    np.save(folder / "training_split/training_fmri/rh_training_fmri.npy", rh)
    for i, nsd in enumerate((13, 27, 28), 1):
        (folder / f"training_split/training_images/train-{i:04d}_nsd-{nsd:05d}.png").touch()
    np.save(folder / "roi_masks/lh.prf-visualrois_challenge_space.npy", np.array([1, 2, 0, 1, 7]))
    np.save(folder / "roi_masks/rh.prf-visualrois_challenge_space.npy", np.array([0, 0, 1, 0]))
    rec = archives.open_algonauts(folder)
    assert (rec.shape, rec.data.nsd.values.tolist()) == ((3, 1, 9), [13, 27, 28])
    np.testing.assert_array_equal(rec.to_numpy()[:, 0], np.concatenate([lh, rh], 1))
    v1 = archives.open_algonauts(folder, roi="V1v")
    assert v1.data.unit.values.tolist() == ["lh.0", "lh.3", "rh.2"]
    np.testing.assert_array_equal(v1.to_numpy()[:, 0, 2], rh[:, 2])
    with pytest.raises(ValueError, match="no region 'V9'"):
        archives.open_algonauts(folder, roi="V9")
    with pytest.raises(ValueError, match="no vertex in V3v"):
        archives.open_algonauts(folder, roi="V3v")
    np.save(folder / "training_split/training_fmri/rh_training_fmri.npy", rh[:2])
    with pytest.raises(ValueError, match="3 images and 3 and 2 rows"):
        archives.open_algonauts(folder)


def test_things_tables(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs the extra neuropil[events]")
    base = tmp_path / "betas_csv"
    base.mkdir()
    betas = RNG.normal(size=(6, 4))
    voxels = pd.DataFrame(
        {
            "voxel_id": range(6),
            "voxel_x": range(6),
            "voxel_y": 1,
            "voxel_z": 2,
            "nc_testset": 30.0,
            "V1": [1, 0, 0, 1, 0, 0],
        }
    )
    voxels.to_csv(base / "sub-01_VoxelMetadata.csv", index=False)
    stimuli = pd.DataFrame(
        {
            "trial_type": ["train", "test", "train", "catch"],
            "session": [1, 1, 2, 2],
            "run": [1, 2, 1, 2],
            "stimulus": ["dog_12s.jpg", "mango_01b.jpg", "cup_03s.jpg", "catch1.jpg"],
            "concept": ["dog", "mango", "cup", "catch"],
        }
    )
    stimuli.to_csv(base / "sub-01_StimulusMetadata.csv", index=False)
    with h5py.File(
        base / "sub-01_ResponseData.h5", "w"
    ) as f:  # pandas' fixed format, as its to_hdf writes it
        g = f.create_group("ResponseData")
        g["block0_values"], g["block0_items"] = betas, np.arange(4)
        g["block1_values"], g["axis1"] = np.arange(6)[:, None], np.arange(6)
    rec = archives.open_things_fmri(tmp_path, 1)
    assert (rec.shape, rec.unit) == ((4, 1, 6), "beta")
    np.testing.assert_array_equal(rec.to_numpy()[:, 0], betas.T)
    assert rec.data.concept.values.tolist() == ["dog", "mango", "cup", "catch"]
    v1 = archives.open_things_fmri(tmp_path, 1, roi="V1").select(trials=[1, 2])
    np.testing.assert_array_equal(v1.to_numpy()[:, 0], betas[[0, 3]][:, [1, 2]].T)
    assert v1.data.trial_type.values.tolist() == ["test", "train"]
    with pytest.raises(ValueError, match="no region 'V9'"):
        archives.open_things_fmri(tmp_path, 1, roi="V9")
    voxels.iloc[:5].to_csv(base / "sub-01_VoxelMetadata.csv", index=False)
    with pytest.raises(ValueError, match="does not hold 5 voxels x 4 trials"):
        archives.open_things_fmri(tmp_path, 1)
