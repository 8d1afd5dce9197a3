"""What dynamical-intelligence asks of a network: replay in any order, capacity, reading and updating a tree."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array

from neuropil.core import System, fold
from neuropil.papers.core._theta_gamma import (
    GAMMA,
    HELD,
    Rhythms,
    by_cycle,
    clocked,
    learn_where_wrong,
    links,
    named,
    read_tree,
    replay,
)


class Plan(eqx.Module):
    """Sizes: `cells` of items; `sequences` of `length` items; a `long` one; a tree of `chunks` of `items`: the
    level above has `above` cells, `of_chunk` of them active; `ratio` of gamma to theta frequency in replay;
    swept are `ratios` (by theta), `gammas` (ratios, by gamma) and `spreads` of phase."""

    cells: int = eqx.field(static=True)
    sequences: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    long: int = eqx.field(static=True)
    chunks: int = eqx.field(static=True)
    items: int = eqx.field(static=True)
    above: int = eqx.field(static=True)
    of_chunk: int = eqx.field(static=True)
    ratio: int = eqx.field(static=True)
    ratios: tuple[int, ...] = eqx.field(static=True)
    gammas: tuple[int, ...] = eqx.field(static=True)
    spreads: tuple[float, ...] = eqx.field(static=True)

    @property
    def cycles(self) -> int:
        """Gamma cycles of a trial."""
        return max(self.ratio, *self.ratios, *self.gammas)

    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Numbers of the assemblies: of sequences, of the long one, of the tree, and one that is new."""
        a = self.sequences * self.length
        b, c = a + self.long, a + self.long + self.chunks * self.items
        short = np.arange(a).reshape(self.sequences, self.length)
        return short, np.arange(a, b), np.arange(b, c).reshape(self.chunks, self.items), c


class Memory(eqx.Module):
    """Assemblies of items (item, cell) and of chunks (chunk, cell), and the long-term memory of links."""

    items: Array
    chunks: Array
    weight: Array
    above: Array
    first: Array


def codes(key: Array, count: int, n: int, active: Any) -> Array:
    """Random codes with `active` of n cells, which may be traced."""
    rank = jr.uniform(key, (count, n)).argsort(1).argsort(1)
    return (rank < active).astype(float)


def remember(plan: Plan, active: Any, key: Array) -> Memory:
    """A network that knows all sequences and the tree."""
    short, long, tree, new = plan.numbers()
    a, b = jr.split(key)
    items = codes(a, new + 1, plan.cells, active)
    chunks = codes(b, plan.chunks, plan.above, plan.of_chunk)
    rows = [*short, long, *tree]
    pairs = np.concatenate([np.stack([row[:-1], row[1:]], 1) for row in rows])
    steps = np.stack([np.arange(plan.chunks - 1), np.arange(1, plan.chunks)], 1)
    first = jnp.minimum(items[tree[:, 0]].T @ chunks, 1.0)
    return Memory(items, chunks, links(items, pairs), links(chunks, steps), first)


class Trials(eqx.Module):
    """What is cued, how, and which items are wanted (trial, cycle), -2 where none is; `count`: how many are."""

    kind: tuple[str, ...] = eqx.field(static=True)
    cue: np.ndarray
    period: np.ndarray
    ratio: np.ndarray
    ahead: np.ndarray
    back: np.ndarray
    spread: np.ndarray
    wanted: np.ndarray
    count: np.ndarray


