"""algonauts-2023: folders and submission read back as they were written, the planted ceiling, least squares."""

import jax.random as jr
import numpy as np
import pytest

from neuropil.core.random import generator
from neuropil.papers.compare import _algonauts as al
from neuropil.papers.compare.algonauts_2023 import STUDY, check
from neuropil.stats import correlate
from neuropil.worlds.archives import algonauts as layout
from neuropil.worlds.archives import open_algonauts

RNG = np.random.default_rng(0)
SMOKE = dict(STUDY.scales["smoke"])


def test_what_is_known_of_the_challenge():
    assert sum(map(sum, layout.VERTICES.values())) == 315_997
    assert len(layout.TRAIN) == len(layout.TEST) == 8


def test_folders_are_read_as_they_were_written(tmp_path):
    subjects = al.plant(tmp_path, SMOKE, np.random.default_rng(1))
    first, sixth = subjects[0], subjects[5]
    rec = open_algonauts(tmp_path / "subj01")
    assert rec.shape == (40, 1, 20)
    assert open_algonauts(tmp_path / "subj06").shape[2] == 13 == len(sixth.ceiling)
    assert rec.data.nsd.values.tolist() == sorted(rec.data.nsd.values.tolist())
    assert open_algonauts(tmp_path / "subj01", roi="V1v").data.unit.values.tolist() == [
        "lh.1", "lh.9", "rh.1", "rh.9",
    ]  # fmt: skip
    paths = layout.image_paths(tmp_path / "subj01")
    assert paths[0].name.startswith("test-0001_nsd-")
    assert layout.read_images(paths).shape == (len(first.measured), 32, 32, 3)
    with pytest.raises(FileNotFoundError, match="no test images"):
        layout.image_paths(tmp_path)
    with pytest.raises(ValueError, match="3 training images in bytes and 2"):
        layout.write_subject(
            tmp_path / "x",
            train={},
            train_images=np.zeros((3, 2, 2, 3), np.uint8),
            test_images=np.zeros((1, 2, 2, 3), np.uint8),
            train_ids=np.arange(2),
            test_ids=np.arange(1),
        )


def test_a_submission_is_eight_pairs_of_float32(tmp_path):
    made = {
        s: {"lh": RNG.normal(size=(3, 4)), "rh": RNG.normal(size=(3, 2))} for s in layout.SUBJECTS
    }
    path = layout.write_submission(tmp_path / "mine.zip", made)
    back = layout.read_submission(path)
    for s in layout.SUBJECTS:
        for side in ("lh", "rh"):
            assert back[s][side].dtype == np.float32
            np.testing.assert_array_equal(back[s][side], made[s][side].astype(np.float32))
    with pytest.raises(ValueError, match="lacks subj08"):
        layout.write_submission(tmp_path / "few.zip", {k: made[k] for k in layout.SUBJECTS[:7]})
    made["subj02"]["rh"] = np.full((3, 2), np.nan)
    with pytest.raises(ValueError, match="subj02 rh"):
        layout.write_submission(tmp_path / "nan.zip", made)
    assert not (tmp_path / "nan.zip").exists()


def test_least_squares_of_all_vertices_is_that_of_each():
    x, y, new = RNG.normal(size=(50, 12)), RNG.normal(size=(50, 5)), RNG.normal(size=(6, 12))
    both = al.fit_predict("baseline", x, y, new, 4, None)
    one = al.fit_predict("baseline", x, y[:, 2:3], new, 4, None)
    np.testing.assert_allclose(both[:, 2:3], one, rtol=1e-9)
    moved = al.fit_predict("baseline", 3 * x + 1, y, 3 * new + 1, 4, None)
    np.testing.assert_allclose(both, moved, rtol=1e-8)  # scaled by the training images


def test_the_planted_signal_reaches_its_ceiling(tmp_path):
    s = SMOKE | dict(share=1.0, vertices=40)
    subjects = al.plant(tmp_path, s, np.random.default_rng(2))
    r2 = np.concatenate([correlate(p.signal, p.measured) ** 2 for p in subjects])
    top = np.concatenate([p.ceiling for p in subjects])
    good = top > 0
    assert 0.8 < good.mean() < 0.98
    assert (r2[good] - top[good]).mean() == pytest.approx(0, abs=0.01)


def test_an_arm_goes_through_folders_and_submission_without_loss():
    arms = {
        a: al.Challenge(a, SMOKE | dict(train=120, vertices=15), None) for a in ("ridge", "truth")
    }
    out = {a: arm.step(arm.init(1.0, jr.key(0)), None, None)[1] for a, arm in arms.items()}
    assert out["ridge"]["wrong"] == out["truth"]["wrong"] == 0
    assert out["truth"]["score"] > out["ridge"]["score"] > out["ridge"]["chance"]
    assert out["truth"]["score"] < 100
    assert np.isnan(out["truth"]["v4"])
    a, b = (al.scenes(2, 16, generator(jr.key(0), "x")) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_settings_that_make_no_sense_are_refused():
    check(STUDY.scales["small"])
    for change, says in (
        ({"vertices": 3}, "vertices"),
        ({"share": 0.0}, "share"),
        ({"resamples": 0}, "resamples"),
    ):
        with pytest.raises(ValueError, match=says):
            check(STUDY.scales["small"] | change)
