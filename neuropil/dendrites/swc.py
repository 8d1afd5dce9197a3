"""Reading SWC files: points of a traced neuron to compartments."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def _points(path: str | Path) -> dict[int, tuple[int, np.ndarray, float, int]]:
    """{number: (kind, position (um), radius (um), parent)} of every point of a file."""
    points: dict[int, tuple[int, np.ndarray, float, int]] = {}
    for at, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            number, kind, *xyz, radius, parent = [float(w) for w in words]
        except ValueError:
            raise ValueError(f"{path}, line {at}: {line!r} is not 7 numbers") from None
        if len(xyz) != 3 or radius <= 0 or not np.isfinite([*xyz, radius]).all():
            raise ValueError(f"{path}, line {at}: needs number, kind, x, y, z, radius > 0, parent")
        if int(number) in points:
            raise ValueError(f"{path}, line {at}: point {int(number)} is there twice")
        points[int(number)] = (int(kind), np.array(xyz), radius, int(parent))
    roots = [k for k, (*_, parent) in points.items() if parent == -1]
    if len(roots) != 1:
        raise ValueError(f"{path}: has {len(roots)} points with parent -1; one tree has one root")
    for k, (*_, parent) in points.items():
        if parent != -1 and parent not in points:
            raise ValueError(f"{path}: point {k} has parent {parent}, which is not there")
    return points


def _outwards(points: dict, path: str | Path) -> tuple[list[int], dict[int, list[int]]]:
    """Points from the root outwards, and the children of each."""
    children: dict[int, list[int]] = {k: [] for k in points}
    for k, (*_, parent) in points.items():
        if parent != -1:
            children[parent].append(k)
    root = next(k for k, (*_, parent) in points.items() if parent == -1)
    order, stack = [], [root]
    while stack:
        k = stack.pop()
        order.append(k)
        stack += sorted(children[k], reverse=True)
    if len(order) != len(points):
        lost = sorted(set(points) - set(order))[0]
        raise ValueError(f"{path}: point {lost} does not hang on the root; its parents form a ring")
    return order, children


def _soma(points: dict, order: list[int]) -> tuple[float, float]:
    """(length, diameter) of the one compartment of the soma."""
    root = order[0]
    body = [k for k in order if points[k][0] == 1]
    if len(body) <= 1 or (len(body) == 3 and all(points[k][3] == root for k in body[1:])):
        diameter = 2 * points[root][2]
        return diameter, diameter
    inner = [k for k in body if k != root and points[k][3] in body]
    length = sum(float(np.linalg.norm(points[k][1] - points[points[k][3]][1])) for k in inner)
    return length, float(np.mean([2 * points[k][2] for k in body]))


def _cut(path_points: list, longest: float) -> list[tuple[float, float]]:
    """An unbranched run of (position, radius) as compartments (length, diameter)."""
    position = np.array([p for p, _ in path_points])
    radius = np.array([r for _, r in path_points])
    steps = np.linalg.norm(np.diff(position, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    total = float(along[-1])
    if total == 0:
        return []
    n = max(1, int(np.ceil(total / longest - 1e-9)))
    integral = np.concatenate([[0.0], np.cumsum(steps * (radius[1:] + radius[:-1]))])  # of 2 r
    edges = np.linspace(0, total, n + 1)

    def up_to(s):  # the integral of a piecewise linear diameter is quadratic between points
        k = int(np.clip(np.searchsorted(along, s, side="right") - 1, 0, len(steps) - 1))
        t = s - along[k]
        slope = (radius[k + 1] - radius[k]) / steps[k] if steps[k] else 0.0
        return integral[k] + 2 * radius[k] * t + slope * t**2

    sums = np.array([up_to(s) for s in edges])
    return [(total / n, float(d)) for d in np.diff(sums) / (total / n)]


def read_swc(path: str | Path, longest: float) -> tuple[list, list, list, list]:
    """(parent, length, diameter, kind) of the compartments; see `Tree.read_swc`."""
    if longest <= 0:
        raise ValueError(f"read_swc: longest = {longest} um but it must be positive")
    points = _points(path)
    order, children = _outwards(points, path)
    root = order[0]
    has_soma = points[root][0] == 1
    parent, length, diameter, kind = [], [], [], []
    end: dict[int, int] = {}  # point -> the compartment it ends in
    if has_soma:
        long, wide = _soma(points, order)
        parent, length, diameter, kind = [-1], [long], [wide], [1]
        end |= {k: 0 for k in order if points[k][0] == 1}
    else:
        end[root] = -1
    for first in order:
        above = points[first][3]
        if first in end or above not in end:
            continue
        run, k = [above, first], first
        while len(children[k]) == 1 and points[children[k][0]][0] == points[first][0]:
            k = children[k][0]
            run.append(k)
        places = [(points[p][1], points[p][2]) for p in run]
        if has_soma and end[above] == 0 and points[above][0] == 1:
            places = places[1:] if len(run) > 2 else [(places[0][0], places[1][1]), places[1]]
        at = end[above]
        for long, wide in _cut(places, longest):
            parent.append(at)
            length.append(long)
            diameter.append(wide)
            kind.append(points[first][0])
            at = len(parent) - 1
        end |= dict.fromkeys(run[1:-1], at)
        end[k] = at
    if not parent:
        raise ValueError(f"{path}: the points lie in one place and make no compartment")
    if parent.count(-1) != 1:
        raise ValueError(f"{path}: several branches leave the root; mark it as soma (kind 1)")
    return parent, length, diameter, kind
