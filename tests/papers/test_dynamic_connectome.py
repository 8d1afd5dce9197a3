"""dynamic-connectome: planted data hold what is planted, and the stages find it; graphs have their mixing."""

import numpy as np
import pytest

from neuropil.papers.fit import _dynamic_connectome as page
from neuropil.papers.fit import _dynamic_connectome_data as data
from neuropil.papers.fit.dynamic_connectome import STUDY, check


def test_planted_motifs_move_their_members_in_their_time():
    made = data.plant(np.random.default_rng(0), 40, 5, 300, 4)
    assert ((made.members > 0).sum(1) == 10).all()
    assert made.time.argmax(1).tolist() == pytest.approx([37.5, 112.5, 187.5, 262.5], abs=1)
    assert 0.05 < np.isnan(made.traces).mean() < 0.25
    own = made.members[0].astype(bool) & ~made.members[1:].any(0)
    assert np.abs(made.clean[:, own][..., 250:]).max() < 0.01 * np.abs(made.clean[:, own]).max()


@pytest.mark.parametrize("setting", [0, 5, 8])
def test_graphs_have_the_mixing_that_was_asked(setting):
    topology, weight, beta, mean = data.SETTINGS[setting]
    w, labels = data.benchmark_graph(np.random.default_rng(1), topology, weight, beta, mean, 125)
    edges, across = w > 0, labels[:, None] != labels
    np.testing.assert_allclose(w, w.T)
    assert edges.sum() / 125 == pytest.approx(mean, rel=0.3)
    assert (edges & across).sum() / edges.sum() == pytest.approx(topology, abs=0.12)
    assert (w * across).sum() / w.sum() == pytest.approx(weight, abs=0.12)
    assert np.bincount(labels).min() >= 10
    again = data.rewired(np.random.default_rng(2), w)
    assert np.abs((again > 0).sum(1) - edges.sum(1)).mean() < 2
    assert again.sum() == pytest.approx(w.sum(), rel=0.05)


def test_jaccard_and_correlation_by_hand():
    members = np.array([1, 1, 1, 0, 0], bool)
    assert page.jaccard(np.array([4, 4, 7, 7, 7]), members) == pytest.approx(2 / 3)
    assert page.correlation(np.arange(4.0), 1 - np.arange(4.0)) == pytest.approx(-1)
    assert page.correlation(np.ones(4), np.arange(4.0)) == 0


def test_shifted_traces_keep_each_trace_but_not_what_they_share():
    x = np.cumsum(np.random.default_rng(0).normal(size=300))
    traces = np.stack([np.stack([x, x, x])])
    same = page.affinities(page.Method(), traces, 1, np.random.default_rng(1))
    apart = page.affinities(page.Method(shifted=True), traces, 1, np.random.default_rng(1))
    assert apart.mean() < 0.7 * same.mean()
    static = page.affinities(page.Method("static"), traces, 1, np.random.default_rng(1))
    np.testing.assert_allclose(static, 1.0)


def test_arms_on_the_small_planted_worms():
    import jax.random as jr

    s = STUDY.scales["small"] | dict(starts=1, sweeps=60, neurons=24, most=2)
    found = {a: page.motifs(page.Method(**m), s, jr.key(0)) for a, m in
             {"ntf": {}, "shifted": dict(shifted=True)}.items()}  # fmt: skip
    assert found["ntf"]["pair"].mean() > found["shifted"]["pair"].mean() + 0.2
    assert found["ntf"]["time"].mean() > 0.6


@pytest.mark.parametrize(
    ("change", "says"),
    [({"neurons": 4}, "at least 8"), ({"frames": 50}, "20 frames"), ({"graphs": 10}, "between")],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(STUDY.scales["small"])
    with pytest.raises(ValueError, match=says):
        check(STUDY.scales["small"] | change)
