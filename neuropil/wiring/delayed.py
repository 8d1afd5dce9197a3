"""Sparse wiring in which every synapse has a delay of its own."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax import Array

from neuropil.core import System, param
from neuropil.wiring.sparse import Sparse


class DelayedSparse(System):
    r"""Sparse wiring with a delay for every synapse: $y_i(t) = \sum_{j \to i} w_{ij}\, x_j(t - d_{ij})$.

    A spike is delivered once, when it is fired, into what is still to come at each cell: exact, and as
    event-driven as the wiring itself. The delays are fixed (learnable ones are `synapses.DelayedDense`).

    **Arguments**: `wire`, a `Sparse`; `delay` (ms), of the shape of its targets: one a synapse, in its order.

    Input (pre,), output (post,). State: {"coming": (ticks ahead, post), "target"}. Memory: longest delay
    in ticks x post; no array of pre x post is made. On a `Network` edge the tick that has passed is
    counted in.

    >>> from neuropil.core import run, start
    >>> wire = Sparse.from_edges(np.array([0, 0]), np.array([0, 1]), np.array([1.0, 5.0]), 1, 2)
    >>> late = DelayedSparse(wire, [1.0, 2.0])
    >>> run(late, start(late, 1.0, jax.random.key(0)), jnp.ones((1, 1)).repeat(3, 0))[1].tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 5.0]]

    Raises ValueError for a delay that is negative or no multiple of dt, for one shorter than a tick on a
    network edge, and where there is not one for each synapse.
    """

    wire: Sparse
    delay: Array = param(unit="ms", bounds=(0, None), axes=("synapse",))
    passed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if jnp.shape(self.delay) != self.wire.target.shape:
            raise ValueError(
                f"DelayedSparse: delay {jnp.shape(self.delay)} but the synapses are {self.wire.target.shape}"
            )

    def _ticks(self, dt: float | int) -> np.ndarray:
        """Whole ticks of every delay at this dt."""
        if isinstance(self.delay, jax.core.Tracer):
            raise TypeError("DelayedSparse: its delays are fixed; leave them out of the gradient")
        exact = np.asarray(self.delay, np.float64) / dt - self.passed
        ticks = np.round(exact)
        off = np.abs(exact - ticks) > 1e-4 * np.maximum(1.0, np.abs(exact))  # float32 delays
        if off.any():
            bad = float(np.asarray(self.delay)[off].flat[0])
            raise ValueError(f"DelayedSparse: a delay of {bad:g} ms is no multiple of dt = {dt} ms")
        if ticks.size and ticks.min() < 0:
            raise ValueError(
                f"DelayedSparse: a delay below {dt} ms on a network edge, which costs one tick"
            )
        return ticks.astype(np.int64)

    def init(self, dt, key):
        ticks, post = self._ticks(dt), self.wire.post
        slots = int(ticks.max(initial=0)) + 1
        if slots * post >= 2**31:
            raise ValueError(
                f"DelayedSparse: {slots} ticks x {post} cells do not fit; use a larger dt or parts"
            )
        place = jnp.asarray(ticks * post, jnp.int32) + self.wire.target
        coming = jnp.zeros((slots, post), self.wire.weight.dtype)
        return {"coming": coming, "target": place}

    def step(self, state, x, tick):
        coming = state["coming"]
        slots, post = coming.shape
        wide = Sparse(state["target"], self.wire.weight, slots * post, self.wire.indptr)
        coming = coming + wide.forward(x).reshape(slots, post)
        later = jnp.concatenate([coming[1:], jnp.zeros_like(coming[:1])])
        return {**state, "coming": later}, coming[0]

    def on_edge(self):
        return DelayedSparse(self.wire, self.delay, 1)

    def rest(self):
        return jnp.zeros(self.wire.post, self.wire.weight.dtype)

    def children(self):
        return {}
