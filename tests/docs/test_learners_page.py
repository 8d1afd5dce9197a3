"""The page that compares the learners is that of the stored numbers."""

import runpy
from pathlib import Path

from neuropil.learn import LEARNERS

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "learners.py"))


def test_the_page_is_up_to_date():
    assert SCRIPT["page"](ROOT / "docs" / "learners.md", check=True) == 0


def test_every_stored_row_is_of_a_learner_there_is():
    rows = SCRIPT["kept"]()["rows"]
    assert {row["learner"] for row in rows} <= set(LEARNERS)
    for row in rows:
        assert len(row["accuracy"]) == len(row["angle_end"]) == 5
