r"""Temporal memory of hierarchical temporal memory (HTM): sequences learnt online by segments of dendrites.

Source: Cui, Ahmad, Hawkins (2016), Neural Computation 28, 2474 (arXiv 1512.05463); Hawkins, Ahmad (2016),
Frontiers in Neural Circuits 10, 23.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, PyTree

from neuropil.core import System, param
from neuropil.memory.segments import adapted, grown, matches, rows_of

BLOCK = 32  # matching segments that learn at a time


class TemporalMemory(System):
    r"""Minicolumns of cells that predict their own activity: a memory of sequences of high order.

    A cell is predictive while one of its distal segments has at least $\theta$ connected synapses (permanence
    of at least `connected`) onto active cells. In an active column the predictive cells become active, or all
    cells where none was (a burst). Segments that foresaw an active cell learn, with $A$ the cells active one
    tick before and $p$ a permanence in [0, 1],

    $$\Delta p_j = p^+ A_j - p^- (1 - A_j),$$

    and grow synapses onto winner cells of the tick before, until `growth` of their synapses were onto active
    cells. In a burst this is done by the segment with most synapses of any permanence onto $A$ (at least
    `matching`), whose cell is the winner; where there is none, the cell with fewest segments wins and gets a
    new one. Matching segments of silent columns lose $p_\mathrm{wrong}$ on synapses onto $A$. A synapse at 0
    is gone, and a segment without synapses too.

    A tick without active columns ends a sequence: nothing is predicted after it. Without such a pause the
    context goes on, and a sequence that repeats itself is new each time round.

    All segments share one pool; where it is full, the segment that has matched nothing for longest makes
    room. A tick costs one look at each synapse of the segments made so far, and learning on those that match.

    **Arguments**: `columns`, `cells` (in each column), `active`: at most so many columns are active (the first
    ones count); `segments` in all, `synapses` at most on a segment; `threshold` theta, `matching`, `growth`;
    permanences `initial`, `connected`, `up`, `down`, `wrong`.

    Input: {"columns" (columns,) of zeros and ones, "learn": 1 to learn, 0 not to}. Output: {"active",
    "predicted" (columns, cells): cells active now, and those predicted for the next tick; "winner"
    (2 active,): numbers of the winner cells, the first ones where there are more (columns * cells: none);
    "anomaly": share of active columns not predicted}.

    >>> from neuropil.core import run, start
    >>> net = TemporalMemory(6, 2, 2, segments=64, synapses=4, threshold=2, matching=2, growth=2)
    >>> codes = jnp.kron(jnp.eye(4, 3), jnp.ones(2))  # three symbols and a silence
    >>> xs = {"columns": jnp.tile(codes, (12, 1)), "learn": jnp.ones(48)}
    >>> _, anomaly = run(net, start(net, 1.0, jr.key(0)), xs, record="output.anomaly")
    >>> anomaly[:4].tolist(), anomaly[-4:].tolist()
    ([1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0])

    Raises ValueError for sizes or thresholds that do not fit.
    """

    columns: int = eqx.field(static=True)
    cells: int = eqx.field(static=True)
    active: int = eqx.field(static=True)
    segments: int = eqx.field(static=True, default=32768)
    synapses: int = eqx.field(static=True, default=40)
    threshold: int = eqx.field(static=True, default=15)
    matching: int = eqx.field(static=True, default=15)
    growth: int = eqx.field(static=True, default=32)
    initial: Array = param(0.21, bounds=(0, 1), source="Cui 2016")
    connected: Array = param(0.5, bounds=(0, 1), source="Cui 2016")
    up: Array = param(0.1, bounds=(0, 1), source="Cui 2016")
    down: Array = param(0.1, bounds=(0, 1), source="Cui 2016")
    wrong: Array = param(0.02, bounds=(0, 1), source="Cui 2016")

    def __check_init__(self):
        sizes = self.columns, self.cells, self.active, self.segments, self.synapses
        if min(sizes) < 1 or self.active > min(self.columns, self.segments):
            raise ValueError(
                f"TemporalMemory: {self.columns} columns of {self.cells} cells, {self.active} active, "
                f"{self.segments} segments of {self.synapses} synapses; give at least 1 of each, and no more "
                "active columns than there are columns and segments"
            )
        if not 1 <= self.matching <= self.threshold <= self.synapses:
            raise ValueError(
                f"TemporalMemory: matching = {self.matching}, threshold = {self.threshold}, synapses = "
                f"{self.synapses}; write 1 <= matching <= threshold <= synapses"
            )
        if self.growth < self.threshold:
            raise ValueError(
                f"TemporalMemory: growth = {self.growth} synapses never reach threshold = {self.threshold}"
            )
        if self.segments * (self.synapses + 1) >= 2**31:
            raise ValueError(f"TemporalMemory: {self.segments} segments are too many to number")

    def init(self, dt, key):
        n, g = self.columns * self.cells, self.segments
        none = jnp.zeros(g, jnp.int32)
        return {
            "pre": jnp.full((g, self.synapses), n, jnp.int32),
            "permanence": jnp.zeros((g, self.synapses), self.up.dtype),
            "owner": jnp.full(g, n, jnp.int32),
            "seen": none - 1,
            "made": jnp.int32(0),
            "potential": none,
            "linked": none,
            "active": jnp.zeros(n, bool),
            "winner": jnp.full(2 * self.active, n, jnp.int32),
            "dead": jnp.zeros(n, bool),
        }

    def step(self, state, x, tick):
        k = self.cells
        on = x["columns"] > 0
        listed = jnp.nonzero(on, size=self.active, fill_value=self.columns)[0]
        listed = listed.astype(jnp.int32)
        on = jnp.zeros(self.columns, bool).at[listed].set(True, mode="drop")
        predicted = self._predictive(state).reshape(-1, k)
        foreseen = predicted.any(1)
        alive = ~state["dead"].reshape(-1, k)
        active = (on[:, None] & jnp.where(foreseen[:, None], predicted, True) & alive).ravel()
        burst = on & ~foreseen
        best, matched = self._best(state, burst)
        winner, fresh = self._winners(state, listed, burst, best, matched, tick)
        winners = self._winning(listed, predicted, winner)
        learn = x["learn"] > 0  # no cond: it would copy all segments at every tick
        state = self._learn(state, on, best, matched & learn, winner, fresh & learn, learn, tick)
        potential, linked = matches(
            state["pre"], state["permanence"], active, self.connected, state["made"]
        )
        state = state | {
            "potential": potential,
            "linked": linked,
            "active": active,
            "winner": winners,
            "seen": jnp.where(potential >= self.matching, tick.i, state["seen"]),
        }
        out = {
            "active": active.reshape(-1, k).astype(self.up.dtype),
            "predicted": self._predictive(state).reshape(-1, k).astype(self.up.dtype),
            "winner": state["winner"],
            "anomaly": (burst.sum() / jnp.maximum(on.sum(), 1)).astype(self.up.dtype),
        }
        return state, out

    def lesioned(self, state: PyTree, dead: Bool[Array, " cells"]) -> PyTree:
        """The state after these cells have died: they fall silent for good, and their segments are gone."""
        n = self.columns * self.cells
        lost = jnp.append(dead, True)[state["owner"]]
        none = {"potential": 0, "linked": 0, "owner": n, "seen": -1}
        gone = {name: jnp.where(lost, value, state[name]) for name, value in none.items()}
        kept = {
            "pre": jnp.where(lost[:, None], n, state["pre"]),
            "permanence": jnp.where(lost[:, None], 0, state["permanence"]),
            "winner": jnp.where(jnp.append(dead, False)[state["winner"]], n, state["winner"]),
        }
        return (
            state | gone | kept | {"active": state["active"] & ~dead, "dead": state["dead"] | dead}
        )

    def rest(self):
        none = jnp.zeros((self.columns, self.cells), self.up.dtype)
        winner = jnp.full(2 * self.active, self.columns * self.cells, jnp.int32)
        zero = jnp.zeros((), self.up.dtype)
        return {"active": none, "predicted": none, "winner": winner, "anomaly": zero}

    def _predictive(self, state):
        """Cells (columns * cells,) with a segment that foresees them."""
        none = jnp.zeros(self.columns * self.cells, bool)
        return none.at[state["owner"]].max(state["linked"] >= self.threshold, mode="drop")

    def _best(self, state, burst):
        """Of each bursting column: its best matching segment, and whether there is one."""
        g = self.segments
        column = state["owner"] // self.cells
        counts = (state["potential"] >= self.matching) & jnp.append(burst, False)[column]
        rank = jnp.where(counts, state["potential"] * g + jnp.arange(g, dtype=jnp.int32), 0)
        top = jnp.zeros(self.columns, jnp.int32).at[column].max(rank, mode="drop")
        return top % g, top > 0

    def _winners(self, state, listed, burst, best, matched, tick):
        """Winner cells of the bursting columns among those listed, and which of them get a new segment."""
        n, k = self.columns * self.cells, self.cells
        own = jnp.zeros(n, jnp.int32).at[state["owner"]].add(1, mode="drop")
        here = jnp.minimum(listed, self.columns - 1)
        tie = jr.uniform(tick.child("winner").key, (self.active, k))
        dead = state["dead"].reshape(-1, k)[here]
        fewest = jnp.where(dead, jnp.inf, own.reshape(-1, k)[here] + tie)
        cell = here * k + fewest.argmin(1).astype(jnp.int32)
        cell = jnp.where(matched[here], state["owner"][best[here]], cell)
        valid = (listed < self.columns) & burst[here] & ~(dead.all(1))
        return jnp.where(valid, cell, n).astype(jnp.int32), valid & ~matched[here]

    def _winning(self, listed, predicted, winner):
        """Winner cells of the columns listed, in order: those predicted, or the winner of a burst."""
        n, k = self.columns * self.cells, self.cells
        here = jnp.minimum(listed, self.columns - 1)[:, None]
        cells = here * k + jnp.arange(k, dtype=jnp.int32)[None]
        wins = (listed[:, None] < self.columns) & (
            predicted[here[:, 0]] | (cells == winner[:, None])
        )
        rows, _ = rows_of(wins.ravel())
        found = jnp.append(cells.ravel(), n).at[rows].get(mode="clip")
        return jnp.pad(found, (0, self.active), constant_values=n)[: 2 * self.active]

    def _learn(self, state, on, best, matched, winner, fresh, learn, tick):
        """What the tick leaves of the segments that matched the tick before, and new ones."""
        g, n = self.segments, self.columns * self.cells
        column = state["owner"] // self.cells
        here = jnp.append(on, False)[column]
        learns = here & (state["linked"] >= self.threshold)
        learns = learns.at[jnp.where(matched, best, g)].set(True, mode="drop")
        fails = ~here & (state["owner"] < n) & (state["potential"] >= self.matching)
        rows, count = rows_of((learns | fails) & learn)
        before, was = state["winner"], jnp.append(state["active"], False)
        rates, draws = (self.up, self.down, self.wrong), tick.child("grow").key

        def block(i, held):
            pre, permanence, owner = held
            at = lax.dynamic_slice(rows, (i * BLOCK,), (BLOCK,))
            get = lambda a, fill: a.at[at].get(mode="fill", fill_value=fill)
            p, q = get(pre, n), get(permanence, 0)
            lesson = get(learns, False)
            p, q = adapted(p, q, was[p], lesson, get(fails, False), rates, n)
            need = jnp.where(lesson, self.growth - get(state["potential"], 0), 0)
            grow = lambda p, q: grown(p, q, before, need, self.initial, n, jr.fold_in(draws, i))
            p, q = lax.cond((need > 0).any(), grow, lambda p, q: (p, q), p, q)
            put = lambda a, new: a.at[at].set(new, mode="drop")
            kept = jnp.where((p < n).any(1), get(owner, n), n)
            return put(pre, p), put(permanence, q), put(owner, kept)

        held = state["pre"], state["permanence"], state["owner"]
        pre, permanence, owner = lax.fori_loop(0, -(-count // BLOCK), block, held)
        fresh = fresh & (before < n).any()
        at, made = self._room(state, fresh)
        empty = jnp.full((self.active, self.synapses), n, jnp.int32)
        none = jnp.zeros((self.active, self.synapses), permanence.dtype)
        need = jnp.where(fresh, self.growth, 0)
        key = tick.child("new").key
        grow = lambda p, q: grown(p, q, before, need, self.initial, n, key)
        new = lax.cond(fresh.any(), grow, lambda p, q: (p, q), empty, none)
        return state | {
            "pre": pre.at[at].set(new[0], mode="drop"),
            "permanence": permanence.at[at].set(new[1], mode="drop"),
            "owner": owner.at[at].set(winner, mode="drop"),
            "seen": state["seen"].at[at].set(tick.i, mode="drop"),
            "made": made,
        }

    def _room(self, state, fresh):
        """Places for new segments: behind the others while there is room, else where none matched longest."""
        g, made = self.segments, state["made"]
        nth, count = jnp.cumsum(fresh, dtype=jnp.int32) - 1, fresh.sum(dtype=jnp.int32)
        full = made + count > g
        oldest = lambda: lax.top_k(-state["seen"], self.active)[1][jnp.maximum(nth, 0)]
        at = lax.cond(full, oldest, lambda: made + nth)
        return jnp.where(fresh, at, g), jnp.where(full, g, made + count)
