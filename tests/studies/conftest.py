"""Shared by the tests of studies: the toy study, and a cache folder of their own."""

from pathlib import Path

import pytest

TOY = f"{Path(__file__).parent / 'toy.py'}:STUDY"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEUROPIL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def toy() -> str:
    return TOY
