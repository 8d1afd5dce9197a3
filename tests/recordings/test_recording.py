import tracemalloc

import numpy as np
import pytest

from neuropil.recordings import Lazy, Recording


def make(shape=(2, 50, 3), **more):
    data = np.arange(np.prod(shape), dtype=float).reshape(shape)
    return Recording.from_array(data, rate=100.0, unit="uV", **more)


def test_axes_carry_labels_seconds_and_columns():
    rec = make(labels=["a", "b", "c"], start=-0.1, trials={"stimulus": [7, 8]})
    assert rec.data.dims == ("trial", "time", "unit")
    np.testing.assert_allclose(rec.data.time[:3], [-0.1, -0.09, -0.08])
    assert rec.data.unit.values.tolist() == ["a", "b", "c"]
    assert rec.data.stimulus.values.tolist() == [7, 8]
    assert repr(rec) == "Recording(2 trials x 50 samples x 3 units; uV at 100 Hz, -0.1..0.4 s)"


def test_select_takes_mask_positions_and_events_along():
    mask = np.ones((2, 50), bool)
    mask[1, 30:] = False
    events = {"onset": [0.1, 0.3, 0.1], "label": ["go", "stop", "go"], "trial": [0, 0, 1]}
    rec = make(
        labels=["a", "b", "c"],
        mask=mask,
        positions=np.eye(3),
        events=events,
        trials={"stimulus": [7, 8]},
    )
    part = rec.select(time=(0.25, 0.35), units=["c", "a"], trials=[1])
    assert part.shape == (1, 10, 2)
    np.testing.assert_array_equal(part.mask.values[0], [True] * 5 + [False] * 5)
    np.testing.assert_array_equal(part.positions, np.eye(3)[[2, 0]])
    assert len(part.events) == 0
    assert part.data.stimulus.values.tolist() == [8]
    first = rec.select(time=(0.25, 0.35), trials=np.array([True, False]))
    assert first.events["label"].tolist() == ["stop"]
    got = part.to_numpy()
    assert np.isnan(got[0, 5:]).all()
    np.testing.assert_array_equal(got[0, :5], rec.data.values[1, 25:30][:, [2, 0]])
    assert part.to_numpy(fill=0).dtype == float
    assert rec.shape == (2, 50, 3)


def test_bin_sums_counts_averages_the_rest_and_respects_masks():
    counts = np.arange(20, dtype=np.uint8).reshape(1, 10, 2)
    mask = np.ones((1, 10), bool)
    mask[0, 4] = False
    rec = Recording.from_array(counts, rate=10, unit="spikes", mask=mask)
    binned = rec.bin(0.3)
    assert binned.rate == pytest.approx(10 / 3)
    np.testing.assert_array_equal(binned.data.values[0, :, 0], [6, 24, 42])
    np.testing.assert_array_equal(binned.mask.values[0], [True, False, True])
    np.testing.assert_allclose(binned.data.time, [0, 0.3, 0.6])
    volts = make().bin(0.02)
    np.testing.assert_allclose(volts.to_numpy()[0, 0], [1.5, 2.5, 3.5])
    with pytest.raises(ValueError, match=r"use a multiple of 0\.1 s"):
        rec.bin(0.25)
    with pytest.raises(ValueError, match="longer than the recording"):
        rec.bin(20)


def test_mean_counts_valid_values_only():
    data = np.array([[[1.0], [np.nan], [3.0]], [[5.0], [np.nan], [np.nan]]])
    rec = Recording.from_array(data, rate=1.0, unit="Hz", mask=~np.isnan(data))
    over_trials = rec.mean("trial")
    assert over_trials.dims == ("time", "unit")
    np.testing.assert_allclose(over_trials.values.ravel(), [3.0, np.nan, 3.0])
    np.testing.assert_allclose(rec.mean(("trial", "time")).values, [3.0])


def test_ragged_trials_become_a_mask():
    rec = Recording.from_trials([np.ones((3, 2)), np.ones((5, 2))], rate=10, unit="Hz")
    assert rec.shape == (2, 5, 2)
    np.testing.assert_array_equal(rec.mask.sum("time"), [3, 5])
    np.testing.assert_allclose(rec.mean(("trial", "time")), [1, 1])
    assert Recording.from_trials([np.ones((3, 2))], rate=10, unit="Hz").mask is None


