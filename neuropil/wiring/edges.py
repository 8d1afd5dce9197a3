"""Which cell meets which: lists of synapses, before they carry weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jax import Array

from neuropil.core import fold
from neuropil.wiring.sparse import Sparse


@dataclass(frozen=True)
class Edges:
    """Synapses as two lists of equal length: edge e goes from cell `pre[e]` to cell `post[e]`.

    **Arguments**: `pre`, `post` (edge,), `n_pre`, `n_post` the sizes of the two populations.

    >>> import jax
    >>> ring = Edges(np.array([0, 1, 2]), np.array([1, 2, 0]), 3, 3)
    >>> len(ring), ring.in_degree().tolist()
    (3, [1, 1, 1])
    >>> ring.wiring(0.5).forward(jax.numpy.array([1.0, 0.0, 0.0])).tolist()
    [0.0, 0.5, 0.0]

    Raises ValueError for lists of different lengths and for cells that are not there.
    """

    pre: np.ndarray
    post: np.ndarray
    n_pre: int
    n_post: int

    def __post_init__(self):
        if self.pre.shape != self.post.shape or self.pre.ndim != 1:
            raise ValueError(
                f"Edges: pre {self.pre.shape} and post {self.post.shape} must be lists of one length"
            )
        for name, cells, n in (("pre", self.pre, self.n_pre), ("post", self.post, self.n_post)):
            if n < 1:
                raise ValueError(f"Edges: n_{name} = {n}, but a population has at least 1 cell")
            if cells.size and not 0 <= cells.min() <= cells.max() < n:
                raise ValueError(
                    f"Edges: {name} holds {cells.min()}..{cells.max()} but the cells are 0..{n - 1}"
                )

    def __len__(self) -> int:
        return len(self.pre)

    def in_degree(self) -> np.ndarray:
        """Synapses onto every postsynaptic cell, (n_post,)."""
        return np.bincount(self.post, minlength=self.n_post)

    def out_degree(self) -> np.ndarray:
        """Synapses from every presynaptic cell, (n_pre,)."""
        return np.bincount(self.pre, minlength=self.n_pre)

    def reversed(self) -> Edges:
        """The same synapses the other way round."""
        return Edges(self.post, self.pre, self.n_post, self.n_pre)

    def wiring(self, weight: float | np.ndarray | Array, *, shared: bool = False) -> Sparse:
        """The sparse wiring, with one weight for all, or one for every edge in the order of the list.

        `shared`: the weight is one number and stays one parameter, for half the memory.
        """
        if not shared:
            weight = np.broadcast_to(np.asarray(weight), self.pre.shape)
        elif np.ndim(weight):
            raise ValueError(f"Edges: shared, but the weight has shape {np.shape(weight)}")
        return Sparse.from_edges(self.pre, self.post, weight, self.n_pre, self.n_post)


def together(*parts: Edges) -> Edges:
    """All the synapses of several lists over the same two populations.

    >>> ring = Edges(np.array([0, 1]), np.array([1, 0]), 2, 2)
    >>> len(together(ring, ring))
    4
    """
    sizes = {(e.n_pre, e.n_post) for e in parts}
    if len(sizes) != 1:
        raise ValueError(f"together: the lists are over populations of sizes {sorted(sizes)}")
    ends = (np.concatenate([getattr(e, name) for e in parts]) for name in ("pre", "post"))
    return Edges(*ends, *sizes.pop())


Link = float | Callable[[int, int, Array], Edges]


def blocks(sizes: dict[str, int], links: dict[str, Link], key: Array) -> Edges:
    r"""Populations in one numbering, wired block by block: a stochastic block model.

    $$P(j \to i) = p_{ab}, \qquad j \in a,\ i \in b$$

    **Arguments**

    - `sizes`: {name: cells}; the cells are numbered in this order.
    - `links`: {"pre>post": probability, or a generator (n_pre, n_post, key) -> Edges}. No cell meets
      itself where a probability is given.

    >>> import jax
    >>> net = blocks({"E": 80, "I": 20}, {"E>I": 0.5, "I>E": 1.0}, jax.random.key(0))
    >>> net.n_pre, int((net.pre >= 80).sum())
    (100, 1600)

    Source: Holland, Laskey, Leinhardt (1983), Soc. Networks 5, 109.

    Raises ValueError for a link whose ends are not among the populations.
    """
    from neuropil.wiring.random import fixed_probability

    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    total, parts = sum(sizes.values()), []
    for name, link in links.items():
        pre, _, post = name.partition(">")
        if pre not in sizes or post not in sizes:
            raise ValueError(f"blocks: link {name!r}; the populations are {sorted(sizes)}")
        n, m, child = sizes[pre], sizes[post], fold(key, name)
        if callable(link):
            edges = link(n, m, child)
        else:
            edges = fixed_probability(n, m, link, child, loops=pre != post)
        parts.append(Edges(edges.pre + first[pre], edges.post + first[post], total, total))
    return together(*parts)


def signs(sizes: dict[str, int], inhibitory: tuple[str, ...] = ("I",)) -> np.ndarray:
    """+1 for every cell of an excitatory population and -1 for every inhibitory one, as `blocks` counts.

    >>> signs({"E": 2, "I": 1}).tolist()
    [1, 1, -1]
    """
    unknown = set(inhibitory) - set(sizes)
    if unknown:
        raise ValueError(f"signs: {sorted(unknown)} are no populations; they are {sorted(sizes)}")
    each = [-1 if name in inhibitory else 1 for name in sizes]
    return np.repeat(np.array(each, np.int8), list(sizes.values()))
