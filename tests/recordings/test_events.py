"""Event files: made-up bytes with known events, samples of every format, what `Events` computes."""

import math
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from neuropil.recordings import read
from neuropil.recordings.events import Events, from_dense, read_events, stream_events
from neuropil.worlds import datasets

DRAW = np.random.default_rng(0)
SAMPLES = Path(os.environ.get("NEUROPIL_DATA", "nowhere")) / "event-camera-samples"
EVT2 = b"% evt 2.0\n% geometry 640x480\n"
EVT3 = b"% format EVT3;height=720;width=1280\n% end\n"


def some(n=500, size=(34, 34), last=100_000):
    t = np.sort(DRAW.integers(0, last, n))
    x, y = (DRAW.integers(0, s, n) for s in size)
    return Events.of(t, x, y, DRAW.integers(0, 2, n), size=size)


def same(a, b):
    return all((getattr(a, n) == getattr(b, n)).all() for n in ("t", "x", "y", "polarity"))


def nmnist(e):
    t = e.t[:, None] >> np.array([16, 8, 0]) & 255
    t[:, 0] |= e.polarity * 128
    return np.concatenate([np.stack([e.x, e.y], 1), t], 1).astype(np.uint8).tobytes()


def dat(e, version=2):
    wide, both = {2: (14, 28), 1: (9, 17)}[version]
    a = e.x.astype(np.uint32) | e.y.astype(np.uint32) << wide | e.polarity.astype(np.uint32) << both
    width, height = e.size
    head = f"% Version {version}\n% Width {width}\n% Height {height}\n".encode()
    return head + b"\x0c\x08" + np.stack([e.t.astype("<u4"), a.astype("<u4")], 1).tobytes()


def evt2(e):
    words, high = [], None
    for t, x, y, p in zip(
        e.t.tolist(), e.x.tolist(), e.y.tolist(), e.polarity.tolist(), strict=True
    ):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high & (1 << 28) - 1)
        words.append(int(p) << 28 | (t & 63) << 22 | x << 11 | y)
    return EVT2 + np.array(words, "<u4").tobytes()


def aedat2(e, chip="DAVIS240C"):
    a, on = np.zeros(len(e), np.int64), e.polarity.astype(np.int64)
    x, y = e.x.astype(np.int64), e.y.astype(np.int64)
    a = x << 12 | y << 22 | on << 11 if "DAVIS" in chip else x << 1 | y << 8 | (1 - on)
    head = f"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.{chip}\r\n".encode()
    return head + np.stack([a, e.t], 1).astype(">u4").tobytes()


@pytest.mark.parametrize(
    ("name", "size", "make"),
    [
        ("a.bin", (34, 34), nmnist),
        ("a.dat", (304, 240), dat),
        ("b.dat", (304, 240), lambda e: dat(e, 1)),
        ("a.raw", (640, 480), evt2),
        ("a.aedat", (240, 180), aedat2),
        ("b.aedat", (128, 128), lambda e: aedat2(e, "DVS128")),
    ],
)
def test_every_format_gives_back_what_was_written_whole_in_blocks_and_in_slices(
    tmp_path, name, size, make
):
    e = some(size=size)
    path = tmp_path / name
    path.write_bytes(make(e))
    whole = read_events(path)
    assert (whole.size, whole.source) == (size, name)
    assert same(whole, e)
    for block in (1, 7, 10_000):
        parts = list(stream_events(path, block=block))
        assert max(map(len, parts)) <= block
        assert same(Events.join(parts), e)
    slices = list(stream_events(path, block=64).slices(9_000))
    assert same(Events.join(slices), e)
    for k, part in enumerate(slices):
        assert same(part, e.select(int(e.t[0]) + 9_000 * k, int(e.t[0]) + 9_000 * (k + 1)))
    assert same(read_events(path, start=20_000, stop=50_000), e.select(20_000, 50_000))
    with pytest.raises(ValueError, match=r"holds no events in 100001\.\.None"):
        read_events(path, start=100_001)
    assert read(path, rate=100).to_numpy().sum() == len(e)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"{name} is cut short: . bytes are left"):
        read_events(path)