def test_spikes_are_counted_as_by_a_histogram():
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 2, 500))
    units, trial = rng.integers(0, 4, 500), rng.integers(0, 3, 500)
    rec = Recording.from_spikes(
        times, units, trial=trial, rate=50, stop=2.0, labels=[0, 1, 2, 3, 9]
    )
    assert "lazy" in repr(rec)
    assert rec.shape == (3, 100, 5)
    for t in range(3):
        for u in range(4):
            want, _ = np.histogram(times[(trial == t) & (units == u)], 100, (0, 2))
            np.testing.assert_array_equal(rec.data[t, :, u].values, want)
    part = rec.select(time=(0.5, 1.0), units=[3, 9])
    np.testing.assert_array_equal(part.to_numpy(), rec.to_numpy()[:, 25:50, 3:])
    np.testing.assert_array_equal(
        rec.bin(0.1).to_numpy(), rec.to_numpy().reshape(3, 20, 5, 5).sum(2)
    )
    assert "lazy" not in repr(rec.load())


def test_spikes_on_edges_and_ragged_ends():
    rec = Recording.from_spikes([0.1, 0.2, 0.3], [0, 0, 0], rate=10, stop=0.3)
    np.testing.assert_array_equal(rec.to_numpy()[0, :, 0], [0, 1, 2])
    ragged = Recording.from_spikes([0.1, 0.9], ["a", "a"], trial=[0, 1], rate=10, stop=[0.5, 1.0])
    np.testing.assert_array_equal(ragged.mask.sum("time").values.ravel(), [5, 10])


class Counted:
    """Counts the bytes that are read from a big array of zeros."""

    def __init__(self):
        self.bytes = 0

    def read(self, *block):
        out = np.zeros([s.stop - s.start for s in block], np.float32)
        self.bytes += out.nbytes
        return out


def test_lazy_reads_only_what_is_asked():
    source = Counted()
    lazy = Lazy((100, 10**6, 100), np.float32, source.read)
    rec = Recording.from_array(lazy, rate=1000, unit="uV")
    part = rec.select(time=(10.0, 10.1), units=[3, 5], trials=[0])
    assert source.bytes == 0
    assert part.to_numpy().shape == (1, 100, 2)
    assert source.bytes <= 100 * 3 * 4
    assert rec.bin(0.01).select(time=(0, 1), trials=[4], units=[0]).to_numpy().shape == (1, 100, 1)


def test_a_memory_map_larger_than_the_limit_is_not_loaded(tmp_path):
    limit = 50e6
    big = np.memmap(
        tmp_path / "big.dat", np.float32, "w+", shape=(1, 250_000, 400)
    )  # 400 MB, sparse
    big[0, 100_000] = 2.0
    tracemalloc.start()
    rec = Recording.from_array(big, rate=1000.0, unit="uV")
    part = rec.select(time=(99.0, 101.0)).bin(0.5)
    means = part.mean("unit").values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert big.nbytes >= 8 * limit
    assert peak < limit
    np.testing.assert_allclose(means[0], [0, 0, 2 / 500, 0])


def test_nan_in_lazy_data_is_found_when_it_is_read():
    def read(*block):
        out = np.zeros([s.stop - s.start for s in block])
        out[0, 0, 0] = np.nan
        return out

    rec = Recording.from_array(Lazy((1, 10, 2), float, read), rate=10, unit="uV")
    with pytest.raises(ValueError, match="1 NaN or infinite of 20 values"):
        rec.to_numpy()
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        rec.load()


def test_save_and_read_give_the_same_recording_or_nothing(tmp_path):
    from neuropil.recordings import read

    mask = np.ones((2, 50), bool)
    mask[1, 40:] = False
    rec = make(
        labels=["a", "b", "c"],
        columns={"area": ["V1", "V4", "IT"]},
        start=1.0,
        mask=mask,
        positions=np.eye(3),
        positions_unit="mm",
        events={"onset": [1.1], "label": ["go"], "trial": [1]},
        trials={"stimulus": [7, 8]},
        about={"licence": "CC0"},
    )
    path = rec.save(tmp_path / "rec.npz")
    back = read(path)
    assert "lazy" in repr(back)
    np.testing.assert_array_equal(back.to_numpy(), rec.to_numpy())
    for name in rec.data.coords:
        np.testing.assert_array_equal(back.data[name], rec.data[name])
    np.testing.assert_array_equal(back.mask, rec.mask)
    np.testing.assert_array_equal(back.positions, rec.positions)
    assert back.events.to_dict("list") == rec.events.to_dict("list")
    assert (back.rate, back.unit, back.positions_unit) == (100.0, "uV", "mm")
    assert back.about == {"licence": "CC0"}
    with np.load(path, allow_pickle=False) as plain:
        np.testing.assert_array_equal(plain["data"], rec.data.values)
    spikes = Recording.from_spikes([0.123456789, 0.2], ["x", "y"], rate=10, stop=1.0).bin(0.2)
    (tmp_path / "other").mkdir()
    again = read(spikes.save(tmp_path / "other/spikes.npz"))
    assert again.spikes.train("x").tolist() == [0.123456789]
    assert again.history == spikes.history

    def broken(*block):
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        Recording.from_array(Lazy((1, 4, 1), float, broken), rate=1, unit="uV").save(path)
    np.testing.assert_array_equal(read(path).to_numpy(), rec.to_numpy())
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["rec.npz"]


