"""The spiking memory against the authors' recorded spikes; its rule step by step."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from neuropil.core import Event, Tick, run, start
from neuropil.memory import cam_cell, cam_input, cam_weights, spiking_cam
from neuropil.plasticity import OrderedSTDP


def play(memory, xs):
    carry, y = run(memory, start(memory, 1.0, jr.key(0)), xs)
    return cam_weights(carry.state), y


def test_experiment_one_spike_by_spike():
    """All spikes of both outputs in the 90 ms of experiment 1 of the official results."""
    learn = [
        (0, [0], [0, 1, 8, 9]),
        (10, [4], [1, 5, 6]),
        (20, [3], [4, 5, 6]),
        (60, [3], [1, 3, 4, 8]),
    ]
    recall = [(30, [0], []), (40, [], [6]), (50, [], [0, 4]), (70, [3], []), (80, [], [6])]
    _, y = play(spiking_cam(5, 10), cam_input(5, 10, 90, learn=learn, recall=recall))
    spikes = {
        5: ([0], [0, 1, 8, 9]), 7: ([0], [0, 1, 8, 9]), 15: ([4], [1, 5, 6]), 17: ([4], [1, 5, 6]),
        25: ([3], [4, 5, 6]), 27: ([3], [4, 5, 6]), 35: ([0], []), 36: ([], [0, 1, 8, 9]),
        45: ([], [6]), 46: ([3, 4], []), 55: ([], [0, 4]), 56: ([0, 3], []),
        65: ([3], [1, 3, 4, 8]), 66: ([], [5, 6]), 67: ([3], [1, 3, 4, 8]), 75: ([3], []),
        76: ([], [1, 3, 4, 8]), 85: ([], [6]), 86: ([4], []),
    }  # fmt: skip
    for t in range(90):
        cue, content = spikes.get(t, ([], []))
        assert np.flatnonzero(y["OutCue"][t]).tolist() == cue, t
        assert np.flatnonzero(y["OutContent"][t]).tolist() == content, t


@pytest.mark.slow
def test_experiment_three_a_map_of_states_at_the_documented_pauses():
    """16 places, 6 states, learned 7 ms apart; then four questions 6 ms apart, answered 6 ms later."""
    states = [0, 5, 1, 3, 0, 3, 4, 5, 0, 5, 4, 3, 2, 4, 4, 3]
    learn = [(7 * place, [place], [state]) for place, state in enumerate(states)]
    asked = ([1, 2, 4], [3], [5], [0])
    recall = [(112 + 6 * k, [], what) for k, what in enumerate(asked)]
    _, y = play(spiking_cam(16, 6), cam_input(16, 6, 140, learn=learn, recall=recall))
    for k, what in enumerate(asked):
        places = [place for place, state in enumerate(states) if state in what]
        assert np.flatnonzero(y["OutCue"][118 + 6 * k]).tolist() == places


def test_weights_are_written_in_one_shot_and_erased_in_one_shot():
    memory = spiking_cam(5, 10)  # of the size and length of experiment 1: compiled once
    first = cam_input(5, 10, 90, learn=[(0, [1], [0, 2])])
    (content, _), _ = play(memory, first)
    assert content[:, 1].tolist() == [6, 0, 6, 0, 0, 0, 0, 0, 0, 0]
    assert float(content.sum()) == 12
    both = cam_input(5, 10, 90, learn=[(0, [1], [0, 2]), (12, [1], [2, 3])])
    (content, _), _ = play(memory, both)
    assert content[:, 1].tolist() == [0, 0, 6, 6, 0, 0, 0, 0, 0, 0]


def test_a_cell_gets_the_millivolts_of_the_card():
    for kind, wanted in (("slow", 5.467), ("fast", 5.360)):
        gain = cam_cell(1, kind).parts["charge"].function.factor
        assert 6 * gain == pytest.approx(wanted, abs=1e-3)
    fast = cam_cell(1, "fast").parts["charge"].function.factor
    content, gated, both = (w * fast for w in (9, 9 - 6, 9 + 2 - 6))
    assert (round(content, 2), round(gated, 2), round(both, 2)) == (8.04, 2.68, 4.47)


def test_the_rule_takes_potentiation_before_depression_and_equal_times_depress():
    rule = OrderedSTDP(1, 1, 0.5, 0.5, 1.0)
    tick = Tick(jnp.int32(0), jnp.asarray(1.0), jr.key(0))
    state, w = rule.init(1.0, jr.key(0)), jnp.full((1, 1), 0.9)
    reads = {"pre": jnp.ones(1), "post": jnp.ones(1)}
    state, w = rule.step(state, Event(w, reads, None, None), tick)
    assert float(w[0, 0]) == pytest.approx(
        0.4
    )  # no trace yet: only the pair at once, which depresses
    state, w = rule.step(state, Event(w, reads, None, None), tick)
    x = np.exp(-1 / 3)
    assert float(w[0, 0]) == pytest.approx(max(0.4 + 0.5 * x - 0.5 * (x + 1), 0), abs=1e-6)
    late = OrderedSTDP(1, 1, 0.5, 0.5, 1.0, lag=2.0)
    state, w = late.init(1.0, jr.key(0)), jnp.zeros((1, 1))
    for t in range(3):
        reads = {"pre": jnp.ones(1) * (t == 1), "post": jnp.ones(1) * (t == 0)}
        state, w = late.step(state, Event(w, reads, None, None), tick)
    assert float(w[0, 0]) == pytest.approx(
        0.5 * x
    )  # the post spike of 0 arrives at 2, after the pre spike


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: spiking_cam(0, 3), "cues"),
        (lambda: cam_cell(1, "quick"), "kind"),
        (lambda: cam_input(2, 2, 3, learn=[(1, [0], [0])]), "does not fit"),
        (lambda: OrderedSTDP(1, 1, lag=-1.0), "lag"),
        (lambda: OrderedSTDP(1, 1, lag=1.0).init(0.7, jr.key(0)), "no multiple"),
        (lambda: OrderedSTDP(1, 1, a_plus=-1.0), "a_plus"),
    ],
)
def test_bad_input_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
