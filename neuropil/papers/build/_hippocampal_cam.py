"""The session that every arm of hippocampal-cam goes through, and the ways to answer it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array

from neuropil.core import Chain, System, fold, param, run, start
from neuropil.memory import cam_cell, projection_weights, spiking_cam
from neuropil.memory.cam import W

SHOW = 2  # the row whose spikes are kept for the figure
ANSWERED = 6  # ms from the spike of a question to the spikes of the answer


class Failing(System):
    """A spike is lost with probability p, y = x b with b ~ Bernoulli(1 - p)."""

    n: int = eqx.field(static=True)
    p: Array = param(0.0, bounds=(0, 1))

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        return state, x * (jr.uniform(tick.key, (self.n,)) >= self.p)

    def rest(self):
        return jnp.zeros(self.n)


class Row(eqx.Module):
    """One condition of a session: cells in a content (0: two each, disjoint), how many cues are stored, ms from
    an operation to the next after learning and after recall, share of lost spikes, spread of the weights."""

    active: Any
    stored: Any
    after_learning: Any
    after_recall: Any
    lost: Any
    spread: Any


def rows(settings: dict) -> Row:
    """All conditions, stacked: the densities at the stated spacing, then one stress after the other."""
    own, gap = settings["stress_active"], (settings["after_learning"], settings["after_recall"])
    cues = settings["cues"]
    table = [(a, cues, *gap, 0.0, 0.0) for a in settings["active"]]
    table += [(own, m, *gap, 0.0, 0.0) for m in settings["stored"]]
    table += [(own, cues, g, g - 1, 0.0, 0.0) for g in settings["gaps"]]
    table += [(own, cues, *gap, q, 0.0) for q in settings["lost"]]
    table += [(own, cues, *gap, 0.0, s) for s in settings["spread"]]
    columns = list(zip(*table, strict=True))
    whole = [jnp.asarray(c, jnp.int32) for c in columns[:4]]
    return Row(*whole, *[jnp.asarray(c, float) for c in columns[4:]])


class Memories(eqx.Module):
    """What is to be remembered: contents of all cues (cue, content), the later contents of the first half of
    them, fragments (size, cue, content), and which cues are stored (cue,). Zeros and ones."""

    first: Array
    later: Array
    fragments: Array
    there: Array

    @property
    def final(self) -> Array:
        """Contents after the first half has been learned anew."""
        return jnp.concatenate([self.later, self.first[self.later.shape[0] :]])


def draw(row: Row, cues: int, contents: int, key: Array) -> Memories:
    """Random contents with `active` cells each; or two cells each that no other content has."""
    a, b, c, d, e = jr.split(key, 5)
    half = cues // 2

    def codes(key, count):
        rank = jr.uniform(key, (count, contents)).argsort(1).argsort(1)
        return (rank < row.active).astype(float)

    place = jr.permutation(a, contents)[: 2 * cues].reshape(cues, 2)
    own = jax.nn.one_hot(place, contents).sum(1)
    again = jr.permutation(b, place[:half].reshape(-1)).reshape(half, 2)
    disjoint = row.active == 0
    there = jnp.arange(cues) < row.stored
    first = jnp.where(disjoint, own, codes(c, cues)) * there[:, None]
    later = jnp.where(disjoint, jax.nn.one_hot(again, contents).sum(1), codes(d, half))
    later = later * there[:half, None]
    score = jnp.where(first > 0, jr.uniform(e, first.shape), 2.0)
    rank = score.argsort(1).argsort(1)
    count = first.sum(1)
    sizes = jnp.stack([jnp.ones(cues), jnp.full(cues, 2.0), jnp.ceil(count / 2)])
    fragments = (rank[None] < sizes[..., None]) * first[None]
    return Memories(first, later, fragments, there.astype(float))


class Answers(eqx.Module):
    """Contents read by cue (cue, content), before and after half was learned anew; cues read by fragments
    (size, cue, cue), and how strongly (`rank`)."""

    by_cue: Array
    by_content: Array
    rank: Array
    after: Array
    raster: Array


class Spiking(eqx.Module):
    """The spiking memory: A+, A- of its synapses, the inhibition by cues that keeps recall apart (nA), and how
    plastic it is while it recalls (1: as ever)."""

    up: Array
    down: Array
    gate: Array
    recalling: Array
    longest: int = eqx.field(static=True)

    def __call__(self, m: Memories, row: Row, key: Array) -> Answers:
        cues, contents = m.first.shape
        half, one = cues // 2, jnp.eye(cues) * m.there[:, None]
        none, sizes = jnp.zeros((cues, contents)), m.fragments.shape[0]
        fragments = m.fragments.reshape(-1, contents)
        cue = jnp.concatenate([one, one, jnp.zeros((fragments.shape[0], cues)), one[:half], one])
        content = jnp.concatenate([m.first, none, fragments, m.later, none])
        lengths = (cues, cues, fragments.shape[0], half, cues)
        learn = jnp.concatenate([jnp.full(n, k in (0, 3)) for k, n in enumerate(lengths)])
        gap = jnp.where(learn, row.after_learning, row.after_recall)
        at = jnp.cumsum(gap) - gap
        ticks = cue.shape[0] * self.longest + ANSWERED + 1
        now = (
            jnp.searchsorted(at, jnp.arange(ticks), side="right") - 1
        )  # the operation of each tick
        plastic = jnp.where(learn[now], 1.0, self.recalling)[:, None]
        raster = self._play(cue, content, learn, at, plastic, row, key)
        answer = {name: a[at + ANSWERED] for name, a in raster.items()}
        ends = [sum(lengths[:k]) for k in range(len(lengths) + 1)]
        part = lambda name, k: answer[name][ends[k] : ends[k + 1]]
        found = part("OutCue", 2).reshape(sizes, cues, cues)
        shown = jnp.concatenate([raster["OutCue"], raster["OutContent"]], 1)
        return Answers(part("OutContent", 1), found, found, part("OutContent", 4), shown)

    def _play(self, cue, content, learn, at, plastic, row, key):
        """Spikes of the two outputs at every tick."""
        ticks = plastic.shape[0]

        def shown(what):
            spikes = jnp.zeros((ticks, what.shape[1])).at[at].add(what)
            for k in (1, 2):
                spikes = spikes.at[at + k].add(what * learn[:, None])
            return jnp.minimum(spikes, 1.0)

        cell = lambda n, kind: Chain(cell=cam_cell(n, kind), fails=Failing(n, row.lost))
        switches = {"up": self.up, "down": self.down, "gate": self.gate}
        memory = spiking_cam(cue.shape[1], content.shape[1], gated=True, cell=cell, **switches)
        edges = lambda m: m.fast.fast.edges
        leaves, shape = jax.tree.flatten(edges(memory))
        keys = jr.split(fold(key, "spread"), len(leaves))
        uneven = lambda a, k: a * (1 + row.spread * jr.normal(k, a.shape))
        leaves = [uneven(a, k) for a, k in zip(leaves, keys, strict=True)]
        memory = eqx.tree_at(edges, memory, jax.tree.unflatten(shape, leaves))
        record = {name: f"output.{name}" for name in ("OutCue", "OutContent")}
        xs = {"Cue": shown(cue), "Content": shown(content), "Learn": plastic}
        return run(memory, start(memory, 1.0, key), xs, record=record)[1]


class Willshaw(eqx.Module):
    """The binary Hebbian matrix, both ways: a cue reads its row, a fragment every cue it has a synapse to."""

    def __call__(self, m: Memories, row: Row, key: Array) -> Answers:
        later = jnp.concatenate([m.later, jnp.zeros_like(m.first)[m.later.shape[0] :]])
        total = m.fragments @ m.first.T
        nothing = jnp.zeros((1, 1))
        found = (total > 0).astype(float)
        return Answers(m.first, found, total, jnp.maximum(m.first, later), nothing)


class Projection(eqx.Module):
    """Hopfield network of +-1 cells for cues and contents, pseudo-inverse weights, no self-connections."""

    sweeps: int = eqx.field(static=True, default=10)

    def __call__(self, m: Memories, row: Row, key: Array) -> Answers:
        cues = m.first.shape[0]
        half = m.later.shape[0]
        one = jnp.eye(cues)
        sign = lambda a: 2 * a - 1
        # what is not stored stays out: rows of zeros do not change the projection
        old = sign(jnp.concatenate([one, m.first], 1)) * m.there[:, None]
        new = sign(jnp.concatenate([one[:half], m.later], 1)) * m.there[:half, None]
        silent = lambda a: a * (1 - jnp.eye(a.shape[0]))
        before = silent(projection_weights(old))
        after = silent(projection_weights(jnp.concatenate([old, new])))

        def recall(weight, held, given):
            """State and field of the cells after some sweeps in which `given` ones are held."""

            def sweep(_, now):
                field = weight @ now[0]
                return jnp.where(given, held, jnp.where(field > 0, 1.0, -1.0)), field

            return jax.lax.fori_loop(0, self.sweeps, sweep, (held * given, held))

        is_cue = jnp.arange(cues + m.first.shape[1]) < cues
        ask = jax.vmap(recall, (None, 0, 0))
        held = jnp.concatenate([sign(one), jnp.zeros_like(m.first)], 1)
        mask = jnp.broadcast_to(is_cue, held.shape)
        read = lambda weight: (ask(weight, held, mask)[0][:, cues:] > 0).astype(float)
        parts = m.fragments.reshape(-1, m.fragments.shape[-1])
        parts = jnp.concatenate([jnp.zeros((parts.shape[0], cues)), parts], 1)
        s, field = ask(before, parts, parts > 0)
        shape = (-1, cues, cues)
        found = (s[:, :cues] > 0).astype(float).reshape(shape)
        rank = field[:, :cues].reshape(shape)
        return Answers(read(before), found, rank, read(after), jnp.zeros((1, 1)))


class Dictionary(eqx.Module):
    """Exact pairs: the last content of a cue, and every cue whose content shares a cell."""

    def __call__(self, m: Memories, row: Row, key: Array) -> Answers:
        found = (m.fragments @ m.first.T > 0).astype(float)
        return Answers(m.first, found, found, m.final, jnp.zeros((1, 1)))


def rate(m: Memories, answer: Answers) -> dict[str, Array]:
    """How well a session was answered. Only stored cues are asked for."""
    half = m.later.shape[0]
    mean = lambda right, there: (right * there).sum() / jnp.maximum(there.sum(), 1.0)
    same = lambda a, b: (a == b).all(-1).astype(float)
    wanted = (m.fragments @ m.first.T > 0).astype(float)
    each = jnp.broadcast_to(m.there[None], wanted.shape[:2])
    own = jnp.arange(wanted.shape[1])
    best = (answer.rank == answer.rank.max(-1, keepdims=True)) & (answer.rank > 0)
    first = best[:, own, own] / jnp.maximum(best.sum(-1), 1)
    old = m.first[:half] * (1 - m.later)
    left = (answer.after[:half] * old).sum() / jnp.maximum(old.sum(), 1.0)
    right = same(answer.after, m.final)
    by_cue, by_content = same(answer.by_cue, m.first), same(answer.by_content, wanted)
    scores = {
        "by_cue": mean(by_cue, m.there),
        "by_content": mean(by_content, each),
        "by_one": mean(by_content[0], m.there),
        "by_two": mean(by_content[1], m.there),
        "by_half": mean(by_content[2], m.there),
        "includes": mean(answer.by_content[:, own, own], each),
        "first": mean(first, each),
        "overwritten": mean(right[:half], m.there[:half]),
        "kept": mean(right[half:], m.there[half:]),
        "old_left": left,
        "chance_first": mean(1 / jnp.maximum(wanted.sum(-1), 1.0), each),
    }
    asked = ("by_cue", "by_content", "overwritten", "kept")
    counts = jnp.stack([m.there.sum(), each.sum(), m.there[:half].sum(), m.there[half:].sum()])
    total = sum(scores[name] * counts[k] for k, name in enumerate(asked)) / counts.sum()
    return scores | {"exact": total, "in_turn": by_content}


class Session(System):
    """A tick draws memories for every condition, and rates how an arm answers: {score: (condition,)}."""

    answer: Any
    rows: Row
    cues: int = eqx.field(static=True)
    contents: int = eqx.field(static=True)

    def init(self, dt, key):
        return ()

    def step(self, state, x, tick):
        def one(row, key):
            m = draw(row, self.cues, self.contents, fold(key, "draw"))
            answer = self.answer(m, row, fold(key, "answer"))
            return rate(m, answer), answer.raster

        count = self.rows.active.shape[0]
        scores, raster = jax.vmap(one)(self.rows, jr.split(tick.key, count))
        return state, scores | {"raster": raster[min(SHOW, count - 1)]}


def spiking(up: float = W, down: float = W, gate: float = W, recalling: float = 1.0):
    """An arm's way to answer, from its switches."""

    def make(settings: dict) -> Spiking:
        longest = max(settings["after_learning"], settings["after_recall"], *settings["gaps"])
        return Spiking(*(jnp.asarray(a) for a in (up, down, gate, recalling)), longest)

    return make
