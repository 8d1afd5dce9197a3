"""Continual learning with protected activity: one system, of which every arm of hlop is a setting.

The arms differ in arrays only (how many rows, which flags), so they share one compiled chunk.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from neuropil.core import System
from neuropil.learn.projection import project_update
from neuropil.papers.build._hlop_net import RULES, Net
from neuropil.plasticity.subspace import (
    OjaSubspace,
    orthogonal_part,
    orthonormal_rows,
    principal_angles,
    principal_rows,
    second_moment,
)
from neuropil.worlds.streams import Permuted, Stream


class Arms(eqx.Module):
    """What an arm does; arrays, so that all arms are one program.

    `protect`: traces are projected; `hebbian`: the rows learn; `exact`: they are the residual's
    principal directions, found at the end of a task; `replay`: a memory of old images is shown after
    each task; `joint`: every batch mixes all tasks.
    """

    protect: Bool[Array, ""]
    hebbian: Bool[Array, ""]
    exact: Bool[Array, ""]
    replay: Bool[Array, ""]
    joint: Bool[Array, ""]

    @staticmethod
    def of(*names: str) -> Arms:
        """Flags by name. KeyError for a name that is none."""
        flags = dict.fromkeys(Arms.__dataclass_fields__, False)
        for name in names:
            if name not in flags:
                raise KeyError(f"hlop: no flag {name!r}; there are {', '.join(flags)}")
            flags[name] = True
        return Arms(**{n: jnp.asarray(v) for n, v in flags.items()})


class Continual(System):
    """A spiking network learns one task after the other; a tick is a task.

    Output of a tick: accuracy on every task learnt (NaN on later ones), mean loss, and for each of the
    three lateral circuits the mean angle (degrees) of the task's rows to the principal directions of
    what old rows leave, max |H H^T - 1|, and the share of this task's activity left unprotected.
    """

    stream: Stream
    does: Arms
    rows: Int[Array, "task 3"]  # new rows of each circuit at each task
    room: tuple[tuple[int, int], ...] = eqx.field(
        static=True
    )  # (most new rows, all rows) by circuit
    hebb_rates: tuple[float, float, float] = eqx.field(static=True)
    rule: str = eqx.field(static=True, default="bptt")
    hidden: int = eqx.field(static=True, default=200)
    images: int = eqx.field(static=True, default=20_000)
    batch: int = eqx.field(static=True, default=64)
    rate: float = eqx.field(static=True, default=0.1)
    test: int = eqx.field(static=True, default=2000)
    memory: int = eqx.field(static=True, default=50)  # images a class and task kept for replay
    replay_batch: int = eqx.field(static=True, default=50)
    replay_rate: float = eqx.field(static=True, default=0.01)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Presynaptic cells of each weight matrix."""
        return self.stream.pixels, self.hidden, self.hidden

    def circuits(self) -> tuple[OjaSubspace, ...]:
        """The lateral learning rule of each circuit."""
        each = zip(self.room, self.widths, self.hebb_rates, strict=True)
        return tuple(OjaSubspace((new, n), rate=rate) for (new, _), n, rate in each)

    def init(self, dt, key):
        sizes = zip(self.room, self.widths, strict=True)
        order, net = _begin(
            key, self.stream.tasks, self.stream.pixels, self.hidden, self.stream.classes
        )
        return {
            "order": order,
            "net": net,
            "rows": tuple(jnp.zeros((total, n)) for (_, total), n in sizes),
            "used": jnp.zeros(3, jnp.int32),
            "memory": jnp.zeros((self.stream.tasks, self.memory * self.stream.classes), jnp.int32),
        }

    def step(self, state, x, tick):
        k = tick.i
        stream = eqx.tree_at(lambda s: s.plan, self.stream, Permuted(state["order"], False))
        index, mixed, drawn = self._draw(tick.key)
        memory = state["memory"].at[k].set(self._remember(stream, index.ravel()))
        fresh = self._fresh(state, k, drawn)
        of = jnp.where(self.does.joint, mixed, k)
        net, fresh, loss = self._learn(stream, state, memory, (of, index), fresh, k)
        record = {"accuracy": self._accuracy(stream, net, k), "loss": loss}
        rows, used, measured = self._merge(stream, state, net, fresh, index, k)
        state = {**state, "net": net, "rows": rows, "used": used, "memory": memory}
        return state, record | measured

    def _draw(self, key):
        """All that is random in a task, from one block of numbers (each call of the generator costs
        half a second of compilation): order of the images, tasks of a joint batch, normal rows."""
        total, n = self.stream.train.least, min(self.images, self.stream.train.least)
        rounds, keep = max(1, self.images // n), n // self.batch * self.batch
        shapes = [(rounds, total), (rounds * keep,)]
        shapes += [(new, width) for (new, _), width in zip(self.room, self.widths, strict=True)]
        lottery, tasks, *rows = _blocks(jr.uniform(key, (sum(map(math.prod, shapes)),)), shapes)
        index = jnp.argsort(lottery)[:, :keep].reshape(-1, self.batch)
        mixed = (tasks * self.stream.tasks).astype(jnp.int32).reshape(index.shape)
        normal = lambda u: (
            math.sqrt(2) * jax.scipy.special.erfinv(jnp.maximum(2 * u - 1, -0.999999))
        )
        return index, mixed, [normal(u) for u in rows]

    def _remember(self, stream, index) -> Int[Array, " m"]:
        """The first images of each class in the order they came, class after class in turn."""
        y = stream.train.y[index]
        counts = jax.nn.one_hot(y, stream.classes, dtype=jnp.int32).sum(0)
        before = (jnp.tril(jnp.ones((stream.classes,) * 2, jnp.int32), -1) @ counts)[None]
        turn = (
            jnp.arange(self.memory)[:, None] % jnp.maximum(counts, 1)[None]
        )  # a small set repeats itself
        return index[jnp.argsort(y, stable=True)[before + turn].ravel()]

    def _fresh(self, state, k, drawn) -> tuple[Array, ...]:
        """New rows before they learn: random orthonormal; where they never learn, outside the old."""
        fresh = []
        for c, (normal, old) in enumerate(zip(drawn, state["rows"], strict=True)):
            beyond = jnp.where(self.does.hebbian, 0.0, 1.0) * old
            rows = orthonormal_rows(orthogonal_part(normal, beyond))
            fresh.append(rows * (jnp.arange(len(rows)) < self.rows[k, c])[:, None])
        return tuple(fresh)

    def _learn(self, stream, state, memory, taught, fresh, k):
        """The mini-batches of a task, then those of the replay memory."""
        does, rule, circuits = self.does, RULES[self.rule], self.circuits()
        old, (of, index) = state["rows"], taught
        steps = len(index)
        guard = does.protect & (k > 0)
        takes = memory.shape[1] // self.replay_batch
        pad = jnp.arange(self.batch) < self.replay_batch
        kept = jnp.pad(memory, ((0, 0), (0, self.batch)))  # room for the last slice

        def present(j):
            whole = jnp.full(self.batch, 1 / self.batch)
            return of[j], index[j], whole, jnp.asarray(self.rate), True

        def again(j):
            take, task = (j - steps) // (k + 1), (j - steps) % (k + 1)
            place = lax.dynamic_slice(kept, (task, take * self.replay_batch), (1, self.batch))[0]
            place = jnp.where(pad, place, 0)
            rate = jnp.asarray(self.replay_rate)
            return jnp.full(self.batch, task), place, pad / self.replay_batch, rate, task == k

        def body(j, now):
            net, total, rows, buffers, sum_loss = now
            tasks, place, share, rate, last = lax.cond(j < steps, present, again, j)
            x, y = jax.vmap(stream.sample)(tasks, place)
            trace = lax.cond(guard, lambda: orthogonal_part(x, old[0]), lambda: x)
            loss, gradient, seen = rule.gradient(net, x, y, share, trace)
            gradient = lax.cond(guard, lambda g: _projected(g, old), lambda g: g, gradient)
            total = jax.tree.map(jnp.add, total, gradient)
            net = net.moved(total, jnp.where(last, rate, 0.0), k == 0)
            total = jax.tree.map(lambda a: jnp.where(last, 0.0, a), total)
            hebb = lambda: _hebbian(circuits, rows, buffers, seen, old, trace)
            rows, buffers = lax.cond(does.hebbian, hebb, lambda: (rows, buffers))
            return net, total, rows, buffers, sum_loss + jnp.where(j < steps, loss, 0.0)

        net = state["net"]
        zero = jax.tree.map(jnp.zeros_like, (net, fresh))
        count = steps + jnp.where(does.replay & (k > 0), takes * (k + 1), 0)
        carry = (net, zero[0], fresh, zero[1], jnp.zeros(()))
        net, _, fresh, _, loss = lax.fori_loop(0, count, body, carry)
        return net, fresh, loss / steps

    def _merge(self, stream, state, net, fresh, index, k):
        """New rows join the frozen ones; how good they are."""

        def merge(fresh):
            place = index.ravel()[: self.test]
            x, _ = stream.sample(k, place)
            _, seen = RULES[self.rule].answer(net, x)
            each = [
                self._join(z.reshape(-1, z.shape[-1]), old, new, used, count)
                for z, old, new, used, count in zip(
                    seen, state["rows"], fresh, state["used"], self.rows[k], strict=True
                )
            ]
            rows, *measured = zip(*each, strict=True)
            return tuple(rows), jnp.stack([jnp.stack(m) for m in measured])

        nothing = lambda fresh: (state["rows"], jnp.full((3, 3), jnp.nan))
        rows, measured = lax.cond(self.does.protect, merge, nothing, fresh)
        names = ("angle", "orthonormality", "uncovered")
        return rows, state["used"] + self.rows[k], dict(zip(names, measured, strict=True))

    def _join(self, z, old, new, used, count):
        moment = second_moment(z)
        left = orthogonal_part(orthogonal_part(moment, old).T, old)
        mine = (jnp.arange(len(new)) < count)[:, None]
        best = principal_rows(left, len(new)) * mine
        new = jnp.where(self.does.exact, best, new)
        rows = old.at[used + jnp.arange(len(new))].set(new, mode="drop")
        angle = jnp.nanmean(principal_angles(new, best, count))
        there = jnp.arange(len(rows)) < used + count
        off = jnp.abs(rows @ rows.T - jnp.diag(there.astype(z.dtype))).max()
        rest = jnp.trace(orthogonal_part(orthogonal_part(moment, rows).T, rows))
        return rows, angle, off, rest / jnp.trace(moment)

    def _accuracy(self, stream, net, k) -> Float[Array, " task"]:
        """Share of test images right, task by task; NaN on tasks that were not seen."""
        n = min(self.test, stream.test.least)
        place = jnp.arange(n) * (stream.test.least // n)

        def right(j):
            x, y = stream.sample(j, place, "test")
            logits, _ = RULES[self.rule].answer(net, x)
            return jnp.mean(logits.argmax(1) == y)

        one = lambda j: lax.cond(
            (j <= k) | self.does.joint, right, lambda j: jnp.nan * jnp.ones(()), j
        )
        return lax.map(one, jnp.arange(stream.tasks))


@eqx.filter_jit
def _begin(key, tasks: int, pixels: int, hidden: int, classes: int) -> tuple[Array, Net]:
    """The tasks' permutations and the first network, of one block of random numbers."""
    shapes = [(tasks, pixels), (Net.size(pixels, hidden, classes),)]
    lottery, weights = _blocks(jr.uniform(key, (sum(map(math.prod, shapes)),)), shapes)
    return jnp.argsort(lottery).astype(jnp.int32), Net.of(weights, pixels, hidden, classes)


def _blocks(numbers: Float[Array, " n"], shapes: list) -> list[Array]:
    """Cut a row of numbers into arrays."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    return [a.reshape(s) for a, s in zip(jnp.split(numbers, ends), shapes, strict=True)]


def _projected(gradient: Net, old: tuple) -> Net:
    """Second and third weights through the projection of their frozen rows (the first had its trace)."""
    w1, w2, w3 = gradient.weights
    weights = (w1, project_update(w2, old[1]), project_update(w3, old[2]))
    return Net(weights, gradient.back, gradient.threshold)


def _hebbian(circuits, rows, buffers, seen, old, trace):
    """Every circuit learns from what its weight matrix saw, batch after batch."""
    new = []
    for c, (circuit, H, M, z) in enumerate(zip(circuits, rows, buffers, seen, strict=True)):
        rest = trace if c == 0 else None
        learn = lambda now, z, circuit=circuit, c=c, rest=rest: circuit.learn(*now, z, old[c], rest)
        if len(z) == 1:
            new.append(learn((H, M), z[0]))
        else:
            new.append(lax.scan(lambda now, z, learn=learn: (learn(now, z), None), (H, M), z)[0])
    rows, buffers = zip(*new, strict=True)
    return rows, buffers
