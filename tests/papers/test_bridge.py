import json
import re
from pathlib import Path

import numpy as np
import pytest

from neuropil.papers import bridge
from neuropil.worlds import datasets

TINY = {"cells": 20, "seconds": 10, "images": 60, "repeats": 4, "draws": 50}


def test_filters_see_contrast_and_nothing_of_the_mean():
    rng = np.random.default_rng(0)
    bank = bridge.gabors(5, rng).reshape(5, 4, -1)
    np.testing.assert_allclose(bank.sum(2), 0, atol=1e-9)
    # opposite phases are each other's negative: together the four rectify both ways
    np.testing.assert_allclose(bank[:, 0], -bank[:, 2], atol=1e-9)
    images = rng.integers(0, 255, (3, 112, 112, 3)).astype(np.uint8)
    seen = bridge.luminance(images)
    np.testing.assert_allclose(seen.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std((1, 2)), 1, rtol=1e-4)


def test_wiring_is_sparse_and_obeys_dale():
    w = bridge.wiring(40, np.random.default_rng(0))
    assert np.all(np.diag(w) == 0)
    assert 0.03 < (w != 0).mean() < 0.1
    assert np.all(w[:, :32] >= 0)
    assert np.all(w[:, 32:] <= 0)


def test_without_data_it_recovers_the_wiring_and_says_that_the_rest_is_untested(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(bridge.datasets, "available", lambda name: False)
    monkeypatch.setitem(bridge.SCALES, "smoke", TINY)
    out = bridge.main(tmp_path, "smoke")
    assert out["v4"] is None
    assert out["wiring"]["edges"].interval[0] > 0.7
    assert "untested, since macaque-v4 is not on this machine" in capsys.readouterr().out
    assert (tmp_path / "bridge.png").stat().st_size > 20_000
    assert "untested" in json.loads((tmp_path / "bridge.json").read_text())["v4"]
    with pytest.raises(ValueError, match="scale must be one of"):
        bridge.main(tmp_path, "huge")


def test_a_planted_brain_of_complex_cells_is_predicted_near_its_ceiling_and_not_by_pixels():
    """The instrument on planted data: the brain is what the cells are built to compute."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (60, 14, 14, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    filters, weights = bridge.gabors(12, rng), bridge.wiring(12, rng)
    drive = np.einsum("ihw,fhw->if", bridge.luminance(images), filters)
    drive = drive / drive.std(0)
    network = bridge.build(weights, np.vstack([0 * drive[:1], 3 * drive]))
    brain = np.maximum(drive.reshape(60, 12, 4), 0).sum(2)
    responses = brain + 0.3 * rng.normal(size=(6, 60, 12))
    beside = bridge.beside_v4(network, images, responses, TINY, seed=0)
    one, other = beside["network"], beside["pixels"]
    assert one["encoding"].mean().of_ceiling > 0.75
    assert one["geometry"].of_ceiling > 0.7
    assert one["geometry"].p < 0.05
    assert bridge.difference(beside, "encoding").interval[0] > 0
    assert bridge.difference(beside, "geometry").interval[0] > 0
    assert other["encoding"].mean().value < one["encoding"].mean().value


@pytest.mark.slow
@pytest.mark.skipif(not datasets.available("macaque-v4"), reason="needs macaque-v4")
def test_the_page_runs_as_it_is_written(capsys):
    page = (Path(__file__).parents[2] / "docs" / "bridge.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S).group(1)
    assert len(code.splitlines()) <= 40
    exec(compile(code, "bridge.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("Score(") for line in lines)
