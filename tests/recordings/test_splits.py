"""No sample in two parts, and every way to leak is refused."""

import numpy as np
import pytest

from neuropil.recordings import Recording, may_fit, read
from neuropil.recordings import preprocess as pp


def make(trials=12, unit="uV", **more):
    x = np.random.default_rng(0).normal(3, 2, (trials, 40, 2))
    x[..., 0] += np.arange(trials)[:, None]  # so that a trial can be told by its values
    return Recording.from_array(
        x,
        rate=20.0,
        unit=unit,
        trials={"session": np.arange(trials) // 4, "subject": np.arange(trials) % 3},
        **more,
    )


def trials_of(rec):
    return set(rec.data.trial.values.tolist())


@pytest.mark.parametrize("by", ["trial", "session", "subject"])
def test_parts_share_no_group_and_hold_everything(by):
    rec = make()
    parts = pp.split(rec, by, test=0.34, valid=0.3 if by == "trial" else 0.0)
    made = [p for p in parts if p is not None]
    assert sum(len(trials_of(p)) for p in made) == 12
    assert set().union(*map(trials_of, made)) == set(range(12))
    if by != "trial":
        assert not set(parts.train.data[by].values) & set(parts.test.data[by].values)
    assert (parts.train.split.part, parts.test.split.part) == ("train", "test")
    assert parts.train.split.of == parts.test.split.of
    again = pp.split(rec, by, test=0.34, valid=0.3 if by == "trial" else 0.0)
    assert again.train.split == parts.train.split
    assert pp.split(rec, by, test=0.34, seed=1).train.split != parts.train.split


def test_folds_hold_each_group_out_once():
    rec = make()
    held = [set(p.test.data.session.values.tolist()) for p in pp.folds(rec, "session", 3)]
    assert sorted(s for h in held for s in h) == [0, 1, 2]
    for p in pp.folds(rec, k=4):
        assert not trials_of(p.train) & trials_of(p.test)
    with pytest.raises(ValueError, match="4 folds do not fit 3 sessions"):
        next(pp.folds(rec, "session", 4))


def test_time_is_split_in_blocks_with_a_gap():
    rec = Recording.from_array(np.arange(1000.0)[None, :, None], rate=10.0, unit="uV")
    parts = pp.split(rec, by="time", block=5.0, gap=1.0, test=0.3)
    assert parts.test.shape == (6, 30, 1)
    a, b = (np.sort(p.to_numpy().ravel()) for p in (parts.train, parts.test))
    assert np.abs(a[:, None] - b).min() > 2 * 10  # 1 s on either side, in samples
    with pytest.raises(ValueError, match="needs block="):
        pp.split(rec, by="time")


def test_scaling_learns_from_train_alone():
    parts = pp.split(make(), test=0.25)
    scaler = pp.Scaler.fit(parts.train)
    got = scaler(parts.train).to_numpy()
    np.testing.assert_allclose(got.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(got.std((0, 1)), 1)
    x = parts.train.to_numpy()
    want = (parts.test.to_numpy() - x.mean((0, 1))) / x.std((0, 1))
    np.testing.assert_allclose(scaler(parts.test).to_numpy(), want)
    assert "learned from train of split" in str(scaler(parts.test).history[-1])


def test_leaks_are_refused(tmp_path):
    rec = make()
    parts, other = pp.split(rec, test=0.25), pp.split(rec, test=0.25, seed=1)
    with pytest.raises(ValueError, match="leak: a scaler would be fitted on the test of split"):
        pp.Scaler.fit(parts.test)
    with pytest.raises(ValueError, match="leak: the scaler learned from train of split"):
        pp.Scaler.fit(other.train)(parts.test)
    with pytest.raises(ValueError, match="leak: the scaler learned from all"):
        pp.Scaler.fit(rec)(parts.test)
    with pytest.raises(ValueError, match=r"leak: scale\(\) learned from all saw all"):
        pp.split(pp.Scaler.fit(rec)(rec))
    with pytest.raises(ValueError, match="leak: the recording is the test of split"):
        pp.split(parts.test)
    with pytest.raises(
        ValueError, match=r"leak: train of split \w+ and test of split \w+ would be mixed"
    ):
        pp.join([parts.train, parts.test])
    assert may_fit(parts.train).startswith("train of split")
    # what was done to a part, and a file, keep what it is
    for later in (
        parts.test.bin(0.1),
        parts.test.select(units=[1]),
        read(parts.test.save(tmp_path / "t.npz")),
    ):
        with pytest.raises(ValueError, match="This is a leak"):
            may_fit(later)
    inner = pp.split(parts.train, test=0.3)
    assert inner.train.split.of.startswith(parts.train.split.of + "/")
    with pytest.raises(ValueError, match="This is a leak"):
        pp.Scaler.fit(parts.train)(inner.test)  # it has seen the inner test part


def test_overlapping_windows_cannot_be_split_apart():
    rec = Recording.from_array(
        np.random.default_rng(0).normal(size=(2, 1000, 1)), rate=10.0, unit="uV"
    )
    overlapping = pp.blocks(rec, 10.0, step_by=5.0)
    with pytest.raises(ValueError, match="windows of trials overlap across train and test"):
        pp.split(overlapping)
    parts = pp.split(overlapping, by="from_trial", test=0.5)
    assert len(set(parts.test.data.from_trial.values)) == 1
    pp.split(pp.blocks(rec, 10.0))  # side by side is no overlap


def test_joining_subjects_and_splitting_them():
    one, two = make(), make(6)
    both = pp.join([one, two])
    assert both.shape == (18, 40, 2)
    assert both.data.from_recording.values.tolist() == [0] * 12 + [1] * 6
    np.testing.assert_array_equal(both.to_numpy()[12:], two.to_numpy())
    train, valid, test = pp.split_subjects([make() for _ in range(5)], test=0.4)
    assert (len(train), len(valid), len(test)) == (3, 0, 2)
    assert {r.split.part for r in test} == {"test"}
    with pytest.raises(ValueError, match="would be mixed"):
        pp.join([train[0], test[0]])
    with pytest.raises(ValueError, match="unlike unit of measure"):
        pp.join([one, make(unit="V")])
    with pytest.raises(ValueError, match="too few for 1 to test"):
        pp.split_subjects([one], test=0.5)
    with pytest.raises(ValueError, match="no column 'day': they have"):
        pp.split(one, "day")
    flat = Recording.from_array(np.ones((4, 5, 2)), rate=1.0, unit="uV")
    with pytest.raises(ValueError, match="unit 0 does not vary"):
        pp.Scaler.fit(flat)
