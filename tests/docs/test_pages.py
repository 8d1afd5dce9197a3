"""Every page of the documentation runs, as a reader would run it: its blocks one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neuropil.worlds import datasets

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_page_runs(page, tmp_path):
    code = blocks(page)
    for name in re.findall(r'datasets\.load\("([^"]+)"\)', code):
        if not datasets.available(name):
            pytest.skip(
                f"{page.name} needs {name}: set NEUROPIL_DATA or run neuropil data get {name}"
            )
    if re.search(r"neuropil(\.| import )nir", code):
        pytest.importorskip("nir", reason="needs the package nir (pip install neuropil[nir])")
    if re.search(r"^import mne|mnelib|cluster_test", code, re.M):
        pytest.importorskip("mne", reason="needs mne (pip install neuropil[recordings])")
    script = tmp_path / "page.py"
    script.write_text(code)
    env = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}, which is not there"