ONES = np.ones((2, 5, 3))
HOLE = np.where(np.arange(30).reshape(2, 5, 3) == 7, np.nan, 1.0)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (HOLE, {}, r"1 NaN or infinite of 30 values \(first at trial 0, time 2, unit 1\)"),
        (ONES, {"rate": 0}, "sampling rate is 0 Hz: give the samples per second"),
        (ONES, {"rate": -5.0}, r"sampling rate is -5\.0 Hz"),
        (ONES[0], {}, r"shape \(5, 3\): add the missing axis"),
        (ONES[:, :0], {}, "has no times"),
        (ONES, {"labels": ["a", "b", "a"]}, "Unit label a is given 2 times"),
        (ONES, {"labels": ["a", "b"]}, "3 units but 2 labels"),
        (ONES, {"time": [0, 1, 3, 2, 4]}, "times do not rise: 2 s follows 3 s at sample 3"),
        (ONES, {"time": np.arange(5) / 8}, r"is 8 Hz, but the sampling rate is given as 10 Hz"),
        (ONES, {"mask": np.ones((2, 4), bool)}, r"mask has shape \(2, 4\)"),
        (ONES, {"positions": np.ones((2, 2))}, r"give \(3, 2\) or \(3, 3\)"),
        (ONES, {"events": {"onset": [0.0], "label": ["x"], "trial": [9]}}, "belongs to trial 9"),
        (ONES, {"events": {"label": ["x"]}}, "no column 'onset'"),
        (ONES, {"trials": {"stimulus": [1, 2, 3]}}, "one value for each of the 2 trials"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(data, more, message):
    with pytest.raises(ValueError, match=message) as caught:
        Recording.from_array(data, **({"rate": 10.0, "unit": "uV"} | more))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("times", "units", "more", "message"),
    [
        ([0.2, 0.1], [0, 0], {}, "not in order: 0.1 s follows 0.2 s"),
        ([0.1, np.nan], [0, 0], {}, "NaN or infinite"),
        ([0.1, 5.0], [0, 0], {"stop": 1.0}, r"1 spikes \(first at 5 s\) lie outside"),
        ([0.1], [3], {"labels": [0, 1]}, "unit 3, which is not among the labels"),
        ([0.1, 0.2], [0], {}, "one unit"),
        ([], [], {}, "no spikes and no labels"),
        ([0.1], [0], {"stop": [1.0, 0.0]}, "Trial 1 is empty"),
        ([0.1], [0], {"rate": 0}, "sampling rate is 0 Hz"),
    ],
)
def test_bad_spikes_are_refused_in_one_line(times, units, more, message):
    with pytest.raises(ValueError, match=message):
        Recording.from_spikes(times, units, **({"rate": 10.0} | more))


def test_other_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match="Trial 1 is empty: leave it out"):
        Recording.from_trials([np.ones((3, 2)), np.ones((0, 2))], rate=10, unit="Hz")
    with pytest.raises(ValueError, match=r"Trial 1 has shape \(3, 1\)"):
        Recording.from_trials([np.ones((3, 2)), np.ones((3, 1))], rate=10, unit="Hz")
    with pytest.raises(TypeError, match="type <U1"):
        Recording.from_array(np.full((1, 2, 3), "x"), rate=1, unit="uV")
    with pytest.raises(TypeError, match="give booleans"):
        make(mask=np.ones((2, 50)))
    rec = make(labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="no unit 'z': choose among 'a', 'b', 'c'"):
        rec.select(units=["z"])
    with pytest.raises(ValueError, match="No time is left"):
        rec.select(time=(9.0, 10.0))
    with pytest.raises(ValueError, match=r"saved as \.npz, not as rec\.mat"):
        rec.save(tmp_path / "rec.mat")
