"""The report, stored results and the README's table, from a run folder made by hand."""

import copy
import html.parser
import json

import pytest

from neuropil.cli import invoke
from neuropil.studies import Refused, catalogue, claims, table
from neuropil.studies.claims import Claim
from neuropil.studies.folder import write_json
from neuropil.studies.report import write_report
from neuropil.studies.store import store

EVIL = "<script>alert('x')</script>\"&"
CLAIM = Claim(
    slug="hlop",
    id="one",
    text=f"a < b {EVIL}",
    metric="m",
    contrast={"sys": 1.0, "base|line": -4.0},
    direction=">",
    scope=f"here {EVIL}",
)
VALUES = {"sys": [3.0, 3.1, 2.9], "base|line": [0.1, 0.1, 0.1]}


def folder(tmp_path, **changes):
    seal = claims.seal([CLAIM])
    promised = {"seal": seal, "commit": "c" * 40, "committed": True}
    cell = {"mean": 3.0, "low": 2.8, "high": 3.2, "n": 3, "values": [3.0, 3.1, 2.9]}
    base = {"mean": 0.1, "low": 0.1, "high": "NaN", "n": 3, "values": [0.1, 0.1, "NaN"]}
    code = {"commit": "a" * 40, "dirty": False}
    summary = {
        "slug": "hlop",
        "scale": "small",
        "settings": {"lr": 0.1, "seeds": 3, "note": EVIL},
        "changed": {},
        "seeds": [0, 1, 2],
        "demonstration": None,
        "arms": {"sys": {"m": cell}, "base|line": {"m": {**base, "difference": cell}}},
        "claims": [claims.judge(CLAIM, VALUES, scale="small").json()],
        "promised": promised,
        "code": code,
        "figures": ["curve"],
    }
    study = {
        "slug": "hlop",
        "title": f"title {EVIL}",
        "mechanism": EVIL,
        "claim": EVIL,
        "differs": [EVIL],
        "cost": "",
        "cite": f"@article{{x, title={{{EVIL}}}}}",
        "system": "sys",
        "arms": {
            "sys": {"role": "system", "about": EVIL},
            "base|line": {"role": "baseline", "about": ""},
        },
        "metrics": {
            "m": {
                "label": EVIL,
                "unit": "s",
                "better": "higher",
                "paper": {"sys": 9},
                "where": EVIL,
            }
        },
    }
    environment = {
        "python": "3.11",
        "platform": EVIL,
        "cpu": EVIL,
        "cores": 2,
        "versions": {"neuropil": "0.1.0"},
        "code": code,
        "datasets": {"mnist": {"train": "f" * 64}},
    }
    config = {
        "target": "hlop",
        "slug": "hlop",
        "scale": "small",
        "settings": summary["settings"],
        "seeds": [0, 1, 2],
        "usual_seeds": 3,
    }
    out = tmp_path / "run"
    for name, value in changes.items():
        (config if name in ("target", "usual_seeds") else summary)[name] = value
    for name, value in (
        ("summary", summary),
        ("study", study),
        ("environment", environment),
        ("config", config),
    ):
        write_json(out / f"{name}.json", copy.deepcopy(value))
    (out / "figures").mkdir()
    (out / "figures" / "curve.png").write_bytes(b"\x89PNG not really")
    return out


@pytest.fixture
def results(tmp_path, monkeypatch):
    place = tmp_path / "results"
    monkeypatch.setattr(catalogue, "results_folder", lambda: place)
    monkeypatch.setattr(claims, "of", lambda slug, kept=None: (CLAIM,) if slug == "hlop" else ())
    catalogue.stored.cache_clear()
    yield place
    catalogue.stored.cache_clear()


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text = set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [v for k, v in attributes if k in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_report_is_whole_and_escaped(tmp_path):
    path = write_report(folder(tmp_path))
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "b" in page.tags
    assert page.text.count("<script>alert('x')</script>\"&") >= 9
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert len(page.links) == 1
    assert "url(" not in text
    assert "@import" not in text
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    for fact in ("holds", "aaaaaaaaaaaa", "cccccccccccc", "f" * 64, "3 [2.8, 3.2]", "Each seed"):
        assert fact in page.text, fact


def test_report_of_an_unfinished_run(tmp_path, capsys):
    out = folder(tmp_path)
    (out / "summary.json").unlink()
    assert invoke(["report", str(out)]) == 2
    assert "is not finished" in capsys.readouterr().err


def test_report_of_a_broken_file(tmp_path, capsys):
    out = folder(tmp_path)
    (out / "summary.json").write_text("{")
    assert invoke(["report", str(out)]) == 2
    assert "summary.json is not valid JSON" in capsys.readouterr().err


def test_store_makes_a_paper_work(tmp_path, results):
    assert catalogue.paper("hlop").state == "planned"
    path = store(folder(tmp_path))
    assert path == results / "hlop" / "small.json"
    found = json.loads(path.read_text())
    assert found["environment"]["cores"] == 2
    assert found["code"]["commit"] == "a" * 40
    assert found["seeds"] == [0, 1, 2]
    assert catalogue.paper("hlop").state == "works"
    assert catalogue.paper("hlop").json()["verdicts"][0]["verdict"] == "holds"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"demonstration": "digits"}, "demonstration on digits"),
        ({"changed": {"lr": 0.5}}, "changed settings .*lr = 0.5"),
        ({"usual_seeds": 5}, "3 seeds, scale small has 5"),
        ({"target": "x.py:STUDY"}, "not in the catalogue"),
        ({"promised": {"seal": "0", "commit": None, "committed": True}}, "were changed after"),
        (
            {"promised": {"seal": claims.seal([CLAIM]), "commit": None, "committed": False}},
            "were not committed",
        ),
    ],
)
def test_store_refuses(tmp_path, results, changes, says):
    with pytest.raises(Refused, match=says):
        store(folder(tmp_path, **changes))
    assert not results.exists()


def test_store_refuses_an_unfinished_run(tmp_path, results):
    out = folder(tmp_path)
    (out / "summary.json").unlink()
    with pytest.raises(Refused, match="not finished"):
        store(out)


def test_tables_of_papers_and_of_claims(tmp_path, results, capsys):
    page = tmp_path / "README.md"
    page.write_text(
        "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n<!-- claims -->\n<!-- /claims -->\nend\n"
    )
    store(folder(tmp_path))
    assert table.main(["--check", str(page)]) == 1
    assert table.main([str(page)]) == 0
    assert table.main(["--check", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- results -->\n| paper |")
    assert "<!-- /results -->\nafter\n<!-- claims -->\n| paper | claim |" in text
    assert text.endswith("<!-- /claims -->\nend\n")
    assert "1 holds" in text
    assert "**holds**" in text
    assert "<script" not in text
    one, *each = [line for line in text.splitlines() if line.startswith("| hlop")]
    assert one.replace("\\|", "").count("|") == 6
    assert all(row.replace("\\|", "").count("|") == 7 for row in each)
    assert each
    page.write_text("no marks")
    assert table.main([str(page)]) == 2
    assert "<!-- results -->" in capsys.readouterr().err


def test_show_and_list_tell_stored_verdicts(tmp_path, results, capsys):
    store(folder(tmp_path))
    assert invoke(["list", "--family", "build.learning"]) == 0
    assert "1 holds" in capsys.readouterr().out