def test_evt3_words_by_hand(tmp_path):
    words = [
        0x2005,  # an event before any time: left out
        0x8001, 0x6002, 0x0007, 0x2805,  # t = 4096 + 2, row 7, ON at 5
        0x3810, 0x4005, 0x5081, 0x2003,  # ON vector from 16: 16, 18, then 28, 35; OFF at 3
        0x6FFF, 0x3400, 0x4000, 0x4800,  # t = 8191; OFF vector from 1024: 12 empty, then 1047
        0x8001, 0x2001,  # the same upper time again: the lower stays
        0x8002, 0x0008, 0x2002,  # a new one: t = 8192
        0xA000, 0xE123, 0x8FFF, 0x2004, 0x8000, 0x6001, 0x2806,  # a trigger, others; the clock overflows
    ]  # fmt: skip
    path = tmp_path / "a.raw"
    path.write_bytes(EVT3 + np.array(words, "<u2").tobytes())
    on, off = True, False
    want = [
        (4098, 5, 7, on), (4098, 16, 7, on), (4098, 18, 7, on), (4098, 28, 7, on), (4098, 35, 7, on),
        (4098, 3, 7, off), (8191, 1047, 7, off), (8191, 1, 7, off), (8192, 2, 8, off),
        (4095 * 4096, 4, 8, off), (4096 * 4096 + 1, 6, 8, on),
    ]  # fmt: skip
    e = read_events(path)
    assert (
        list(zip(e.t.tolist(), e.x.tolist(), e.y.tolist(), e.polarity.tolist(), strict=True))
        == want
    )
    for block in (1, 2, 3, 5):
        assert same(Events.join(list(stream_events(path, block=block))), e)


def test_clocks_that_overflow_and_words_that_are_no_events(tmp_path):
    path = tmp_path / "a.bin"
    e = Events.of([5, 9], [1, 2], [3, 4], [0, 1], size=(34, 34))
    mark = bytes([0, 240, 0, 0, 0])
    path.write_bytes(nmnist(e) + mark + mark + nmnist(e))
    for block in (1, 3, 99):
        got = Events.join(list(stream_events(path, block=block)))
        assert got.t.tolist() == [5, 9, 5 + 2**14, 9 + 2**14]
    words = [3 << 22, 8 << 28 | (1 << 28) - 1, 1 << 22, 10 << 28, 8 << 28, 2 << 22]
    (tmp_path / "a.raw").write_bytes(EVT2 + np.array(words, "<u4").tobytes())
    assert read_events(tmp_path / "a.raw").t.tolist() == [(2**28 - 1) * 64 + 1, 2**34 + 2]
    frame, imu = (1 << 31 | 5, 7), (1 << 31 | 1 << 10, 8)
    davis = aedat2(Events.of([6], [3], [2], [1], size=(240, 180)))
    extra = np.array([frame, imu, (1 << 10, 9)], ">u4").tobytes()
    (tmp_path / "a.aedat").write_bytes(davis + extra)
    assert len(read_events(tmp_path / "a.aedat")) == 1


def test_bad_files_get_one_clear_sentence(tmp_path):
    def refused(name, content, says, **options):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=says) as caught:
            read_events(tmp_path / name, **options)
        assert "\n" not in str(caught.value)

    back = Events.of([5, 9], [1, 2], [3, 4], [0, 1], size=(34, 34))
    wrong = nmnist(back)[5:] + nmnist(back)[:5]
    refused("a.bin", wrong, r"time runs backwards at event 1 \(9 us, then 5 us\).*sort=True")
    assert read_events(tmp_path / "a.bin", sort=True).t.tolist() == [5, 9]
    with pytest.raises(ValueError, match=r"time runs backwards \(9 us, then 5 us\)"):
        list(stream_events(tmp_path / "a.bin", block=1))
    refused(
        "a.bin", nmnist(some(size=(50, 20))), "the sensor has 34 x 34 pixels: give the right size="
    )
    assert len(read_events(tmp_path / "a.bin", size=(50, 20))) == 500
    for name in ("a.bin", "a.dat", "a.raw", "a.aedat"):
        refused(name, b"", "is empty")
    refused("a.dat", b"nonsense", "no Prophesee DAT file")
    refused("a.dat", b"% Version 3\n\x0c\x08", "DAT version 3: versions 1 and 2")
    refused("a.dat", b"% Version 2\n\x0c\x08", "holds no events")
    refused("a.raw", b"nonsense", "no header with an EVT version")
    refused("a.raw", b"% evt 2.1\n" + bytes(8), r"EVT 2\.1: EVT 2 and EVT 3")
    refused("a.raw", b"% evt 3.0\n" + bytes(8), "does not say how large its sensor is")
    refused("a.raw", b"% evt 3.0\n% end\n" + bytes(8), "holds no events", size=(9, 9))
    refused("a.aedat", b"nonsense", "does not begin with #!AER-DAT2")
    refused("a.aedat", b"#!AER-DAT3.1\r\n", "does not begin with #!AER-DAT2")
    refused("a.aedat", b"#!AER-DAT2.0\r\n" + bytes(8), "neither a DAVIS nor a DVS128")
    refused("a.xyz", b"nonsense", r"'\.xyz', which is no event format: known are \.bin")
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "none.dat")
    with pytest.raises(ValueError, match="block = 0"):
        stream_events(tmp_path / "a.bin", block=0)


