"""Sparse wiring: rows of targets (CSR), delivered spike by spike."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import param
from neuropil.core.random import generator
from neuropil.wiring.base import Wiring
from neuropil.wiring.events import collect, deliver


class Sparse(Wiring):
    r"""Every presynaptic cell j has targets of its own: $y_i = \sum_{j, m:\, target_{jm} = i} w_{jm} x_j$.

    No array of pre x post is ever made. On a CPU one compiled kernel finds the cells that are not silent
    and goes along their rows, so a tick costs as much as there are spikes, exact however many there are;
    without a compiler, and on other platforms, all synapses are gone through. A target may stand twice in
    a row: its weights add. Gradients, of any order and in both modes, reach the weights and the input.

    **Arguments**, in one of two forms

    - Every cell has k targets: `target` and `weight` of shape (pre, k).
    - Any number of targets (compressed sparse rows): `target` and `weight` of shape (synapse,), and
      `indptr` of shape (pre + 1,); the synapses of cell j are indptr[j] .. indptr[j + 1] - 1.

    `weight` may be a single number: one parameter for all synapses, and half the memory. `post` is the
    number of postsynaptic cells.

    >>> wires = Sparse(jnp.array([[0, 1], [1, 1]]), jnp.array([[1.0, 2.0], [3.0, 4.0]]), 2)
    >>> wires.forward(jnp.array([1.0, 10.0])).tolist()
    [1.0, 72.0]
    >>> Sparse(jnp.array([0, 1, 1]), 0.5, 2, indptr=[0, 0, 3]).forward(jnp.array([1.0, 10.0])).tolist()
    [5.0, 10.0]

    Raises ValueError for targets outside 0 .. post - 1 and for shapes that do not belong together.
    """

    target: Array
    weight: Array = param(axes=("pre", "synapse"))
    indptr: Array
    post: int = eqx.field(static=True)

    def __init__(
        self,
        target: Array | np.ndarray | list,
        weight: Array | np.ndarray | list | float,
        post: int,
        indptr: Array | np.ndarray | list | None = None,
    ):
        self.target = jnp.asarray(target, jnp.int32)
        self.weight = jnp.asarray(weight, jnp.result_type(float))
        self.post = post
        if indptr is None:
            if self.target.ndim != 2:
                raise ValueError(
                    f"Sparse: targets {self.target.shape}; give (pre, k), or (synapse,) with indptr"
                )
            pre, k = self.target.shape
            indptr = np.arange(pre + 1) * k
        self.indptr = jnp.asarray(indptr, jnp.int32)

    def __check_init__(self):
        if self.weight.ndim and self.target.shape != self.weight.shape:
            raise ValueError(
                f"Sparse: targets {self.target.shape} and weights {self.weight.shape} differ"
            )
        if any(isinstance(a, jax.core.Tracer) for a in (self.target, self.indptr)):
            return
        ends = np.asarray(self.indptr)
        if (
            ends.ndim != 1
            or ends[0] != 0
            or ends[-1] != self.target.size
            or (np.diff(ends) < 0).any()
        ):
            raise ValueError(
                f"Sparse: indptr must rise from 0 to the number of synapses, {self.target.size}"
            )
        if not self.target.size:
            return
        low, high = int(self.target.min()), int(self.target.max())
        if low < 0 or high >= self.post:
            raise ValueError(f"Sparse: targets {low}..{high} but the cells are 0..{self.post - 1}")

    @staticmethod
    def random(
        pre: int, post: int, fan_out: int, key: Array, *, weight: float | None = None
    ) -> Sparse:
        """Targets drawn without repetition; weights all `weight`, or normal (mean fan-in)^-1/2 wide."""
        if not 1 <= fan_out <= post:
            raise ValueError(
                f"Sparse: fan_out = {fan_out} but there are {post} cells; give 1..{post}"
            )
        from neuropil.wiring.random import distinct  # which itself makes wires of this class

        a, b = jax.random.split(key)
        rng = generator(a)
        target = distinct(rng, pre, post, fan_out)
        scale = (max(pre * fan_out / post, 1.0)) ** -0.5
        drawn = scale * jax.random.normal(b, target.shape)
        return Sparse(target, drawn if weight is None else jnp.full(target.shape, weight), post)

    @staticmethod
    def from_edges(
        pre: np.ndarray,
        post: np.ndarray,
        weight: np.ndarray | Array | float,
        n_pre: int,
        n_post: int,
    ) -> Sparse:
        """From lists of synapses: number e goes from cell pre[e] to post[e] with weight[e].

        A single number as `weight` is one parameter, shared by all.

        >>> wires = Sparse.from_edges(np.array([1, 0, 1]), np.array([0, 2, 2]), 1.0, 2, 3)
        >>> wires.indptr.tolist(), wires.target.tolist()
        ([0, 1, 3], [2, 0, 2])
        """
        pre = np.asarray(pre)
        if pre.size and (pre.min() < 0 or pre.max() >= n_pre):
            raise ValueError(
                f"Sparse: pre {pre.min()}..{pre.max()} but the cells are 0..{n_pre - 1}"
            )
        if (pre[1:] < pre[:-1]).any():
            order = np.argsort(pre, kind="stable")
            post = np.asarray(post)[order]
            weight = weight if np.ndim(weight) == 0 else jnp.asarray(weight)[order]
        counts = np.bincount(pre, minlength=n_pre)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return Sparse(post, weight, n_post, indptr)

    def forward(self, x):
        return deliver(x, self._flat(), self.target.reshape(-1), self.indptr, self.post)

    def transpose(self, y):
        return collect(y, self._flat(), self.target.reshape(-1), self.indptr)

    def _flat(self):
        return self.weight.reshape(-1) if self.weight.ndim else self.weight

    def dense(self) -> Array:
        """The same weights as a (post, pre) matrix, for small populations."""
        n = self.indptr.shape[0] - 1
        pre = jnp.repeat(jnp.arange(n), jnp.diff(self.indptr), total_repeat_length=self.target.size)
        empty = jnp.zeros((self.post, n), self.weight.dtype)
        return empty.at[self.target.reshape(-1), pre].add(self._flat())

    def rest(self):
        return jnp.zeros(self.post, self.weight.dtype)
