"""The loader: kernels are compiled once, kept by what they were made from, and never needed."""

import logging
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neuropil import native
from neuropil.native import build, kernel

needs_compiler = pytest.mark.skipif(
    not native.available("events"), reason="there is no C++ compiler on this machine"
)


def doubled(x):
    """Twice x by a kernel; 100 more by the function that stands in for it, to tell them apart."""
    like = jax.ShapeDtypeStruct(x.shape, x.dtype)
    each = jnp.arange(x.shape[0] + 1, dtype=jnp.int32)  # every cell has one target, its own
    arrays = (x, jnp.float32(2), each[:-1], each)
    how = {"mode": 0, "shared": 1, "batched": 0, "batch": 1}
    how = {name: np.int32(value) for name, value in how.items()}
    return native.call("events.product", lambda x, *_: 2 * x + 100, like, *arrays, **how)


@needs_compiler
def test_a_kernel_is_called_and_the_pure_context_is_part_of_jits_key():
    f, x = jax.jit(doubled), jnp.arange(3.0)
    assert f(x).tolist() == [0.0, 2.0, 4.0]
    with native.pure():
        assert f(x).tolist() == [100.0, 102.0, 104.0]
    assert f(x).tolist() == [0.0, 2.0, 4.0]
    assert jax.vmap(doubled)(jnp.ones((2, 3))).tolist() == [[2.0] * 3] * 2


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has loaded nothing yet, with an empty cache folder and one small source."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.cc").write_text('extern "C" int one() { return 1; }\n')
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path / "cache"))
    caches = (build._library, kernel._say)
    for cached in caches:
        cached.cache_clear()
    yield sources
    for cached in caches:
        cached.cache_clear()


@needs_compiler
def test_compiled_once_and_again_only_where_the_source_changed(fresh, tmp_path):
    assert native.library("one").one() == 1
    made = list((tmp_path / "cache/native").iterdir())
    assert [p.suffix for p in made] == [".so"]
    before = made[0].stat().st_mtime_ns
    build._library.cache_clear()
    assert native.library("one").one() == 1
    assert made[0].stat().st_mtime_ns == before
    (fresh / "one.cc").write_text('extern "C" int one() { return 2; }\n')
    build._library.cache_clear()
    assert native.library("one").one() == 2
    assert len(list((tmp_path / "cache/native").iterdir())) == 2


@needs_compiler
def test_two_processes_may_build_at_once(fresh, tmp_path):
    code = (
        "import pathlib, sys\n"
        "from neuropil.native import build\n"
        "build.SOURCES = pathlib.Path(sys.argv[1])\n"
        "assert build.library('one').one() == 1\n"
    )
    pair = [subprocess.Popen([sys.executable, "-c", code, str(fresh)]) for _ in range(2)]
    assert [p.wait(60) for p in pair] == [0, 0]
    assert len(list((tmp_path / "cache/native").iterdir())) == 1  # no half-built file is left


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("NEUROPIL_NATIVE", "0", "NEUROPIL_NATIVE is 0"),
        ("CXX", "no-such-compiler", "there is no C\\+\\+ compiler"),
        ("NEUROPIL_CACHE", "/dev/null", "set NEUROPIL_CACHE"),
    ],
)
def test_without_it_all_runs_and_says_once_why(fresh, monkeypatch, caplog, name, value, reason):
    monkeypatch.setenv(name, value)
    (fresh / "events.cc").write_text("")
    with pytest.raises(native.NativeError, match=reason):
        native.library("events")
    with caplog.at_level(logging.WARNING, "neuropil"):
        assert doubled(jnp.ones(1)).tolist() == [102.0]
        doubled(jnp.ones(2))
    assert len(caplog.records) == 1
    assert "slower" in caplog.text


@needs_compiler
def test_a_source_that_does_not_compile_is_named(fresh):
    (fresh / "bad.cc").write_text("int f( {\n")
    with pytest.raises(native.NativeError, match=r"does not compile bad\.cc"):
        native.library("bad")
    with pytest.raises(FileNotFoundError, match=r"no source wrong\.cc; there are bad, one"):
        native.library("wrong")
