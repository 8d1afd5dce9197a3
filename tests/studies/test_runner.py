"""Runs: what they write, what stops them, and going on after it."""

import contextlib
import json
import math
import os
import resource
import stat

import numpy as np
import pytest
from rich.console import Console

from neuropil.studies import Refused, claims, run
from neuropil.studies.folder import RunFolder, read_json, whole_lines
from neuropil.studies.plan import load, plan
from neuropil.studies.runner import execute


def smoke(toy, out, **options):
    return run(toy, "smoke", out=out, **options)


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "toy"
    summary, folder = run(toy, "smoke", out=out)
    return summary, folder


def test_a_run_writes_its_folder(finished):
    summary, folder = finished
    for name in (
        "config.json environment.json study.json metrics.jsonl timing.jsonl summary.json report.html"
        " figures/heights.png figures/heights.svg checkpoints/up/0/3 checkpoints/still/1/3"
    ).split():
        assert (folder / name).exists(), name
    rows = whole_lines(folder / "metrics.jsonl")
    order = [(r["arm"], r["seed"], r["tick"]) for r in rows]
    assert order == [(a, s, t) for a in ("up", "still") for s in (0, 1) for t in (0, 1, 2)]
    assert set(rows[0]) == {"arm", "seed", "tick", "metrics"}
    assert read_json(folder / "config.json")["seeds"] == [0, 1]
    assert read_json(folder / "environment.json")["versions"]["jax"]
    assert summary == read_json(folder / "summary.json")


def test_values_and_differences(finished):
    summary, folder = finished
    rows = whole_lines(folder / "metrics.jsonl")
    last = [r["metrics"]["height"] for r in rows if r["arm"] == "up" and r["tick"] == 2]
    cell = summary["arms"]["up"]["height"]
    assert cell["values"] == last
    assert cell["mean"] == pytest.approx(np.mean(last))
    still = summary["arms"]["still"]["height"]
    assert still["difference"]["mean"] == pytest.approx(still["mean"] - cell["mean"])
    assert still["difference"]["mean"] == pytest.approx(-9, abs=1e-4)  # same key, same noise


def test_floats_in_the_lines_round_trip(finished):
    _, folder = finished
    for row in whole_lines(folder / "metrics.jsonl"):
        for value in row["metrics"]["row"]:
            assert float(np.float32(value)) == value


def test_resume_of_a_finished_run_changes_nothing(finished, toy):
    _, folder = finished
    before = {n: (folder / n).read_bytes() for n in ("metrics.jsonl", "summary.json")}
    run(toy, out=folder, resume=True)
    assert before == {n: (folder / n).read_bytes() for n in before}


def test_vmapped_seeds_give_the_same_values(finished, toy, tmp_path, monkeypatch):
    summary, _ = finished
    vmapped = toy.replace(":STUDY", ":VMAPPED")
    together, folder = smoke(vmapped, tmp_path / "out")
    assert (folder / "checkpoints" / "up" / "0-1" / "3").is_dir()
    for arm in ("up", "still"):
        one, many = (s["arms"][arm]["height"]["values"] for s in (summary, together))
        assert many == pytest.approx(one, abs=1e-5)
    stopped = iter([False, True])
    monkeypatch.setattr("neuropil.studies.job.EVERY", 0.0)
    config = plan(vmapped, "smoke", out=tmp_path / "cut")
    with monkeypatch.context() as patch:
        patch.setattr("neuropil.studies.runner._stoppable", lambda c: _once(stopped))
        with pytest.raises(Refused, match="interrupted"):
            execute(config, Console(quiet=True))
    run(vmapped, out=tmp_path / "cut", resume=True)
    one, two = ((tmp_path / n / "metrics.jsonl").read_bytes() for n in ("out", "cut"))
    assert one == two


