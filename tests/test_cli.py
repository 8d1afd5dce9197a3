"""The command line: fast where it must be, one line where it refuses."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuropil.cli import invoke
from neuropil.studies import catalogue

ROOT = Path(__file__).parent.parent
TOY = f"{ROOT / 'tests' / 'studies' / 'toy.py'}:STUDY"


def neuropil(*arguments, timeout=60):
    code = (
        "import sys\nfrom neuropil.cli import invoke\nstatus = invoke(sys.argv[1:])\n"
        "print(' '.join(sorted({'jax', 'numpy', 'typer'} & set(sys.modules))), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
    )


def refused(capsys, *arguments):
    assert invoke(list(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    return lines[0]


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--json"]])
def test_list_and_help_import_no_jax(arguments):
    done = neuropil(*arguments)
    assert done.returncode == 0, done.stderr
    assert not {"jax", "numpy"} & set(done.stderr.split())


def test_list_has_every_paper(capsys):
    assert invoke(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 179
    assert {row["state"] for row in rows} <= {"planned", "works"}
    assert {"slug", "family", "claim", "verdicts"} <= set(rows[0])


def test_list_by_family_takes_branches(capsys):
    assert invoke(["list", "--family", "build.memory", "--json"]) == 0
    few = json.loads(capsys.readouterr().out)
    assert invoke(["list", "--json", "--family=build"]) == 0
    more = json.loads(capsys.readouterr().out)
    assert {row["family"] for row in few} == {"build.memory"}
    assert len(more) > len(few)
    assert all(row["family"].startswith("build.") for row in more)


def test_list_as_table(capsys):
    assert invoke(["list", "--family", "core"]) == 0
    out = capsys.readouterr().out
    assert "nested-dynamical-systems" in out
    assert "4 papers" in out


def test_show_of_a_planned_paper(capsys):
    planned = next(p for p in catalogue.papers().values() if p.module is None)
    assert invoke(["show", planned.slug]) == 0
    assert planned.claim.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["run", "hlpo"], ["hlpo", "did you mean hlop?"]),
        (["show", "neuroforner"], ["did you mean neuroformer?"]),
        (["cite", "hlpo"], ["did you mean hlop?"]),
        (["run", "sync-redundancy"], ["planned", "hlop"]),
        (["list", "--family", "build.memry"], ["did you mean build.memory?"]),
        (["lst"], ["did you mean list?"]),
        (["data", "gett"], ["did you mean get?"]),
        (["data", "get", "mnits"], ["did you mean mnist?"]),
        (["run", TOY, "--scale", "smal"], ["smal", "did you mean small?"]),
        (["run", TOY, "--set", "gian=2"], ["gian", "did you mean gain?"]),
        (["run", TOY, "--set", "gain=much"], ["gain=much", "not a finite number"]),
        (["run", TOY, "--set", "gain=nan"], ["not a finite number"]),
        (["run", TOY, "--set", "ticks=2.5"], ["not a whole number"]),
        (["run", TOY, "--set", "ticks"], ["key=value"]),
        (["run", TOY, "--set", "ticks=0"], ["at least 1"]),
        (["run", TOY, "--seeds", "0"], ["--seeds 0"]),
        (["run", TOY, "--seeds", "two"], ["--seeds"]),
        (["run", TOY, "--workers", "0"], ["--workers 0"]),
        (["run", TOY, "--scal"], ["--scale"]),
        (["run", "no.such.module:STUDY"], ["no.such.module"]),
        (["run", "no_such_file.py:STUDY"], ["no_such_file.py"]),
        (["run", TOY.replace(":STUDY", ":SCALES")], ["no Study"]),
        (["run", TOY, "--resume", "--out", "no/such/folder"], ["no/such/folder", "--resume"]),
        (["report", "no/such/folder"], ["no/such/folder"]),
        (["store", "no/such/folder"], ["no/such/folder"]),
    ],
)
def test_wrong_requests_are_one_line(arguments, names, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, *arguments)
    for name in names:
        assert name in line
    assert not any(path.name != "no" for path in tmp_path.iterdir())


def test_refusal_comes_before_any_compilation(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    refused(capsys, "run", TOY, "--set", "gian=2")
    assert time.monotonic() - began < 2
    assert "Traceback" not in capsys.readouterr().err
