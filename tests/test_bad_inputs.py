"""Bad input, met the way a user meets it: one line that names the thing, before any long work."""

import gzip
import os
import struct

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neuropil.cells import LIF
from neuropil.cli import invoke
from neuropil.core import Managed, Network, run, start
from neuropil.fit.glm import GLM
from neuropil.learn import Trainer, train
from neuropil.recordings import Recording, read
from neuropil.synapses import Delay
from neuropil.wiring import Dense, Sparse
from neuropil.worlds import datasets
from neuropil.worlds.datasets.idx import read_idx


def truncated_gz(tmp):
    path = tmp / "t10k-images-idx3-ubyte.gz"
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28)
    path.write_bytes(gzip.compress(header + os.urandom(2 * 28 * 28))[:-200])
    return read_idx(path)


def wrong_size_idx(tmp):
    path = tmp / "images.gz"
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2, 14, 14)
    path.write_bytes(gzip.compress(header + bytes(2 * 14 * 14)))
    return read_idx(path, (None, 28, 28))


def wrong_checksum(tmp):
    (tmp / "mnist").mkdir()
    (tmp / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROPIL_DATA", str(tmp))
        patch.setenv("NEUROPIL_CACHE", str(tmp / "cache"))
        return datasets.fetch("mnist", progress=False)


def unknown_suffix(tmp):
    (tmp / "session.xyz").write_text("?")
    return read(tmp / "session.xyz")


def missing_recording(tmp):
    return read(tmp / "nowhere.npz")


def batch_too_large(tmp):
    trainer = Trainer(jnp.zeros(2), lambda w, x, key: jnp.sum((w - x) ** 2), optax.sgd(0.1))
    return train(trainer, jnp.ones((3, 2)), epochs=1, batch=8, key=jax.random.key(0))


def nan_training_data(tmp):
    trainer = Trainer(jnp.zeros(2), lambda w, x, key: jnp.sum((w - x) ** 2), optax.sgd(0.1))
    data = jnp.ones((8, 2)).at[3, 1].set(jnp.nan)
    return train(trainer, data, epochs=1, batch=4, key=jax.random.key(0))


def fractional_delay(tmp):
    return start(Delay(1.25, 3), 0.5, jax.random.key(0))


def lengths_differ(tmp):
    net = Network({"a": LIF(2), "b": LIF(2)}, {})
    xs = {"a": jnp.ones((5, 2)), "b": jnp.ones((6, 2))}
    return run(net, start(net, 1.0, jax.random.key(0)), xs)


def unknown_path(tmp):
    return Managed(Dense(jnp.ones((2, 2))), LIF(2), owns="wieght")


CASES = {
    "truncated gz": (truncated_gz, "cut short"),
    "wrong shape": (wrong_size_idx, "14"),
    "wrong checksum": (wrong_checksum, "t10k-labels-idx1-ubyte.gz"),
    "unknown suffix": (unknown_suffix, "xyz"),
    "missing file": (missing_recording, "nowhere.npz"),
    "unknown dataset": (lambda tmp: datasets.load("mnits"), "mnist"),
    "NaN in a recording": (
        lambda tmp: Recording.from_array(np.array([[[1.0], [np.nan]]]), rate=10.0, unit="Hz"),
        "NaN",
    ),
    "zero sampling rate": (
        lambda tmp: Recording.from_array(np.ones((1, 2, 1)), rate=0.0, unit="Hz"),
        "rate",
    ),
    "empty trial": (
        lambda tmp: Recording.from_trials([np.ones((0, 2))], rate=1.0, unit="Hz"),
        "empty",
    ),
    "unsorted times": (
        lambda tmp: Recording.from_spikes([0.2, 0.1], [0, 0], rate=10.0, start=0.0, stop=1.0),
        "sort",
    ),
    "negative counts": (lambda tmp: GLM(lags=2).fit(-np.ones((50, 2))), "negative"),
    "negative tau": (lambda tmp: LIF(3, tau=-5.0), "LIF.tau = -5 ms"),
    "parameter of another population": (lambda tmp: LIF(3, tau=jnp.ones(4)), "population"),
    "dt of zero": (lambda tmp: start(LIF(3), 0.0, jax.random.key(0)), "dt = 0.0 ms"),
    "fractional delay": (fractional_delay, "no multiple of dt"),
    "target outside": (
        lambda tmp: Sparse(jnp.array([[0, 5]]), jnp.ones((1, 2)), 3),
        "the cells are 0..2",
    ),
    "edge to nowhere": (
        lambda tmp: Network({"E": LIF(2)}, {"E>I": Dense(jnp.ones((2, 2)))}),
        "'I'",
    ),
    "unknown path": (unknown_path, "did you mean 'weight'"),
    "inputs of different lengths": (lengths_differ, "different lengths"),
    "batch larger than the data": (batch_too_large, "batch"),
    "NaN in training data": (nan_training_data, "NaN"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_library_refuses_in_one_line(name, tmp_path):
    work, word = CASES[name]
    with pytest.raises((ValueError, KeyError, TypeError, OSError)) as caught:
        work(tmp_path)
    said = str(caught.value)
    assert word in said, said
    assert "\n" not in said.strip()
    assert len(said) < 600


def blocked(tmp):
    """A path below a file: no folder can be made there, whoever asks (root may write anywhere else)."""
    (tmp / "file").write_text("")
    return tmp / "file" / "run"


COMMANDS = {
    "unknown paper": (["run", "hlpo"], "hlop"),
    "unknown scale": (["run", "hlop", "--scale", "smal"], "small"),
    "unknown key": (["run", "hlop", "--set", "hiden=3"], "hidden"),
    "broken value": (["run", "hlop", "--set", "hidden=many"], "hidden"),
    "no value": (["run", "hlop", "--set", "hidden"], "hidden"),
    "no seeds": (["run", "hlop", "--seeds", "0"], "seed"),
    "unknown data set": (["data", "get", "mnits"], "mnist"),
    "no run folder": (["report", "nowhere"], "nowhere"),
    "nothing to resume": (["run", "hlop", "--resume", "--out", "nowhere"], "nowhere"),
    "output below a file": (["run", "hlop", "--scale", "smoke", "--out", blocked], "file"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_refuses_in_one_line_with_status_2(name, tmp_path, capsys, monkeypatch):
    arguments, word = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    status = invoke([str(a(tmp_path)) if callable(a) else a for a in arguments])
    said = capsys.readouterr().err.strip()
    assert status == 2, said
    assert word in said, said
    assert len(said.splitlines()) == 1, said
