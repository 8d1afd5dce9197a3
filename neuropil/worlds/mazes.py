"""Mazes on a square grid with one way between any two cells: their walls, routes and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

UP, DOWN, LEFT, RIGHT, WAIT = range(5)
_AWAY = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}


@dataclass(frozen=True)
class Mazes:
    """Mazes of one size, each with a start, a goal and the route between them.

    - `doors` (maze, cell, move): whether one can go up, down, left or right from a cell; cells are counted
      along rows;
    - `start`, `goal` (maze,): cells;
    - `route` (maze, step): the moves of the only way, 0 up, 1 down, 2 left, 3 right, then 4 (wait).

    >>> mazes = draw_mazes(3, side=4, steps=8, seed=0)
    >>> mazes.arrives(mazes.route).tolist()
    [True, True, True]
    """

    doors: Bool[np.ndarray, "maze cell 4"]
    start: Int[np.ndarray, " maze"]
    goal: Int[np.ndarray, " maze"]
    route: Int[np.ndarray, "maze step"]

    @property
    def side(self) -> int:
        """Cells along a side."""
        return round(self.doors.shape[1] ** 0.5)

    @property
    def length(self) -> Int[np.ndarray, " maze"]:
        """Moves of each route."""
        return (self.route != WAIT).sum(1)

    def __len__(self) -> int:
        return len(self.doors)

    def path(self, moves: Int[np.ndarray, "maze step"]) -> Int[np.ndarray, "maze place"]:
        """Cells that moves lead through, the start first; a move against a wall stays where it is."""
        near, rows = _neighbours(self.side), np.arange(len(self))
        here = [self.start]
        for move in np.asarray(moves).T:
            goes = move != WAIT
            open_ = goes & self.doors[rows, here[-1], np.where(goes, move, 0)]
            here.append(np.where(open_, near[here[-1], np.where(goes, move, 0)], here[-1]))
        return np.stack(here, 1)

    def arrives(self, moves: Int[np.ndarray, "maze step"]) -> Bool[np.ndarray, " maze"]:
        """Whether moves end at the goal."""
        return self.path(moves)[:, -1] == self.goal

    def pictures(self) -> UInt8[np.ndarray, "maze pixel pixel 3"]:
        """Red, green, blue as 0 or 1, with 2 side + 1 pixels along a side: walls black, ways white, the start
        red, the goal green. The cell in row r and column c is the pixel (2 r + 1, 2 c + 1).

        >>> draw_mazes(1, side=4, steps=8, seed=0).pictures().shape
        (1, 9, 9, 3)
        """
        side = self.side
        out = np.zeros((len(self), 2 * side + 1, 2 * side + 1, 3), np.uint8)
        doors = self.doors.reshape(len(self), side, side, 4)
        out[:, 1::2, 1::2] = 1
        out[:, 2:-1:2, 1::2] = doors[:, :-1, :, DOWN, None]
        out[:, 1::2, 2:-1:2] = doors[:, :, :-1, RIGHT, None]
        rows = np.arange(len(self))
        for cell, colour in ((self.start, (1, 0, 0)), (self.goal, (0, 1, 0))):
            out[rows, 2 * (cell // side) + 1, 2 * (cell % side) + 1] = colour
        return out

    def patches(self) -> UInt8[np.ndarray, "maze cell 27"]:
        """The 3 x 3 pixels of the picture around every cell: what a 3 x 3 convolution of stride 2 reads, so
        that a linear map of them is that convolution.

        >>> draw_mazes(1, side=4, steps=8, seed=0).patches().shape
        (1, 16, 27)
        """
        seen = np.lib.stride_tricks.sliding_window_view(self.pictures(), (3, 3), (1, 2))
        seen = np.moveaxis(seen[:, ::2, ::2], 3, 5)  # colours last, as in the picture
        return seen.reshape(len(self), self.side**2, 27)


def draw_mazes(many: int, *, side: int, steps: int, seed: int) -> Mazes:
    """Mazes by a random walk that backs up where it is stuck (depth first), so that every cell is reached by
    exactly one way. The start is any cell, the goal any other cell at most `steps` moves away.

    **Arguments**: `many` mazes of `side` x `side` cells; routes have `steps` moves, filled up with waits.

    Source of the task: Darlow et al. (2025), arXiv 2505.05522, whose mazes have 19 x 19 cells.

    >>> mazes = draw_mazes(2, side=3, steps=8, seed=0)
    >>> mazes.route.shape, mazes.doors.sum((1, 2)).tolist()  # 8 ways join 9 cells, seen from both ends
    ((2, 8), [16, 16])

    Raises ValueError for fewer than one maze, two cells along a side, or one step.
    """
    if many < 1 or side < 2 or steps < 1:
        raise ValueError(
            f"draw_mazes: many = {many}, side = {side}, steps = {steps};"
            " needs one maze, two cells along a side and one step"
        )
    rng = np.random.default_rng(seed)
    doors = _spanning_trees(many, side, rng)
    start = rng.integers(side**2, size=many)
    away = _distances(doors, start)
    lottery = np.where((away > 0) & (away <= steps), rng.random(away.shape), -1.0)
    goal = lottery.argmax(1)
    return Mazes(doors, start, goal, _routes(doors, start, goal, steps))


def _neighbours(side: int) -> Int[np.ndarray, "cell 4"]:
    """The cell that each move leads to; -1 beyond the edge."""
    row, column = np.divmod(np.arange(side**2), side)
    out = np.full((side**2, 4), -1)
    for move, (dr, dc) in _AWAY.items():
        r, c = row + dr, column + dc
        inside = (r >= 0) & (r < side) & (c >= 0) & (c < side)
        out[inside, move] = (r * side + c)[inside]
    return out


def _spanning_trees(many: int, side: int, rng) -> Bool[np.ndarray, "maze cell 4"]:
    """All walks at once; each enters every cell once and backs out of it at most once."""
    near, cells, rows = _neighbours(side), side**2, np.arange(many)
    doors = np.zeros((many, cells, 4), bool)
    seen = np.zeros((many, cells + 1), bool)
    seen[:, -1] = True  # where -1, beyond the edge, points
    here = rng.integers(cells, size=many)
    came = np.tile(here[:, None], (1, cells))
    seen[rows, here] = True
    for _ in range(2 * cells - 2):
        free = ~seen[rows[:, None], near[here]]
        go = free.any(1)
        move = np.where(free, rng.random((many, 4)), -1.0).argmax(1)
        to = np.where(go, near[here, move], came[rows, here])
        new, old, into, by = rows[go], here[go], to[go], move[go]
        doors[new, old, by] = True
        doors[new, into, by ^ 1] = True  # up and down, left and right differ in the last bit
        seen[new, into] = True
        came[new, into] = old
        here = to
    return doors


def _distances(doors: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Moves from a cell to every cell, (maze, cell)."""
    many, cells, _ = doors.shape
    near = _neighbours(round(cells**0.5))
    far = np.full((many, cells + 1), 2 * cells)  # the last one is beyond the edge
    far[np.arange(many), source] = 0
    for _ in range(cells - 1):
        by = np.where(doors, far[:, near], 2 * cells).min(-1) + 1
        if (by >= far[:, :-1]).all():
            break
        far[:, :-1] = np.minimum(far[:, :-1], by)
    return far[:, :-1]


def _routes(doors: np.ndarray, start: np.ndarray, goal: np.ndarray, steps: int) -> np.ndarray:
    """Moves down the distance to the goal, then waits, (maze, step)."""
    near, rows = _neighbours(round(doors.shape[1] ** 0.5)), np.arange(len(doors))
    far, here, moves = _distances(doors, goal), start, []
    for _ in range(steps):
        ahead = np.where(doors[rows, here], far[rows[:, None], near[here]], far.max() + 1)
        move = np.where(here == goal, WAIT, ahead.argmin(1))
        here = np.where(here == goal, here, near[here, move % 4])
        moves.append(move)
    return np.stack(moves, 1)
