"""False-positive rates under true nulls, coverages under known truths: 1,000 experiments each (slow)."""

import json

import pytest

from neuropil.stats.calibration import Case, cases, measure
from neuropil.studies import calibration


def test_measure_counts_and_says_whether_the_promise_was_kept():
    half = Case("half", "?", lambda rng: rng.random() < 0.5)
    found = measure(half, 400)
    assert 0.4 < found["rate"] < 0.6
    assert not found["kept"]
    never = Case("never", "?", lambda rng: False, bound=True)
    assert measure(never, 200)["kept"]
    assert not measure(Case("never", "?", lambda rng: False), 200)["kept"]
    always = Case("always", "?", lambda rng: True, "covers", 0.95, bound=True)
    assert measure(always, 200)["kept"]
    with pytest.raises(ValueError, match="rejects"):
        Case("x", "?", lambda rng: True, "is right")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, c in cases().items() if c.sound])
def test_the_promised_rate_is_kept(name):
    if name.startswith("cluster"):
        pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
    found = measure(cases()[name])
    assert found["kept"], found


def test_page_and_stored_results(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration.catalogue, "results_folder", lambda: tmp_path)
    coin = Case("coin", "Edge?", lambda rng: rng.random() < 0.05)
    wrong = Case("wrong", "Always?", lambda rng: True, sound=False)
    monkeypatch.setattr(calibration, "cases", lambda: {"coin": coin, "wrong": wrong})
    assert calibration.main(["run"]) == 0
    assert json.loads((tmp_path / "calibration/coin.json").read_text())["n"] == 1000
    page = tmp_path / "page.md"
    page.write_text("# Page\n<!-- calibration -->\nold\n<!-- /calibration -->\nend\n")
    assert calibration.main(["page", "--check", str(page)]) == 1
    assert calibration.main(["page", str(page)]) == 0
    text = page.read_text()
    assert "| coin | Edge? | 5 % |" in text
    assert "| wrong | Always? | 5 % | 100.0 %" in text
    assert "end" in text
    assert calibration.main(["page", "--check", str(page)]) == 0
    assert calibration.main([]) == 2
    with pytest.raises(ValueError, match="no case 'x'"):
        calibration.run(["x"])
