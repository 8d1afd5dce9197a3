"""Regions, GLM and noise normalisation on planted data and on Haxby's; GIFTI files that nibabel wrote."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuropil.recordings import Recording, read
from neuropil.recordings.fmri import by_region, in_regions, responses

nibabel = pytest.importorskip("nibabel", reason="needs the extra neuropil[recordings]")
DATA = Path(os.environ.get("NEUROPIL_DATA", "")) / "fmri-haxby2001-mini/sub001"
RNG = np.random.default_rng(0)
EVENTS = pd.DataFrame(
    {
        "onset": [10.0, 40, 70, 100, 130, 160],
        "duration": 12.0,
        "trial_type": ["face", "house"] * 3,
    }
)


def planted(noise=0.5, runs=2, units=6):
    """Recording of betas +-1 behind nilearn's own design, slow drift and white noise."""
    lib = pytest.importorskip(
        "nilearn.glm.first_level", reason="needs nilearn: pip install neuropil[fmri]"
    )
    time = np.arange(100) * 2.0
    design = lib.make_first_level_design_matrix(time, EVENTS, hrf_model="glover")
    betas = RNG.normal(size=(2, units))
    y = design[["face", "house"]].to_numpy() @ betas
    y = y + 100 + 3 * np.cos(np.pi * (time[:, None] + 1) / 200)
    scale = np.linspace(0.5, 2, units)
    data = y[None] + noise * scale * RNG.normal(size=(runs, 100, units))
    return Recording.from_array(data, rate=0.5, unit="BOLD"), betas, scale


def test_responses_recover_what_was_planted_and_the_noise_of_each_unit():
    rec, betas, scale = planted(0.02)
    found = responses(rec, [EVENTS, EVENTS], noise="ols")
    assert found.betas.shape == (4, 1, 6)
    assert found.betas.data.condition.values.tolist() == ["face", "house"] * 2
    assert found.betas.data.run.values.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(found.betas.to_numpy()[:2, 0], betas, atol=0.05)
    np.testing.assert_allclose(found.noise.mean(0), 0.02 * scale, rtol=0.2)
    x = found.designs[0].to_numpy(float)
    exact = np.linalg.lstsq(x, rec.to_numpy()[0], rcond=None)[0]
    place = [found.designs[0].columns.get_loc(c) for c in ("face", "house")]
    np.testing.assert_allclose(found.betas.to_numpy()[:2, 0], exact[place], rtol=1e-8)
    one = found.normalised()
    np.testing.assert_allclose(one.to_numpy()[0, 0], exact[place[0]] / found.noise[0])
    assert one.unit == "1"
    assert [s.name for s in one.history] == ["responses", "noise_normalise"]
    white = found.normalised(multivariate=True).to_numpy()
    assert np.isfinite(white).all()
    ar = responses(rec, [EVENTS, EVENTS]).betas.to_numpy()
    np.testing.assert_allclose(ar, found.betas.to_numpy(), atol=0.02)
    single = responses(rec.select(trials=[1]), EVENTS, each="event", noise="ols").betas
    assert single.shape == (6, 1, 6)
    assert single.data.condition.values.tolist() == ["face", "house"] * 3
    faces = single.to_numpy()[::2, 0].mean(0)
    np.testing.assert_allclose(faces, betas[0], atol=0.1)


def test_what_a_glm_cannot_do_is_said():
    rec, _, _ = planted()
    with pytest.raises(ValueError, match="1 tables of events for 2 runs"):
        responses(rec, EVENTS)
    with pytest.raises(ValueError, match="Run 1 has no events"):
        responses(rec, [EVENTS, EVENTS.iloc[:0]])
    twice = pd.concat([EVENTS, EVENTS.assign(trial_type="same").iloc[::2]])
    twice = twice[twice["trial_type"] != "house"]
    with pytest.raises(ValueError, match="cannot be told apart"):
        responses(rec, [twice, twice])


