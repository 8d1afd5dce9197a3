import numpy as np
import pytest
import scipy.io
import xarray as xr

from neuropil.recordings import READERS, Recording, read
from neuropil.recordings.matclust import read_positions, read_spikes


def test_unknown_suffix_and_missing_or_broken_files(tmp_path):
    with pytest.raises(ValueError, match=r"'\.xyz', which no reader knows: known are .*\.npz"):
        read(tmp_path / "x.xyz")
    with pytest.raises(FileNotFoundError, match="no file"):
        read(tmp_path / "x.npz")
    for name in ("x.npz", "x.nc", "x.mat"):
        (tmp_path / name).write_bytes(b"not what it says")
        with pytest.raises(ValueError, match="x\\.") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"other.npz holds a \(3,\), which is no layout known"):
        read(tmp_path / "other.npz")
    rec = Recording.from_array(np.ones((1, 1000, 3)), rate=10, unit="uV")
    whole = rec.save(tmp_path / "rec.npz").read_bytes()
    (tmp_path / "rec.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a sound recording"):
        read(tmp_path / "rec.npz")


def test_a_reader_can_be_added(monkeypatch, tmp_path):
    rec = Recording.from_array(np.ones((1, 2, 3)), rate=10, unit="uV")
    monkeypatch.setitem(READERS, ".toy", lambda path: rec)
    (tmp_path / "x.toy").write_text("")
    assert read(tmp_path / "x.toy") is rec


def test_netcdf(tmp_path):
    data = xr.DataArray(
        np.arange(12.0).reshape(4, 3),
        dims=("time", "unit"),
        coords={"time": np.arange(4) / 20, "unit": [4, 5, 6]},
        attrs={"rate": 20.0, "units": "uV"},
        name="lfp",
    )
    data.to_netcdf(tmp_path / "x.nc", engine="scipy")
    rec = read(tmp_path / "x.nc")
    assert rec.shape == (1, 4, 3)
    assert (rec.rate, rec.unit) == (20.0, "uV")
    np.testing.assert_array_equal(rec.data[0], data)
    assert rec.data.unit.values.tolist() == [4, 5, 6]
    data.drop_attrs().to_netcdf(tmp_path / "y.nc", engine="scipy")
    with pytest.raises(ValueError, match="attribute 'rate'"):
        read(tmp_path / "y.nc")


def cells(*items):
    out = np.empty((1, len(items)), object)
    out[0] = items
    return out


def unit(times):
    return {"time": np.array(times)[:, None], "timerange": np.array([0.0, 2.0]), "meanrate": 1.0}


def test_matclust_cells_of_any_depth(tmp_path):
    empty = np.zeros((0, 0))
    tetrodes = cells(cells(unit([0.1, 0.5]), empty, unit([])), empty, cells(unit([0.2])))
    for depth in (0, 2):
        nested = tetrodes
        for _ in range(depth):
            nested = cells(nested)
        scipy.io.savemat(tmp_path / "spikes.mat", {"spikes": nested})
        spikes = read_spikes(tmp_path / "spikes.mat")
        np.testing.assert_array_equal(spikes.times, [0.1, 0.5, 0.2])
        np.testing.assert_array_equal(spikes.units, [0, 0, 1])
        assert spikes.labels == ["0.0", "2.0"]
        assert spikes.span == (0.0, 2.0)
    rec = read(tmp_path / "spikes.mat", rate=10)
    assert rec.shape == (1, 20, 2)
    np.testing.assert_array_equal(rec.to_numpy().sum((0, 1)), [2, 1])
    scipy.io.savemat(tmp_path / "none.mat", {"spikes": cells(empty)})
    with pytest.raises(ValueError, match="no unit with a spike"):
        read_spikes(tmp_path / "none.mat")


HEADER = (
    b"<Start settings>\nthreshold: 199\nclockrate: 30000\ncamera resolution: 640x480\n"
    b"Fields: <time uint32><xloc uint16><yloc uint16>\n<End settings>\n"
)


def test_video_positions(tmp_path):
    records = np.array([(30000, 5, 6), (60000, 7, 8)], [("t", "<u4"), ("x", "<u2"), ("y", "<u2")])
    path = tmp_path / "track.videoPositionTracking"
    path.write_bytes(HEADER + records.tobytes())
    track = read_positions(path)
    assert track.time.tolist() == [1.0, 2.0]
    assert (track.x.tolist(), track.y.tolist()) == ([5.0, 7.0], [6.0, 8.0])
    assert track.resolution == (640, 480)
    path.write_bytes(HEADER + records.tobytes()[:-1])
    with pytest.raises(ValueError, match="cut short"):
        read_positions(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no <Start settings> header"):
        read_positions(path)


def test_neuropil_reads_at_the_top():
    import neuropil

    assert neuropil.read is read
    assert neuropil.Recording is Recording


def test_hdf5_and_matlab_7_3_and_tables_and_arrays(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs the extra neuropil[events]")
    data = np.arange(12.0).reshape(4, 3)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["lfp/values"], f["t"] = data, np.arange(4) / 50
    options = {"data": "lfp/values", "axes": ("time", "unit"), "rate": 50.0, "unit": "mV"}
    rec = read(tmp_path / "a.h5", **options)
    np.testing.assert_array_equal(rec.to_numpy()[0], data)
    with pytest.raises(ValueError, match=r"lfp/values \(4, 3\), t \(4,\), which is no layout"):
        read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.mat", "w", userblock_size=512) as f:
        f["lfp"] = data.T  # MATLAB's columns come first
    with (tmp_path / "b.mat").open("r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    rec = read(tmp_path / "b.mat", data="lfp", axes=("time", "unit"), rate=50.0, unit="mV")
    np.testing.assert_array_equal(rec.to_numpy()[0], data)
    (tmp_path / "c.tsv").write_text("time\ta\tb\n0.0\t1\t2\n0.1\t3\t4\n")
    rec = read(tmp_path / "c.tsv", unit="uV")
    assert (rec.rate, rec.data.unit.values.tolist()) == (pytest.approx(10), ["a", "b"])
    with pytest.raises(ValueError, match="no column 'z': it has time, a, b"):
        read(tmp_path / "c.tsv", columns=["z"])
    (tmp_path / "d.csv").write_text("a,b\n1,x\n")
    with pytest.raises(ValueError, match="no column of times"):
        read(tmp_path / "d.csv")
    with pytest.raises(ValueError, match=r"'b' of d\.csv holds text"):
        read(tmp_path / "d.csv", rate=1.0)
    np.save(tmp_path / "e.npy", data)
    with pytest.raises(ValueError, match="name the axes"):
        read(tmp_path / "e.npy", rate=1.0, unit="mV")
    assert read(tmp_path / "e.npy", rate=1.0, unit="mV", axes=("unit", "time")).shape == (1, 3, 4)