def trials(plan: Plan) -> Trials:
    """All trials: forward, reverse, from the middle; the long sequence at each ratio, at a constant gamma and
    at a constant theta rhythm; forward with phases spread."""
    short, long, _, _ = plan.numbers()
    theta, rows = GAMMA * plan.ratio, []
    for row in short:
        rows.append(("forward", row, GAMMA, plan.ratio, 1.0, 0.0))
    rows += [("reverse", row[::-1], GAMMA, plan.ratio, 0.0, 0.0) for row in short]
    rows += [("middle", row[len(row) // 3 :], GAMMA, plan.ratio, 1.0, 0.0) for row in short]
    rows += [("slower-theta", long[:r], GAMMA, r, 1.0, 0.0) for r in plan.ratios]
    rows += [("faster-gamma", long[:r], theta / r, r, 1.0, 0.0) for r in plan.gammas]
    rows += [("spread", row, GAMMA, plan.ratio, 1.0, s) for s in plan.spreads for row in short]
    kind, items, period, ratio, ahead, spread = zip(*rows, strict=True)
    wanted = np.full((len(rows), plan.cycles), -2)
    for k, row in enumerate(items):
        wanted[k, : len(row)] = row
    column = lambda c: np.array(c, float)
    ahead = column(ahead)
    count = np.array([len(row) for row in items])
    return Trials(
        kind,
        wanted[:, 0],
        column(period),
        column(ratio),
        ahead,
        1 - ahead,
        column(spread),
        wanted,
        count,
    )


def replay_scores(plan: Plan, seen: Array) -> dict[str, Array]:
    """From the item of each cycle of each trial: share in place by kind and spread, counts at each ratio."""
    t = trials(plan)
    right = (seen == t.wanted).sum(1)
    at = lambda kind: np.array([k == kind for k in t.kind])
    out = {k: (right[at(k)] / t.count[at(k)]).mean() for k in ("forward", "reverse", "middle")}
    share = (right[at("spread")] / t.count[at("spread")]).reshape(len(plan.spreads), -1).mean(1)
    out |= {"by_spread": share}
    out |= {k.replace("-", "_"): right[at(k)] for k in ("slower-theta", "faster-gamma")}
    return out


def in_order(spikes: Array, items: Array) -> Array:
    """Share of a sequence whose items become active one after the other, at whatever pace.

    `spikes` (time, cell), `items` (item, cell). An item is active once half of its cells have fired within one
    gamma cycle; counted are the items up to the first that is not, or not later than the one before.
    """
    total = jnp.cumsum(spikes, 0)
    width = int(GAMMA)
    lately = total - jnp.concatenate([jnp.zeros_like(total[:width]), total[:-width]])
    share = jnp.minimum(lately, 1.0) @ items.T / items.sum(1)[None]
    active = share >= 0.5
    first = jnp.where(active.any(0), active.argmax(0), spikes.shape[0])
    later = jnp.concatenate([jnp.ones(1, bool), first[1:] > first[:-1]])
    return jnp.cumprod((later & active.any(0)).astype(float)).mean()


def tree_scores(plan: Plan, before: Array, after: Array) -> dict[str, Array]:
    """Share of the tree's items in place; after its update, of the changed chunk and of the others."""
    _, _, tree, new = plan.numbers()
    changed = tree.copy()
    middle = plan.chunks // 2
    changed[middle, -2] = new
    read = lambda seen: seen.reshape(plan.chunks, plan.ratio)[:, : plan.items]
    others = np.arange(plan.chunks) != middle
    after = read(after) == changed
    return {
        "tree": (read(before) == tree).mean(),
        "updated": after[middle].mean(),
        "kept": after[others].mean(),
    }


def experience(plan: Plan) -> np.ndarray:
    """Items of the middle chunk as it is sensed when the world has changed: the last but one is new."""
    _, _, tree, new = plan.numbers()
    sensed = tree[plan.chunks // 2].copy()
    sensed[-2] = new
    return sensed


class Dynamics(System):
    """A tick draws a memory, and measures the network of an arm: replay, capacity, the tree and its update."""

    plan: Plan
    rhythms: Rhythms
    active: Any

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        plan = self.plan
        m = remember(plan, self.active, fold(tick.key, "memory"))
        short = plan.numbers()[0]
        seen, fired, spikes, forward = self._replays(m, fold(tick.key, "replay"))
        ordered = jax.vmap(in_order)(forward, m.items[short]).mean()
        updated = learn_where_wrong(m.weight, fired[: plan.items])
        before, after = self._trees(m, updated, fold(tick.key, "tree"))
        shown = jnp.einsum("ktc,ic->kti", spikes, m.items[: plan.length]) / self.active
        out = replay_scores(plan, seen) | tree_scores(plan, before, after)
        return state, out | {
            "activity": shown,
            "read": jnp.stack([before, after]),
            "in_order": ordered,
        }

    def _replays(self, m, key):
        """(item of each cycle of each trial, cells of each cycle of the experience, spikes of three trials, and
        of all forward ones)."""
        plan, t = self.plan, trials(self.plan)
        given = jnp.zeros((len(t.cue) + 1, plan.items, plan.cells))
        given = given.at[:-1, 0].set(m.items[t.cue]).at[-1].set(m.items[experience(plan)])
        last = (GAMMA, plan.ratio, HELD, 0.0, 0.0)
        columns = (t.period, t.ratio, t.ahead, t.back, t.spread)
        columns = [jnp.asarray([*c, e]) for c, e in zip(columns, last, strict=True)]

        def one(given, period, ratio, ahead, back, spread, key):
            r = self.rhythms
            rhythms = Rhythms(r.gamma, r.theta, jnp.maximum(r.spread, spread))
            ticks = int(GAMMA * plan.cycles)
            spikes = replay(
                m.weight, self.active, given, ticks, period, ratio, ahead, back, rhythms, key
            )
            fired = by_cycle(spikes, period, plan.cycles)
            return named(fired, m.items), fired, spikes

        seen, fired, spikes = jax.vmap(one)(given, *columns, jr.split(key, given.shape[0]))
        first = [t.kind.index(kind) for kind in ("forward", "reverse", "middle")]
        return seen[:-1], fired[-1], spikes[jnp.asarray(first)], spikes[: plan.sequences]

    def _trees(self, m, updated, key):
        """Item of each cycle while the tree is read, before and after its update."""
        plan = self.plan
        cycles, of_chunk = plan.chunks * plan.ratio, jnp.asarray(float(plan.of_chunk))

        def one(weight):
            spikes = read_tree(
                weight, m.above, m.first, m.chunks[0], self.active, of_chunk,
                int(GAMMA * cycles), plan.ratio, self.rhythms, key,
            )  # fmt: skip
            return named(by_cycle(spikes, jnp.asarray(GAMMA), cycles), m.items)

        return jax.vmap(one)(jnp.stack([m.weight, updated]))


class Clocked(System):
    """The same memory without dynamics: a step a gamma cycle, and no more steps than open cycles."""

    plan: Plan
    active: int = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        plan, t = self.plan, trials(self.plan)
        m = remember(plan, self.active, fold(tick.key, "memory"))

        def one(cue, ahead, ratio):
            weight = jnp.where(ahead > 0, m.weight, m.weight.T)
            seen = named(clocked(weight, self.active, cue, plan.cycles), m.items)
            return jnp.where(jnp.arange(plan.cycles) < ratio - 1, seen, -1)

        seen = jax.vmap(one)(m.items[t.cue], jnp.asarray(t.ahead), jnp.asarray(t.ratio))
        updated = learn_where_wrong(m.weight, m.items[experience(plan)])

        def tree(weight):
            chunks = clocked(m.above, plan.of_chunk, m.chunks[0], plan.chunks)
            starts = (chunks @ m.first.T >= plan.of_chunk).astype(float)
            read = jax.vmap(lambda cue: clocked(weight, self.active, cue, plan.ratio))(starts)
            return named(read.reshape(-1, plan.cells), m.items)

        before, after = tree(m.weight), tree(updated)
        none = jnp.zeros((3, int(GAMMA * plan.cycles), plan.length))
        out = replay_scores(plan, seen) | tree_scores(plan, before, after)
        return state, out | {
            "activity": none,
            "read": jnp.stack([before, after]),
            "in_order": out["forward"],
        }
