import json

import numpy as np
import pytest

from neuropil.compare.brainmaps import glass_brain, surface_map, volume
from neuropil.recordings import Recording
from neuropil.stats import Score

pytest.importorskip("nilearn", reason="needs nilearn: pip install neuropil[fmri]")


def brain():
    at = np.argwhere(np.ones((3, 3, 3), bool))[::2]
    affine = np.diag([30.0, 30, 30, 1])
    affine[:3, 3] = [-30, -50, -10]
    return Recording.from_array(
        np.ones((1, 2, len(at))),
        rate=0.5,
        unit="BOLD",
        labels=[f"{i},{j},{k}" for i, j, k in at],
        about={"grid": "[3, 3, 3]", "affine": json.dumps(affine.tolist())},
    ), at


def test_values_go_back_to_their_voxels_and_onto_a_glass_brain():
    rec, at = brain()
    score = Score(np.arange(14.0), name="r")
    image = volume(score, rec)
    data = image.get_fdata()
    np.testing.assert_array_equal(data[tuple(at.T)], np.arange(14))
    assert np.isnan(data[0, 0, 1])
    assert image.affine[0, 0] == 30
    figure = glass_brain(score, rec)
    assert figure.axes
    with pytest.raises(ValueError, match="14 units"):
        volume(np.ones(3), rec)
    plain = Recording.from_array(np.ones((1, 2, 3)), rate=0.5, unit="BOLD")
    with pytest.raises(ValueError, match="grid"):
        volume(np.ones(3), plain)


def test_values_on_a_flat_mesh():
    xy = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), -1).reshape(-1, 2)
    mesh = np.c_[xy, np.zeros(12)]
    faces = [[i, i + 1, i + 4] for i in (0, 1, 2, 4, 5, 6)]
    faces += [[i + 1, i + 5, i + 4] for i in (0, 1, 2, 4, 5, 6)]
    figure = surface_map(np.arange(12.0), (mesh, np.array(faces)))
    part = surface_map(np.arange(8.0), (mesh, np.array(faces)), vertices=np.arange(8))
    assert part.axes
    assert figure.axes
    with pytest.raises(ValueError, match="12 units"):
        surface_map(np.ones(3), (mesh, np.array(faces)))