def test_events_refuse_what_no_sensor_sends():
    for change, says in (
        ({"x": [0]}, r"lengths \[1, 2\]"),
        ({"t": [3, 1]}, "time runs backwards at event 1"),
        ({"y": [0, 2]}, "y is 0..2, but the sensor has 3 x 2"),
        ({"size": (0, 2)}, "has no pixel"),
        ({"t": [0.0, math.nan]}, "NaN or infinite"),
    ):
        args = {"t": [1, 2], "x": [0, 2], "y": [0, 1], "polarity": [-1, 1], "size": (3, 2)} | change
        with pytest.raises(ValueError, match=says):
            Events.of(**args)
    empty = Events.of([], [], [], [], size=(3, 2))
    assert (len(empty), empty.duration, empty.voxels(3).sum()) == (0, 0, 0)
    with pytest.raises(ValueError, match="there are no events"):
        empty.frames(10)
    assert empty.frames(10, 0, 20).shape == (2, 2, 2, 3)
    with pytest.raises(ValueError, match="stop = 0 us is not after"):
        empty.frames(10, 0, 0)
    with pytest.raises(ValueError, match="0 parts of 0 sensors"):
        Events.join([])
    for call in (lambda e: e.frames(0), lambda e: e.voxels(0), lambda e: e.time_surface(0.0)):
        with pytest.raises(ValueError, match="must be"):
            call(empty)


def test_frames_voxels_and_time_surface_by_hand():
    e = Events.of([0, 10, 25, 40], [0, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 1], size=(2, 2))
    frames = e.frames(10)
    assert frames.shape == (5, 2, 2, 2)
    assert np.argwhere(frames).tolist() == [[0, 1, 0, 0], [1, 0, 0, 1], [2, 1, 1, 1], [4, 1, 1, 1]]
    voxels = e.voxels(3)  # places 0, 0.5, 1.25, 2
    want = np.zeros((3, 2, 2))
    want[0, 0, 0] = 1
    want[0, 0, 1] = want[1, 0, 1] = -0.5
    want[1, 1, 1], want[2, 1, 1] = 0.75, 0.25 + 1
    np.testing.assert_allclose(voxels, want, atol=1e-6)
    assert e.voxels(1).sum() == 2  # ON minus OFF
    surface = e.time_surface(20.0)
    assert surface[1, 1, 1] == 1
    np.testing.assert_allclose(surface[0, 0, 1], np.exp(-30 / 20), rtol=1e-6)
    assert surface[0, 0, 0] == 0
    np.testing.assert_allclose(e.time_surface(20.0, at=30)[1, 1, 1], np.exp(-5 / 20), rtol=1e-6)
    big = some(2000)
    assert big.frames(7_000).sum() == 2000
    np.testing.assert_allclose(big.voxels(9).sum(), 2 * big.polarity.sum() - 2000, atol=1e-2)
    rec = big.recording(rate=1000)
    assert (rec.unit, rec.shape[2], rec.positions.shape) == (
        "spikes",
        2 * 34 * 34,
        (2 * 34 * 34, 2),
    )
    np.testing.assert_array_equal(rec.to_numpy()[0].sum(0).reshape(2, 34, 34), big.frames(10**6)[0])
    i = 3 + 34 * (5 + 34)
    assert rec.positions[i].tolist() == [3, 5]


