"""Training of dcls-delays: one system, of which every trained arm is a setting; and the ideal observer."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import Array, lax

from neuropil.core import System
from neuropil.core.random import fold
from neuropil.papers.build._dcls_net import Net, Taps, loss, scores
from neuropil.papers.build._dcls_tasks import STEP, DelayCode
from neuropil.synapses import narrowing


class Training(System):
    """A network for every task is trained; a tick is a share of the epochs, and a test after them.

    - `tasks`: {name: task}; `sizes`: {name: sizes of its layers}; `longest` delay in steps.
    - `learns`: whether delays learn; `discrete`: one tap a synapse from the start, else Gaussian taps
      whose width shrinks from `longest` / 2 steps to `sigma_end` in the first quarter. Both are arrays:
      arms that differ in them share a program.
    - `shuffles`: in tests the delays are dealt anew among the synapses.

    Output for each task: test accuracy with whole-step delays, with the kernel of training ("soft"), with
    delays dealt anew ("shuffled"); mean loss; and `alignment` for a task whose pattern is known.
    """

    tasks: dict[str, Any]
    learns: Array
    discrete: Array
    sizes: dict[str, tuple[int, ...]] = eqx.field(static=True)
    longest: int = eqx.field(static=True)
    epochs: dict[str, int] = eqx.field(static=True)
    ticks: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    delay_rate: float = eqx.field(static=True)
    decay: float = eqx.field(static=True)
    drop: float = eqx.field(static=True)
    tau: dict[str, float] = eqx.field(static=True)
    sigma_end: float = eqx.field(static=True)
    probe: int = eqx.field(static=True, default=256)  # training trials for moments

    def init(self, dt, key):
        return {name: self._begin(name, fold(key, name)) for name in self.tasks}

    def _begin(self, name, key):
        task, net = fold(key, "task"), Net.of(self.sizes[name], self.longest, fold(key, "net"))
        return {"task": task, "net": net, "opt": self._optimiser(name).init(_learned(net))}

    def _count(self, name: str) -> int:
        """Steps of a tick."""
        task = self.tasks[name]
        n = task.train if isinstance(task, DelayCode) else len(task.split.y)
        return self.epochs[name] // self.ticks * (n // self.batch)

    def _optimiser(self, name: str) -> optax.GradientTransformation:
        """Adam for weights (one-cycle, weight decay), normalisation (no decay) and delays (cosine)."""
        total = self._count(name) * self.ticks
        rise = optax.cosine_onecycle_schedule(total, self.rate, 0.3, 25.0, 1e4)
        fall = optax.cosine_decay_schedule(self.delay_rate * STEP, total)
        kinds = {
            "weight": optax.chain(optax.add_decayed_weights(self.decay), optax.adam(rise)),
            "norm": optax.adam(rise),
            "delay": optax.adam(fall),
        }
        return optax.multi_transform(kinds, _kinds)

    def step(self, state, x, tick):
        new, record = {}, {}
        for name in self.tasks:
            new[name], found = self._chunk(name, state[name], tick)
            record |= {f"{what}-{name}": value for what, value in found.items()}
        return new, record

    def _chunk(self, name, state, tick):
        split = self.tasks[name].draw(state["task"])
        key, count = fold(tick.key, name), self._count(name)
        total, tail = count * self.ticks, self._tail(name)
        rounds = self.epochs[name] // self.ticks
        lottery = jr.uniform(fold(key, "order"), (rounds, len(split.y)))
        kept = len(split.y) // self.batch * self.batch
        order = jnp.argsort(lottery)[:, :kept].reshape(count, self.batch)
        optimiser = self._optimiser(name)

        def taps(done):  # without delays there is one tap, whatever its width
            sigma = STEP * narrowing(done, max(self.longest, 1) / 2, self.sigma_end)
            return Taps(sigma.astype(jnp.float32), self.discrete)

        def body(j, now):
            net, opt, sum_loss = now
            i = tick.i * count + j
            place = order[j]

            def value(net):
                out, _ = scores(
                    net, split.x[place], taps(i / total), tau=self.tau[name], tail=tail, drop=self.drop,
                    key=jr.fold_in(fold(key, "drop"), j),
                )  # fmt: skip
                return loss(out, split.y[place])

            now_loss, gradient = jax.value_and_grad(value)(net)
            change, opt = optimiser.update(_learned(gradient), opt, _learned(net))
            moved = optax.apply_updates(_learned(net), change)
            moved = [
                (w, jnp.where(self.learns, d, wire.delay), *more)
                for (w, d, *more), wire in zip(moved, net.wires, strict=True)
            ]
            return _put(net, moved).clipped(), opt, sum_loss + now_loss

        start = (state["net"], state["opt"], jnp.zeros(()))
        net, opt, sum_loss = lax.fori_loop(0, count, body, start)
        record = self._tested(name, net, split, taps((tick.i + 1) / self.ticks), key, tail)
        if isinstance(self.tasks[name], DelayCode):
            onsets = self.tasks[name].onsets(state["task"])
            record |= alignment(net, onsets)
        record["loss"] = sum_loss / count
        return {**state, "net": net, "opt": opt}, record

    def _tail(self, name: str) -> int:
        return (len(self.sizes[name]) - 1) * self.longest // 2

    def _tested(self, name, net, split, soft, key, tail):
        """Accuracies; the moments are those of training trials under the same kernel."""
        one = Taps(soft.sigma, jnp.asarray(True))
        dealt = net.shuffled(fold(key, "deal"))
        go = lambda net, x, taps, m=None: scores(
            net, x, taps, tau=self.tau[name], tail=tail, moments=m
        )
        shown = {
            "accuracy": (net, one),
            "soft": (net, soft),
            "shuffled": (dealt, one),
        }
        nets = jax.tree.map(lambda *a: jnp.stack(a), *[v[0] for v in shown.values()])
        taps = jax.tree.map(lambda *a: jnp.stack(a), *[v[1] for v in shown.values()])
        many = min(self.probe, len(split.y))
        size = min(self.batch, many, len(split.test_y))

        def right(net, taps, x, y, m):
            more = -len(y) % size  # the last batch is filled up
            filled = jnp.pad(x, ((0, more), (0, 0), (0, 0))).reshape(-1, size, *x.shape[1:])
            answers = lax.map(lambda b: go(net, b, taps, m)[0].argmax(-1), filled)
            return jnp.mean(answers.reshape(-1)[: len(y)] == y)

        def one_of(variant):
            net, taps = variant
            part = split.x[: many // size * size].reshape(-1, size, *split.x.shape[1:])
            m = jax.tree.map(lambda a: a.mean(0), lax.map(lambda b: go(net, b, taps)[1], part))
            return right(net, taps, split.test_x, split.test_y, m)

        return dict(zip(shown, lax.map(one_of, (nets, taps)), strict=True))


def _learned(net: Net) -> list:
    """(weight, delay) of every wire, with scale and shift of a hidden layer."""
    more = [*zip(net.scale, net.shift, strict=True), ()]
    return [(w.weight, w.delay, *m) for w, m in zip(net.wires, more, strict=True)]


def _kinds(learned: list) -> list:
    return [("weight", "delay", *("norm",) * (len(part) - 2)) for part in learned]


def _put(net: Net, learned: list) -> Net:
    flat = lambda net: [a for part in _learned(net) for a in part]
    return eqx.tree_at(flat, net, [a for part in learned for a in part])


def alignment(net: Net, onsets: Array) -> dict[str, Array]:
    """How well first-layer delays undo a class's onsets.

    "alignment": for every cell the largest correlation over classes, across channels and weighted with its
    positive weights, of delay and -onset; mean of cells. "example": the cell with the largest: its delays
    (ms), weights, and the onsets (steps) of the class.
    """
    wire = net.wires[0]
    w = jnp.maximum(wire.weight, 0.0)
    w = w / (w.sum(1, keepdims=True) + 1e-9)
    centred = lambda a: a - (w * a).sum(-1, keepdims=True)
    delay = centred(wire.delay)  # cell, channel
    want = jax.vmap(lambda d: centred(jnp.broadcast_to(-d.astype(w.dtype), w.shape)))(onsets)
    over = (w[None] * delay[None] * want).sum(-1)
    size = jnp.sqrt((w * delay**2).sum(-1)[None] * (w[None] * want**2).sum(-1))
    fit = over / (size + 1e-9)  # class, cell
    best, cell = fit.max(0), fit.max(0).argmax()
    shown = (wire.delay[cell], wire.weight[cell], onsets[fit[:, cell].argmax()].astype(w.dtype))
    return {"alignment": best.mean(), "example": jnp.stack(shown)}


class Ceiling(System):
    """What can be had: the ideal observer of the delay code, and ridge regression on the raw real trials."""

    tasks: dict[str, Any]
    ridge: float = eqx.field(static=True, default=1.0)

    def init(self, dt, key):
        return {name: fold(fold(key, name), "task") for name in self.tasks}

    def step(self, state, x, tick):
        record = {}
        for name, task in self.tasks.items():
            split = task.draw(state[name])
            if isinstance(task, DelayCode):
                best = task.log_likelihood(state[name], split.test_x).argmax(-1)
            else:
                best = self._ridge(task.raw, split.y, task.classes)
            record[f"accuracy-{name}"] = jnp.mean(best == split.test_y)
        return state, record

    def _ridge(self, raw, y, classes):
        train, test = raw
        middle = train.mean(0, keepdims=True)
        train, test = train - middle, test - middle
        goal = 2 * jax.nn.one_hot(y, classes) - 1
        offset = goal.mean(0, keepdims=True)
        inner = train @ train.T + self.ridge * jnp.eye(len(train))  # fewer trials than features
        return (test @ (train.T @ jnp.linalg.solve(inner, goal - offset)) + offset).argmax(-1)
