"""eegnet-family: no session or person on both sides, the real trials, scores, CSP through the protocol."""

import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.fit import _eegnet_arms as arms
from neuropil.papers.fit import _eegnet_data as data
from neuropil.papers.fit.eegnet_family import STUDY, check
from neuropil.worlds import datasets

pytest.importorskip("mne", reason="needs the extra neuropil[recordings]")
TINY = STUDY.scales["small"] | dict(subjects=2, trials=64, classes=2, batch=16, data="simulated")


class Seen:
    """A decoder that remembers which trials it was given and where it was asked."""

    def __init__(self):
        self.log = []

    def _name(self, trials, rows):
        return {(id(trials), int(s)) for s in np.unique(trials.session[rows])}

    def own(self, trials, rows):
        return self._name(trials, rows)

    def others(self, crowd):
        return set().union(*(self._name(p, slice(None)) for p in crowd))

    def tuned(self, pooled, crowd, trials, rows):
        return pooled | self._name(trials, rows)

    def score(self, fitted, trials, rows):
        self.log.append((fitted, self._name(trials, rows)))
        return 0.5


def test_nothing_is_learned_from_the_session_that_is_decoded():
    decoder, crowd = Seen(), data.cohort(5, 2, 64, 128.0, 2, 0.7)
    part = arms.Comparison("shallow", TINY)
    out = {n: np.full(2, np.nan) for n in ("within", "cross", "transfer")}
    for stage in ("within", "cross-0", "cross-1"):
        part._imagery(decoder, crowd, stage, out)
    assert len(decoder.log) == 6
    for learned, tested in decoder.log:
        assert not learned & tested
        assert {s for _, s in tested} == {1}
    assert np.isfinite(list(out.values())).all()


def test_csp_goes_through_all_stages_and_is_scored():
    system = STUDY.arms["csp"].build(TINY, {})
    carry, records = start(system, 1.0, jr.key(0)), []
    for _ in range(STUDY.chunks("csp", TINY)):
        carry, record = advance(system, carry)
        records.append({k: np.asarray(v) for k, v in record.items()})
    history = {k: np.stack([r[k] for r in records]) for k in records[0]}
    found = STUDY.score(TINY, history)
    measured = {name for name, value in found.items() if np.isfinite(value)}
    assert measured == {"within", "cross", "transfer", "gain"}  # no recordings in this run
    assert found["gain"] == pytest.approx(found["transfer"] - found["within"])
    assert found["transfer"] == pytest.approx(
        (history["transfer"][1, 0] + history["transfer"][2, 1]) / 2
    )
    assert all(0.2 < found[n] <= 1 for n in ("within", "cross", "transfer"))


@pytest.mark.skipif(not datasets.available("muse-visual"), reason="needs muse-visual")
def test_the_real_trials_lie_in_their_runs():
    for name, trials in data.real().items():
        assert trials.x.shape[1:] == (4, 104)
        assert set(np.unique(trials.session)) == set(range(6))
        assert np.abs(trials.x).max() < 100
        share = trials.y.mean()
        assert {"n170": 0.45 < share < 0.55, "p300": 0.1 < share < 0.25}[name]


@pytest.mark.parametrize(
    ("change", "says"),
    [({"subjects": 1}, "2 people"), ({"classes": 5}, "classes"), ({"batch": 90}, "batch")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
