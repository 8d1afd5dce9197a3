"""Temporal memory and spatial pooler: high order, bursts, lesions, permanences by hand, false matches."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import advance, run, start
from neuropil.memory import (
    SpatialPooler,
    TemporalMemory,
    false_match_probability,
    overlap_probability,
)
from neuropil.memory.segments import adapted, grown, matches, ranks, rows_of

W, K, SYMBOLS = 4, 4, "ABCDXY"
CODES = np.kron(np.eye(7, 6), np.ones(W)).astype("float32")  # the last is a pause
ORDER = [(SYMBOLS + "-").index(s) for s in "ABCD-XBCY-"]
CYCLES = 40
NET = TemporalMemory(
    24, K, W, segments=256, synapses=8, threshold=3, matching=2, growth=4, wrong=0.02
)


@pytest.fixture(scope="module")
def trained():
    """The two sequences over and over: (carry after, outputs by cycle and position)."""
    xs = {
        "columns": jnp.asarray(np.tile(CODES[ORDER], (CYCLES, 1))),
        "learn": jnp.ones(10 * CYCLES),
    }
    carry, out = run(NET, start(NET, 1.0, jr.key(0)), xs)
    return carry, {k: np.asarray(v).reshape(CYCLES, 10, *v.shape[1:]) for k, v in out.items()}


def test_at_first_every_column_bursts_and_one_cell_of_each_wins(trained):
    _, out = trained
    assert (out["anomaly"][0, :4] == 1).all()
    assert (out["active"][0, :4].sum((1, 2)) == W * K).all()
    winner = out["winner"][0, :4]
    assert ((winner < 24 * K).sum(1) == W).all()
    assert (np.sort(winner[0][winner[0] < 24 * K] // K) == np.flatnonzero(CODES[ORDER[0]])).all()


def test_a_transition_is_first_predicted_when_it_is_met_the_fifth_time(trained):
    """0.21 needs three lessons to reach 0.5; met k times it was made once and taught k - 1 times."""
    seen = trained[1]["anomaly"][:, 1]  # B after A
    assert seen[:5].tolist() == [1, 1, 1, 1, 0]


def test_trained_it_foresees_everything_and_contexts_have_cells_of_their_own(trained):
    _, out = trained
    last = {k: v[-1] for k, v in out.items()}
    inner = [1, 2, 3, 6, 7, 8]  # what a sequence goes on with
    assert (last["anomaly"][inner] == 0).all()
    assert (last["active"][inner].sum((1, 2)) == W).all()  # one cell in each column
    assert (last["active"][2] * last["active"][7]).sum() == 0  # C after B after A, and after X
    assert (last["active"][1] * last["active"][6]).sum() == 0
    assert ((last["predicted"][2].sum(1) > 0) == CODES[SYMBOLS.index("D")]).all()
    assert ((last["predicted"][7].sum(1) > 0) == CODES[SYMBOLS.index("Y")]).all()
    for i in inner:  # what was predicted came, cell by cell
        assert (last["predicted"][i - 1] == last["active"][i]).all()


def test_permanences_stay_in_bounds_and_free_places_hold_nothing(trained):
    state = trained[0].state
    p, pre = np.asarray(state["permanence"]), np.asarray(state["pre"])
    assert p.min() >= 0
    assert p.max() <= 1
    assert p.max() == 1
    assert (p[pre == 24 * K] == 0).all()
    assert (p[pre < 24 * K] > 0).all()
    row = np.sort(pre[:, :, None] == pre[:, None, :], axis=None).sum() - pre.size
    none = (pre == 24 * K).sum(1)
    assert row == (none * (none - 1)).sum()  # no cell twice on a segment
    owner = np.asarray(state["owner"])
    assert ((pre < 24 * K).any(1) == (owner < 24 * K)).all()


def test_after_a_burst_both_endings_are_predicted_and_nothing_is_learnt_without_learning(trained):
    carry, _ = trained
    xs = {"columns": jnp.asarray(CODES[[1, 2]]), "learn": jnp.zeros(2)}  # B C out of the blue
    step = jax.jit(lambda c, x: advance(NET, c, x))
    nth = lambda i: jax.tree.map(lambda a: a[i], xs)
    after, out = step(step(carry, nth(0))[0], nth(1))
    columns = np.asarray(out["predicted"]).any(1)
    assert (columns >= (CODES[3] + CODES[5])).all()
    assert (after.state["permanence"] == carry.state["permanence"]).all()


@pytest.mark.slow
def test_dead_cells_are_silent_own_nothing_and_no_death_changes_nothing(trained):
    state = trained[0].state
    same = NET.lesioned(state, jnp.zeros(24 * K, bool))
    assert all(bool((same[k] == state[k]).all()) for k in state)
    dead = jnp.arange(24 * K) % 3 == 0
    hurt = NET.lesioned(state, dead)
    assert not bool((jnp.append(dead, False)[hurt["owner"]]).any())
    _, out = NET.step(hurt, {"columns": jnp.asarray(CODES[0]), "learn": 1.0}, _tick())
    flat = np.asarray(out["active"]).ravel() > 0
    assert not flat[np.asarray(dead)].any()
    assert flat.any()
    winner = np.asarray(out["winner"])
    assert not np.asarray(dead)[winner[winner < 24 * K]].any()


def _tick():
    from neuropil.core import Tick

    return Tick(jnp.int32(0), jnp.float32(1), jr.key(1))


def test_an_unlikely_ending_fades_below_a_share_of_one_sixth():
    """Reinforced by 0.1 with probability q and punished by 0.02 otherwise: the drift is 0 at q = 1/6."""
    rates, hit = (0.1, 0.1, 0.02), jnp.ones((1, 1), bool)
    pre, p = jnp.array([[0]]), jnp.array([[0.5]])
    up = adapted(pre, p, hit, jnp.array([True]), jnp.array([False]), rates, 1)[1] - p
    down = adapted(pre, p, hit, jnp.array([False]), jnp.array([True]), rates, 1)[1] - p
    assert float(up[0, 0] / 6 + 5 * down[0, 0] / 6) == pytest.approx(0, abs=1e-7)
    silent = adapted(pre, p, ~hit, jnp.array([False]), jnp.array([True]), rates, 1)[1]
    assert float(silent[0, 0]) == 0.5  # punishment is for synapses onto active cells


def test_growth_fills_free_places_then_the_weakest_and_keeps_what_points_the_same_way():
    row = jnp.array([[0, 1, 2, 9]]), jnp.array([[0.3, 0.1, 0.05, 0.0]])
    towards = jnp.array([2, 5, 6, 9])
    pre, p = grown(*row, towards, jnp.array([2]), 0.21, 9, jr.key(0))
    assert sorted(np.asarray(pre[0]).tolist()) == [
        0,
        2,
        5,
        6,
    ]  # the free place and cell 1 made room
    assert float(p[0].min()) == pytest.approx(0.05)
    pre, _ = grown(*row, towards, jnp.array([-3]), 0.21, 9, jr.key(0))
    assert (pre == row[0]).all()


def test_rows_and_ranks_are_those_of_a_search_and_of_a_stable_sort():
    rng, find = np.random.default_rng(0), jax.jit(rows_of)
    for share in (0.0, 0.1, 1.0):
        chosen = rng.random(300) < share
        rows, count = find(jnp.asarray(chosen))
        found = np.flatnonzero(chosen)
        assert int(count) == len(found)
        np.testing.assert_array_equal(rows[: len(found)], found)
        assert (np.asarray(rows[len(found) :]) == 300).all()
    values = rng.integers(0, 5, (3, 9)).astype("float32")  # with ties
    order = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1)
    np.testing.assert_array_equal(jax.jit(ranks)(jnp.asarray(values)), order)


def test_chance_matches_come_as_often_as_the_hypergeometric_tail_says():
    n, w, theta, draws = 64, 8, 3, 4000
    rng = np.random.default_rng(0)
    pre = jnp.asarray(rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)[:, :w])
    counts, _ = matches(pre, jnp.ones((draws, w)), jnp.arange(n) < w, 0.5, draws)
    p = false_match_probability(n, w, w, theta)
    share = float((counts >= theta).mean())
    assert abs(share - p) < 4 * np.sqrt(p / draws)
    mean = sum(k * overlap_probability(n, w, w, k) for k in range(w + 1))
    assert float(counts.mean()) == pytest.approx(mean, abs=0.06)
    assert mean == pytest.approx(1.0)
    assert false_match_probability(2048, 41, 41, 15) == pytest.approx(8.6e-17, rel=0.02)


def test_a_full_pool_gives_up_what_matched_nothing_for_longest():
    small = TemporalMemory(24, 2, W, segments=8, synapses=4, threshold=3, matching=2, growth=4)
    xs = {"columns": jnp.asarray(np.tile(CODES[:6], (4, 1))), "learn": jnp.ones(24)}
    state = run(small, start(small, 1.0, jr.key(0)), xs, record=None)[0].state
    assert int(state["made"]) == 8
    assert set((np.asarray(state["owner"]) // 2).tolist()) == set(
        range(16, 24)
    )  # X and Y, the latest


def test_pooler_has_a_fixed_number_of_columns_and_learns_by_hand():
    net = SpatialPooler(20, 10, 2)
    state = net.init(1.0, jr.key(0))
    x = {"input": (jnp.arange(20) < 8).astype(float), "learn": 1.0}
    after, out = net.step(state, x, _tick())
    on, p = np.asarray(out["columns"]) > 0, np.asarray(state["permanence"])
    assert on.sum() == 2
    overlap = (p[:, :8] >= 0.5).sum(1)
    assert overlap[on].min() >= overlap[~on].max()
    change = np.where(np.arange(20) < 8, 0.1, -0.02)[None] * on[:, None]
    want = np.where(p >= 0, np.clip(p + change, 0, 1), p)
    np.testing.assert_allclose(after["permanence"], want, atol=1e-6)
    silent = net.step(state, {"input": jnp.zeros(20), "learn": 1.0}, _tick())[1]
    assert float(silent["columns"].sum()) == 0


def test_boosting_spreads_the_work_over_more_columns():
    rng = np.random.default_rng(0)
    share = []
    xs = {
        "input": jnp.asarray(rng.random((600, 30)) < 0.3, jnp.float32),
        "learn": jnp.ones(600),
    }
    for boost in (0.0, 50.0):
        net = SpatialPooler(30, 24, 2, boost=boost, period=100.0)
        out = run(net, start(net, 1.0, jr.key(1)), xs, record="output.columns")[1]
        p = np.asarray(out)[300:].mean(0)
        share.append(p.std() / p.mean())
    assert share[1] < 0.5 * share[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"active": 30}, "no more"),
        ({"cells": 0}, "at least 1"),
        ({"matching": 5}, "matching"),
        ({"threshold": 9, "growth": 9}, "threshold"),
        ({"growth": 2}, "never reach"),
        ({"up": 1.5}, "up"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, says):
    good = dict(
        columns=24, cells=4, active=4, segments=64, synapses=8, threshold=3, matching=2, growth=4
    )
    with pytest.raises(ValueError, match=says):
        TemporalMemory(**(good | change))
    with pytest.raises(ValueError, match="SpatialPooler"):
        SpatialPooler(4, 3, 5)
