"""Mazes and running parity against what defines them."""

import numpy as np
import pytest

from neuropil.worlds.mazes import WAIT, draw_mazes
from neuropil.worlds.parity import running_parity, sign_sequences


@pytest.fixture(scope="module")
def drawn():
    return draw_mazes(200, side=5, steps=9, seed=3)


def reached(doors, side):
    """Cells that can be reached from cell 0 by a search of its own."""
    seen, todo = {0}, [0]
    while todo:
        here = todo.pop()
        for move, step in enumerate((-side, side, -1, 1)):
            if doors[here, move] and here + step not in seen:
                seen.add(here + step)
                todo.append(here + step)
    return seen


def test_every_maze_is_a_tree_that_reaches_every_cell(drawn):
    assert (drawn.doors.sum((1, 2)) == 2 * 24).all()  # as many ways as cells less one: no loops
    for doors in drawn.doors:
        assert reached(doors, 5) == set(range(25))
    grid = drawn.doors.reshape(200, 5, 5, 4)
    np.testing.assert_array_equal(grid[:, :-1, :, 1], grid[:, 1:, :, 0])  # a way has two ends
    np.testing.assert_array_equal(grid[:, :, :-1, 3], grid[:, :, 1:, 2])
    for outside in (grid[:, 0, :, 0], grid[:, -1, :, 1], grid[:, :, 0, 2], grid[:, :, -1, 3]):
        assert not outside.any()


def test_routes_go_straight_to_the_goal_and_then_wait(drawn):
    assert drawn.arrives(drawn.route).all()
    path = drawn.path(drawn.route)
    for cells, length, route in zip(path, drawn.length, drawn.route, strict=True):
        assert 1 <= length <= 9
        assert (
            len(set(cells[: length + 1].tolist())) == length + 1
        )  # no cell twice, no wall touched
        assert (route[length:] == WAIT).all()
    cut = drawn.route.copy()
    cut[np.arange(200), drawn.length - 1] = WAIT
    assert not drawn.arrives(cut).any()


def test_a_move_against_a_wall_stays(drawn):
    closed = ~drawn.doors[np.arange(200), drawn.start]
    assert closed.any(
        1
    ).all()  # no cell here is open to all four sides at a start that is chosen below
    move = closed.argmax(1)[:, None]
    np.testing.assert_array_equal(drawn.path(move)[:, 1], drawn.start)


def test_pictures_show_ways_start_and_goal(drawn):
    seen = drawn.pictures()
    assert seen.shape == (200, 11, 11, 3)
    assert (seen.any(-1).sum((1, 2)) == 25 + 24).all()  # cells and the ways between them
    assert not seen[:, ::2, ::2].any()
    for k in range(200):
        red, green = ((seen[k] == c).all(-1) for c in ((1, 0, 0), (0, 1, 0)))
        for mask, cell in ((red, drawn.start[k]), (green, drawn.goal[k])):
            assert np.argwhere(mask).tolist() == [[2 * (cell // 5) + 1, 2 * (cell % 5) + 1]]
    patch = drawn.patches().reshape(200, 25, 3, 3, 3)
    np.testing.assert_array_equal(patch[:, 7], seen[:, 2:5, 4:7])
    sides = patch[:, :, (0, 2, 1, 1), (1, 1, 0, 2)].any(-1)
    np.testing.assert_array_equal(sides, drawn.doors)


def test_the_seed_alone_decides():
    one, two, other = (draw_mazes(20, side=4, steps=6, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.doors, two.doors)
    np.testing.assert_array_equal(one.route, two.route)
    assert (one.doors != other.doors).any()


def test_running_parity_is_the_sign_of_the_running_product():
    values = sign_sequences(np.arange(2**9), 9)
    assert len({tuple(v) for v in values.tolist()}) == 2**9
    np.testing.assert_array_equal(running_parity(values), np.cumprod(values, -1) < 0)
    assert running_parity(np.array([1, -1, -1])).tolist() == [0, 1, 0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="side = 1"):
        draw_mazes(1, side=1, steps=3, seed=0)
    with pytest.raises(ValueError, match="2\\^3"):
        sign_sequences(np.array([8]), 3)
