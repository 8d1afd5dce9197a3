r"""Spatial pooler of hierarchical temporal memory (HTM): any binary input becomes a code of fixed sparsity.

Source: Cui, Ahmad, Hawkins (2017), Frontiers in Computational Neuroscience 11, 111.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array

from neuropil.core import System, param


class SpatialPooler(System):
    r"""Columns that compete for a binary input, and learn to share the work.

    With permanences p, the overlap of column i counts its connected synapses onto active inputs, times a boost
    for columns that are active less often than they should be ($\bar a$: running share of ticks; w of n
    columns are active at a time):

    $$o_i = e^{\beta (w / n - \bar a_i)} \sum_j [p_{ij} \ge p_c]\, x_j$$

    The w columns with the largest $o_i$ (at least `least` before the boost) are active, everywhere at once
    (global inhibition); on their potential synapses $\Delta p = p^+$ where the input is active and $-p^-$ where
    not, within [0, 1].

    **Arguments**: `inputs`, `columns`, `active` w; `share` of the inputs in a column's potential pool; `least`;
    `connected` $p_c$, `up` $p^+$, `down` $p^-$, `boost` $\beta$, `period` (ms) of the running share.

    Input: {"input" (inputs,) of zeros and ones, "learn": 1 to learn, 0 not to}. Output: {"columns" (columns,)
    of zeros and ones, "overlap" (columns,) before the boost}. State: permanence (columns, inputs; -1 outside
    the pool), duty (columns,).

    >>> from neuropil.core import run, start
    >>> net = SpatialPooler(50, 30, 3)
    >>> xs = {"input": jnp.tile(jnp.arange(50.0) < 10, (2, 1)), "learn": jnp.ones(2)}
    >>> run(net, start(net, 1.0, jr.key(0)), xs)[1]["columns"].sum(1).tolist()
    [3.0, 3.0]

    Raises ValueError for sizes that do not fit.
    """

    inputs: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    active: int = eqx.field(static=True)
    share: Array = param(0.5, bounds=(0, 1))
    least: int = eqx.field(static=True, default=1)
    connected: Array = param(0.5, bounds=(0, 1))
    up: Array = param(0.1, bounds=(0, 1))
    down: Array = param(0.02, bounds=(0, 1))
    boost: Array = param(0.0, bounds=(0, None))
    period: Array = param(1000.0, unit="ms", bounds=(0, None))

    def __check_init__(self):
        if min(self.inputs, self.active) < 1 or self.active > self.columns or self.least < 0:
            raise ValueError(
                f"SpatialPooler: {self.inputs} inputs, {self.active} of {self.columns} columns active, least = "
                f"{self.least}; give at least 1 input, 1 to all columns, least of at least 0"
            )

    def init(self, dt, key):
        pool, value = jr.split(key)
        shape = self.columns, self.inputs
        inside = jr.uniform(pool, shape) < self.share
        permanence = jnp.where(inside, jr.uniform(value, shape), -1.0)
        level = jnp.full(self.columns, self.active / self.columns)
        return {"permanence": permanence.astype(self.up.dtype), "duty": level.astype(self.up.dtype)}

    def step(self, state, x, tick):
        p, duty = state["permanence"], state["duty"]
        here = (x["input"] > 0).astype(p.dtype)
        overlap = (p >= self.connected).astype(p.dtype) @ here
        boosted = overlap * jnp.exp(self.boost * (self.active / self.columns - duty))
        best = lax.top_k(jnp.where(overlap >= self.least, boosted, -1.0), self.active)
        on = jnp.zeros(self.columns, p.dtype).at[best[1]].set((best[0] >= 0).astype(p.dtype))
        learn = x["learn"] > 0
        change = jnp.where(here > 0, self.up, -self.down)[None] * on[:, None]
        learnt = jnp.where(p >= 0, jnp.clip(p + change, 0, 1), p)
        rate = -jnp.expm1(-tick.dt / self.period)
        moved = duty + rate.astype(p.dtype) * (on - duty)
        state = {
            "permanence": jnp.where(learn, learnt, p),
            "duty": jnp.where(learn, moved, duty),
        }
        return state, {"columns": on, "overlap": overlap}

    def rest(self):
        none = jnp.zeros(self.columns, self.up.dtype)
        return {"columns": none, "overlap": none}
