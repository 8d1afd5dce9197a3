import functools
import gzip
import hashlib
import http.server
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from neuropil.worlds import datasets
from neuropil.worlds.datasets import registry
from neuropil.worlds.datasets.idx import read_idx
from neuropil.worlds.datasets.registry import File, Info, Version

CONTENT = b"what the file holds"
SPLIT = ["f617d3605e74", "dcace7625345"]


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty NEUROPIL_DATA and an empty cache."""
    for name in ("NEUROPIL_DATA", "NEUROPIL_CACHE"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that gives out the files of a folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.bin").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def register(monkeypatch, url, content=CONTENT, also=()):
    versions = (
        Version(hashlib.sha256(content).hexdigest(), len(content), "toy/a.bin", url, "original"),
        *also,
    )
    toy = Info("toy", "Toy", "toy", "CC0", "nobody", "", "", (File("a.bin", versions),))
    monkeypatch.setattr(registry, "_table", lambda: {"toy": toy})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_every_card_is_complete_and_pinned():
    assert {"digits", "mnist", "fashion-mnist", "macaque-v4", "rdm-92images"} < set(
        datasets.names()
    )
    for name in datasets.names():
        card = datasets.info(name)
        assert all((card.title, card.kind, card.licence, card.citation, card.homepage)), name
        for file in card.files:
            if (
                file.versions[0].sha256 == ""
            ):  # no sum is published: put there by hand, never fetched
                assert not any(v.url for v in file.versions)
                assert "no sum is published" in file.versions[0].note
                continue
            by_hand = "by hand" in card.note  # put together from several, so without an address
            assert file.versions[0].url or by_hand, "the original comes first, to be downloaded"
            for v in file.versions:
                assert len(v.sha256) == 64
                assert v.bytes > 0
                assert v.note
                if v.url:  # .../owner/repository/<commit>/path
                    assert len(v.url.split("/")[5]) == 40, v.url


def test_unknown_names_get_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'mnist'") as caught:
        datasets.load("mnits")
    assert str(caught.value) == "There is no data set 'mnits': did you mean 'mnist'?"
    with pytest.raises(KeyError, match="known are digits"):
        datasets.info("zzz")


def test_no_jax_and_no_numpy_until_load():
    code = (
        "import sys; from neuropil.worlds import datasets as d; d.info('mnist'); d.available('digits');"
        "print(sorted({'jax', 'numpy', 'xarray', 'pooch'} & set(sys.modules)))"
    )
    env = {**os.environ, "NEUROPIL_CACHE": "nowhere"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert out.stdout.strip() == "[]", out.stderr


def test_digits_are_embedded_and_their_split_is_fixed(places):
    digits = datasets.load("digits")
    assert datasets.available("digits")
    assert datasets.fetch("digits") == {}
    assert "scikit-learn" in datasets.checksums("digits")
    assert digits.train_x.shape == (1433, 8, 8)
    assert digits.test_x.shape == (364, 8, 8)
    assert digits.train_x.dtype == np.uint8
    assert (digits.train_x.max(), digits.train_x.min()) == (255, 0)
    # the split as it was the first time: any change here would change every demonstration
    sums = [hashlib.sha256(a.tobytes()).hexdigest()[:12] for a in (digits.train_x, digits.test_y)]
    assert sums == SPLIT
    share = np.bincount(digits.test_y) / np.bincount(np.r_[digits.test_y, digits.train_y])
    assert (abs(share - 0.2) < 0.005).all()


def test_folder_then_cache_then_download(places, server, monkeypatch):
    register(monkeypatch, f"{server}/a.bin")
    assert not datasets.available("toy")
    assert datasets.verify("toy")["a.bin"].note == "not on this machine"
    got = datasets.fetch("toy", progress=False)["a.bin"]
    assert got == places / "NEUROPIL_CACHE/toy/a.bin"
    assert got.read_bytes() == CONTENT
    assert datasets.available("toy")
    assert datasets.checksums("toy") == {"a.bin": hashlib.sha256(CONTENT).hexdigest()}
    mine = places / "NEUROPIL_DATA/toy/a.bin"
    mine.parent.mkdir()
    mine.write_bytes(CONTENT)
    assert datasets.fetch("toy") == {"a.bin": mine}
    check = datasets.verify("toy")["a.bin"]
    assert (check.ok, check.path, check.note) == (True, mine, "original")


def test_progress_bar_is_drawn(places, server, monkeypatch, capsys):
    register(monkeypatch, f"{server}/a.bin")
    datasets.fetch("toy", progress=True)
    assert "100%" in capsys.readouterr().err


def test_another_version_is_accepted_where_it_is_listed(places, monkeypatch):
    other = b"rebuilt"
    sums = hashlib.sha256(other).hexdigest()
    register(
        monkeypatch, "http://127.0.0.1:9/", also=[Version(sums, 7, "toy/b.bin", None, "rebuilt")]
    )
    (places / "NEUROPIL_DATA/toy").mkdir()
    path = places / "NEUROPIL_DATA/toy/b.bin"
    path.write_bytes(other)
    assert datasets.fetch("toy") == {"a.bin": path}
    assert datasets.verify("toy")["a.bin"].note == "rebuilt"


def test_a_wrong_checksum_is_refused_in_the_folder_and_on_the_way(places, server, monkeypatch):
    register(monkeypatch, f"{server}/a.bin", content=b"something else")
    expected = hashlib.sha256(b"something else").hexdigest()
    got = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match=f"a.bin of toy .*expected SHA-256 {expected}, got {got}"):
        datasets.fetch("toy", progress=False)
    assert not list((places / "NEUROPIL_CACHE").rglob("*.bin"))
    mine = places / "NEUROPIL_DATA/toy/a.bin"
    mine.parent.mkdir()
    mine.write_bytes(CONTENT)
    with pytest.raises(ValueError, match=f"wrong checksum at .*{expected}, got {got}"):
        datasets.fetch("toy")
    assert datasets.available("toy")
    assert not datasets.verify("toy")["a.bin"].ok


def test_without_network_it_says_what_to_do(places, monkeypatch):
    register(monkeypatch, "http://127.0.0.1:9/a.bin")
    with pytest.raises(
        ConnectionError, match=r"could not be downloaded .*by hand at .*toy/a\.bin"
    ) as e:
        datasets.fetch("toy", progress=False)
    assert "\n" not in str(e.value)


def test_a_page_that_is_not_there_is_no_file(places, server, monkeypatch):
    register(monkeypatch, f"{server}/gone.bin")
    with pytest.raises(ConnectionError, match="HTTPError"):
        datasets.fetch("toy", progress=False)


def test_folders_that_cannot_be_used(places, server, monkeypatch):
    register(monkeypatch, f"{server}/a.bin")
    (places / "file").write_text("")
    monkeypatch.setenv("NEUROPIL_CACHE", str(places / "file/inside"))
    with pytest.raises(OSError, match=r"cannot be written .*set NEUROPIL_CACHE"):
        datasets.fetch("toy", progress=False)
    monkeypatch.setenv("NEUROPIL_DATA", str(places / "typo"))
    with pytest.raises(ValueError, match=r"NEUROPIL_DATA names .*typo, which is not a folder"):
        datasets.available("toy")


def idx(array, kind=8):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.tobytes()


def test_idx_files(tmp_path):
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    packed = gzip.compress(idx(x))
    good, bad = tmp_path / "x.gz", tmp_path / "bad.gz"
    good.write_bytes(packed)
    np.testing.assert_array_equal(read_idx(good, (None, 3, 4)), x)
    (tmp_path / "x").write_bytes(idx(x.astype(">i4"), 0x0C))
    assert read_idx(tmp_path / "x").dtype == np.int32
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), x)
    with pytest.raises(
        ValueError, match=r"has shape \(2, 3, 4\) where \('any', 4, 4\) was expected"
    ):
        read_idx(good, (None, 4, 4))
    for content, message in (
        (packed[: len(packed) // 2], "cut short|not a sound gzip"),
        (packed[:-6], "cut short"),
        (b"<html>", "not a sound gzip"),
        (gzip.compress(b"\x01\x02\x03\x04" + bytes(20)), "not an idx file .*01 02 03 04"),
        (gzip.compress(b""), "begins with nothing"),
        (gzip.compress(idx(x)[:10]), "inside its header"),
        (gzip.compress(idx(x)[:-1]), "should hold 24 bytes .* but holds 23"),
    ):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught:
            read_idx(bad)
        assert "\n" not in str(caught.value)


def here(name):
    try:
        return datasets.available(name)
    except ValueError:
        return False


def needs(name):
    return pytest.mark.skipif(
        not here(name), reason=f"{name} is not on this machine (set NEUROPIL_DATA)"
    )


@needs("mnist")
def test_mnist_has_the_mean_and_deviation_everybody_quotes():
    mnist = datasets.load("mnist")
    assert mnist.train_x.shape == (60000, 28, 28)
    assert mnist.test_x.shape == (10000, 28, 28)
    assert mnist.train_x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert mnist.train_x.std() / 255 == pytest.approx(0.3081, abs=1e-4)
    assert all(c.ok for c in datasets.verify("mnist").values())


@needs("macaque-v4")
def test_v4_repeats_average_to_the_published_means():
    sessions = datasets.load("macaque-v4")
    assert sessions["210325"].images.shape == (640, 112, 112, 3)
    assert sessions["190923"].mean.shape == (33, 1200)
    v4 = sessions["210325"]
    np.testing.assert_allclose(np.nanmean(v4.repeats, -1), v4.mean, atol=1e-6)
    rec = v4.recording()
    assert rec.shape == (np.sum(~np.isnan(v4.repeats[0])), 1, 50)
    third = rec.data.values[rec.data.stimulus.values == 3, 0].mean(0)
    np.testing.assert_allclose(third, v4.mean[:, 3], atol=1e-6)
    assert "GPL" in rec.about["licence"]


@needs("rdm-92images")
def test_human_and_monkey_it_agree_as_published():
    rdm = datasets.load("rdm-92images")
    upper = np.triu_indices(92, 1)
    r = np.corrcoef(rdm.human_it_mean[upper], rdm.monkey_it[upper])[0, 1]
    assert r == pytest.approx(0.49, abs=0.005)
    assert rdm.human_it.shape == (4, 2, 92, 92)
    assert rdm.behaviour.shape == (16, 92, 92)
    assert rdm.images.shape == (92, 175, 175, 3)
    assert (rdm.categories["animate"] ^ rdm.categories["inanim"]).all()
    for matrix in (*rdm.models.values(), rdm.human_it[0, 0], rdm.behaviour[0]):
        np.testing.assert_allclose(matrix, matrix.T)
        assert not np.diag(matrix).any()


@needs("hippocampus-linear-track")
def test_linear_track_equals_its_converted_twin():
    session = datasets.load("hippocampus-linear-track")
    assert (session.units, len(session.spike_times)) == (31, 28829)
    twin = datasets.fetch("hippocampus-linear-track")["spikes.mat"].with_name("session.npz")
    if twin.is_file():
        z = np.load(twin)
        np.testing.assert_array_equal(session.spike_times, z["spike_time"])
        np.testing.assert_array_equal(session.spike_units, z["spike_unit"])
        np.testing.assert_array_equal(session.tetrode, z["unit_tetrode"])
        np.testing.assert_array_equal(session.time, z["pos_time_s"])
        np.testing.assert_array_equal(session.x, z["pos_x_px"])
        np.testing.assert_array_equal(session.y, z["pos_y_px"])
    rec = session.recording(10, stop=5000.0)
    assert rec.to_numpy().sum() == (session.spike_times <= 5000).sum()
    assert session.position(rec).shape == (rec.shape[1], 2)
    assert [name for name, _, _ in session.epochs] == ["run", "rest"]
    assert rec.events["label"].tolist() == ["run"]


@needs("hippocampus-w-maze")
def test_w_maze_loads_from_either_form():
    session = datasets.load("hippocampus-w-maze")
    assert (session.units, len(session.spike_times), len(session.time)) == (25, 518352, 261995)
    assert session.recording(20).to_numpy().sum() == 518352


@needs("braille-tactile-letters")
def test_braille_passes_come_in_order_and_are_picked_by_letter():
    braille = datasets.load("braille-tactile-letters")
    assert braille.taxel.shape == (1350, 76, 12)
    np.testing.assert_array_equal(braille.label, np.repeat(np.arange(27), 50))
    assert (braille.taxel.min(), braille.taxel.max()) == (55, 255)
    taxel, label = braille.pick("B", "A")
    np.testing.assert_array_equal(taxel[:50], braille.taxel[100:150])
    assert np.bincount(label).tolist() == [50, 50]
    with pytest.raises(ValueError, match="there are Space, A"):
        braille.pick("a")


def test_a_pickle_of_braille_is_parsed_and_nothing_in_it_is_run(tmp_path):
    import pickle

    from neuropil.worlds.datasets.braille import LETTERS, load_braille

    steps = lambda k: np.full((76 + k % 2, 12), float(k % 200))
    passes = [
        {"letter": name, "taxel_data": steps(50 * n + k)}
        for n, name in enumerate(LETTERS)
        for k in range(50)
    ]
    path = tmp_path / "a.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(passes, protocol=4)))
    braille = load_braille({"a": path}, {})
    np.testing.assert_array_equal(braille.taxel[:, 0, 0], np.arange(1350) % 200)
    np.testing.assert_array_equal(braille.label, np.repeat(np.arange(27), 50))
    path.write_bytes(gzip.compress(pickle.dumps(passes[:3], protocol=4)))
    with pytest.raises(ValueError, match="holds 3 passes"):
        load_braille({"a": path}, {})
