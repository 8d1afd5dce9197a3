"""deep-ssvep: the window, the blocks, the stages, and the classical decoders on easy people."""

import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.fit import _deep_ssvep_arms as arms
from neuropil.papers.fit.deep_ssvep import STUDY, check
from neuropil.worlds import datasets

pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
EASY = STUDY.scales["smoke"] | dict(
    people=2, blocks=4, targets=8, windows=(0.4, 0.8), amplitude=60.0
)


def test_windows_begin_after_the_latency_and_blocks_hold_every_target():
    (person, _) = arms.cohort(3, EASY)
    assert person.x.shape[1] == 9
    np.testing.assert_array_equal(arms.window(person, 0.4), person.x[:, :, 35:135])
    for block in range(4):
        assert sorted(person.y[person.block == block]) == list(range(8))
    rows = arms.stacked(arms.window(person, 0.4), 250.0, 3, 1.0)
    assert rows.shape == (32, 27, 100)
    assert 4 < rows.std() < 40  # microvolts: the network has no norm


def test_decoders_are_scored_on_the_last_block_of_each_person():
    found = {}
    for how in ("trca", "fbcca"):
        system = STUDY.arms[how].build(EASY, {})
        carry, records = start(system, 1.0, jr.key(0)), []
        for _ in range(STUDY.chunks(how, EASY)):
            carry, record = advance(system, carry)
            records.append({k: np.asarray(v) for k, v in record.items()})
        history = {k: np.stack([r[k] for r in records]) for k in records[0]}
        assert np.isfinite(history["accuracy"][0, 0]).all()
        assert np.isnan(history["accuracy"][0, 1]).all()
        assert np.isnan(history["accuracy"][2]).all()
        found[how] = STUDY.score(EASY, history)
    assert found["trca"]["accuracy_400"] > 0.9
    assert found["trca"]["rate_800"] < found["trca"]["rate_400"]  # more time, hardly more accuracy
    assert found["fbcca"]["rate_800"] > found["fbcca"]["rate_400"]  # 0.2 Hz need time


def test_the_second_stage_begins_at_the_first_with_more_dropout(monkeypatch):
    calls = []

    class Fake:
        network_ = None

        def __init__(self, name, **settings):
            self.settings = settings

        def fit(self, x, y, start=None):
            calls.append((self.settings, len(x), start))
            return self

        def predict(self, x):
            return np.zeros(len(x), int)

    monkeypatch.setattr(arms, "NeuralDecoder", Fake)
    monkeypatch.setattr(arms, "replace", lambda net, **change: change)
    arms._GLOBAL.clear()
    arms.Speller("two-stage", EASY)._cohort(3, 0.4)
    arms._GLOBAL.clear()
    assert [n for _, n, _ in calls] == [
        2 * 24,
        24,
        24,
    ]  # all people, then each: never the last block
    assert calls[0][2] is None
    assert calls[1][2] == {"drops": (0.5, 0.5, 0.8)}
    assert calls[1][0]["batch"] == 24


@pytest.mark.skipif(not datasets.available("muse-visual"), reason="needs muse-visual")
def test_two_real_frequencies_are_told_apart():
    person = arms.real()
    assert person.x.shape[1:] == (5, 256)
    assert arms.Speller("fbcca", EASY | {"data": "muse-visual"})._real(0) > 0.65


@pytest.mark.parametrize(
    ("change", "says"),
    [({"blocks": 2}, "blocks"), ({"windows": (0.05,)}, "cycle"), ({"batch": 9999}, "batch")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
