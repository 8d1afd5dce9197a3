"""htm-sequence-memory: the stream, readouts and ceilings, chunks against one run, scores."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, start
from neuropil.papers.build._htm import SEQUENCES, SWAP, SYMBOLS, stream
from neuropil.papers.build._htm_score import LESIONS, score, until
from neuropil.papers.build.htm_sequence_memory import STUDY, build, check, temporal

SMOKE = STUDY.scales["smoke"]


def pieces(shown):
    """The stream cut at the symbols between sequences: (which, symbols, number of the first)."""
    symbol = np.asarray(shown["symbol"])
    ends = np.flatnonzero(symbol >= SYMBOLS)
    begins = np.concatenate([[0], ends[:-1] + 1])
    return [
        (int(shown["which"][b]), tuple(symbol[b:e]), b) for b, e in zip(begins, ends, strict=True)
    ]


def test_stream_shows_the_eight_sequences_swaps_endings_and_then_spoils_one_element():
    shown = stream(jr.key(0), 900, 400, 700, 5)
    found = pieces(shown)
    assert {w for w, _, _ in found} == set(range(8))
    spoilt = []
    for which, symbols, begin in found[1:]:
        old = SEQUENCES[which]
        new = (*old[:-1], SWAP[old[-1]])
        if begin + len(old) < 400:
            assert symbols == old
        elif 400 <= begin and begin + len(old) < 700:
            assert symbols == new
        elif begin >= 700:
            wrong = [i for i in range(len(old)) if symbols[i] != new[i]]
            assert len(wrong) <= 1
            assert set(wrong) <= {1, 2, 3}
            spoilt += wrong
    assert set(spoilt) == {1, 2, 3}
    last = np.flatnonzero(np.asarray(shown["last"]))
    assert (np.asarray(shown["symbol"])[last[:-1] + 1] >= SYMBOLS).all()


def test_pairs_share_their_middle_so_that_only_the_first_element_tells_the_ending():
    for a, b in ((0, 1), (2, 3), (4, 5), (6, 7)):
        assert SEQUENCES[a][1:-1] == SEQUENCES[b][1:-1]
        assert SEQUENCES[a][0] != SEQUENCES[b][0]
        assert SWAP[SEQUENCES[a][-1]] == SEQUENCES[b][-1]


def test_thresholds_are_in_the_papers_proportions():
    net = temporal(STUDY.scales["paper"], 32).memory
    assert (net.threshold, net.matching, net.growth, net.columns) == (15, 15, 32, 2048)
    net = temporal(STUDY.scales["small"], 8).memory
    assert (net.threshold, net.growth) == (6, 12)


def played(kind, ticks):
    system = build(kind)(SMOKE, None)
    carry, step, out = start(system, 1.0, jr.key(0)), eqx.filter_jit(advance), []
    for _ in range(ticks):
        carry, record = step(system, carry)
        out.append(record)
    return carry.state, {k: np.array([float(r[k]) for r in out]) for k in out[0]}


def test_the_ceiling_is_right_once_it_has_met_each_ending_and_tests_leave_no_trace():
    n = STUDY.ticks(SMOKE)
    state, history = played("ceiling", n)
    at = SMOKE["learning"]
    before, _ = played("ceiling", at)
    assert (state["learner"].state == before["learner"].state).all()
    values = score(SMOKE, {k: v for k, v in history.items()})
    assert set(values) == set(STUDY.metrics)


def test_learning_times_and_lesions_are_read_off_the_chunks():
    settings = {"change": 8, "learning": 16, "chunk": 100}
    first = [0.0, 0.2, 0.5, 0.9, 1.0, 1.0, 1.0, 1.0]
    second = [0.0, 0.96, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    tests = [1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.25]
    history = {"accuracy": np.array(first + second + tests), "predicted": np.ones(23)}
    values = score(settings, history)
    assert values["learn"] == 500
    assert values["relearn"] == 200
    assert values["dead-30"] == tests[LESIONS.index(0.3)]
    assert values["noise"] == 0.25
    assert until(np.zeros(5), 10) == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning": 4}, "change comes after"),
        ({"chunk": 9}, "must fit"),
        ({"active": 4}, "by chance"),
        ({"units": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(SMOKE)
    with pytest.raises(ValueError, match=says):
        check(SMOKE | change)


def test_both_endings_are_tied_for_one_cell_a_column():
    """The one-cell net is the control: its codes carry no context."""
    net = temporal(SMOKE, 1)
    assert net.memory.cells == 1
    state = net.init(1.0, jr.key(0))
    assert state["codes"].sum(1).tolist() == [SMOKE["active"]] * (SYMBOLS + SMOKE["between"])
    assert bool(jnp.all(state["memory"]["active"] == 0))