def test_regions_of_an_atlas_by_position_and_their_means(tmp_path):
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = [-9, 0, 5]
    values = RNG.normal(size=(4, 3, 2, 5)).astype(np.float32)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_zooms((3, 3, 3, 2.0))
    nibabel.save(image, tmp_path / "bold.nii.gz")
    fine = np.zeros((8, 6, 4), np.int16)  # the atlas has voxels of half the size
    fine[:4] = 1
    fine[4:, :2] = 7
    half = np.diag([1.5, 1.5, 1.5, 1])
    half[:3, 3] = affine[:3, 3] - 0.75
    nibabel.save(nibabel.Nifti1Image(fine, half), tmp_path / "atlas.nii.gz")
    rec = in_regions(
        read(tmp_path / "bold.nii.gz"), tmp_path / "atlas.nii.gz", {1: "left", 7: "V1"}
    )
    region = rec.data.region.values.reshape(4, 3, 2)
    assert (region[:2] == "left").all()
    assert (region[2:, 0] == "V1").all()
    assert (region[2:, 1:] == "").all()
    means = by_region(rec)
    assert means.data.unit.values.tolist() == ["V1", "left"]
    np.testing.assert_allclose(
        means.to_numpy()[0, :, 1], values[:2].reshape(-1, 5).mean(0), rtol=1e-5
    )
    np.testing.assert_allclose(means.positions[0], [-1.5, 0, 6.5])
    with pytest.raises(ValueError, match="no column 'region'"):
        by_region(read(tmp_path / "bold.nii.gz"))
    with pytest.raises(ValueError, match="labels for 24 units"):
        in_regions(rec, np.ones(3))
    with pytest.raises(ValueError, match="no positions in mm"):
        in_regions(
            Recording.from_array(np.ones((1, 2, 2)), rate=1, unit="uV"), fine_image(fine, half)
        )


def fine_image(values, affine):
    return nibabel.Nifti1Image(values, affine)


def gifti(path, arrays, intent, meta=None):
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

    image = GiftiImage(meta=GiftiMetaData(meta or {}))
    for a, kind in zip(arrays, intent, strict=True):
        image.add_gifti_data_array(GiftiDataArray(a, intent=kind))
    nibabel.save(image, path)


def test_gifti_files_give_vertices_at_their_places(tmp_path):
    values = RNG.normal(size=(6, 5)).astype(np.float32)
    series = "NIFTI_INTENT_TIME_SERIES"
    gifti(tmp_path / "lh.func.gii", list(values), [series] * 6, {"TimeStep": "1500"})
    xyz = RNG.normal(size=(5, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2], [2, 3, 4]], np.int32)
    kinds = ["NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"]
    gifti(tmp_path / "lh.surf.gii", [xyz, faces], kinds)
    mask = np.array([1, 0, 1, 1, 0], np.int32)
    gifti(tmp_path / "lh.mask.gii", [mask], ["NIFTI_INTENT_LABEL"])
    rec = read(
        tmp_path / "lh.func.gii", surface=tmp_path / "lh.surf.gii", mask=tmp_path / "lh.mask.gii"
    )
    assert (rec.shape, rec.data.unit.values.tolist()) == ((1, 6, 3), [0, 2, 3])
    assert rec.rate == pytest.approx(1 / 1.5)
    np.testing.assert_array_equal(rec.to_numpy()[0], values[:, [0, 2, 3]])
    np.testing.assert_allclose(rec.positions, xyz[[0, 2, 3]], rtol=1e-6)
    with pytest.raises(ValueError, match="give it as surface"):
        read(tmp_path / "lh.surf.gii")
    whole = (tmp_path / "lh.func.gii").read_bytes()
    (tmp_path / "cut.func.gii").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.func\.gii is not a sound GIFTI file"):
        read(tmp_path / "cut.func.gii")
    gifti(tmp_path / "still.func.gii", list(values), [series] * 6)
    with pytest.raises(ValueError, match="TimeStep"):
        read(tmp_path / "still.func.gii")


@pytest.mark.skipif(not DATA.exists(), reason="needs fmri-haxby2001-mini: set NEUROPIL_DATA")
def test_categories_have_patterns_of_their_own_in_haxby_s_data():
    pytest.importorskip("nilearn", reason="needs nilearn: pip install neuropil[fmri]")
    patterns = []
    for run in range(1, 13):
        folder = DATA / f"BOLD/task001_run{run:03d}"
        rec = read(folder / "bold_1slice.nii.gz")
        if run == 1:
            mean = rec.to_numpy()[0].mean(0)
            brain = mean > 0.4 * mean.max()
        events = pd.read_csv(folder / "bold_events.tsv", sep="\t")
        betas = responses(rec.select(units=brain), events, noise="ols").normalised()
        order = np.argsort(betas.data.condition.values)
        patterns.append(betas.to_numpy()[order, 0])
    patterns = np.array(patterns)
    odd, even = (p.mean(0) - p.mean((0, 1)) for p in (patterns[::2], patterns[1::2]))
    r = np.corrcoef(odd, even)[:8, 8:]
    same, other = np.diag(r).mean(), r[~np.eye(8, dtype=bool)].mean()
    assert same > other + 0.25  # each category looks like itself in the other half of the runs
    assert (r.argmax(1) == np.arange(8)).mean() > 0.6  # by chance one in eight
