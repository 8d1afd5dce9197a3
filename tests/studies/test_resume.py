"""A real process, really killed: the run that goes on has the same numbers to the bit."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from neuropil.studies.folder import whole_lines


def start(toy, out, *more, nap="0.15", **env):
    command = [sys.executable, "-m", "neuropil.cli", "run", toy, "--out", str(out), *more]
    return subprocess.Popen(
        command,
        env={
            **os.environ,
            "NEUROPIL_CHECKPOINT_SECONDS": "0.1",
            "JAX_PLATFORMS": "cpu",
            "TOY_NAP": nap,
            **env,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell that starts the tests in the background hands on an interrupt that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def whole(toy, out, *more, **env):
    process = start(toy, out, *more, **env)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def stored(out):
    return sorted(path for path in (out / "checkpoints").glob("*/*/[0-9]*") if path.name.isdigit())


def when(process, ready, timeout=90):
    end = time.monotonic() + timeout
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    status, said = whole(toy, out, nap="0")
    assert status == 0, said
    for words in ("95 % interval", "difference to system", f"report: {out / 'report.html'}"):
        assert words in said
    return (out / "metrics.jsonl").read_bytes()


def test_kill_and_resume_is_bit_equal(toy, tmp_path, uninterrupted):
    out = tmp_path / "run"
    process = start(toy, out)
    when(process, lambda: len(stored(out)) >= 2)
    process.kill()  # SIGKILL: the workers go with it
    process.wait()
    assert not (out / "summary.json").exists()
    lines = sum(len(whole_lines(p)) for p in out.glob("jobs/*/*/metrics.jsonl"))
    assert 0 < lines < 24
    # and with another number of workers: each has one core, so it makes no difference
    status, said = whole(toy, out, "--resume", "--workers", "1", nap="0")
    assert status == 0, said
    assert (out / "metrics.jsonl").read_bytes() == uninterrupted


@pytest.mark.slow
def test_kill_again_and_again(toy, tmp_path, uninterrupted):
    out, more, chance = tmp_path / "run", (), random.Random(0)
    for _ in range(8):
        process = start(toy, out, *more)
        time.sleep(chance.uniform(1.0, 6.0))
        process.kill()
        process.wait()
        more = ("--resume",) if (out / "config.json").exists() else ()
        if not more:
            shutil.rmtree(out, ignore_errors=True)
    status, said = whole(toy, out, *more, nap="0")
    assert status == 0, said
    assert (out / "metrics.jsonl").read_bytes() == uninterrupted


def test_interrupt_stores_and_says_how_to_go_on(toy, tmp_path):
    out = tmp_path / "run"
    process = start(toy, out, "--workers", "1", nap="0.5", NEUROPIL_CHECKPOINT_SECONDS="1000")
    when(process, lambda: any(out.glob("jobs/*/*/metrics.jsonl")))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume --out {out}" in said.strip().splitlines()[-1]
    assert stored(out)


def test_a_dead_worker_is_reported(toy, tmp_path):
    status, said = whole(toy, tmp_path / "run", "--set", "data=killed")
    last = said.strip().splitlines()[-1]
    assert status == 1, said
    assert "worker" in last
    assert "SIGKILL (often: out of memory)" in last
    assert "--resume" in last
