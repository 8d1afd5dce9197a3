"""Wiring from a table of synapses: an edge list as connectomes are published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropil.wiring.edges import Edges
from neuropil.wiring.sparse import Sparse

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Connectome:
    """Named cells and the synapses between them.

    - `names`: cell number -> name; `edges`: who meets whom, every pair once;
    - `weight` (edge,): its size, never negative; `sign` (edge,): +1, -1, or 0 where it is not known.
    """

    names: tuple[str, ...]
    edges: Edges
    weight: np.ndarray
    sign: np.ndarray

    def wiring(self, scale: float = 1.0, *, unknown: int = 1) -> Sparse:
        """Sparse wiring with weight scale x sign x size; `unknown` stands in for a sign of 0."""
        sign = np.where(self.sign == 0, unknown, self.sign)
        return self.edges.wiring(scale * sign * self.weight)

    def number(self, name: str) -> int:
        """The number of a cell. KeyError for a name that is not there."""
        if name not in self.names:
            raise KeyError(f"Connectome: no cell {name!r} among {len(self.names)} cells")
        return self.names.index(name)


_SIGNS = {"+": 1, "-": -1, "1": 1, "-1": -1, "excitatory": 1, "inhibitory": -1}


def _sign(value: Any) -> int:
    if isinstance(value, str):
        return _SIGNS.get(value.strip().lower(), 0)
    return 0 if value != value else int(np.sign(value))


def from_table(
    table: pd.DataFrame | str | PathLike,
    *,
    pre: str = "pre",
    post: str = "post",
    weight: str | None = "weight",
    sign: str | None = None,
    names: Iterable[str] | None = None,
    sep: str = ",",
) -> Connectome:
    """A connectome from a table with a row a synapse (or a pair of cells).

    **Arguments**

    - `table`: a pandas table, or the path of a CSV file (`sep` its separator).
    - `pre`, `post`, `weight`, `sign`: names of the columns. `weight=None`: every row counts 1. `sign=None`:
      signs are those of the weights. In the sign column, numbers and "+", "-", "excitatory",
      "inhibitory" are understood, all else is not known (0).
    - `names`: the cells in the order wanted; rows that name others are left out. None: in order of
      their first appearance.

    Rows of the same pair are added up; their sign is that of the row of the largest weight.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"pre": ["a", "a", "b"], "post": ["b", "b", "c"], "weight": [2, 1, -4]})
    >>> brain = from_table(rows)
    >>> brain.names, brain.weight.tolist(), brain.sign.tolist()
    (('a', 'b', 'c'), [3.0, 4.0], [1, -1])

    Raises KeyError for a column that is not there, ValueError for weights that are not finite, for
    negative weights beside a sign column, and where no row is left.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        table = pd.read_csv(table, sep=sep, comment="#")
    wanted = [c for c in (pre, post, weight, sign) if c is not None]
    for column in wanted:
        if column not in table.columns:
            raise KeyError(f"from_table: no column {column!r}; there are {list(table.columns)}")
    known = list(dict.fromkeys(names)) if names is not None else None
    a, b = (table[c].astype(str).str.strip() for c in (pre, post))
    if known is None:
        known = list(dict.fromkeys(np.stack([a, b], 1).ravel().tolist()))
    number = pd.Index(known)
    i, j = number.get_indexer(a), number.get_indexer(b)
    size = np.ones(len(table)) if weight is None else table[weight].to_numpy(float)
    inside = (i >= 0) & (j >= 0)
    if not inside.any():
        raise ValueError("from_table: no row joins two of the named cells; check the names")
    if not np.isfinite(size[inside]).all():
        raise ValueError(f"from_table: column {weight!r} holds a value that is not finite")
    if sign is not None and (size[inside] < 0).any():
        raise ValueError(
            f"from_table: column {weight!r} is negative beside the signs of {sign!r}; give sizes, or sign=None"
        )
    says = np.sign(size) if sign is None else np.array([_sign(v) for v in table[sign]])
    i, j, size, says = (np.asarray(x)[inside] for x in (i, j, np.abs(size), says))
    order = np.argsort(-size, kind="stable")  # the largest row of a pair comes first
    code, first, place = np.unique(
        i[order] * len(known) + j[order], return_index=True, return_inverse=True
    )
    total = np.bincount(place, weights=size[order])
    edges = Edges(code // len(known), code % len(known), len(known), len(known))
    return Connectome(tuple(known), edges, total, says[order][first].astype(np.int8))