@contextlib.contextmanager
def _once(answers):
    yield lambda: next(answers)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sets": ["gain=2"]}, "gain is 1.0"),
        ({"seeds": 3}, "seeds is 2"),
        ({"scale": "small"}, "at scale smoke, not small"),
    ],
)
def test_resume_refuses_other_settings(finished, toy, options, says):
    _, folder = finished
    with pytest.raises(Refused, match=says):
        run(toy, out=folder, resume=True, **options)


def test_a_run_does_not_enter_a_used_folder(finished, toy, tmp_path):
    _, folder = finished
    with pytest.raises(Refused, match="holds a run; add --resume"):
        smoke(toy, folder)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(Refused, match="is not empty"):
        smoke(toy, tmp_path)
    with pytest.raises(Refused, match="is a file"):
        smoke(toy, tmp_path / "mine.txt")


def test_folders_that_cannot_be_written(toy, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused, match="cannot write in"):
        smoke(toy, tmp_path / "file" / "out")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(Refused, match="cannot write in"):
            smoke(toy, tmp_path / "locked" / "out")


def test_no_room(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 2**20}))
    with pytest.raises(Refused, match=r"no room in .*: 1 MB free"):
        smoke(toy, tmp_path / "out")


@contextlib.contextmanager
def largest_file(size):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


# Orbax leaves a thread behind that speaks to its closed event loop
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_in_the_middle_loses_nothing(toy, tmp_path):
    sets = ["bulk=100000"]
    with largest_file(20_000), pytest.raises(Refused, match=r"cannot write in .*--resume") as info:
        smoke(toy, tmp_path / "out", sets=sets)
    assert info.value.code == 1
    assert (tmp_path / "out" / "config.json").exists()
    run(toy, out=tmp_path / "out", resume=True)
    smoke(toy, tmp_path / "whole", sets=sets)
    one, two = ((tmp_path / n / "metrics.jsonl").read_bytes() for n in ("out", "whole"))
    assert one == two


def test_nan_is_named(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_POISON", "1")
    with pytest.raises(Refused, match="arm up, seed 0, chunk 1: metric row went non-finite"):
        smoke(toy, tmp_path / "out")


def test_broken_data_is_one_line(toy, tmp_path):
    with pytest.raises(Refused, match=r"toy\.gz is cut short"):
        smoke(toy, tmp_path / "out", sets=["data=broken"])


def test_a_claim_about_no_arm_is_refused_before_the_run(toy, tmp_path, monkeypatch):
    wrong = claims.Claim(
        slug="toy-walk",
        id="c",
        text="",
        metric="height",
        contrast={"upp": 1.0},
        direction=">",
        scope="",
    )
    monkeypatch.setattr(claims, "of", lambda slug, kept=None: (wrong,))
    with pytest.raises(Refused, match="no arm 'upp'; did you mean up"):
        smoke(toy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_planned_and_unknown():
    with pytest.raises(Refused, match="planned"):
        load("sync-redundancy")
    with pytest.raises(Refused, match="did you mean hlop"):
        load("hlpo")


def test_one_process_a_folder(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.lock(), pytest.raises(Refused, match="another process"), folder.lock(wait=0.2):
        pass


def test_lines_cut_short_by_a_kill(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n{"a"')
    assert whole_lines(path) == [{"a": 1}, {"a": 2}]


def test_atomic_write_keeps_the_old_file(tmp_path):
    from neuropil.studies.folder import write

    path = tmp_path / "x"
    write(path, "old")
    with largest_file(10), pytest.raises(OSError, match="large"):
        write(path, "new" * 100)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_non_finite_json(tmp_path):
    from neuropil.studies.folder import number, write_lines

    write_lines(tmp_path / "l", [{"v": [math.nan, -math.inf, 0.1]}])
    text = (tmp_path / "l").read_text()
    json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    back = number(whole_lines(tmp_path / "l")[0]["v"])
    assert math.isnan(back[0])
    assert back[1:] == [-math.inf, 0.1]
