"""htm-sequence-memory: the stream, readouts and ceilings, chunks against one run, scores."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

from neuropil.core import advance, start
from neuropil.papers.build._htm import SEQUENCES, SWAP, SYMBOLS, stream
from neuropil.papers.build._htm_score import LESIONS, likelihood, score, until
from neuropil.papers.build._htm_text import LETTERS, letters, reading
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
    net = temporal(STUDY.scales["paper"], 32, 20, 10).memory
    assert (net.threshold, net.matching, net.growth, net.columns) == (15, 15, 32, 2048)
    net = temporal(STUDY.scales["small"], 8, 20, 10).memory
    assert (net.threshold, net.growth) == (6, 12)


def played(kind, ticks):
    system = build(kind)(SMOKE, STUDY.load(SMOKE))
    carry, step, out = start(system, 1.0, jr.key(0)), eqx.filter_jit(advance), []
    for _ in range(ticks):
        carry, record = step(system, carry)
        out.append(record)
    return carry.state, {k: np.array([np.asarray(r[k]) for r in out]) for k in out[0]}


def test_the_ceiling_is_right_once_it_has_met_each_ending_and_tests_leave_no_trace():
    n = STUDY.ticks(SMOKE)
    state, history = played("ceiling", n)
    at = SMOKE["learning"]
    before, _ = played("ceiling", at)
    memory = lambda state: state["sequences"]["learner"].state
    assert (memory(state) == memory(before)).all()
    assert (before["learner"].state == 0).all()  # the text begins after the sequences, anew
    # each letter of the text is counted once, after the two before it
    text = {name: np.asarray(a).ravel() for name, a in state["text"].items()}
    counts = np.zeros((LETTERS**2, LETTERS))
    np.add.at(counts, (text["which"], text["symbol"]), 1)
    np.testing.assert_array_equal(state["learner"].state, counts)
    two = text["symbol"][1:-1] * LETTERS + text["symbol"][:-2]
    np.testing.assert_array_equal(text["which"][2:], two)
    shown = history["given"][at + len(LESIONS) + 1 :].ravel()
    last = np.zeros((LETTERS**2, LETTERS))
    np.add.at(last, (text["which"][:-1], text["symbol"][:-1]), 1)
    row = last[text["which"][-1]]
    assert shown[-1] == pytest.approx(row[text["symbol"][-1]] / max(row.sum(), 1))
    assert set(score(SMOKE, history)) == set(STUDY.metrics)


def test_odd_letters_stand_in_the_second_half_and_the_rest_is_the_text():
    text = jnp.asarray(np.arange(400) % LETTERS)
    shown = {k: np.asarray(v) for k, v in reading(jr.key(0), text, 4, 50, 10).items()}
    assert shown["odd"].sum(1).tolist() == [0, 0, 10, 10]
    assert all((np.diff(np.flatnonzero(row)) == 1).all() for row in shown["odd"][2:])
    begun = shown["symbol"][0, 0]
    kept = ~shown["odd"].ravel()
    expected = (begun + np.arange(200)) % LETTERS
    np.testing.assert_array_equal(shown["symbol"].ravel()[kept], expected[kept])
    assert letters("Be,  a!").tolist() == [2, 5, 0, 1, 0]


def test_likelihood_is_a_half_on_average_and_near_one_where_anomalies_gather():
    rng = np.random.default_rng(0)
    raw = rng.random(3000)
    raw[2000:2010] = 1.0
    found = likelihood(raw)
    assert found[1000:2000].mean() == pytest.approx(0.5, abs=0.1)
    assert found[2009] > 0.999
    short = np.array([raw[i - 9 : i + 1].mean() for i in range(1000, 2000)])
    assert found[1999] == pytest.approx(norm.cdf((short[-1] - short.mean()) / short.std()))


def test_learning_times_and_lesions_are_read_off_the_chunks():
    settings = {"change": 8, "learning": 16, "chunk": 100}
    first = [0.0, 0.2, 0.5, 0.9, 1.0, 1.0, 1.0, 1.0]
    second = [0.0, 0.96, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    tests = [1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.25]
    history = {"accuracy": np.array(first + second + tests + [1.0, 1.0]), "predicted": np.ones(25)}
    odd = np.zeros((25, 100))
    odd[-1, 40:60] = 1
    history |= {"odd": odd, "first": 1 - odd, "given": np.where(odd > 0, 0.1, 0.5)}
    values = score(settings, history)
    assert values["learn"] == 500
    assert values["relearn"] == 200
    assert values["dead-30"] == tests[LESIONS.index(0.3)]
    assert values["noise"] == 0.25
    assert (values["letters"], values["odd-raw"]) == (1.0, 1.0)
    assert until(np.zeros(5), 10) == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning": 4}, "change comes after"),
        ({"chunk": 9}, "must fit"),
        ({"active": 4}, "by chance"),
        ({"units": 0}, "at least 1"),
        ({"odd": 20}, "odd letters"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, says):
    check(SMOKE)
    with pytest.raises(ValueError, match=says):
        check(SMOKE | change)


def test_both_endings_are_tied_for_one_cell_a_column():
    """The one-cell net is the control: its codes carry no context."""
    net = temporal(SMOKE, 1, SYMBOLS + SMOKE["between"], SYMBOLS)
    assert net.memory.cells == 1
    state = net.init(1.0, jr.key(0))
    assert state["codes"].sum(1).tolist() == [SMOKE["active"]] * (SYMBOLS + SMOKE["between"])
    assert bool(jnp.all(state["memory"]["active"] == 0))