def test_a_file_larger_than_the_memory_allowed_is_read_in_slices(tmp_path):
    """12 MB on disk (30 MB as arrays) under a bound of 2 MB of allocations."""
    path = tmp_path / "big.dat"
    n, chunk = 1_500_000, 50_000
    with path.open("wb") as f:
        f.write(b"% Version 2\n% Width 640\n% Height 480\n\x0c\x08")
        for low in range(0, n, chunk):
            i = np.arange(low, low + chunk, dtype=np.uint32)
            f.write(np.stack([i, i % 640 | i % 480 << 14 | i % 2 << 28], 1).astype("<u4").tobytes())
    stream = stream_events(path, block=2**13)
    tracemalloc.start()
    total, count = 0, 0
    for part in stream.slices(10_000):
        total, count = total + len(part), count + 1
        assert len(part) == 10_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (total, count) == (n, 150)
    assert peak < 2e6


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs event-camera-samples in NEUROPIL_DATA")
@pytest.mark.parametrize(
    ("name", "size", "count", "on", "first", "last"),
    [
        ("sample_nmnist.bin", (34, 34), 4_325, 0.5, 654, 311_175),
        ("sample_ncars.dat", (304, 240), 2_009, 0.67, 0, 99_952),
        ("prophesee_evt2.raw", (640, 480), 521_252, 0.36, 913_716_224, 913_812_095),
        ("sample.aedat4", (320, 240), 111_954, 0.49, 1605537493718345, 1605537494308262),
        ("dvs.es", (320, 240), 473_225, 0.57, 0, 999_000),
    ],
)
def test_samples(name, size, count, on, first, last):
    """Counts and times are those of the data's README and of expelliarmus and faery."""
    if name.endswith(("aedat4", "es")):
        pytest.importorskip("faery", reason="needs the extra neuropil[events]")
    e = read_events(SAMPLES / name)
    assert (e.size, len(e), int(e.t[0]), int(e.t[-1])) == (size, count, first, last)
    assert abs(e.polarity.mean() - on) < 0.005
    if name == "sample_ncars.dat":
        assert (e.x.max(), e.y.max()) == (77, 41)
    if name == "sample.aedat4":
        assert (int(e.x[-1]), int(e.y[-1]), bool(e.polarity[-1])) == (88, 237, True)
    blocks = stream_events(SAMPLES / name, block=50_000)
    assert sum(len(p) for p in blocks) == count


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs event-camera-samples in NEUROPIL_DATA")
def test_a_header_without_events_and_broken_copies(tmp_path):
    with pytest.raises(ValueError, match=r"sample_aedat_header\.aedat holds no events"):
        read_events(SAMPLES / "sample_aedat_header.aedat")
    assert stream_events(SAMPLES / "sample_aedat_header.aedat").size == (346, 260)
    pytest.importorskip("faery", reason="needs the extra neuropil[events]")
    (tmp_path / "a.aedat4").write_bytes((SAMPLES / "sample.aedat4").read_bytes()[:200_001])
    (tmp_path / "a.es").write_bytes(b"something else entirely")
    for name in ("a.aedat4", "a.es"):
        with pytest.raises(ValueError, match=f"{name} is no sound") as caught:
            read_events(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_evt_and_dat_against_faery(tmp_path):
    faery = pytest.importorskip("faery", reason="needs the extra neuropil[events]")
    e = some(size=(320, 240), n=3_000)
    array = np.zeros(len(e), faery.EVENTS_DTYPE)
    for name, column in zip(array.dtype.names, (e.t, e.x, e.y, e.polarity), strict=True):
        array[name] = column
    for version, name in (("evt3", "a.raw"), ("evt2", "b.raw"), ("dat2", "c.dat"), (None, "d.es")):
        stream = faery.events_stream_from_array(array, dimensions=e.size)
        stream.to_file(str(tmp_path / name), version=version, zero_t0=False)
        got = read_events(tmp_path / name)
        assert got.size == e.size
        assert same(got, e), name


def test_nmnist_bytes_are_five_an_event():
    """The layout by hand: x = 3, y = 5, ON, t = 0x123456 & 23 bits."""
    raw = nmnist(Events.of([0x123456], [3], [5], [1], size=(34, 34)))
    assert raw == struct.pack(">BBI", 3, 5, (0x80 << 16 | 0x123456) << 8)[:5]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs event-camera-samples in NEUROPIL_DATA")
def test_the_samples_are_registered():
    pytest.importorskip("faery", reason="needs the extra neuropil[events]")
    samples = datasets.load("event-camera-samples")
    assert sum(map(len, samples.values())) == 4_325 + 2_009 + 521_252 + 111_954 + 473_225


def test_films_become_events_and_back():
    film = DRAW.integers(-1, 2, (7, 4, 5))
    e = from_dense(film, 1000, start=500)
    assert (e.size, len(e), e.t[0]) == ((5, 4), np.abs(film).sum(), 500)
    frames = e.frames(1000, 500, 7500)
    np.testing.assert_array_equal(frames[:, 1] - frames[:, 0], film)
    for bad, says in ((film[0], "shape"), (2 * film, "other than -1, 0 and 1")):
        with pytest.raises(ValueError, match=says):
            from_dense(bad, 1000)
